"""An engine alone in a process: `python -m voicebot.bench.alone JOB`, a pickled `Job`.

Prints how many seconds it took to load once there is a first output, and the readings in the end.
A process for every figure that hangs on one: what was loaded before would be in its memory, and
some libraries set their threads once for all.
"""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any, cast

from ..concurrency.shutdown import leave
from ..errors import VoicebotError
from .job import Bench, Done, Job, Reading

WARM = 4
"""Inputs that are given before any counts: more would wait for slow models, fewer leave memory
to be taken and code to be loaded while it is measured."""
LONG_S = 1.0
"""Seconds that it must take for processor time to be told: systems count it in hundredths."""


def bench_of(what: str) -> Bench:
    """The module of this package that measures engines of this kind."""
    return cast(Bench, import_module(f".{what}", __package__))


async def work(job: Job) -> None:
    """Load the engine, tell when there is a first output, measure, and tell the readings."""
    bench = bench_of(job.what)
    with _loaded(bench, job) as (engine, seconds):
        await bench.first(engine, job.inputs[0])
        print(json.dumps(seconds), flush=True)
        try:
            found = await measure(bench, engine, job)
        except* VoicebotError as group:
            print(json.dumps({"error": str(_first(group))}))
        else:
            print(json.dumps([astuple(reading) for reading in found]))


@contextmanager
def _loaded(bench: Bench, job: Job) -> Iterator[tuple[Any, float]]:
    began = time.perf_counter()
    engine = bench.load(job)
    try:
        yield engine, time.perf_counter() - began
    finally:
        if close := getattr(engine, "close", None):
            close()


def _first(group: BaseExceptionGroup[VoicebotError]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def measure(bench: Bench, engine: Any, job: Job) -> list[Reading]:
    """The readings of all sessions; WARM inputs before them do not count."""
    from .processes import resident, usage

    held = resident(os.getpid())
    numbers = count()
    for given in job.inputs[:WARM]:
        await bench.once(engine, given, next(numbers))
    done: list[Done] = []

    async def session(number: int) -> None:
        for i in range(job.times):
            given = job.inputs[(number + i) % len(job.inputs)]
            done.append(await bench.once(engine, given, next(numbers)))

    before, began = usage(os.getpid()), time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(job.sessions):
            group.create_task(session(number))
    after, seconds = usage(os.getpid()), time.perf_counter() - began
    readings = [reading for each in done for reading in each.readings]
    # Sessions come to their inputs in any order; a table has one.
    readings.sort(key=lambda reading: _natural(reading.what))
    made, unit = bench.MADE
    total = sum(each.made for each in done)
    readings.append(Reading(made, unit, "", total / seconds))
    if held and before and after:
        if seconds >= LONG_S:
            cpu_s = max(0.01, after.cpu_s - before.cpu_s)  # what systems count in
            readings.append(
                Reading("the same in a second of processor time", unit, "", total / cpu_s)
            )
            readings.append(Reading("cores kept busy", "", "", cpu_s / seconds))
        readings += [
            Reading("memory, once loaded", "MB", "", held),
            Reading("memory, at most", "MB", "", after.peak_mb),
        ]
    return readings


def _natural(what: str) -> list[str | int]:
    """Sorts texts by their numbers' size."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", what)]


def main() -> None:
    job = pickle.loads(Path(sys.argv[1]).read_bytes())
    try:
        asyncio.run(work(job))
    except VoicebotError as error:
        print(error, file=sys.stderr)
        leave(1)
    leave(0)


if __name__ == "__main__":
    main()
