"""A whole text read aloud, with the pauses that its punctuation asks for."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

from ..audio import Audio, silence
from ..concurrency.worker import Stream
from ..errors import ConfigError
from .clauses import Clauses
from .pauses import SpeechSettings
from .trim import trimmed


async def aloud(
    text: str, tts: Any, pauses: SpeechSettings, *, voice: str = "", at_once: bool = False
) -> Stream[Audio]:
    """Yield the sound of the text, clause by clause.

    voice: one of the engine's; empty for that of its settings.
    at_once: somebody listens, and the first clause is to be short.

    Raises:
        ConfigError: no word in it can be said.
        EngineError: the engine failed on it.
    """
    clauses = Clauses(at_once=at_once)
    clauses.feed(text)
    clauses.finish()
    options = {"voice": voice} if voice else {}
    has_begun = False
    while clause := clauses.take():
        pause = pauses.seconds(clause.pause) if has_begun else 0.0
        async with aclosing(trimmed(tts.synthesize(clause.spoken, **options))) as speech:
            async for chunk in speech:
                if pause:
                    yield silence(pause, chunk.audio.rate)
                    pause = 0.0
                yield chunk.audio
                has_begun = True
    if not has_begun:
        raise ConfigError(f"there is nothing to say in {text.strip()[:40]!r}")
