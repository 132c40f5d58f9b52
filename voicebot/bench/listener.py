"""Somebody who listens to a reply in real time, on a clock that only goes while work is done."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

from ..audio import Audio
from ..concurrency.virtual_clock import VirtualClockLoop
from ..concurrency.worker import Stream
from ..conversation.fallbacks import Fallbacks
from ..conversation.latency_budget import LatencySettings
from ..conversation.prerendered import PrerenderedSpeech
from ..conversation.turn import Turn
from ..engines import Speech, Synthesizer
from ..events import TurnEnded

REPLY = (
    "The old apple tree was planted in 1931 by a gardener who came from the village. He had three "
    "sons, and one of them still lives in the white house behind the church. Every autumn the tree "
    "gives more fruit than the family can eat. So they make juice and cider, and they give baskets "
    "of apples to everybody who walks by. Last year a storm broke two of its largest branches. The "
    "wood was used to build a bench, which now stands in its shade. Visitors like to sit there. "
    "They read, they talk, and sometimes they fall asleep."
)
"""About half a minute of speech."""
WORD_S = 0.04
"""Seconds in which a small chat model writes a word."""
AHEAD_S = 0.2
"""Seconds of sound that a loudspeaker takes before they are heard."""


def listen(tts: Synthesizer, reply: str = REPLY) -> TurnEnded:
    """Have `reply` spoken by `tts` as in a conversation. Blocks for as long as the work takes."""
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        return runner.run(_spoken(_Working(tts), reply))


async def _spoken(tts: Synthesizer, reply: str) -> TurnEnded:
    # As at the start of a server: these sentences show how fast the voice is.
    fallbacks = Fallbacks(prerendered=PrerenderedSpeech(LatencySettings().sentences))
    await fallbacks.keep_ready(tts)
    speaker = _Loudspeaker()
    turn = Turn(speaker, lambda event: None, 0.0, 600.0, fallbacks=fallbacks)
    turn.open()
    await turn.speak(tts, _written(reply))
    await speaker.drain()
    turn.timeline.mark("end")
    return turn.timeline.end()


async def _written(reply: str) -> Stream[str]:
    for word in reply.split():
        await asyncio.sleep(WORD_S)
        yield f"{word} "


class _Working:
    """While the engine is at work, time passes as it really does."""

    def __init__(self, tts: Synthesizer) -> None:
        self._tts = tts

    async def synthesize(self, text: str, **options: Any) -> Stream[Speech]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualClockLoop)
        with loop.working():
            async with aclosing(self._tts.synthesize(text, **options)) as speech:
                async for chunk in speech:
                    yield chunk


class _Loudspeaker:
    """A `Speaker` that plays in real time."""

    def __init__(self) -> None:
        self._ends = 0.0

    async def play(self, audio: Audio) -> None:
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(max(0.0, self._ends - now - AHEAD_S))
        self._ends = max(self._ends, asyncio.get_running_loop().time()) + audio.seconds

    async def drain(self) -> None:
        await asyncio.sleep(max(0.0, self._ends - asyncio.get_running_loop().time()))

    def stop(self) -> float:
        return 0.0
