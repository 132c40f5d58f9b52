"""Recordings that strangers send, decoded in a process of their own (`voicebot.audio.decoder`)."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import socket
import sys
from contextlib import suppress
from typing import IO

import numpy as np

from ...audio import Audio
from ...audio.decoder import END, HEADER, REFUSED, SOUND, WARNING
from ...concurrency.worker import Stream
from ...engines.child_process import Child
from ...errors import InputError, Quoting
from ...standard_streams import scratch

log = logging.getLogger(__name__)

LONGEST_S = 4 * 3600.0
"""Seconds of one recording: 25 MiB of the thriftiest speech are nine hours, which nobody's patience
and no place at the server are for."""


async def foreign(
    file: IO[bytes], rate: int, name: str, longest_s: float = LONGEST_S
) -> Stream[Audio]:
    """Yield the sound of a stranger's recording as mono at `rate`, as fast as it is used.

    The process ends when the stream is closed, whatever it is at.

    Raises:
        InputError: it holds no sound that can be read, is too long, or took more memory or
            processor time than a recording takes.
    """
    child = Child([sys.executable, "-m", "voicebot.audio.decoder"], _environment())
    try:
        await asyncio.to_thread(_hand, child.socket, file, rate, name, longest_s)
        child.socket.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=child.socket)
        try:
            while True:
                kind, length = HEADER.unpack(await reader.readexactly(HEADER.size))
                data = await reader.readexactly(length)
                if kind == SOUND:
                    yield Audio(np.frombuffer(data, "<f4"), rate)
                elif kind == WARNING:
                    told = data.decode(errors="replace")
                    log.warning("%s", Quoting("a recording is damaged", f": {told}"))
                elif kind == REFUSED:
                    raise InputError(data.decode(errors="replace"))
                elif kind == END:
                    return
        except (asyncio.IncompleteReadError, OSError) as error:
            child.socket.setblocking(True)
            why = await asyncio.to_thread(child.post_mortem, error)
            log.warning("%s", Quoting(f"the process that decoded a recording {why}", f": {name}"))
            raise InputError(f"{name}: cannot be decoded; its process {why}") from error
        finally:
            writer.transport.abort()
    finally:
        child.process.kill()  # at once; the rest may take a moment
        await asyncio.shield(asyncio.to_thread(child.end))


_NEEDED = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT", "PYTHONHOME")


def _environment() -> dict[str, str]:
    """What the process needs of ours: the rest holds keys."""
    return {
        **{key: os.environ[key] for key in _NEEDED if key in os.environ},
        "PYTHONPATH": os.pathsep.join(sys.path),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }


def _hand(to: socket.socket, file: IO[bytes], rate: int, name: str, longest_s: float) -> None:
    """Give the process a copy of the file, which it can do no harm to."""
    with _copy(file) as copy:
        request = json.dumps({"rate": rate, "name": name[:1000], "longest_s": longest_s})
        with suppress(BrokenPipeError):  # its end is told where its sound is awaited
            socket.send_fds(to, [request.encode()], [copy.fileno()])


def _copy(file: IO[bytes]) -> IO[bytes]:
    if hasattr(os, "memfd_create"):
        copy: IO[bytes] = open(os.memfd_create("recording"), "w+b")
    else:
        copy = scratch()
    try:
        file.seek(0)
        shutil.copyfileobj(file, copy)
        copy.flush()
        copy.seek(0)
    except BaseException:
        copy.close()
        raise
    return copy
