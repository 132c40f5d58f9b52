"""A text spoken while it is being written, for routes that send sound."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

from starlette.types import Scope

from ..assistant.assembly import EngineSet
from ..audio import Audio, silence
from ..concurrency.worker import Stream, buffered
from ..conversation.clauses import clauses
from ..conversation.trim import trimmed
from ..engines import Speech
from .auth.middleware import charge, quota
from .errors import ApiError

AHEAD = 2
"""Chunks of speech made before the client has taken those before them."""


async def spoken(parts: EngineSet, text: Stream[str], options: dict[str, Any]) -> Stream[Speech]:
    """The text spoken piece by piece, so that its beginning is there first.

    options: as the synthesizer takes them for one call.
    """
    async with buffered(_pieces(parts, text, options), AHEAD) as speech:
        async for chunk in speech:
            yield chunk


async def _pieces(parts: EngineSet, text: Stream[str], options: dict[str, Any]) -> Stream[Speech]:
    synthesize: Any = parts.tts.synthesize
    async with aclosing(clauses(text)) as pieces:
        async for piece in pieces:
            if piece.silent:
                continue
            pause = parts.fallbacks.speech.seconds(piece.pause)
            async with aclosing(trimmed(synthesize(piece.spoken, **options))) as speech:
                async for chunk in speech:
                    if pause:
                        yield Speech(silence(pause, chunk.audio.rate))
                    pause = 0.0
                    yield chunk


async def sound(speech: Stream[Speech]) -> Stream[Audio]:
    """What is heard of it."""
    async with aclosing(speech):
        async for chunk in speech:
            yield chunk.audio


class Counted:
    """Sound on its way, and how much of it there was, on the client's account."""

    def __init__(self, sound: Stream[Audio], scope: Scope) -> None:
        self._sound, self._scope = sound, scope
        self.seconds = 0.0

    async def blocks(self) -> Stream[Audio]:
        async with aclosing(self._sound):
            async for audio in self._sound:
                self.seconds += audio.seconds
                charge(self._scope, audio_s=audio.seconds)
                if over := quota(self._scope).overdrawn(asyncio.get_running_loop().time()):
                    raise ApiError(
                        429, str(over), code="rate_limit_exceeded", retry_after=over.retry_after
                    )
                yield audio
