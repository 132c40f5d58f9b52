"""`voicebot keys`: add a key, list those there are, remove one."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

from ..config import Config
from ..server.auth.keys import add, place, read, remove

RELOAD = "a server that runs follows at its next reload (SIGHUP)"


def run_add(config: Config, folder: Path, name: str) -> int:
    """Print a new key, and where it counts.

    folder: where the file goes if the settings name none.

    Raises:
        ConfigError: as `keys.add`.
    """
    path = place(config, folder)
    key = add(path, name)
    print(f"added {name} to {path}; its key is shown this once:", file=sys.stderr)
    print(key)
    if not config.server.keys:
        print(f'now set keys = "{path.name}" in [server]', file=sys.stderr)
    return 0


def run_list(config: Config, folder: Path) -> int:
    """Print each key's name and its limits, a line each. Raises as `keys.read`."""
    for key in read(place(config, folder)).all:
        limits = asdict(key.limits)
        told = ", ".join(f"{name} = {value}" for name, value in limits.items() if value)
        print(f"{key.name:20} {told or 'no limits'}")
    return 0


def run_remove(config: Config, folder: Path, name: str) -> int:
    """Remove a key, and say from when on it opens nothing. Raises as `keys.remove`."""
    path = place(config, folder)
    remove(path, name)
    print(f"removed {name} from {path}; {RELOAD}", file=sys.stderr)
    return 0
