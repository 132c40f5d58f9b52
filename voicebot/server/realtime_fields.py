"""What a client sent, read field by field; each surprise is a Refused that says which."""

from __future__ import annotations

import binascii
import json
from collections.abc import Iterator
from typing import Any, TypeVar

from ..audio import Audio, from_pcm16, join, silence
from ..errors import VoicebotError
from . import g711

LONGEST = 21_000_000
"""Characters of a message: the protocol's 15 MiB of sound in base64, and what is around it."""

VALUES = 300_000
"""Commas in a message: more than the longest text has. Each may stand between two things that take
20 times the memory that they took to send."""

T = TypeVar("T")

PIECE = 1 << 16
"""Characters decoded at once, a second of sound; must be a multiple of 8 to hold whole samples."""

Table = dict[str, Any]
"""A JSON object."""

RATES = {"audio/pcm": 24000, "audio/pcmu": g711.RATE, "audio/pcma": g711.RATE}
"""The protocol's audio formats, with samples per second."""


class Refused(VoicebotError):
    """The client asked for something that cannot be; it is told, and the session goes on."""

    def __init__(self, code: str, reason: str, param: str | None = None) -> None:
        super().__init__(reason)
        self.code, self.param = code, param


def message(text: str) -> Table:
    """One message of the client's.

    Raises:
        Refused: it is not a JSON object, or too long.
    """
    if len(text) > LONGEST:
        raise Refused("message_too_long", f"a message has at most {LONGEST} characters")
    if text.count(",") > VALUES:
        raise Refused("message_too_long", f"there is too much in it: over {VALUES} commas")
    try:
        read = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise Refused("invalid_json", f"the message is not JSON: {error}") from None
    if not isinstance(read, dict):
        raise Refused("invalid_json", "a message should be a JSON object")
    return read


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def text(table: Table, key: str, where: str = "") -> str:
    """The text under `key`."""
    return checked(table.get(key), str, "text", where + key)


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
    return float(value)


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


def invalid(param: str, wanted: str, value: Any) -> Refused:
    # Shown as JSON, cut: the value may be a megabyte of sound.
    shown = json.dumps(value)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return Refused("invalid_value", f"{param} should be {wanted}, not {shown}", param)


def sound(value: Any, form: str, param: str) -> Audio:
    """The sound that base64 text holds in one of the formats of RATES."""
    parts = list(sounds(value, form, param))
    return join(parts) if parts else silence(0, RATES[form])


def sounds(value: Any, form: str, param: str) -> Iterator[Audio]:
    """The same in pieces: to decode minutes at once would keep everybody waiting."""
    whole = checked(value, str, "base64 text", param)
    for start in range(0, len(whole), PIECE):
        try:
            data = binascii.a2b_base64(whole[start : start + PIECE], strict_mode=True)
        except ValueError:
            raise invalid(param, "base64 text", value) from None
        if form == "audio/pcmu":
            yield g711.decode(data, "ulaw")
        elif form == "audio/pcma":
            yield g711.decode(data, "alaw")
        elif len(data) % 2:
            raise Refused("invalid_value", f"{param} should hold whole 16-bit samples", param)
        else:
            yield from_pcm16(data, RATES[form])
