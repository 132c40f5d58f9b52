"""What `/v1/chat/completions` is sent: its schema, and the messages and functions in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...audio.encode import FORMS
from ...engines import Message, Tool, ToolCall
from ...engines.chat.prompt import OPENING
from ...model_names import PLAIN
from ..errors import ApiError
from ..http.json_schema import Schema, listed, one_of
from ..http.unknown_fields import body

_TEXT: Schema = {"type": "string"}
_NAME: Schema = {"type": "string", "minLength": 1}
_IGNORED = "Accepted, and without effect."
_HINT = "Followed by engines that choose at random; others have nothing to apply it to."


_PART = body(
    {"type": one_of("text", "input_audio", "refusal")},
    {
        "text": _TEXT,
        "refusal": _TEXT,
        "input_audio": body(
            {"data": _NAME | {"description": "Base64."}},
            {"format": _TEXT | {"description": "Any that FFmpeg reads; it is found out."}},
        ),
    },
)
_SAID: Schema = {"anyOf": [_TEXT, listed(_PART)]}
_FUNCTION = body({"name": _NAME}, {"arguments": _TEXT})
_CALL = body({"id": _NAME, "function": _FUNCTION}, {"type": one_of("function")})
_AUTHOR: Schema = _TEXT | {"description": _IGNORED}
_MESSAGE = body(
    {"role": one_of("system", "developer", "user", "assistant", "tool", "function")},
    {
        "content": _SAID,
        "name": _TEXT | {"description": "Of role function: which one. Else without effect."},
        "tool_calls": listed(_CALL),
        "tool_call_id": _NAME,
        "function_call": _FUNCTION,
        # Programs send back what they were answered.
        "refusal": _TEXT,
        "annotations": listed({"type": "object"}),
        "audio": body({}, {"id": _TEXT | {"description": "Of an earlier answer's sound."}}),
        "reasoning_content": _AUTHOR,
    },
)
_DEFINED = body(
    {"name": _NAME},
    {
        "description": _TEXT,
        "parameters": {"type": "object", "description": "JSON Schema."},
        "strict": {"type": "boolean", "description": _IGNORED},
    },
)
_TOOL = body({"type": one_of("function"), "function": _DEFINED})
_CHOICE: Schema = {
    "anyOf": [
        one_of("none", "auto", "required"),
        body({"type": one_of("function"), "function": body({"name": _NAME})}),
    ]
}
_COUNT: Schema = {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}
MODEL: Schema = _TEXT | {
    "description": "One of /v1/models, or what others call one of this kind. With "
    f"{PLAIN} after it, it answers without looking into the user's documents.",
}
SAMPLING: dict[str, Schema] = {
    "temperature": {"type": "number", "minimum": 0, "maximum": 2, "description": _HINT},
    "top_p": {"type": "number", "minimum": 0, "maximum": 1, "description": _HINT},
    "seed": {
        "type": "integer",
        "minimum": -(2**63),
        "maximum": 2**63 - 1,
        "description": "The same draws the same words again, as far as the engine can; without "
        "one it takes any. x-voicebot-seed tells which it was.",
    },
}
STOP: Schema = {"anyOf": [_NAME, listed(_NAME, 0, 4)]}
FORMAT: Schema = body(
    {"type": one_of("text", "json_object", "json_schema")},
    {
        "json_schema": body(
            {},
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
    },
)
CHOICES = 16
"""Replies to one request; they are made one after the other."""
CHAT: Schema = body(
    {"messages": listed(_MESSAGE, 1, 1000), "model": MODEL},
    {
        "stream": {"type": "boolean", "default": False},
        "stream_options": body({}, {"include_usage": {"type": "boolean", "default": False}}),
        "tools": listed(_TOOL, most=128),
        "tool_choice": _CHOICE | {"default": "auto"},
        "functions": listed(_DEFINED, most=128) | {"description": "The old name of tools."},
        "function_call": {
            "anyOf": [one_of("none", "auto"), body({"name": _NAME})],
            "description": "The old name of tool_choice.",
        },
        "parallel_tool_calls": {"type": "boolean", "default": True},
        "max_tokens": _COUNT,
        "max_completion_tokens": _COUNT,
        **SAMPLING,
        "stop": STOP,
        "n": {"type": "integer", "minimum": 1, "maximum": CHOICES},
        "response_format": FORMAT,
        "logprobs": {"type": "boolean", "default": False},
        "top_logprobs": {"type": "integer", "minimum": 0, "maximum": 20},
        "modalities": listed(one_of("text", "audio"), 1),
        "audio": body(
            {},
            {
                "voice": {"anyOf": [_NAME, body({"id": _NAME})]},
                "format": one_of(*FORMS, "pcm16") | {"default": "wav"},
            },
        ),
        # What changes the answer, and is not done here.
        "web_search_options": {"type": "null"},
    },
)

GO_ON = "(Go on.)"
"""What the user says where the assistant has said the last word, and shall say more."""


def messages(fields: dict[str, Any]) -> list[Message]:
    """What was said, called and returned; the user or a function has the last word.

    Raises:
        ApiError: a message lacks what its role needs, or a call and what it returned are not
            together.
    """
    read: list[Message] = []
    for index, sent in enumerate(fields["messages"]):
        message = _message(sent, read[-1] if read else None, f"messages[{index}]")
        if sent["role"] == "function" and not (read and read[-1].calls):
            # In the old form some clients send back what was returned without the call.
            call = ToolCall(message.call_id, sent.get("name") or "function", "{}")
            read.append(Message("assistant", "", calls=(call,)))
        read.append(message)
    paired(read, "messages")
    return asked(read)


def paired(read: Sequence[Message], field: str) -> None:
    """See that what functions returned follows right behind their calls.

    field: the one of the request that holds them.

    Raises:
        ApiError: it does not.
    """
    called: set[str] = set()
    for index, message in enumerate(read):
        if message.role == "tool":
            if message.call_id not in called:
                says = f"nothing before it called a function as {message.call_id!r}"
                at = f"messages[{index}].tool_call_id" if field == "messages" else field
                raise ApiError(400, says, param=at)
            called.remove(message.call_id)
        elif called:
            raise _unanswered(called, field)
        called |= {call.id for call in message.calls}
    if called:
        raise _unanswered(called, field)


def schema(form: dict[str, Any] | None) -> dict[str, Any] | None:
    """The JSON Schema of the reply that `response_format` asks for; None for any text.

    Raises:
        ApiError: a schema is announced and not there.
    """
    kind = (form or {"type": "text"})["type"]
    if form is None or kind == "text":
        return None
    if kind == "json_object":
        return {"type": "object"}
    found: dict[str, Any] | None = form.get("json_schema", {}).get("schema")
    if found is None:
        at = "response_format.json_schema.schema"
        raise ApiError(400, f"{at} is missing", param=at)
    return found


def asked(read: list[Message]) -> list[Message]:
    """The same, so that somebody asks last, whom the model answers."""
    if read and read[-1].role in ("user", "tool"):
        return read
    systems = [message for message in read if message.role == "system"]
    spoken = [message for message in read if message.role != "system"]
    if not spoken:
        return [*systems, Message("user", OPENING)]
    if spoken[-1].role == "assistant":
        spoken.append(Message("user", GO_ON))
    return [*systems, *spoken]


def _unanswered(called: set[str], field: str) -> ApiError:
    ids = ", ".join(sorted(called))
    return ApiError(400, f"no message right after them answers the calls {ids}", param=field)


def tools(fields: dict[str, Any]) -> list[Tool]:
    """The functions that the model may call."""
    sent = [tool["function"] for tool in fields.get("tools") or []]
    sent += fields.get("functions") or []
    return [
        Tool(each["name"], each.get("description") or "", each.get("parameters") or {})
        for each in sent
    ]


def tool_choice(fields: dict[str, Any]) -> Any:
    """A word, or an object with the name of the one to be called."""
    choice = fields.get("tool_choice") or fields.get("function_call") or "auto"
    return choice.get("function", choice) if isinstance(choice, dict) else choice


def _message(sent: dict[str, Any], before: Message | None, path: str) -> Message:
    role = sent["role"]
    calls = tuple(
        ToolCall(call["id"], call["function"]["name"], call["function"].get("arguments", "{}"))
        for call in sent.get("tool_calls") or ()
    )
    if not calls and (old := sent.get("function_call")):
        calls = (ToolCall(_old(old["name"]), old["name"], old.get("arguments", "{}")),)
    if role == "assistant":
        return Message("assistant", _text(sent), calls=calls)
    if "content" not in sent:
        raise ApiError(400, f"{path}.content is missing", param=f"{path}.content")
    if role == "tool":
        if "tool_call_id" not in sent:
            says = f"{path}.tool_call_id is missing"
            raise ApiError(400, says, param=f"{path}.tool_call_id")
        return Message("tool", _text(sent), call_id=sent["tool_call_id"])
    if role == "function":
        made = [call.id for call in (before.calls if before else ())]
        wanted = _old(sent.get("name", ""))
        return Message("tool", _text(sent), call_id=made[0] if len(made) == 1 else wanted)
    return Message("user" if role == "user" else "system", _text(sent))


def _old(name: str) -> str:
    """The id of a call in the old form, which has none."""
    return f"call_{name}"


def _text(sent: dict[str, Any]) -> str:
    content = sent.get("content", "")
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text") or part.get("refusal") or "" for part in content)
