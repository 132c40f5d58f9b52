"""What was freed goes back to the system, so that one large upload does not stay for days."""

from __future__ import annotations

import ctypes

THRESHOLD = 2**20
"""Bytes from which on memory is had from the system and given back by itself, and that may lie
unused at the end of the rest. glibc raises both up to 64 MB with what is freed: after a burst of
bodies of 3 MB on 16 threads 75 MB stayed, and 20 MB with fixed ones. 128 kB gives back no more."""
_TRIM, _MMAP = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h


def give_back() -> bool:
    """Have glibc keep no more than that; returns whether it is glibc that we run on."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS, Windows; musl gives all back anyway
        return False
    return bool(mallopt(_MMAP, THRESHOLD) and mallopt(_TRIM, THRESHOLD))
