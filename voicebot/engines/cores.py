"""How many threads a model should compute with on this machine."""

from __future__ import annotations

import math
import os
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
