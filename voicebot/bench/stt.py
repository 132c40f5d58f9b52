"""`voicebot bench stt`: how long a recording takes to be written down."""

from __future__ import annotations

import time
from contextlib import aclosing

from .. import engines
from ..engines import Transcriber
from .job import Done, Job, Reading, Sound

LOADS = "loading the model"
FIRST = "process start to first transcript"
MADE = "sound recognised in a second, all sessions", "s"
UP_TO_S = (2, 5)
"""Seconds of sound whose rows are apart: engines cost so much a recording and so much a second."""


def load(job: Job) -> Transcriber:
    loaded: Transcriber = engines.load("stt", job.engine, **job.options)
    return loaded


async def first(engine: Transcriber, given: Sound) -> None:
    await once(engine, given, 0)


async def once(engine: Transcriber, given: Sound, nth: int) -> Done:
    sound = given.audio
    began = time.perf_counter()
    words: float | None = None
    async with aclosing(engine.transcribe(sound)) as segments:
        async for segment in segments:
            if words is None and segment.text:
                words = time.perf_counter() - began
    seconds = time.perf_counter() - began
    readings = [
        Reading(row(sound.seconds), "ms", given.name, seconds * 1000),
        Reading("real-time factor", "x", given.name, seconds / sound.seconds),
    ]
    if words is not None:
        readings.append(Reading("first words of a recording", "ms", given.name, words * 1000))
    return Done(readings, sound.seconds)


def row(seconds: float) -> str:
    """The row of a recording of this length."""
    for edge in UP_TO_S:
        if seconds <= edge:
            return f"transcript of up to {edge} s of sound"
    return f"transcript of over {UP_TO_S[-1]} s of sound"
