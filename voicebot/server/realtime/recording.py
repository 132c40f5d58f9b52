"""Record Realtime sessions: what the client sent, what the engines gave, and what came of it.

What the client sends is kept as it was sent, but for its sound, which is kept as sound. Held
again with that (`replay.realtime`), a session goes as it went.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from ...audio import Audio, join
from ...events import Degraded, Event
from ...recording.taps import RecordedDetector, RecordedEngine
from ..auth.rate_limits import Limits
from . import fields
from .actions import Action, Append
from .dependencies import SessionDependencies, SessionOptions
from .engines import SessionEngines
from .fields import ProtocolError, Table
from .protocol import Protocol

if TYPE_CHECKING:
    from ...recording.recorder import Recorder

SOUND_S = 1.0
"""Seconds of sound written at once. More would lose more if we are killed."""

USED_UP = "rate_limit_exceeded"
"""The code of what is refused to a key that is used up."""

_UNKEPT = ("invalid_json", "message_too_long")
"""Codes of the errors that no recording tells: what was no message is not kept either."""

_TRANSCRIBED = "conversation.item.input_audio_transcription"


class SessionRecorder:
    """Watches one session, and has all it meets outside of itself pass through a recording."""

    def __init__(
        self,
        recorder: Recorder,
        outside: SessionDependencies,
        protocol: Protocol,
        opening: SessionOptions,
        limits: Limits,
    ) -> None:
        self._recording = recording = recorder.recording()
        self._outside, self._protocol = outside, protocol
        self._about = {**asdict(opening), "takes": sorted(outside.takes)}
        self._about["utterance_s"] = limits.utterance_s
        self._appends = self._is_used_up = False
        self._pieces: list[tuple[float, int]] = []
        self._sound: list[Audio] = []
        outside.vad = RecordedDetector(outside.vad, recording.weighed)
        outside.around = lambda stage, engine: RecordedEngine(stage, engine, recording)
        outside.stt = RecordedEngine("stt", outside.stt, recording)
        outside.llm = RecordedEngine("llm", outside.llm, recording)
        outside.tts = RecordedEngine("tts", outside.tts, recording)
        if second_voice := outside.fallbacks.second_voice:
            outside.fallbacks = replace(
                outside.fallbacks,
                second_voice=RecordedEngine("second_voice", second_voice, recording),
            )
        outside.watcher = protocol.watcher = self

    @contextmanager
    def session(self) -> Iterator[None]:
        """The whole of it."""
        parts = self._outside.parts
        with self._recording.session(
            self._outside.vad,
            parts.settings,
            parts.assistant.engine_timeout_s,
            self._outside.fallbacks,
            self._outside.tts,
            interim=False,
            realtime=self._about,
            spoke=parts.identity.as_json(),
        ):
            try:
                yield
            finally:
                self._flush()

    def received(self, message: Table, action: Action | None, size: int) -> None:
        appends = isinstance(action, Append)
        if not (appends and self._appends):
            # So that sound is kept in the order in which it came, and is of one rate.
            self._flush()
        self._appends = appends
        if appends:
            return
        if message.get("type") == "input_audio_buffer.append":
            message = {**message, "audio": None}  # it was none, and is refused as that was
        form = self._protocol.settings.input_format
        silent = with_sounds(message, lambda sound: _measured(sound, form))
        self._recording.write("sent", silent, size=size)

    def given(self, audio: Audio) -> None:
        self._pieces.append((self._recording.now, len(audio.samples)))
        self._sound.append(audio)
        if sum(piece.seconds for piece in self._sound) >= SOUND_S:
            self._flush()

    def told(self, event: Table) -> None:
        if happening := as_happening(event):
            if happening.get("reason") == USED_UP:
                if self._is_used_up:
                    return  # from now on it might be told of every piece of sound
                self._is_used_up = True
            self._recording.write("event", happening)

    def happened(self, event: Event) -> None:
        response = self._protocol.response
        if isinstance(event, Degraded) and response:
            speed = self._protocol.settings.speed
            voice = SessionEngines(self._outside).speaks(response.wish, speed)
            self._recording.helped(event.degradation, self._outside.fallbacks, voice)
        self._recording.happened(event)

    def heard(self, seconds: float) -> float:
        self._recording.write("stopped", seconds)
        return seconds

    def _flush(self) -> None:
        pieces, sound = self._pieces, self._sound
        self._pieces, self._sound = [], []
        if pieces:
            audio = join(sound)
            what = "appended" if self._appends else "sounds"
            self._recording.write(what, pieces, audio, track(audio.rate), rate=audio.rate)


def track(rate: int) -> str:
    """Where sound that came at this rate is kept."""
    return f"heard-{rate}"


def as_happening(event: Table) -> Table | None:
    """What the client is told, where a conversation has no event for it: as one."""
    match event:
        case {"type": "error", "error": {"code": code}} if code not in _UNKEPT:
            return {"event": "refused", "reason": code}
        case {"type": "response.function_call_arguments.done", "name": name, "arguments": given}:
            return {"event": "called", "text": f"{name} {given}"}
        case {"type": kind, "transcript": text} if kind == f"{_TRANSCRIBED}.completed":
            return {"event": "transcribed", "text": text}
        case {"type": kind, "error": {"message": reason}} if kind == f"{_TRANSCRIBED}.failed":
            return {"event": "not_transcribed", "reason": reason}
    return None


def with_sounds(message: Table, change: Callable[[Any], Any]) -> Table:
    """A client's message with each sound in its items changed."""
    if "item" in message:
        message = {**message, "item": _with_sounds(message["item"], change)}
    response = message.get("response")
    if isinstance(response, dict) and isinstance(response.get("input"), list):
        items = [_with_sounds(item, change) for item in response["input"]]
        message = {**message, "response": {**response, "input": items}}
    return message


def _with_sounds(item: Any, change: Callable[[Any], Any]) -> Any:
    if not isinstance(item, dict) or not isinstance(item.get("content"), list):
        return item
    content = [
        {**part, "audio": change(part["audio"])} if isinstance(part, dict) and "audio" in part
        else part
        for part in item["content"]
    ]  # fmt: skip
    return {**item, "content": content}


def _measured(sound: Any, form: str) -> Table | None:
    """How much sound it is; None where it is none."""
    try:
        return {"samples": fields.sound(sound, form, "audio").samples, "rate": fields.RATES[form]}
    except ProtocolError:
        return None
