"""`voicebot bench vad`: how long a window of sound takes to be judged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import numpy as np

from .. import engines
from ..engines import VoiceDetector
from .job import Done, Job, Reading, Sound

LOADS = "loading the first detector"
FIRST = "process start to first window judged"
MADE = "sound judged in a second, all sessions", "s"

Detectors = Callable[[], VoiceDetector]
"""Each recording is a conversation with a detector of its own."""


def load(job: Job) -> Detectors:
    def another() -> VoiceDetector:
        detector: VoiceDetector = engines.load("vad", job.engine, **job.options)
        return detector

    another()
    return another


async def first(engine: Detectors, given: Sound) -> None:
    detector = engine()
    await detector.probability(np.zeros(detector.window, np.float32))


async def once(engine: Detectors, given: Sound, nth: int) -> Done:
    detector = engine()
    samples, size = given.audio.samples, detector.window
    what = f"window of {1000 * size / detector.rate:g} ms"
    readings = []
    for at in range(0, len(samples) - size + 1, size):
        began = time.perf_counter()
        await detector.probability(samples[at : at + size])
        readings.append(Reading(what, "ms", given.name, (time.perf_counter() - began) * 1000))
        await asyncio.sleep(0)  # or a detector that judges on the loop would keep it
    return Done(readings, len(readings) * size / detector.rate)
