"""Processes started to be measured, and what they take."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from ..errors import VoicebotError
from ..standard_streams import scratch
from .figures import Usage

STARTS_S = 60.0
"""Seconds in which a process has to say that it is there: a large model may take most of them."""
ENDS_S = 5.0


class DidNotStart(VoicebotError):
    """A process that was to be measured is not there."""


@asynccontextmanager
async def child(
    what: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Process, str]]:
    """`python -m arguments` while the block lasts, and the first line that it printed.

    Raises:
        DidNotStart: it ended, or printed nothing for too long; the message ends as its own did.
    """
    with scratch() as complaints:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=complaints,
            env={**os.environ, **(environment or {})},
        )
        try:
            assert process.stdout
            line: bytes | None = None
            with suppress(TimeoutError):
                async with asyncio.timeout(STARTS_S):
                    line = await process.stdout.readline()
            if not line:
                complaints.seek(0)
                said = complaints.read().decode(errors="replace").strip().splitlines()
                silent = "it hangs" if line is None else "it ended without a word"
                raise DidNotStart(f"{what} did not start: {said[-1] if said else silent}")
            yield process, line.decode().strip()
        finally:
            await _end(process)


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(ENDS_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def usage(pid: int) -> Usage | None:
    """What a process and its children have taken so far; None where there is no /proc."""
    if not Path("/proc/self/status").exists():
        return None
    cpu, peak = 0.0, 0.0
    for each in _tree(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        cpu += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        peak += status(each, "VmHWM") / 1024
    return Usage(cpu, peak)


def resident(pid: int) -> float | None:
    """Megabytes that a process and its children hold now; None where there is no /proc."""
    if not Path("/proc/self/status").exists():
        return None
    return sum(status(each, "VmRSS") for each in _tree(pid)) / 1024


def status(pid: int, name: str) -> float:
    """A number of /proc's status; memory is in kB."""
    found = Path(f"/proc/{pid}/status").read_text().partition(f"{name}:")[2]
    return float(found.split()[0]) if found else 0.0


def _tree(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for task in tasks for child in task.read_text().split()]
    return [pid, *(each for child in children for each in _tree(child))]
