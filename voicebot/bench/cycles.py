"""Whether a server keeps anything of those who came, talked, were cut off, came back and went."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from ..audio import Audio, to_pcm16
from .processes import status
from .realtime import RATE
from .served import Served
from .sockets import row

AT_ONCE = 10
WARM = 1800
"""Cycles before any counts: an allocator has by then all that ten sessions at once need."""
SETTLES_S = 2.0
"""Seconds after the last cycle, in which what has ended is tidied up."""
GROWTH_MB = 2.0
"""A leak of 2 kB a session would take this in a thousand."""
ROUNDS = 8
"""After each the memory is read: an allocator takes 5 MB now and then, and gives them back."""
PATIENCE_S = 20.0


async def measure(served: Served, count: int) -> list[dict[str, Any]]:
    """Rows of what has grown in the server after so many cycles."""
    await _go(served, WARM)
    _, files = _held(served.pid)
    began = asyncio.get_running_loop().time()
    each, held = -(-count // ROUNDS), []
    for _ in range(ROUNDS):
        await _go(served, each)
        held.append(_held(served.pid))
    seconds = asyncio.get_running_loop().time() - began - ROUNDS * SETTLES_S
    memory, more_files = [kilobytes for kilobytes, _ in held], held[-1][1]
    known = bool(memory[0])
    what = f"grown after {ROUNDS * each} times connect, talk, cut, resume"
    return [
        row(what, growth(memory) / 1024 if known else None, "MB", GROWTH_MB),
        row("files left open by them", float(more_files - files) if known else None, "", 0.0),
        row("such cycles in a second", ROUNDS * each / seconds, "", None),
    ]


def growth(held: Sequence[float]) -> float:
    """By how much the least that was held has grown, over all rounds: what an allocator takes and
    gives back in between does not count, what is never given back does."""
    half = len(held) // 2
    return 2 * (min(held[half:]) - min(held[:half]))


async def _go(served: Served, count: int) -> None:
    url = f"ws{served.address.removeprefix('http')}/v1/talk"
    left = iter(range(count))

    async def client() -> None:
        for _ in left:
            async with asyncio.timeout(PATIENCE_S):
                await cycle(url)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(client())
    await asyncio.sleep(SETTLES_S)


async def cycle(url: str) -> None:
    """Ask aloud, hear the answer begin, lose the connection, resume, hear more, and hang up."""
    async with connect(url, max_size=None, proxy=None) as socket:
        await socket.send(json.dumps({"type": "hello", "rate": RATE}))
        token = json.loads(await socket.recv())["token"]
        # Faster than real time: the server counts samples, not seconds.
        for level, seconds in ((0.5, 0.5), (0.0, 0.7)):
            for _ in range(round(seconds / 0.1)):
                block = np.full(round(0.1 * RATE), level, np.float32)
                await socket.send(to_pcm16(Audio(block, RATE)))
        number, turn, received = await _hear(socket)
        socket.transport.abort()
    async with connect(url, max_size=None, proxy=None) as socket:
        place = {"number": number, "turn": turn, "received": received}
        await socket.send(json.dumps({"type": "resume", "token": token, **place}))
        await _hear(socket)


async def _hear(socket: ClientConnection) -> tuple[int, int, int]:
    """Read until some sound has come: the last number told, its turn, and how much of it."""
    number = turn = at = 0
    async for message in socket:
        if isinstance(message, bytes):
            return number, turn, at + len(message) // 2
        event = json.loads(message)
        number = event.get("number", number)
        if event["event"] == "sound":
            turn, at = event["turn"], event["at"]
    raise ConnectionError("the server hung up")


def _held(pid: int) -> tuple[float, int]:
    """Resident memory in kB and how many files are open; zeros where there is no /proc."""
    if not Path("/proc/self/status").exists():
        return 0.0, 0
    return status(pid, "VmRSS"), len(list(Path(f"/proc/{pid}/fd").iterdir()))
