"""A Realtime client's long message, read while others get their turn.

What is long in it is sound, which nobody has to look at yet: it is cut out before the rest, which
is short, is read as JSON. To read all at once would hold everybody up for 30 ms, in any thread.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from . import fields
from .fields import ProtocolError, Table

CHUNK_CHARACTERS = 1 << 16
"""Characters of a message, or of the sound in one, that are read at once: 0.2 ms for a second."""
MAX_MESSAGE_BYTES = 21_000_000
"""Bytes of a message: the protocol's 15 MiB of sound in base64, and what is around it."""
SOUNDS = 2000
"""Sounds in a message: as many as an item may have parts. Each takes time to cut out."""

_PIECE = 1 << 15
"""Characters that are looked at together. Fewer would have the rest searched more often; more
would be copied at each sound that is in them."""
_BEGINS = re.compile(r'"audio"[ \t\r\n]*:[ \t\r\n]*"')
_INSIDE = re.compile(r'[^"\\]*(?:\\(?:u.{4}|[^u])[^"\\]*)*', re.DOTALL)
"""A text as JSON has it, up to the quote at its end or to an escape of which more is to come."""


def message(sent: str | IncrementalMessage) -> Table:
    """What a client has sent; sound longer than LONG is a tuple of texts.

    Raises:
        ProtocolError: it is no message, or too long.
    """
    if isinstance(sent, str):
        if len(sent) <= CHUNK_CHARACTERS:
            return fields.message(sent)
        text, sent = sent, IncrementalMessage()
        for start in range(0, len(text), _PIECE):
            sent.feed(text[start : start + _PIECE])
    return sent.message()


class IncrementalMessage:
    """A message, piece by piece."""

    def __init__(self) -> None:
        self._length = 0
        self._waiting: list[str] = []
        self._read = 0  # characters, but for those that are waiting
        self._known: list[str] = []
        """What is no sound, up to where the last sound ends; for each sound there is its name."""
        self._size = 0  # characters of it
        self._rest = ""  # what is no sound since then
        self._sound: list[str] | None = None
        """What has come of the sound that is coming."""
        self._escape = ""  # which ends in the next piece
        self._sounds: dict[str, tuple[str, ...]] = {}
        self._refused: ProtocolError | None = None
        self._message: Table | None = None

    def __len__(self) -> int:
        return self._length

    def feed(self, text: str) -> None:
        """More of it; takes 0.1 ms if it is short."""
        self._length += len(text)
        self._waiting.append(text)
        if self._length - self._read >= _PIECE:
            self._take_in()

    def message(self) -> Table:
        """The whole, as `message` has it; at once where it has been parsed."""
        self.parse()
        if self._refused:
            raise self._refused
        assert self._message is not None
        return self._message

    def parse(self) -> None:
        """Read it as JSON, which may take 30 ms, on any thread: nothing more is to come."""
        self._take_in()
        if self._message is None and not self._refused:
            try:
                self._message = self._parsed()
            except ProtocolError as refused:
                self._refused = refused

    def _parsed(self) -> Table:
        message = fields.message("".join(self._known) + self._rest)
        for place in _places(message):
            audio = place.get("audio")
            if isinstance(audio, str) and audio in self._sounds:
                place["audio"] = self._sounds.pop(audio)
        if self._sounds:
            raise _too_long()
        return message

    def _take_in(self) -> None:
        text, self._waiting, self._read = "".join(self._waiting), [], self._length
        try:
            while text and not self._refused:
                text = self._search(text) if self._sound is None else self._collect(text)
        except ProtocolError as refused:
            self._refused = refused

    def _search(self, text: str) -> str:
        """Take in what is no sound. Returns what comes from where sound begins."""
        text = self._rest + text
        begins = _BEGINS.search(text)
        if not begins:
            self._rest, text = text, ""
        else:
            self._keep(text[: begins.end()])
            self._rest, text, self._sound = "", text[begins.end() :], []
        if self._size + len(self._rest) > fields.REST:
            raise _too_long()
        return text

    def _keep(self, text: str) -> None:
        self._known.append(text)
        self._size += len(text)

    def _collect(self, text: str) -> str:
        """Take in sound. Returns what comes from where it ends."""
        assert self._sound is not None
        text = self._escape + text
        end = _end(text)
        self._sound.append(fields.unescaped(text[:end]))
        if text[end : end + 1] == '"':
            self._escape = ""
            self._close(self._sound)
            return text[end:]
        self._escape = text[end:]
        return ""

    def _close(self, sound: list[str]) -> None:
        if sum(map(len, sound)) > CHUNK_CHARACTERS:
            name = f"sound {len(self._sounds)}"
            self._sounds[name] = tuple(sound)
        else:
            name = "".join(sound)
        self._keep(json.dumps(name)[1:-1])
        self._sound = None
        if len(self._known) > 2 * SOUNDS:
            raise ProtocolError("message_too_long", f"a message has at most {SOUNDS} sounds")


def _end(text: str) -> int:
    """Where the text ends that this is the beginning of, as far as it can be told."""
    if "\\" in text:
        found = _INSIDE.match(text)
        assert found
        return found.end()
    end = text.find('"')
    return len(text) if end < 0 else end


def _places(message: Table) -> Iterator[Table]:
    """Where sound may be."""
    yield message
    for item in (message.get("item"), *_listed(message.get("response"), "input")):
        yield from (part for part in _listed(item, "content") if isinstance(part, dict))


def _listed(value: Any, key: str) -> list[Any]:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def _too_long() -> ProtocolError:
    return ProtocolError(
        "message_too_long", f"but for its sound a message has at most {fields.REST} characters"
    )
