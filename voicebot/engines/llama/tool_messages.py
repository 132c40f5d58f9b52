"""Function calls as chat templates take them, each in the one of a few forms that it can."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from .. import Message, Tool, ToolCall

Form = Callable[[Sequence[Message]], list[Message]]

TOOL = Tool("probe_the_template", "x", {"properties": {"y": {"type": "string"}}})


def _asks(id: str) -> ToolCall:
    return ToolCall(id, TOOL.name, '{"y": "z"}')


PROBE = [
    Message("system", "a"),
    Message("user", "b"),
    Message("assistant", "c", calls=(_asks("1"), _asks("2"))),
    Message("tool", "d", call_id="1"),
    Message("tool", "e", call_id="2"),
    Message("assistant", "f"),
    Message("user", "g"),
    Message("assistant", "", calls=(_asks("3"),)),
    Message("tool", "h", call_id="3"),
]
"""All that can happen; ends as a prompt does that asks what to make of a result."""


def one_by_one(turns: Sequence[Message]) -> list[Message]:
    """Each call with its result, after what was said with it: Llama 3 knows no other way."""
    return [part for turn in turns for part in _parts(turn, turns)]


def _parts(turn: Message, turns: Sequence[Message]) -> Iterator[Message]:
    if not turn.calls:
        if turn.role != "tool":
            yield turn
        return
    if turn.text:
        yield replace(turn, calls=())
    for call in turn.calls:
        yield replace(turn, text="", calls=(call,))
        yield from (t for t in turns if t.role == "tool" and t.call_id == call.id)


def wordless(turns: Sequence[Message]) -> list[Message]:
    """Without what was said together with a call, where it has no place, as in Mistral Nemo."""
    return [replace(turn, text="") if turn.calls else turn for turn in turns]


FORMS: tuple[Form, ...] = (list, one_by_one, wordless)
"""From what loses least."""


def as_templates_take(
    turns: Sequence[Message], contents: Sequence[str], safe: Callable[[Any], Any]
) -> list[dict[str, Any]]:
    """The turns as a template's `messages`, with `contents` for their texts.

    Whatever else was written by a model or a stranger goes through `safe`.
    """
    messages: list[dict[str, Any]] = []
    ids: dict[str, str] = {}
    for turn, content in zip(turns, contents, strict=True):
        message: dict[str, Any] = {"role": turn.role, "content": content}
        for call in turn.calls:
            ids[call.id] = f"call{len(ids):05}"  # Mistral takes nine letters or digits
        if turn.calls:
            message["tool_calls"] = [
                {
                    "id": ids[call.id],
                    "type": "function",
                    "function": {
                        "name": safe(call.name),
                        "arguments": safe(_value(call.arguments)),
                    },
                }
                for call in turn.calls
            ]
        if turn.role == "tool":
            message["tool_call_id"] = ids[turn.call_id]
        messages.append(message)
    return messages


def _value(arguments: str) -> Any:
    """Templates write the object themselves; what is none they get as it is."""
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments
