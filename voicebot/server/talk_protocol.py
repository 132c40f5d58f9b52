"""The words of `/v1/talk`, to and fro. No I/O; `talk_socket` describes them in ten lines."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ..audio import Audio, from_pcm16
from ..errors import VoicebotError
from ..events import Said, as_json
from .session import Flushed, Place, Sound, SoundEnded, Told

RATES = range(8000, 48001)
LONGEST = 1.0
"""Seconds in a binary frame: longer ones come late, and are held in memory several times."""
LINE = 4000
"""Characters of a typed question: a page of text, more than is read aloud in an answer."""


class BadMessage(VoicebotError):
    """A message that cannot be understood. It changes nothing; `code` is for programs."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class TooLong(BadMessage):
    """A frame so long that its sender should not go on."""


@dataclass(frozen=True, slots=True)
class Hello:
    rate: int
    """Samples per second of the sound in both directions."""


@dataclass(frozen=True, slots=True)
class Resume:
    token: str
    place: Place


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Silence the reply."""


@dataclass(frozen=True, slots=True)
class Mute:
    """No sound follows for now."""


@dataclass(frozen=True, slots=True)
class Played:
    turn: int
    samples: int


Message = Hello | Resume | Text | Stop | Mute | Played


def parse(text: str) -> Message:
    """What a client's text frame says.

    Raises:
        BadMessage: it is not JSON, not one of our messages, or a field is missing or wrong.
    """
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadMessage("not_json", f"a text frame should be a JSON object: {error}") from None
    if not isinstance(given, dict):
        raise BadMessage("not_json", f"a text frame should be a JSON object, not {text[:40]}")
    match given.get("type"):
        case "hello":
            return Hello(_count(given, "rate", RATES))
        case "resume":
            place = Place(*(_count(given, key) for key in ("number", "turn", "received")))
            return Resume(_text(given, "token"), place)
        case "text":
            return Text(_text(given, "text"))
        case "stop":
            return Stop()
        case "mute":
            return Mute()
        case "played":
            return Played(_count(given, "turn"), _count(given, "samples"))
        case kind:
            raise BadMessage(
                "unknown_type",
                f"there is no type {str(kind)[:40]!r}; there is hello, resume, text, stop, mute, "
                "played",
            )


def hearing(data: bytes, rate: int) -> Audio:
    """The sound in a client's binary frame.

    Raises:
        BadMessage: it ends in half a sample.
        TooLong: it is more than a second.
    """
    if len(data) > 2 * rate * LONGEST:
        raise TooLong("too_long", f"a binary frame holds at most {LONGEST:g} s of sound")
    if len(data) % 2:
        raise BadMessage("half_sample", f"a sample has 2 bytes; this frame has {len(data)}")
    return from_pcm16(data, rate)


def telling(told: Told) -> dict[str, Any]:
    """What the client is told, as JSON's values."""
    match told.event:
        case SoundEnded(samples):
            words: dict[str, Any] = {"event": "sound_ended", "samples": samples}
        case Flushed(samples):
            words = {"event": "flushed", "samples": samples}
        case Said() as said:
            words = {**as_json(said), "at": round(told.at, 3)}
        case event:
            words = as_json(event)
    return {**words, "turn": told.turn, "number": told.number}


def announcing(sound: Sound) -> dict[str, Any]:
    """Where the binary frames that follow belong, one after the other."""
    return {"event": "sound", "turn": sound.turn, "at": sound.at}


def complaint(error: BadMessage) -> dict[str, Any]:
    return {"event": "error", "code": error.code, "reason": str(error)}


def _count(given: dict[str, Any], key: str, allowed: range | None = None) -> int:
    value = given.get(key)
    wanted = f"{allowed.start} to {allowed.stop - 1}" if allowed else "a count"
    known = isinstance(value, int) and not isinstance(value, bool)
    if not known or not isinstance(value, int) or value not in (allowed or range(2**53)):
        raise BadMessage("bad_field", f"{key} should be {wanted}, not {str(value)[:40]}")
    return value


def _text(given: dict[str, Any], key: str) -> str:
    value = given.get(key)
    if not isinstance(value, str) or not value.strip():
        raise BadMessage("bad_field", f"{key} should be some text, not {str(value)[:40]}")
    if len(value) > LINE:
        raise BadMessage("bad_field", f"{key} has {len(value)} characters; {LINE} are enough")
    return value.strip()
