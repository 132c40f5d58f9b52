"""A recording as `recording.recorder` wrote it, read again: what was said, asked and answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, is_dataclass
from math import isfinite
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from ..audio import Audio, silence
from ..audio.recordings import decode
from ..audio.resample import Windows
from ..conversation import StopReply, Typed
from ..conversation.latency_budget import DEGRADATIONS, Degradation
from ..conversation.pace import Pace
from ..engines import Delta, Segment, Speech, fits
from ..errors import InputError
from ..recording.archive import STORY
from ..recording.recorder import VERSION
from ..server.auth.rate_limits import Limits
from ..server.realtime.dependencies import SessionOptions
from . import amounts
from .compare import Happened, named


@dataclass(frozen=True, slots=True)
class Appended:
    """A piece of sound that was appended."""

    samples: int
    rate: int


@dataclass(slots=True)
class Sent:
    """Any other message, with the amount of each sound in the place of it."""

    message: dict[str, Any]
    samples: int = 0
    """Of its sounds together, as far as they were taken."""


@dataclass(frozen=True, slots=True)
class RealtimeClient:
    """What a session over the Realtime protocol has of its own."""

    opening: SessionOptions
    takes: frozenset[str]
    """The options that a call of the chat model could have."""
    limits: Limits
    """Those of its key that do not depend on what it used before."""
    given: list[tuple[float, Appended | Sent]] = field(default_factory=list)
    """All that the client sent, and when."""

    def note(self, at: float, line: dict[str, Any]) -> None:
        """Read one more line of it."""
        match line:
            case {"sent": dict(message)}:
                self.given.append((at, Sent(message)))
            case {"appended": pieces, "rate": rate}:
                for then, count in pieces:
                    sound = Appended(amounts.samples(count, rate), rate)
                    self.given.append((amounts.seconds(then), sound))
            case {"sounds": pieces, "rate": rate}:
                _, last = self.given[-1]
                if not isinstance(last, Sent):
                    raise ValueError(line)
                last.samples += sum(amounts.samples(n, rate) for _, n in pieces)
            case _:
                raise ValueError(line)


def begun(about: dict[str, Any]) -> RealtimeClient:
    """As the first line of a recording has it."""
    opening = SessionOptions(
        list(about["changes"]),
        bool(about["speaks_beta"]),
        str(about["root"]),
        bool(about["has_track"]),
    )
    limits = Limits(utterance_s=int(about["utterance_s"]))
    return RealtimeClient(opening, frozenset(about["takes"]), limits)


LOUD = 0.1
"""Level of sound that was spoken: anything that is not taken for silence."""

_ITEMS = {"stt": Segment, "llm": Delta, "tts": Speech, "second_voice": Speech}
_BROKEN = (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError)


@dataclass(slots=True)
class RecordedEngineCall:
    """An engine was asked something."""

    kind: str
    at: float
    text: str = ""
    """What to say, or to answer."""
    before: str = ""
    """Stands for the whole history of what is to be answered."""
    seconds: float = 0.0
    """How much sound is to be recognised."""
    heard: float = 0.0
    """Seconds of the user's sound up to then."""
    items: list[tuple[float, Any]] = field(default_factory=list)
    """What it gave, with the seconds since it was asked."""
    ended: float = 0.0
    """Seconds until it was over."""
    error: tuple[str, str, str] | None = None
    """The stage, the reason and the kind of what went wrong."""
    stopped: bool = True
    """Nobody wanted more of it, or the recording ended before it did."""
    used: bool = False
    """It was found again."""


@dataclass(slots=True)
class Sounded:
    """What the speaker was given for one turn."""

    plays: list[tuple[float, float, float]] = field(default_factory=list)
    """Of each piece that it took: how long it sounds, when it was offered, when taken."""
    drained: float | None = None
    """Seconds that the end of it was waited for."""
    stopped: tuple[float, float] | None = None
    """When it was silenced, and how many seconds of it had been heard."""


@dataclass(slots=True)
class Recorded:
    """One session. All times are seconds since it began."""

    path: Path
    rate: int = 0
    window: int = 0
    interim: bool = False
    second_voice: bool = False
    """There was a voice in reserve."""
    preemptive: list[Degradation] = field(default_factory=list)
    pace: list[float] = field(default_factory=lambda: Pace().shown)
    """What the voice had shown before, as `Pace.shown` has it."""
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    windows: list[tuple[float, float]] = field(default_factory=list)
    """When each window of the user's sound was listened to, and how probably it is speech."""
    inputs: list[tuple[float, Typed | StopReply]] = field(default_factory=list)
    calls: dict[int, RecordedEngineCall] = field(default_factory=dict)
    prerendered: dict[str, RecordedEngineCall] = field(default_factory=dict)
    """Of each sentence that was made before it was needed, the sound, there at once."""
    sounded: list[Sounded] = field(default_factory=list)
    realtime: RealtimeClient | None = None
    events: list[Happened] = field(default_factory=list)
    over: float = 0.0
    cut: bool = True
    """It was ended from outside: the user hung up."""

    @property
    def name(self) -> str:
        """That of its folder, which begins with the date."""
        return self.path.absolute().parent.name


def found(path: Path) -> list[Path]:
    """The recordings meant: that of one session, or all in a folder, the oldest first.

    Raises:
        InputError: there is none.
    """
    if path.is_dir() and not (path / STORY).exists():
        if stories := sorted(path.glob(f"*/{STORY}")):
            return stories
        raise InputError(f"{path}: there is no recording in it")
    return [path / STORY if path.is_dir() else path]


def read(path: Path) -> Recorded:
    """
    Raises:
        InputError: it is not there, or it is no recording.
    """
    recorded = Recorded(path)
    number = 0
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.endswith("\n"):  # else we were killed while it was being written
                    given = json.loads(line)
                    at = amounts.seconds(given["at"])
                    recorded.over = max(recorded.over, at)
                    (_begin if number == 1 else _note)(recorded, at, given)
    except OSError as error:
        raise InputError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    except _BROKEN as error:
        raise InputError(f"{path}: line {number} is not a valid recording entry") from error
    if not recorded.rate:
        raise InputError(f"{path}: there is nothing in it")
    return recorded


def heard(recorded: Recorded) -> Iterator[Audio]:
    """The user's sound, a window at a time.

    Raises:
        InputError: it is not there, or it is no sound.
    """
    file = recorded.path.with_name("heard.wav")
    pending = Windows(recorded.rate, recorded.window)
    for block in decode(str(file), recorded.rate):
        for window in pending.feed(block):
            yield Audio(window, recorded.rate)


def _begin(recorded: Recorded, at: float, given: dict[str, Any]) -> None:
    if given["session"] != VERSION:
        raise InputError(
            f"{recorded.path}: recorded as version {given['session']}, and this is {VERSION}"
        )
    recorded.window = amounts.whole(given["window"])
    recorded.interim, recorded.second_voice = bool(given["interim"]), bool(given["second_voice"])
    recorded.preemptive = [
        degradation for degradation in DEGRADATIONS if degradation in given["preemptive"]
    ]
    if "pace" in given:
        letters, seconds, sound, took = map(amounts.seconds, given["pace"])
        if not (letters and seconds and sound):
            raise ValueError(given["pace"])
        recorded.pace = [letters, seconds, sound, took]
    recorded.settings = {name: dict(values) for name, values in given["settings"].items()}
    if (about := given.get("realtime")) is not None:
        recorded.realtime = begun(about)
    recorded.rate = amounts.whole(given["rate"])


def _note(recorded: Recorded, at: float, given: dict[str, Any]) -> None:
    match given:
        case {"windows": windows}:
            recorded.windows += [(amounts.seconds(at), float(p)) for at, p in windows]
        case {"typed": str(text)}:
            recorded.inputs.append((at, Typed(text)))
        case {"hush": True}:
            recorded.inputs.append((at, StopReply()))
        case {"appended": _} | {"sent": _} | {"sounds": _} if recorded.realtime:
            recorded.realtime.note(at, given)
        case {"call": _} | {"gave": _} | {"ended": _}:
            _note_call(recorded.calls, at, given)
        case {"prerendered": str(text), "speech": speech}:
            chunks = [(0.0, _built(Speech, chunk)) for chunk in speech]
            recorded.prerendered[text] = RecordedEngineCall(
                "tts", at, text, items=chunks, stopped=False
            )
        case {"played": _} | {"drained": _} | {"stopped": _}:
            _note_sound(recorded.sounded, at, given)
        case {"event": {"event": str()} as event}:
            if not (named(event) and all(map(isfinite, event.get("marks", {}).values()))):
                raise ValueError(event)
            recorded.events.append((at, event))
        case {"over": bool(cut)}:
            recorded.cut = cut
        case _:
            raise ValueError(given)


def _note_call(calls: dict[int, RecordedEngineCall], at: float, given: dict[str, Any]) -> None:
    match given:
        case {"call": int(number), "kind": "stt", "seconds": seconds, "heard": heard}:
            calls[number] = RecordedEngineCall(
                "stt", at, seconds=amounts.seconds(seconds), heard=amounts.seconds(heard)
            )
        case {"call": int(number), "kind": "llm", "text": str(text), "before": str(before)}:
            calls[number] = RecordedEngineCall("llm", at, text=text, before=before)
        case {"call": int(number), "kind": "tts" | "second_voice" as kind, "text": str(text)}:
            calls[number] = RecordedEngineCall(kind, at, text=text)
        case {"gave": int(number), "item": item}:
            call = calls[number]
            call.items.append((at - call.at, _built(_ITEMS[call.kind], item)))
        case {"ended": int(number)}:
            call = calls[number]
            call.ended, call.stopped = at - call.at, "stopped" in given
            if "error" in given:
                stage, reason, kind = map(str, given["error"])
                call.error = stage, reason, kind
        case _:
            raise ValueError(given)


def _note_sound(sounded: list[Sounded], at: float, given: dict[str, Any]) -> None:
    if not sounded or sounded[-1].drained is not None or sounded[-1].stopped:
        sounded.append(Sounded())
    match given:
        case {"played": seconds, "since": since}:
            sounded[-1].plays.append((amounts.seconds(seconds), amounts.seconds(since), at))
        case {"drained": True, "since": since}:
            sounded[-1].drained = at - amounts.seconds(since)
        case {"stopped": heard}:
            sounded[-1].stopped = at, amounts.seconds(heard)
        case _:
            raise ValueError(given)


def _built(wanted: Any, value: Any) -> Any:
    """What an engine gave, out of JSON's values: the reverse of `taps.as_plain`."""
    if wanted is Audio:
        seconds = amounts.seconds(value["samples"] / amounts.whole(value["rate"]))
        audio = silence(min(seconds, amounts.MAX_SOUND_S), value["rate"])
        loud = value.get("loud", (0, len(audio.samples)))
        start, end = (amounts.samples(at, audio.rate) for at in loud)
        audio.samples[start:end] = LOUD
        return audio
    if is_dataclass(wanted) and isinstance(wanted, type):
        hints = get_type_hints(wanted)
        return wanted(**{name: _built(hints[name], each) for name, each in value.items()})
    inner = get_args(wanted)
    if get_origin(wanted) is tuple:
        return tuple(_built(inner[0], each) for each in value)
    if type(None) in inner:
        return None if value is None else _built(inner[0], value)
    if not fits(value, wanted):
        raise TypeError(value)
    return value
