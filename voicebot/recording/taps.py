"""What a conversation meets outside of itself, watched: engines, voice detector and speaker."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from .. import conversation
from ..audio import Audio, Samples
from ..concurrency.worker import Stream, T
from ..conversation.trim import sounding
from ..engines import Message, Speech, VoiceDetector
from ..errors import EngineError
from .archive import Line

if TYPE_CHECKING:
    from .recorder import Recording


class RecordedDetector:
    """listened: is told of each window, and how probably it is speech."""

    def __init__(self, vad: VoiceDetector, listened: Callable[[Samples, float], None]) -> None:
        self._vad, self._listened = vad, listened
        self.rate, self.window = vad.rate, vad.window

    async def probability(self, window: Samples) -> float:
        probability = await self._vad.probability(window)
        self._listened(window, probability)
        return probability


_METHODS = {"stt": "transcribe", "llm": "reply", "tts": "synthesize", "second_voice": "synthesize"}


class RecordedEngine:
    """An engine whose one method is watched; all else is as it was."""

    def __init__(self, kind: str, engine: Any, recording: Recording) -> None:
        self._engine = engine
        name = _METHODS[kind]
        method = getattr(engine, name)
        # It keeps its signature, which says what options a call may have. It does not know us: in
        # a cycle, the engine and its connections would outlive their last user.
        call = functools.partial(_recorded, kind, recording, method)
        setattr(self, name, functools.wraps(method)(call))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def __eq__(self, other: object) -> bool:
        # What was made in a voice is for all who have it, recorded or not.
        mine: bool = self._engine == (other._engine if isinstance(other, RecordedEngine) else other)
        return mine


async def _recorded(
    kind: str,
    recording: Recording,
    method: Callable[..., Stream[T]],
    asked: Any,
    **options: Any,
) -> Stream[T]:
    write, call = recording.write, recording.call()
    write("call", call, kind=kind, **_question(asked, recording.heard))
    how: dict[str, Any] = {"stopped": True}
    try:
        async with aclosing(method(asked, **options)) as items:
            async for item in items:
                if isinstance(item, Speech):
                    write("gave", call, item.audio, "spoken", item=as_plain(item))
                else:
                    write("gave", call, item=as_plain(item))
                yield item
        how = {}
    except EngineError as error:
        how = {"error": [error.stage, error.reason, error.kind]}
        raise
    except Exception as error:
        how = {"error": [kind, f"{type(error).__name__}: {error}", EngineError.kind]}
        raise
    finally:
        write("ended", call, **how)


class RecordedSpeaker:
    """A speaker, of which the recording keeps what it played."""

    def __init__(self, speaker: conversation.Speaker, recording: Recording) -> None:
        self._speaker, self._recording = speaker, recording

    async def play(self, audio: Audio) -> None:
        since = self._recording.now
        await self._speaker.play(audio)
        self._recording.write("played", audio.seconds, since=since)

    async def drain(self) -> None:
        since = self._recording.now
        await self._speaker.drain()
        self._recording.write("drained", True, since=since)

    def stop(self) -> float:
        heard = self._speaker.stop()
        self._recording.write("stopped", heard)
        return heard


def _question(asked: Any, heard: float) -> Line:
    """What an engine is asked, so that it can be found again.

    heard: seconds of the user's sound so far, for what is asked of sound.
    """
    if isinstance(asked, Audio):
        return {"seconds": asked.seconds, "heard": heard}
    if isinstance(asked, str):
        return {"text": asked}
    messages: Sequence[Message] = asked
    return {"text": messages[-1].text, "before": digest(messages)}


def digest(messages: Sequence[Message]) -> str:
    """Tells one conversation's history from another."""
    told = json.dumps([(message.role, message.text) for message in messages])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def as_plain(value: Any) -> Any:
    """JSON's values of what an engine gave; of sound, only how much it is, and where it is loud."""
    if isinstance(value, Audio):
        loud = sounding(value) or (0, 0)
        return {"samples": len(value.samples), "rate": value.rate, "loud": loud}
    if is_dataclass(value):
        return {field.name: as_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [as_plain(each) for each in value]
    return value
