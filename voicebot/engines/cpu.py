"""What of this machine's processor a model should compute with."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path


def usable_cores() -> int:
    """Physical cores this process may use: neither hyper-threads nor what a container forbids.

    Two threads on one core, or more threads than a container's share, wait for each other at
    every layer of a model: it gets slower, not faster.
    """
    if not hasattr(os, "sched_getaffinity"):  # not Linux
        return os.cpu_count() or 1
    cores = {_siblings(cpu) for cpu in os.sched_getaffinity(0)}
    return max(1, min(len(cores), _share(Path("/sys/fs/cgroup/cpu.max"))))


def _siblings(cpu: int) -> str:
    """What the threads of one core have in common."""
    try:
        topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        return topology.read_text()
    except OSError:
        return str(cpu)


def _share(limit: Path) -> int:
    """Cores a container's time slices add up to; very many where there is no limit."""
    try:
        quota, period = limit.read_text().split()
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # no container, or "max"
        return 1 << 16


def usable_memory() -> int:
    """Bytes of memory this machine has, or the container we are in may take."""
    found = [1 << 62]
    with suppress(OSError, ValueError, AttributeError):  # AttributeError: Windows
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with suppress(OSError, ValueError):  # no container, or "max"
        found.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(found)


def has_unsafe_tiles(cpuinfo: str | None = None) -> bool:
    """Whether AMX is offered by a virtual machine, which may not carry it out.

    The kernel grants the tiles, and the first instruction that loads one ends the process by
    SIGILL. There is nothing to ask beforehand but the flags.

    cpuinfo: as in /proc/cpuinfo, which is read if there is none.
    """
    try:
        text = Path("/proc/cpuinfo").read_text() if cpuinfo is None else cpuinfo
    except OSError:  # not Linux
        return False
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    return "amx_tile" in flags and "hypervisor" in flags
