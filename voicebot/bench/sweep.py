"""An engine measured in processes of its own, with so many threads and sessions each."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import pickle
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .. import engines
from ..assistant.assembly import EngineSpec
from ..config import Config
from ..errors import VoicebotError
from . import machine
from .alone import WARM, bench_of
from .figures import rows
from .job import Job, Reading
from .processes import child

STARTS = 5
"""Processes whose start is timed, after one that is not; the last of them goes on to the rest."""
LEFT_OUT = (
    "not counted: a start before the others, which may read its files from the disk, "
    f"and {WARM} inputs after the first output of a process"
)


def engine(
    chosen: EngineSpec,
    inputs: tuple[Any, ...],
    config: Config,
    *,
    source: str,
    threads: Sequence[int] | None,
    sessions: Sequence[int],
    times: int,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """A run for each number of threads and sessions, as JSON's values.

    source: where the engine comes from, "configured" or another.
    threads: None leaves their number to the engine.

    Raises:
        ConfigError: the engine has no setting `threads`.
        VoicebotError: it cannot be built, or fails.
    """
    swept = [{**chosen.options, "threads": n} for n in threads] if threads else [chosen.options]
    for options in swept:
        engines.check(chosen.kind, chosen.name, options)
    job = Job(chosen.kind, chosen.name, {}, inputs, times)
    jobs = [
        dataclasses.replace(job, options=options, sessions=n) for options in swept for n in sessions
    ]
    return result(
        jobs,
        config,
        {"engines": source, "chosen": [str(dataclasses.replace(chosen, better=""))]},
        tell,
    )


def result(
    jobs: Sequence[Job], config: Config, about: dict[str, Any], tell: Callable[[str], None]
) -> dict[str, Any]:
    """Do these jobs, all of one kind, one after the other. Raises as `engine`."""
    runs = []
    for job in jobs:
        threads = job.options.get("threads")
        swept = f", threads = {threads}" if threads else ""
        tell(f"{job.engine}{swept}, {job.sessions} at once")
        readings = asyncio.run(_run(job))
        runs.append({"threads": threads, "sessions": job.sessions, "rows": rows(readings)})
    about = {**about, "times": jobs[0].times, "left_out": LEFT_OUT}
    return {"bench": jobs[0].what, "runs": runs} | machine.describe(config, about)


async def _run(job: Job) -> list[Reading]:
    bench, clock = bench_of(job.what), asyncio.get_running_loop().time
    readings = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "job"
        file.write_bytes(pickle.dumps(job))
        for start in range(STARTS + 1):
            began = clock()
            async with child(job.engine, f"{__package__}.alone", str(file)) as (process, loaded):
                seconds = clock() - began
                if start > 0:
                    readings += [
                        Reading(bench.FIRST, "ms", "", seconds * 1000),
                        Reading(bench.LOADS, "ms", "", float(loaded) * 1000),
                    ]
                if start < STARTS:
                    continue
                assert process.stdout
                found = await process.stdout.read()
                await process.wait()
    if not found:
        raise VoicebotError(f"{job.engine} ended in the middle of the benchmark")
    told = json.loads(found)
    if isinstance(told, dict):
        raise VoicebotError(told["error"])
    return [*readings, *(Reading(*each) for each in told)]
