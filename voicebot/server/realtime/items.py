"""What has been said in a Realtime conversation, item by item: the truth its history is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from math import inf
from sys import getsizeof
from typing import Any, Literal

from ...audio import Audio
from ...conversation.spoken import Spoken
from ...engines import Message, ToolCall
from . import fields
from .fields import RATES, THING, Encoded, ProtocolError, Table

MAX_ITEMS = 2000
"""Items of a conversation; a client that wants more should delete some. Bounds memory."""
UNHEARD = 300.0
"""Seconds of sound that wait to be recognised, 100 kB each. What is answered waits for no more."""
MAX_TEXT_CHARACTERS = 200_000
"""Characters of one item's text: more than any of our models can read."""
WRITTEN = 8_000_000
"""Characters of all items together, which is more too. Bounds memory."""

_CONTENT = {
    "system": ("input_text",),
    "user": ("input_text", "input_audio", "input_image"),
    "assistant": ("output_text", "output_audio"),
}


@dataclass(slots=True)
class Part:
    """A piece of a message: text, or sound with its transcript."""

    type: str
    text: str | None = ""
    """What is written or said; None where it has not been recognised yet."""
    audio: Audio | None = None
    """A user's sound, until it has been recognised and a little longer."""
    encoded: Encoded | None = None
    """The same before it was decoded."""
    spoken: Spoken | None = None
    """Which words of an answer sound when."""
    heard: float = inf
    """Seconds of the answer that reached the user, as far as we know."""
    sent: float = 0.0
    """Seconds of the answer that were sent."""
    truncated: bool = False
    """`heard` is what the client said, not what we think."""

    @property
    def said(self) -> str:
        """The text that counts: of an answer, the words that were heard."""
        return self.spoken.within(self.heard) if self.spoken else self.text or ""

    @property
    def is_unknown(self) -> bool:
        """Whether this is a user's sound that has not been recognised."""
        return self.text is None and not self.spoken

    @property
    def size(self) -> int:
        """Bytes of memory."""
        sound = self.audio.samples.nbytes if self.audio else 0
        return THING + getsizeof(self.text) + sound

    def as_json(self) -> Table:
        if self.type in ("input_text", "output_text"):
            return {"type": self.type, "text": self.said}
        return {"type": self.type, "transcript": None if self.is_unknown else self.said}


@dataclass(slots=True)
class Item:
    """A conversation item of the Realtime protocol: message, function call or its output."""

    id: str
    type: Literal["message", "function_call", "function_call_output"] = "message"
    role: str = ""
    status: Literal["completed", "incomplete", "in_progress"] = "completed"
    content: list[Part] = field(default_factory=list)
    call: Table = field(default_factory=dict)
    """What a function call and its output have instead of content."""
    is_rest: bool = False
    """It goes on with the answer before it, which what held no word had stopped."""

    def as_json(self) -> Table:
        about = {"id": self.id, "object": "realtime.item", "type": self.type, "status": self.status}
        if self.type == "message":
            parts = [part.as_json() for part in self.content]
            return {**about, "role": self.role, "content": parts}
        return {**about, **self.call}

    @property
    def characters(self) -> int:
        """How much text it holds."""
        told = (len(value) for value in self.call.values() if isinstance(value, str))
        return sum(told) + sum(len(part.text or "") for part in self.content)

    @property
    def size(self) -> int:
        """Bytes of memory."""
        told = sum(getsizeof(value) for value in self.call.values())
        return 4 * THING + told + sum(part.size for part in self.content)

    @property
    def is_encoded(self) -> bool:
        """Whether there is sound in it that is still to be decoded."""
        return any(part.encoded for part in self.content)


class Items:
    """The items in their order."""

    def __init__(self, hold: Callable[[int], None] = lambda size: None) -> None:
        """hold: is told how many bytes they take; raises Refused where there is no room."""
        self._items: list[Item] = []
        self._hold = hold
        self._counted: dict[str, tuple[int, int]] = {}
        """Of each, by its id, how many characters and bytes it had when it was counted."""
        self._characters, self._size = 0, 0

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    @property
    def last(self) -> str | None:
        return self._items[-1].id if self._items else None

    def holds(self, item: Item) -> bool:
        """Whether it is one of these."""
        return any(item is each for each in self._items)

    def find(self, id: str) -> Item:
        """
        Raises:
            ProtocolError: there is no such item.
        """
        for item in self._items:
            if item.id == id:
                return item
        raise ProtocolError("item_not_found", f"there is no item {id[:60]!r}", "item_id")

    def add(self, item: Item, after: str | None = None) -> str | None:
        """Put `item` after the one named, at the beginning for "root", or at the end.

        Returns the id of the item before it.

        Raises:
            ProtocolError: there is no such item before it, the id is taken, or there are too many.
        """
        self.expect_answer()
        characters, size = item.characters, item.size
        if self._characters + characters > WRITTEN:
            reason = f"a conversation has at most {WRITTEN} characters; delete some of its items"
            raise ProtocolError("too_many_characters", reason)
        if item.id in self._counted:
            raise ProtocolError(
                "item_exists", f"there is an item {item.id[:60]!r} already", "item.id"
            )
        at = len(self._items)
        if after == "root":
            at = 0
        elif after is not None:
            at = self._items.index(self.find(after)) + 1
        self._hold(self._size + size)
        return self._insert(at, item, characters, size)

    def answer(self, item: Item) -> str | None:
        """Put an item of an answer, which is never refused, at the end.

        Returns the id of the item before it.
        """
        return self._insert(len(self._items), item, item.characters, 0)

    def expect_answer(self) -> None:
        """
        Raises:
            ProtocolError: there are so many items that no answer is to come to them.
        """
        if len(self._items) >= MAX_ITEMS:
            reason = f"a conversation has at most {MAX_ITEMS} items; delete some of them"
            raise ProtocolError("too_many_items", reason)

    def _insert(self, at: int, item: Item, characters: int, size: int) -> str | None:
        self._items.insert(at, item)
        self._count(item, characters, size)
        return self._items[at - 1].id if at else None

    def _count(self, item: Item, characters: int, size: int) -> None:
        before = self._counted.get(item.id, (0, 0))
        self._counted[item.id] = characters, size
        self._characters += characters - before[0]
        self._size += size - before[1]

    def forget(self, item: Item, part: Part) -> None:
        """Nobody needs the sound of this part any more."""
        part.audio = None
        if self.holds(item):
            self._count(item, item.characters, item.size)
            with suppress(ProtocolError):  # a transcript may be longer than its sound
                self._hold(self._size)

    def expect(self, item: Item) -> None:
        """
        Raises:
            ProtocolError: with `item`, more sound would wait to be recognised than is kept.
        """
        items = [*self._items, item] if any(part.audio for part in item.content) else []
        parts = chain.from_iterable(item.content for item in items)
        waiting = (part.audio.seconds for part in parts if part.audio and part.is_unknown)
        if sum(waiting) > UNHEARD:
            reason = f"at most {UNHEARD:g} s of sound wait to be recognised; have them answered"
            raise ProtocolError("too_much_sound", reason)

    def delete(self, id: str) -> None:
        """Raises: Refused, as `find`."""
        item = self.find(id)
        self._items.remove(item)
        self._count(item, 0, 0)
        del self._counted[id]
        self._hold(self._size)

    def truncate(self, id: str, index: int, seconds: float) -> float:
        """Keep of an answer only the words that end within `seconds`. Returns seconds kept.

        Never more than was sent, and never again more than was kept before.

        Raises:
            ProtocolError: there is no such item, or it has no sound of ours.
        """
        item = self.find(id)
        if not (0 <= index < len(item.content) and item.content[index].spoken):
            raise ProtocolError(
                "not_spoken", "only an answer's sound can be truncated", "content_index"
            )
        part = item.content[index]
        part.heard = min(seconds, part.sent, part.heard if part.truncated else inf)
        part.truncated = True
        return part.heard


PENDING = "No result yet."
"""What a model is told a function has returned that has not: servers refuse a call without."""


def messages(items: Sequence[Item]) -> list[Message]:
    """What a chat model is told was said, called and returned, in the order of the items.

    What functions returned follows the calls of it: where something was said between them, the call
    is told again with what it returned, and the first time not.
    """
    told: list[Message] = []
    returned = {item.call["call_id"] for item in items if item.type == "function_call_output"}
    called: dict[str, ToolCall] = {}
    """Those that are not told yet."""
    results: dict[str, str] = {}

    def tell() -> None:
        outputs = results | {id: PENDING for id in called if id not in returned}
        calls = tuple([called.pop(id) for id in list(called) if id in outputs])
        if calls and told and told[-1].role == "assistant":
            told[-1] = replace(told[-1], calls=(*told[-1].calls, *calls))
        elif calls:
            told.append(Message("assistant", "", calls=calls))
        told.extend(Message("tool", output, call_id=id) for id, output in outputs.items())
        results.clear()

    for item in items:
        match item.type:
            case "function_call":
                if results:
                    tell()
                id = item.call["call_id"]
                called[id] = ToolCall(id, item.call["name"], item.call["arguments"])
            case "function_call_output":
                results[item.call["call_id"]] = item.call["output"]
            case "message":
                tell()
                _say(told, item)
    tell()
    return told


def _say(told: list[Message], item: Item) -> None:
    if text := "\n".join(part.said for part in item.content if part.said):
        role: Any = item.role
        if item.is_rest and told and told[-1].role == role:
            told[-1] = replace(told[-1], text=f"{told[-1].text} {text}")
        else:
            told.append(Message(role, text))


def read(table: Table, form: str, new_id: str, where: str = "item") -> Item:
    """An item as a client writes it; its sound, in format `form`, is not decoded.

    Raises:
        ProtocolError: it is not one.
    """
    id = fields.text(table, "id", f"{where}.") if table.get("id") is not None else new_id
    if not 0 < len(id) <= 64:
        raise fields.invalid(f"{where}.id", "1 to 64 characters", id)
    kind = table.get("type")
    if kind == "function_call":
        keys: tuple[str, ...] = ("call_id", "name", "arguments")
        return Item(id, "function_call", call=_call(table, keys, where))
    if kind == "function_call_output":
        return Item(id, "function_call_output", call=_call(table, ("call_id", "output"), where))
    fields.choice(kind, ("message", "function_call", "function_call_output"), f"{where}.type")
    role = fields.choice(table.get("role"), tuple(_CONTENT), f"{where}.role")
    parts = fields.array(table.get("content"), f"{where}.content")
    if not parts or len(parts) > MAX_ITEMS:
        raise ProtocolError(
            "invalid_value", f"{where}.content should have parts", f"{where}.content"
        )
    item = Item(id, role=role)
    for i, part in enumerate(parts):
        item.content.append(_part(part, role, form, f"{where}.content[{i}]"))
    return item


def _call(table: Table, keys: tuple[str, ...], where: str) -> Table:
    return {key: _bounded(fields.text(table, key, f"{where}."), f"{where}.{key}") for key in keys}


def _part(value: Any, role: str, form: str, where: str) -> Part:
    part = fields.table(value, where)
    kind = fields.choice(part.get("type"), _CONTENT[role], f"{where}.type")
    if kind in ("input_text", "output_text"):
        return Part(kind, _bounded(fields.text(part, "text", f"{where}."), f"{where}.text"))
    if kind == "input_image":
        raise ProtocolError("unsupported", "no model here can see images", f"{where}.type")
    known = part.get("transcript")
    if known is not None:
        known = _bounded(fields.text(part, "transcript", f"{where}."), f"{where}.transcript")
    if kind == "output_audio":
        return Part(kind, known or "")
    if known:
        return Part(kind, known)
    return Part(kind, None, encoded=fields.sound(part.get("audio"), form, f"{where}.audio"))


def _bounded(text: str, param: str) -> str:
    if len(text) > MAX_TEXT_CHARACTERS:
        raise ProtocolError(
            "too_long", f"{param} has at most {MAX_TEXT_CHARACTERS} characters", param
        )
    return text


def seconds(audio: bytes, form: str) -> float:
    """How long sound in a wire format takes."""
    return len(audio) / RATES[form] / (2 if form == "audio/pcm" else 1)
