"""The words of `/v1/talk`, to and fro. No I/O; `talk.websocket` describes them in ten lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

from ...audio import Audio, from_pcm16, to_pcm16
from ...audio.opus import RATES as OPUS_RATES
from ...audio.opus import BadPacket, Decoder, Encoder
from ...conversation.voice_options import VoiceOptions
from ...engines.call_options import OptionError
from ...errors import VoicebotError
from ...events import ClauseSpoken, as_json
from . import protocol as words
from .session import Cursor, Flushed, OutboundEvent, Sound, SoundEnded

Codec = Literal["pcm16", "opus"]

RATES = range(8000, 48001)
MAX_FRAME_S = 1.0
"""Seconds in a binary frame: longer ones come late, and are held in memory several times."""
MAX_TEXT_CHARACTERS = 4000
"""Characters of a typed question: a page of text, more than is read aloud in an answer."""
MESSAGE = 50_000
"""Characters of a text frame: such a question with each of its characters escaped."""


class BadMessage(VoicebotError):
    """A message that cannot be understood. It changes nothing; `code` is for programs."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class MessageTooLong(BadMessage):
    """A frame so long that its sender should not go on."""


@dataclass(frozen=True, slots=True)
class Choose:
    """Names as `VoiceOptions` has them; None where nothing was said."""

    voice: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message of a new conversation."""

    rate: int
    """Samples per second of the sound in both directions."""
    codec: Codec = "pcm16"
    """What binary frames hold."""
    interim: bool = False
    """Tell what the user is saying while they are saying it."""
    choose: Choose = field(default_factory=Choose)


@dataclass(frozen=True, slots=True)
class Resume:
    """The first message of a connection that goes on with a conversation."""

    token: str
    place: Cursor


@dataclass(frozen=True, slots=True)
class Text:
    """A typed question."""

    text: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Silence the reply."""


@dataclass(frozen=True, slots=True)
class Mute:
    """No sound follows for now."""


@dataclass(frozen=True, slots=True)
class Played:
    """How much of a turn's sound the client has played."""

    turn: int
    samples: int


Message = Hello | Resume | Text | Stop | Mute | Played | Choose


def parse(text: str) -> Message:
    """What a client's text frame says.

    Raises:
        BadMessage: it is not JSON, not one of our messages, or a field is missing or wrong.
        MessageTooLong: it is longer than any of them.
    """
    if len(text) > MESSAGE:
        raise MessageTooLong("too_long", f"a text frame has at most {MESSAGE} characters")
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadMessage("not_json", f"a text frame should be a JSON object: {error}") from None
    if not isinstance(given, dict):
        raise BadMessage("not_json", f"a text frame should be a JSON object, not {text[:40]}")
    match given.get("type"):
        case "hello":
            return _hello(given)
        case "resume":
            place = Cursor(*(_count(given, key) for key in ("number", "turn", "received")))
            return Resume(_text(given, "token"), place)
        case "text":
            return Text(_text(given, "text"))
        case "stop":
            return Stop()
        case "mute":
            return Mute()
        case "played":
            return Played(_count(given, "turn"), _count(given, "samples"))
        case "choose":
            return _choose(given)
        case kind:
            raise BadMessage(
                "unknown_type",
                f"there is no type {str(kind)[:40]!r}; there is hello, resume, text, stop, mute, "
                "played, choose",
            )


def hearing(data: bytes, rate: int) -> Audio:
    """The sound in a client's binary frame.

    Raises:
        BadMessage: it ends in half a sample.
        MessageTooLong: it is more than a second.
    """
    if len(data) > 2 * rate * MAX_FRAME_S:
        raise MessageTooLong("too_long", f"a binary frame holds at most {MAX_FRAME_S:g} s of sound")
    if len(data) % 2:
        raise BadMessage("half_sample", f"a sample has 2 bytes; this frame has {len(data)}")
    return from_pcm16(data, rate)


def telling(told: OutboundEvent) -> dict[str, Any]:
    """What the client is told, as JSON's values."""
    match told.event:
        case SoundEnded(samples):
            words: dict[str, Any] = {"event": "sound_ended", "samples": samples}
        case Flushed(samples):
            words = {"event": "flushed", "samples": samples}
        case ClauseSpoken() as said:
            words = {**as_json(said), "at": round(told.at, 3)}
        case event:
            words = as_json(event)
    return {**words, "turn": told.turn, "number": told.number, "request": told.request}


def announcing(sound: Sound) -> dict[str, Any]:
    """Where the binary frames that follow belong, one after the other."""
    return {"event": "sound", "turn": sound.turn, "at": sound.at}


def choosing(choices: VoiceOptions, wish: Choose) -> VoiceOptions:
    """What is chosen once the client has its wish.

    Raises:
        BadMessage: that cannot be had.
    """
    try:
        return choices.choosing(voice=wish.voice, language=wish.language)
    except OptionError as error:
        raise BadMessage("bad_field", str(error)) from None


def chosen(choices: VoiceOptions) -> dict[str, str]:
    """What is chosen now; an empty name is that of our own settings."""
    return {"voice": choices.voice, "language": choices.language}


def complaint(error: BadMessage) -> dict[str, Any]:
    # What was sent may be quoted, and need not be text that can be sent.
    reason = str(error).encode(errors="replace").decode()
    return {"event": "error", "code": error.code, "reason": reason}


def _hello(given: dict[str, Any]) -> Hello:
    codec, interim = given.get("codec", "pcm16"), given.get("interim_transcripts", False)
    if codec not in get_args(Codec):
        raise BadMessage("bad_field", f"codec should be pcm16 or opus, not {str(codec)[:40]}")
    if not isinstance(interim, bool):
        said = str(interim)[:40]
        raise BadMessage("bad_field", f"interim_transcripts should be true or false, not {said}")
    rate = _count(given, "rate", RATES)
    if codec == "opus" and rate not in OPUS_RATES:
        known = ", ".join(map(str, OPUS_RATES))
        raise BadMessage("bad_field", f"rate should be one of Opus's, {known}; not {rate}")
    return Hello(rate, codec, interim, _choose(given))


def _choose(given: dict[str, Any]) -> Choose:
    for key in ("voice", "language"):
        if not isinstance(given.get(key, ""), str):
            raise BadMessage("bad_field", f"{key} should be a name, not {str(given[key])[:40]}")
    return Choose(given.get("voice"), given.get("language"))


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
    if len(value) > MAX_TEXT_CHARACTERS:
        raise BadMessage(
            "bad_field", f"{key} has {len(value)} characters; {MAX_TEXT_CHARACTERS} are enough"
        )
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise BadMessage("bad_field", f"{key} holds half a character (a lone surrogate)")
    return value.strip()


class Frames(Protocol):
    """What is sent is one stretch after the other, each begun with `begin`."""

    def heard(self, data: bytes) -> Audio:
        """The sound in a client's frame.

        Raises:
            BadMessage: there is none in it.
            MessageTooLong: there is too much.
        """

    def begin(self, sound: Sound) -> dict[str, Any]:
        """What announces the frames of `sound`, and of all that follows it without a gap."""

    def feed(self, audio: Audio) -> Iterator[bytes]:
        """Yield what can be sent of it by now."""

    def finish(self) -> Iterator[bytes]:
        """Yield the rest: nothing follows without a gap."""


class Pcm:
    """16-bit little-endian samples: a frame holds what there is."""

    def __init__(self, rate: int) -> None:
        self._rate = rate

    def heard(self, data: bytes) -> Audio:
        return words.hearing(data, self._rate)

    def begin(self, sound: Sound) -> dict[str, Any]:
        return words.announcing(sound)

    def feed(self, audio: Audio) -> Iterator[bytes]:
        yield to_pcm16(audio)

    def finish(self) -> Iterator[bytes]:
        yield from ()


class Opus:
    """A frame is an Opus packet. Each stretch is for a new decoder, and begins with some samples
    that belong to nothing: as many as the announcement says under "skip"."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._decoder = Decoder()
        self._encoder: Encoder | None = None

    def heard(self, data: bytes) -> Audio:
        try:
            return self._decoder.feed(data)
        except BadPacket as error:
            raise words.BadMessage("bad_packet", str(error)) from None

    def begin(self, sound: Sound) -> dict[str, Any]:
        self._encoder = Encoder(self._rate)
        return {**words.announcing(sound), "skip": self._encoder.skip}

    def feed(self, audio: Audio) -> Iterator[bytes]:
        assert self._encoder  # `begin` comes first
        yield from self._encoder.feed(audio.samples)

    def finish(self) -> Iterator[bytes]:
        if self._encoder:
            yield from self._encoder.finish()
        self._encoder = None


def frames(codec: words.Codec, rate: int) -> Frames:
    return Opus(rate) if codec == "opus" else Pcm(rate)
