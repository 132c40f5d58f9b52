"""Function calls as OpenAI's chat completions write them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .. import Message, ToolCall
from ..chat.tool_calls import new_id

logger = logging.getLogger(__name__)


def written(turn: Message) -> dict[str, Any]:
    """The turn as one of a request's `messages`."""
    if turn.role == "tool":
        return {"role": "tool", "tool_call_id": turn.call_id, "content": turn.text}
    if not turn.calls:
        return {"role": turn.role, "content": turn.text}
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for call in turn.calls
    ]
    return {"role": turn.role, "content": turn.text or None, "tool_calls": calls}


@dataclass(slots=True)
class _Call:
    id: str
    name: str = ""
    arguments: str = ""


class ToolCallAssembler:
    """Puts calls together that come in pieces, to functions of these names."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        self._calls: list[_Call] = []
        self._at: dict[int | None, _Call] = {}

    def add(self, pieces: Sequence[Any]) -> None:
        """Take one chunk's `tool_calls`. What is no piece of a call is passed over."""
        for piece in pieces:
            if not isinstance(piece, dict):
                continue
            function = piece.get("function")
            if not isinstance(function, dict):
                function = {}
            index = piece.get("index")
            call = self._belongs(index if isinstance(index, int) else None, _text(piece.get("id")))
            call.name = call.name or _text(function.get("name"))
            arguments = function.get("arguments")
            if isinstance(arguments, dict):  # some servers do not write it as text
                arguments = json.dumps(arguments, ensure_ascii=False)
            call.arguments += _text(arguments)

    def whole(self) -> list[ToolCall]:
        """The calls that can be carried out, in order."""
        calls: list[ToolCall] = []
        for call in self._calls:
            arguments = call.arguments if call.arguments.strip() else "{}"
            if call.name in self._names and _is_object(arguments):
                calls.append(ToolCall(call.id or new_id(), call.name, arguments))
            else:
                logger.warning("no call to %r that can be made: %.200s", call.name, arguments)
        return calls

    def _belongs(self, index: int | None, id: str) -> _Call:
        """The call a piece is of: that with its index, or none, unless it brings another id."""
        known = self._at.get(index)
        if known and (not id or id == known.id):
            return known
        call = self._at[index] = _Call(id)
        self._calls.append(call)
        return call


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
