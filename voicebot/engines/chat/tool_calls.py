"""Function calls in what a model writes, found while it writes and kept from being spoken."""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ...errors import Quoting
from .. import Delta, Tool, ToolCall
from .reasoning import begun

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Layout:
    """What stands around a call's name and its arguments."""

    before: str
    between: str
    after: str


HERMES = Layout('<tool_call>\n{"name": "', '", "arguments": ', "}\n</tool_call>")
"""Also that of Qwen, Granite, and of most models taught to call functions at all."""
LAYOUTS = (
    HERMES,
    Layout('{"name": "', '", "parameters": ', "}"),  # Llama 3
    Layout('[TOOL_CALLS][{"name": "', '", "arguments": ', "}]"),  # Mistral
    Layout("[TOOL_CALLS]", "[ARGS]", ""),  # Mistral since 2025
)

MARKERS = ("<tool_call>", "[TOOL_CALLS]", "<|python_tag|>")
"""A call follows, anywhere in a reply. One at its very beginning may do without."""
CLOSE = "</tool_call>"
TOKENS = frozenset({*MARKERS, CLOSE, "[ARGS]", "[CALL_ID]"})
"""What tells calls apart, and to some models is a control token, which else has no text."""

_HEADS = ('{"name":"', '{"type":"function"', '{"function":')
"""How a call without a marker may begin, less its white space."""
_NAMED = re.compile(r"([\w.-]+)(?:\[CALL_ID\]\w*)?\[ARGS\]\s*")
_BETWEEN = re.compile(rf"(?:[\s,;\]]|{CLOSE})*")
_UNFINISHED = 8
"""Characters at the end of JSON that goes on in which it may look wrong: a literal, an escape."""
_JSON = json.JSONDecoder(strict=False)  # models write line breaks into strings


def offered(tool: Tool) -> dict[str, Any]:
    """The tool as OpenAI's requests list it, which is what servers and chat templates expect."""
    # Some look into the schema, and expect that of an object.
    parameters = {"type": "object", "properties": {}, **tool.parameters}
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": function}


def new_id() -> str:
    """An id for a call that has none yet."""
    return f"call_{secrets.token_hex(12)}"


class ToolCallParser:
    """Takes a reply piece by piece, and gives back what is certain of it: text, and whole calls.

    Text after a call is dropped: it can only guess what the function will return. So are calls
    that are broken off, or to functions that do not exist.
    """

    def __init__(self, names: Iterable[str]) -> None:
        """`names` are the functions there are; without any, all is text."""
        self._names = frozenset(names)
        self._held = ""
        self._marker: str | None = None
        """What the call that is being written began with."""
        self._begun = False
        """Text came right before, after which no call goes without a marker."""
        self._ended = False
        """A call came right before, of which there may be more."""
        self.called = False
        """A call was passed on."""
        self.over = False
        """Nothing more will be passed on."""

    def deltas(self, text: str) -> Iterator[Delta]:
        """What is certain after `text`."""
        self._held += text
        yield from self._certain(last=not self._names)

    def rest(self) -> Iterator[Delta]:
        """What was held back in case it became a call, now that no more will come."""
        yield from self._certain(last=True)

    def _certain(self, last: bool) -> Iterator[Delta]:
        while self._held and not self.over:
            before = self._held, self._marker
            yield from self._text(last) if self._marker is None else self._call(last)
            if (self._held, self._marker) == before:
                return

    def _text(self, last: bool) -> Iterator[Delta]:
        if self._ended:
            self._held = _BETWEEN.sub("", self._held, count=1)
            if not last and CLOSE.startswith(self._held):  # of all or nothing of it
                return
            self._ended = False
        if self._names and not self._begun:
            compact = re.sub(r"\s", "", self._held[:80])
            if compact.startswith(_HEADS):
                self._marker = ""
                return
            if not last and any(head.startswith(compact) for head in _HEADS):
                return
        found = [(at, marker) for marker in MARKERS if (at := self._held.find(marker)) >= 0]
        if self._names and found:
            end, self._marker = min(found)
            text, self._held = self._held[:end], self._held[end + len(self._marker) :]
        else:
            end = len(self._held) - (0 if last else begun(self._held, *MARKERS, CLOSE))
            text, self._held = self._held[:end], self._held[end:]
        if self.called and text.strip():
            self.over = True
        elif text and not self.called:
            self._begun = True
            yield Delta(text)

    def _call(self, last: bool) -> Iterator[Delta]:
        body, at, name = self._held.lstrip(), 0, ""
        if self._marker == "[TOOL_CALLS]":
            body = body.removeprefix("[").lstrip()  # a list is read call by call
            if named := _NAMED.match(body):
                name, at = named[1], named.end()
            elif not body.startswith("{") and not last:
                return
        try:
            if body[at : at + 1] not in ("{", "["):  # the start of a number looks like a whole one
                raise json.JSONDecodeError("Expecting an object", body, at)
            value, end = _JSON.raw_decode(body, at)
        except json.JSONDecodeError as error:
            self._broken(body, error, last)
            return
        call = self._made({"name": name, "arguments": value} if name else value)
        if call is None and not self._marker and not _resembles_call(value):
            self._begun, self._marker = True, None  # it was text after all
            return
        self._after(body[end:])
        if call:
            self.called = True
            yield Delta(call=call)
        else:
            logger.warning("%s", Quoting("no call that can be made", f": {body[:end][:200]}"))

    def _broken(self, body: str, error: json.JSONDecodeError, last: bool) -> None:
        """Decide what becomes of a call that is no JSON, or not yet."""
        open_string = error.msg.startswith("Unterminated string")
        if self._marker == MARKERS[0] and not last:
            before, closed, rest = body.partition(CLOSE)
            if closed and error.pos <= len(before) and not open_string:
                logger.warning("%s", Quoting("a call that is no JSON", f": {body[:200]}"))
                self._after(rest)
        elif last or (error.pos < len(body) - _UNFINISHED and not open_string):
            if self._marker or any(f'"{name}"' in body for name in self._names):
                logger.warning("%s", Quoting("a call that is no JSON", f": {body[:200]}"))
                self.over = True
            else:
                self._begun, self._marker = True, None

    def _after(self, text: str) -> None:
        """Go on behind a call."""
        self._held, self._marker = text, None
        self._ended, self._begun = True, False

    def _made(self, value: Any) -> ToolCall | None:
        """The call in one of the shapes that models give it, if it is one that can be made."""
        name, arguments = _name(value), _arguments(value)
        if name not in self._names or arguments is None:
            return None
        return ToolCall(new_id(), name, json.dumps(arguments, ensure_ascii=False))


def _inner(value: Any) -> dict[str, Any]:
    """The object with the name: OpenAI puts it into another one."""
    if not isinstance(value, dict):
        return {}
    function = value.get("function")
    return function if isinstance(function, dict) else value


def _name(value: Any) -> str:
    inner = _inner(value)
    name = inner.get("name") or inner.get("function")
    return name if isinstance(name, str) else ""


def _arguments(value: Any) -> dict[str, Any] | None:
    """What the function is to take; None where that is no object."""
    inner = _inner(value)
    arguments = inner.get("arguments", inner.get("parameters"))
    if isinstance(arguments, str):
        try:
            arguments = _JSON.decode(arguments)
        except json.JSONDecodeError:
            return None
    if arguments is None:
        return {}
    return arguments if isinstance(arguments, dict) else None


def _resembles_call(value: Any) -> bool:
    inner = _inner(value)
    return bool(_name(value)) and ("arguments" in inner or "parameters" in inner)
