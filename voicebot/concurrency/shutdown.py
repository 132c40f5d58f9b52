"""How the process ends while a model is at work, which nothing can stop from outside.

Python ends a thread that comes back from a library while Python itself ends, and a library in C++
answers that by aborting the process: `terminate called`, a core dump and the wrong exit code.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import get_ident
from typing import NoReturn

_at_work: set[int] = set()
"""Threads inside a model. Adding and removing are atomic."""


@contextmanager
def working() -> Iterator[None]:
    """This thread is inside a model meanwhile."""
    thread = get_ident()
    _at_work.add(thread)
    try:
        yield
    finally:
        _at_work.discard(thread)


def leave(code: int) -> NoReturn:
    """End the process with this exit code, at once if a model is at work.

    Everything else has to be closed before: then nothing is tidied up any more.
    """
    if not _at_work:
        sys.exit(code)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # its reader has gone, or it is closed
            stream.flush()
    os._exit(code)
