"""Decodes one recording in a process that can do nothing else: `python -m voicebot.audio.decoder`.

FFmpeg's demuxers and decoders read what strangers send. A file that makes one of them loop, take
all memory or run code of its own has this process for it, which may open no file, write none, and
use so much memory and processor time. Its standard input is a socket: the open recording comes
over it, and its sound goes back.
"""

from __future__ import annotations

import io
import json
import logging
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np

from ..errors import InputError
from . import Audio, to_pcm16
from .recordings import decode, endless_wav

MEMORY = 512 * 2**20
"""Bytes that decoding may take; the largest frames of the formats that are read need 50 MB."""
CPU_S = 240
"""Seconds of processor time. Four hours of Opus take 41, of MP3 28; some machines are slower."""
SAID = 64 * 2**10
"""Bytes that may be written to the file of errors, and so to any."""

HEADER = struct.Struct("<cI")
"""What comes, and its length in bytes."""
SOUND, WARNING, REFUSED, END = b"s", b"w", b"r", b"."


def main() -> None:
    ours = socket.socket(fileno=0)
    _rehearse()
    request, files, _, _ = socket.recv_fds(ours, 64 * 2**10, 1)
    if not files:  # the one who wanted it has gone
        return
    wanted = json.loads(request)
    log = logging.getLogger("voicebot")
    log.addHandler(_Told(ours))
    log.propagate = False
    with open(files[0], "rb") as file:
        _confine()
        _serve(ours, file, wanted["rate"], wanted["name"], wanted["longest_s"])


def _serve(ours: socket.socket, file: IO[bytes], rate: int, name: str, longest_s: float) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # nobody waits any more
        try:
            for audio in decode(file, rate, name, longest_s):
                _send(ours, SOUND, audio.samples.astype("<f4").tobytes())
            _send(ours, END)
        except InputError as error:
            _send(ours, REFUSED, str(error).encode(errors="replace"))
        except MemoryError:
            _send(ours, REFUSED, f"{name}: takes too much memory".encode(errors="replace"))


def _send(ours: socket.socket, kind: bytes, data: bytes = b"") -> None:
    ours.sendall(HEADER.pack(kind, len(data)) + data)


class _Told(logging.Handler):
    """Hands warnings on to the process that keeps the log."""

    def __init__(self, ours: socket.socket) -> None:
        super().__init__(logging.WARNING)
        self._ours = ours

    def emit(self, record: logging.LogRecord) -> None:
        _send(self._ours, WARNING, record.getMessage().encode(errors="replace"))


def _rehearse() -> None:
    """Load all that decoding loads: afterwards no file can be opened."""
    silence = Audio(np.zeros(800, np.float32), 8000)
    for _ in decode(io.BytesIO(endless_wav(8000) + to_pcm16(silence)), 16000):
        pass


def _confine() -> None:
    """Take from this process what decoding does not need."""
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    limits = {
        resource.RLIMIT_CPU: CPU_S,
        resource.RLIMIT_FSIZE: SAID,
        resource.RLIMIT_NOFILE: 0,  # those that are open stay so
        resource.RLIMIT_CORE: 0,
    }
    if sys.platform == "linux":  # elsewhere it does not tell what there is
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        limits[resource.RLIMIT_AS] = pages * resource.getpagesize() + MEMORY
    for limit, most in limits.items():
        hard = resource.getrlimit(limit)[1]
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (value, value))


if __name__ == "__main__":
    main()
