"""What `/v1/chat/completions` is sent: its schema, and the messages and functions in it."""

from __future__ import annotations

from typing import Any

from ..engines import Message, Tool, ToolCall
from .catalogue import PLAIN
from .refusals import Refusal
from .schema import Schema, listed, one_of, or_null, record

_TEXT: Schema = {"type": "string"}
_NAME: Schema = {"type": "string", "minLength": 1}
_NULL: Schema = {"type": "null"}
_IGNORED = "Accepted, and without effect."
_HINT = "Followed by engines that choose at random; others have nothing to apply it to."


def _closed(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return record(required, optional, closed=True)


_PARTS = listed(_closed({"type": one_of("text"), "text": _TEXT}), 1)
_SAID: Schema = {"anyOf": [_TEXT, _PARTS]}
_CALL = _closed(
    {
        "id": _NAME,
        "type": one_of("function"),
        "function": _closed({"name": _NAME, "arguments": _TEXT}),
    }
)
_AUTHOR: Schema = _TEXT | {"description": _IGNORED}
# Programs send back what they were answered, with every field that is empty.
_EMPTY: dict[str, Schema] = {
    "name": _AUTHOR,
    "refusal": _NULL,
    "annotations": or_null(listed({"type": "object"})),
    "audio": _NULL,
    "function_call": _NULL,
}
_MESSAGE: Schema = {
    "anyOf": [
        _closed({"role": one_of("tool"), "tool_call_id": _NAME, "content": _SAID}),
        _closed({"role": one_of("system", "developer", "user"), "content": _SAID},
                {"name": _AUTHOR}),
        _closed({"role": one_of("assistant"), "content": _SAID},
                {"tool_calls": _NULL, **_EMPTY}),
        _closed({"role": one_of("assistant"), "tool_calls": listed(_CALL, 1)},
                {"content": {"anyOf": [_TEXT, _PARTS, _NULL]}, **_EMPTY}),
    ]
}  # fmt: skip
_TOOL = _closed(
    {
        "type": one_of("function"),
        "function": _closed(
            {"name": _NAME},
            {
                "description": or_null(_TEXT),
                "parameters": or_null({"type": "object"}, description="JSON Schema."),
                "strict": or_null({"type": "boolean"}, description=_IGNORED),
            },
        ),
    }
)
_CHOICE: Schema = {
    "anyOf": [
        one_of("none", "auto", "required"),
        _closed({"type": one_of("function"), "function": _closed({"name": _NAME})}),
        _NULL,
    ]
}
_COUNT: Schema = {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}
_PENALTY = or_null({"type": "number", "minimum": -2, "maximum": 2}, description=_IGNORED)
# What else OpenAI's clients say by themselves, or for the sake of OpenAI's own models and accounts.
_UNUSED_TEXTS = (
    "user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "service_tier",
    "reasoning_effort", "verbosity",
)  # fmt: skip
_UNUSED_OBJECTS = "metadata", "logit_bias", "prediction"
CHAT: Schema = _closed(
    {
        "messages": listed(_MESSAGE, 1, 1000)
        | {"description": "The last one is the user's, or what a function returned."},
        "model": _TEXT
        | {
            "description": "One of /v1/models, or what OpenAI calls one of this kind. With "
            f"{PLAIN} after it, it answers without looking into the user's documents.",
        },
    },
    {
        "stream": or_null({"type": "boolean"}, default=False),
        "stream_options": or_null(
            _closed(
                {},
                {
                    "include_usage": {"type": "boolean", "default": False},
                    "include_obfuscation": {"type": "boolean", "description": _IGNORED},
                },
            )
        ),
        "tools": or_null(listed(_TOOL, most=128)),
        "tool_choice": _CHOICE | {"default": "auto"},
        "parallel_tool_calls": or_null({"type": "boolean"}, default=True),
        "max_tokens": or_null(_COUNT),
        "max_completion_tokens": or_null(_COUNT),
        "temperature": or_null({"type": "number", "minimum": 0, "maximum": 2}, description=_HINT),
        "top_p": or_null({"type": "number", "minimum": 0, "maximum": 1}, description=_HINT),
        "seed": or_null(
            {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
            description="The same draws the same words again, as far as the engine can; without "
            "one it takes any. x-voicebot-seed tells which it was.",
        ),
        "stop": {"anyOf": [_NAME, listed(_NAME, 1, 4), _NULL]},
        "n": or_null({"type": "integer", "minimum": 1, "maximum": 1}),
        "response_format": or_null(_closed({"type": one_of("text")})),
        "modalities": or_null(listed(one_of("text"))),
        "audio": _NULL,
        "logprobs": or_null({"type": "boolean", "enum": [False]}),
        "top_logprobs": or_null({"type": "integer", "minimum": 0, "maximum": 0}),
        "presence_penalty": _PENALTY,
        "frequency_penalty": _PENALTY,
        "store": or_null({"type": "boolean"}, description=_IGNORED),
        **dict.fromkeys(_UNUSED_TEXTS, or_null(_TEXT, description=_IGNORED)),
        **dict.fromkeys(_UNUSED_OBJECTS, or_null({"type": "object"}, description=_IGNORED)),
    },
) | {"x-replaced": {"functions": "tools", "function_call": "tool_choice"}}


def messages(fields: dict[str, Any]) -> list[Message]:
    """What was said, called and returned.

    Raises:
        Refusal: the last is not to be answered, or a call and what it returned are not together.
    """
    read = [_message(message) for message in fields["messages"]]
    if read[-1].role not in ("user", "tool"):
        raise Refusal(
            400,
            "the last of messages should be the user's, or what a function returned",
            param="messages",
        )
    called: set[str] = set()
    for index, message in enumerate(read):
        if message.role == "tool":
            if message.call_id not in called:
                says = f"nothing before it called a function as {message.call_id!r}"
                raise Refusal(400, says, param=f"messages[{index}].tool_call_id")
            called.remove(message.call_id)
        elif called:
            raise _unanswered(called)
        called |= {call.id for call in message.calls}
    if called:
        raise _unanswered(called)
    return read


def _unanswered(called: set[str]) -> Refusal:
    ids = ", ".join(sorted(called))
    return Refusal(400, f"no message right after them answers the calls {ids}", param="messages")


def tools(fields: dict[str, Any]) -> list[Tool]:
    """The functions that the model may call."""
    sent = [tool["function"] for tool in fields.get("tools") or []]
    return [
        Tool(each["name"], each.get("description") or "", each.get("parameters") or {})
        for each in sent
    ]


def tool_choice(fields: dict[str, Any]) -> Any:
    """A word, or an object with the name of the one to be called."""
    choice = fields.get("tool_choice") or "auto"
    return choice["function"] if isinstance(choice, dict) else choice


def _message(sent: dict[str, Any]) -> Message:
    content = sent.get("content") or ""
    if isinstance(content, list):
        content = "\n".join(part["text"] for part in content)
    calls = tuple(
        ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"])
        for call in sent.get("tool_calls") or ()
    )
    role: Any = "system" if sent["role"] == "developer" else sent["role"]
    return Message(role, content, calls=calls, call_id=sent.get("tool_call_id", ""))
