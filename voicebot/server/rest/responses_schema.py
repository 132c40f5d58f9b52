"""What `/v1/responses` is sent: its schema, and the conversation in its items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from ...engines import Message, Tool, ToolCall
from ..errors import ApiError
from ..http.json_schema import Schema, listed, one_of
from ..http.unknown_fields import body
from .chat_schema import MODEL, SAMPLING, asked, paired

_TEXT: Schema = {"type": "string"}
_NAME: Schema = {"type": "string", "minLength": 1}
_NULL: Schema = {"type": "null"}
_ANY_OBJECT: Schema = {"type": "object", "description": "Accepted, and without effect."}
ITEMS = 1000
"""Items of a conversation, those before it included."""

_PART = body(
    {"type": one_of("input_text", "output_text", "text", "refusal")},
    {"text": _TEXT, "refusal": _TEXT, "annotations": listed({"type": "object"})},
)
_SAID: Schema = {"anyOf": [_TEXT, listed(_PART)]}
_ITEM = body(
    {},
    {
        "type": one_of("message", "function_call", "function_call_output", "reasoning"),
        "id": _TEXT,
        "status": _TEXT,
        "role": one_of("system", "developer", "user", "assistant"),
        "content": _SAID,
        "call_id": _NAME,
        "name": _NAME,
        "arguments": _TEXT,
        "output": _SAID,
        "summary": listed({"type": "object"}),
        "encrypted_content": _TEXT,
    },
)
_TOOL = body(
    {"type": one_of("function"), "name": _NAME},
    {
        "description": _TEXT,
        "parameters": {"type": "object", "description": "JSON Schema."},
        "strict": {"type": "boolean", "description": "Accepted, and without effect."},
    },
)
_FORMAT = body(
    {"type": one_of("text", "json_object", "json_schema")},
    {
        "name": _TEXT,
        "description": _TEXT,
        "schema": {
            "type": "object",
            "description": "JSON Schema. Patterns, and sizes above 128, may be broken.",
        },
        "strict": {"type": "boolean", "description": "It is always followed."},
    },
)
_CALLED = body({"type": one_of("function"), "name": _NAME})
RESPONSE: Schema = body(
    {"model": MODEL, "input": {"anyOf": [_TEXT, listed(_ITEM, 0, ITEMS)]}},
    {
        "instructions": _TEXT,
        "previous_response_id": _NAME,
        "store": {"type": "boolean", "default": True},
        "stream": {"type": "boolean", "default": False},
        "tools": listed(_TOOL, most=128),
        "tool_choice": {"anyOf": [one_of("none", "auto", "required"), _CALLED], "default": "auto"},
        "parallel_tool_calls": {"type": "boolean", "default": True},
        "max_output_tokens": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
        **{name: SAMPLING[name] for name in ("temperature", "top_p")},
        "text": body({}, {"format": _FORMAT}),
        "truncation": one_of("auto", "disabled") | {"default": "disabled"},
        "metadata": _ANY_OBJECT | {"description": "Told back."},
        "reasoning": _ANY_OBJECT,
        # What changes the answer, and is not done here.
        "background": {"type": "boolean", "enum": [False]},
        "conversation": _NULL,
        "prompt": _NULL,
    },
)


def items(sent: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The items of `input`, each with its type and an id.

    Raises:
        ApiError: an item lacks what its type needs.
    """
    if isinstance(sent, str):
        sent = [{"role": "user", "content": sent}]
    found = []
    for index, item in enumerate(sent):
        kind = item.get("type", "message")
        for name in _NEEDS[kind]:
            if name not in item:
                at = f"input[{index}].{name}"
                raise ApiError(400, f"{at} is missing", param=at)
        full = {"id": f"{_PREFIX[kind]}_{uuid4().hex}", "type": kind, **item}
        if kind == "message":
            full["content"] = _parts(item["role"], item["content"])
            full.setdefault("status", "completed")
        found.append(full)
    return found


_NEEDS = {
    "message": ("role", "content"),
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
    "reasoning": (),
}
_PREFIX = {
    "message": "msg", "function_call": "fc", "function_call_output": "fco", "reasoning": "rs",
}  # fmt: skip


def _parts(role: str, content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not isinstance(content, str):
        return content
    if role == "assistant":
        return [{"type": "output_text", "text": content, "annotations": []}]
    return [{"type": "input_text", "text": content}]


def messages(instructions: str | None, items: Sequence[dict[str, Any]]) -> list[Message]:
    """What was said, called and returned; the user or a function has the last word.

    Raises:
        ApiError: a call and what it returned are not together.
    """
    read = [Message("system", instructions)] if instructions else []
    for item in items:
        if item["type"] == "message":
            role: Any = "system" if item["role"] == "developer" else item["role"]
            read.append(Message(role, _text(item["content"])))
        elif item["type"] == "function_call":
            call = ToolCall(item["call_id"], item["name"], item["arguments"])
            last = read[-1] if read else None
            if last and last.role == "assistant":  # what it said, or called, with this call
                read[-1] = Message("assistant", last.text, calls=(*last.calls, call))
            else:
                read.append(Message("assistant", "", calls=(call,)))
        elif item["type"] == "function_call_output":
            read.append(Message("tool", _text(item["output"]), call_id=item["call_id"]))
    paired(read, "input")
    return asked(read)


def _text(content: str | list[dict[str, Any]]) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text") or part.get("refusal") or "" for part in content)


def tools(fields: dict[str, Any]) -> list[Tool]:
    """The functions that the model may call."""
    return [
        Tool(each["name"], each.get("description", ""), each.get("parameters", {}))
        for each in fields.get("tools", ())
    ]


def schema(fields: dict[str, Any]) -> dict[str, Any] | None:
    """The JSON Schema that the text follows; None for any text.

    Raises:
        ApiError: a schema is announced and not there.
    """
    form = fields.get("text", {}).get("format", {"type": "text"})
    if form["type"] == "text":
        return None
    if form["type"] == "json_object":
        return {"type": "object"}
    if "schema" not in form:
        raise ApiError(400, "text.format.schema is missing", param="text.format.schema")
    found: dict[str, Any] = form["schema"]
    return found
