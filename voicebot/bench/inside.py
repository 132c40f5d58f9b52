"""A conversation in this process, and its user's end of it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..assistant.assembly import EngineSet
from ..audio import Audio
from ..concurrency.worker import Stream, background
from ..events import Event, SpeechEnded
from .observed import Observed
from .questions import RATE
from .trial import Ears

AHEAD_S = 0.2
"""Seconds of sound that a loudspeaker takes before they are heard."""


class Inside:
    """Hears what is sent, answers into `ears`; lives as long as the block of `talking`."""

    rate = RATE

    def __init__(self) -> None:
        self.ears = Ears()
        self._microphone: asyncio.Queue[Audio] = asyncio.Queue()

    async def send(self, audio: Audio) -> None:
        self._microphone.put_nowait(audio)

    async def microphone(self) -> Stream[Audio]:
        while True:
            yield await self._microphone.get()

    def note(self, event: Event) -> None:
        if isinstance(event, SpeechEnded):
            self.ears.decide()


@asynccontextmanager
async def talking(parts: EngineSet) -> AsyncIterator[Inside]:
    """A conversation of these engines that nobody else has part in."""
    line = Inside()
    watched = Observed(parts.stt, parts.llm, parts.tts, line.ears.marks.append)
    mine = dataclasses.replace(parts, stt=watched, llm=watched, tts=watched)
    conversation = mine.conversation(_Loudspeaker(line.ears), line.note)
    async with background(conversation.run(line.microphone())) as conversing:
        yield line
        if conversing.done():
            conversing.result()  # nothing but a fault of ours ends it


class _Loudspeaker:
    """A `Speaker` that plays in real time and counts as heard what has been played."""

    def __init__(self, ears: Ears) -> None:
        self._ears = ears
        self._played = 0.0

    async def play(self, audio: Audio) -> None:
        await asyncio.sleep(max(0.0, self._ears.sounding - AHEAD_S))
        self._ears.hear(audio)
        self._played += audio.seconds

    async def drain(self) -> None:
        await asyncio.sleep(max(0.0, self._ears.sounding))
        self._played = 0.0

    def stop(self) -> float:
        heard = self._played - max(0.0, self._ears.sounding)
        self._played = 0.0
        self._ears.silence()
        return heard
