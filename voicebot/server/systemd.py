"""What systemd, or whatever speaks its two small protocols, hands us and wants to hear of us.

It names a datagram socket in NOTIFY_SOCKET, for lines like READY=1; sockets that it listens at
are our file descriptors from 3 on, LISTEN_FDS of them. Without it nothing here does anything.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import MutableMapping

from ..errors import ConfigError

log = logging.getLogger(__name__)

FIRST_DESCRIPTOR = 3
"""The first file descriptor handed over: after standard input, output and error."""
NOTIFY_TIMEOUT_S = 1.0
"""Seconds until a manager that takes no word is not told it: we have clients to serve."""


class Manager:
    """Who started us and wants to know how we are, if anybody.

    environment: the variables for us are taken out: our children are not what it asks about.
    """

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        address = environment.pop("NOTIFY_SOCKET", "")
        # "@" stands for the zero byte that begins a name outside the file system.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        every, ours = (_number(environment, f"WATCHDOG_{name}") for name in ("USEC", "PID"))
        self._watched_s = every / 1e6 if ours in (0, os.getpid()) else 0.0

    def status(self, text: str) -> None:
        """What people are shown."""
        self._tell(_status(text))

    def ready(self, text: str) -> None:
        """We serve; or do again, after `reloading`."""
        self._tell("READY=1", _status(text))

    def reloading(self) -> None:
        """The settings are read again; `ready` ends it, whatever has come of it."""
        # The time tells this reload from one asked for earlier.
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell("RELOADING=1", f"MONOTONIC_USEC={now}", _status("reading the settings"))

    def stopping(self) -> None:
        self._tell("STOPPING=1", _status("letting replies end"))

    async def reassure(self) -> None:
        """Say, for as long as we are asked to, that the event loop goes round."""
        while self._watched_s:
            self._tell("WATCHDOG=1")
            await asyncio.sleep(self._watched_s / 2)

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
                line.settimeout(NOTIFY_TIMEOUT_S)
                line.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:  # it can do without, and so can we
            log.warning("the service manager does not hear %s: %s", lines[0], error)


def sockets(environment: MutableMapping[str, str] = os.environ) -> list[socket.socket]:
    """The sockets that were listened at for us, under whatever names; none if there are none.

    Raises:
        ConfigError: one of them is no TCP socket that is listened at.
    """
    meant_for, count = (_number(environment, f"LISTEN_{name}") for name in ("PID", "FDS"))
    environment.pop("LISTEN_FDNAMES", None)
    if meant_for != os.getpid():
        return []
    found = []
    for number in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + count):
        try:
            door = socket.socket(fileno=number)
            listened = door.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        except OSError as error:
            raise ConfigError(
                f"file descriptor {number}, handed to us: {error.strerror}"
            ) from error
        if door.family not in (socket.AF_INET, socket.AF_INET6) or not listened:
            raise ConfigError(f"file descriptor {number}, handed to us, is no listening TCP socket")
        door.set_inheritable(False)  # a child that kept it open would keep the port
        found.append(door)
    return found


def _number(environment: MutableMapping[str, str], name: str) -> int:
    """A variable that is for us alone; 0 if it is not there."""
    value = environment.pop(name, "")
    return int(value) if value.isdecimal() else 0


def _status(text: str) -> str:
    return f"STATUS={' '.join(text.split())}"
