"""What a client sent, read field by field; each surprise is a Refused that says which."""

from __future__ import annotations

import binascii
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from math import inf
from typing import Any, TypeVar

from ...audio import Audio, from_pcm16, g711
from ...errors import VoicebotError
from ...spelling import there_is
from ..http.json_marks import exceeds

REST = 1_000_000
"""Characters of a message, but for its sound: several of the longest texts, or a session's settings
with all its tools. They are read in one go, mere text in 2 ms."""

VALUES = 30_000
"""Commas in a message, those in its texts aside. Each may stand between two things that take 20
times the memory that they took to send, and as many keys take 20 ms to read and to tell again."""
PARTS = 20_000
"""Objects and arrays in a message: 128 functions with 20 parameters each are 5000. The parser keeps
everybody waiting while it makes them, some 15 ms for so many."""
OURS = 10_000
"""Characters, commas and the like that there may be more in what a message has become with us."""
THING = 100
"""Bytes of memory that each of those takes, beside its characters."""

T = TypeVar("T")

DECODE_CHUNK_CHARACTERS = 1 << 16
"""Characters decoded at once, a second of sound; must be a multiple of 8 to hold whole samples."""

Table = dict[str, Any]
"""A JSON object."""

RATES = {"audio/pcm": 24000, "audio/pcmu": g711.RATE, "audio/pcma": g711.RATE}
"""The protocol's audio formats, with samples per second."""


class ProtocolError(VoicebotError):
    """The client asked for something that cannot be; it is told, and the session goes on."""

    def __init__(self, code: str, reason: str, param: str | None = None) -> None:
        super().__init__(reason)
        self.code, self.param = code, param


def message(text: str) -> Table:
    """One message of the client's.

    Raises:
        ProtocolError: it is not a JSON object, or too long.
    """
    _bounded(text, "but for its sound a message")
    try:
        read = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("invalid_json", f"the message is not JSON: {error}") from None
    if not isinstance(read, dict):
        raise ProtocolError("invalid_json", "a message should be a JSON object")
    return read


def _bounded(text: str, what: str, more: int = 0) -> None:
    """
    Raises:
        ProtocolError: it is too long, or too many things are in it.
    """
    if len(text) > REST + more:
        raise ProtocolError("message_too_long", f"{what} has at most {REST} characters")
    if exceeds(text, ",", VALUES + more) or exceeds(text, "{[", PARTS + more):
        reason = f"{what} has at most {PARTS} objects and arrays, and {VALUES} commas"
        raise ProtocolError("message_too_long", reason)


def weight(value: Any, what: str) -> int:
    """Bytes of memory that a client's value takes, at most.

    Raises:
        ProtocolError: there is more in `what` it is than in any message.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    _bounded(text, what, OURS)
    return 4 * len(text) + THING * sum(map(text.count, ",{["))


def unescaped(text: str) -> str:
    """The text that JSON has between two quotes.

    Raises:
        ProtocolError: it cannot stand there.
    """
    try:
        decoded: str = _DECODER.decode(f'"{text}"')
    except ValueError as error:
        raise ProtocolError("invalid_json", f"the message is not JSON: {error}") from None
    return decoded


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def text(table: Table, key: str, where: str = "") -> str:
    """The text under `key`."""
    return checked(table.get(key), str, "text", where + key)


def only(table: Table, known: Collection[str], where: str) -> None:
    """Expect none but these names in it; what is null is not there.

    Raises:
        ProtocolError: there is another, which nothing here would carry out.
    """
    for key, value in table.items():
        if key not in known and value is not None:
            param = where + key[:60]
            reason = f"Unknown parameter: '{param}'. {there_is(key[:60], known)}."
            raise ProtocolError("unknown_parameter", reason, param)


def flag(table: Table, key: str, default: bool, where: str = "") -> bool:
    """The true or false under `key`; `default` where it is missing or null."""
    value = table.get(key)
    return default if value is None else checked(value, bool, "true or false", where + key)


def whole(table: Table, key: str, low: int, high: int, where: str = "") -> int:
    """The whole number under `key`, from `low` to `high`."""
    value = table.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise invalid(where + key, f"a whole number from {low} to {high}", value)
    return value


def number(table: Table, key: str, low: float, high: float, where: str = "") -> float:
    """The number under `key`, from `low` to `high`."""
    value = table.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise invalid(where + key, f"a number from {low:g} to {high:g}", value)
    try:
        return float(value)
    except OverflowError:  # a whole number of over 308 digits, under no bound
        return inf


def choice(value: Any, choices: tuple[str, ...], param: str) -> str:
    """`value`, one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise invalid(param, " or ".join(choices), value)
    return value


def table(value: Any, param: str) -> Table:
    """`value`, an object."""
    return checked(value, dict, "an object", param)


def array(value: Any, param: str) -> list[Any]:
    """`value`, an array."""
    return checked(value, list, "an array", param)


def checked(value: Any, kind: type[T], wanted: str, param: str) -> T:
    if not isinstance(value, kind):
        raise invalid(param, wanted, value)
    return value


def invalid(param: str, wanted: str, value: Any) -> ProtocolError:
    # Shown as JSON, cut, a text beforehand: it may be megabytes of sound.
    shown = json.dumps(value[:60] if isinstance(value, str) else value)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return ProtocolError("invalid_value", f"{param} should be {wanted}, not {shown}", param)


def sound(value: Any, form: str, param: str) -> Encoded:
    """`value`, a text or several, as sound in one of the formats of RATES; it is not decoded."""
    texts = value if isinstance(value, tuple) else (checked(value, str, "base64 text", param),)
    return Encoded(texts, form, param)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Sound as a client sends it."""

    texts: tuple[str, ...]
    """Its bytes in base64, at least one text."""
    form: str
    param: str
    """What it is called in the message."""

    @property
    def samples(self) -> int:
        """How many there are, if it is what it should be."""
        data = sum(map(len, self.texts)) // 4 * 3 - self.texts[-1][-2:].count("=")
        return data // 2 if self.form == "audio/pcm" else data

    def pieces(self) -> Iterator[Audio]:
        """Decode it bit by bit: to do minutes at once would keep everybody waiting.

        Raises:
            ProtocolError: it is not what it should be. What came before is sound all the same.
        """
        is_over = False
        for text in self._cut():
            try:
                if is_over:
                    raise ValueError("there is padding in its middle")
                data = binascii.a2b_base64(text, strict_mode=True)
                is_over = text.endswith("=")
            except ValueError:
                raise invalid(self.param, "base64 text", self.texts[0]) from None
            yield self._decoded(data)

    def _cut(self) -> Iterator[str]:
        """The same in texts that hold whole samples, if it does."""
        left = ""
        for number, text in enumerate(self.texts, 1):
            whole = left + text
            end = len(whole) if number == len(self.texts) else len(whole) // 8 * 8
            for start in range(0, end, DECODE_CHUNK_CHARACTERS):
                yield whole[start : min(start + DECODE_CHUNK_CHARACTERS, end)]
            left = whole[end:]

    def _decoded(self, data: bytes) -> Audio:
        if self.form == "audio/pcmu":
            return g711.decode(data, "ulaw")
        if self.form == "audio/pcma":
            return g711.decode(data, "alaw")
        if len(data) % 2:
            reason = f"{self.param} should hold whole 16-bit samples"
            raise ProtocolError("invalid_value", reason, self.param)
        return from_pcm16(data, RATES[self.form])
