"""`voicebot bench tts`: how long a text takes to be heard."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

from .. import engines
from ..audio import first_audible
from ..conversation.trim import trimmed
from ..engines import Synthesizer
from .job import Done, Job, Reading
from .listener import REPLY, listen

LOADS = "loading the voice"
FIRST = "process start to first sound"
MADE = "sound made in a second, all sessions", "s"
TEXTS = (
    "It is ten past three.",
    "The kettle is on, and the cake is ready.",
    "The kettle is on, the cake is ready, and everybody is waiting in the garden now.",
    "The kettle is on, the cake is ready, and everybody is waiting in the garden now; "
    "if you would bring the blue cups and some more chairs from the kitchen, we can begin.",
)
"""A first clause, a short sentence, a long one, and one that nobody could say in a breath."""
INPUTS = (*TEXTS, REPLY)


def load(job: Job) -> Synthesizer:
    loaded: Synthesizer = engines.load("tts", job.engine, **job.options)
    return loaded


async def first(engine: Synthesizer, given: str) -> None:
    async with aclosing(engine.synthesize(given)) as spoken:
        await anext(spoken, None)


async def once(engine: Synthesizer, given: str, nth: int) -> Done:
    if given == REPLY:
        return await _reply(engine)
    began = time.perf_counter()
    heard, sound = None, 0.0
    async with aclosing(trimmed(engine.synthesize(given))) as spoken:
        async for speech in spoken:
            if heard is None and (silent := first_audible(speech.audio)) is not None:
                heard = time.perf_counter() - began + silent
            sound += speech.audio.seconds
    seconds = time.perf_counter() - began
    if heard is None or not sound:
        return Done([], 0.0)
    length = f"{len(given)} characters"
    return Done(
        [
            Reading(f"first sound of {length}", "ms", length, heard * 1000),
            Reading(f"all sound of {length}", "ms", length, seconds * 1000),
            Reading("real-time factor", "x", length, seconds / sound),
        ],
        sound,
    )


async def _reply(engine: Synthesizer) -> Done:
    """A reply of half a minute, as somebody hears it who listens while it is made."""
    end = await asyncio.to_thread(listen, engine)
    late, silent = (end.amounts.get(name, 0.0) for name in ("underruns", "underrun"))
    return Done(
        [
            Reading("late pieces in a reply of half a minute", "", "reply", late),
            Reading("silence that nobody wrote in it", "ms", "reply", silent * 1000),
        ],
        end.amounts.get("tts.sound", 0.0),
    )
