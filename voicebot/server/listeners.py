"""The sockets we listen at: who connects is counted before TLS, by address, and hung up on in time.

Uvicorn learns of a connection once its TLS handshake is over, for which asyncio waits a minute:
silent ones would take all file descriptors meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ..config import networks
from .client_networks import network, parsed
from .rare_log import RareLog
from .uvicorn_protocols import MAX_CONNECTIONS, RESERVED_CONNECTIONS

log = logging.getLogger(__name__)

EACH = MAX_CONNECTIONS // 2
"""Connections at once from one address, or one network of IPv6 (/64): one client alone shuts nobody
out. A proxy that the settings name stands for many, and has no such limit."""
HANDSHAKE_S = 10.0
"""Seconds for a TLS handshake, which takes 2 on the slowest lines."""
BATCH = 100
"""Connections that are hung up on before others are served again."""


class ConnectionLimits:
    """How many connections there are, and from where.

    proxies: addresses and networks that may hold as many as there can be.
    most, each: connections at once, in all and from one address.
    """

    def __init__(
        self,
        proxies: Sequence[str] = (),
        most: int = MAX_CONNECTIONS + RESERVED_CONNECTIONS,
        each: int = EACH,
    ) -> None:
        self._proxies, self._most, self._each = networks(proxies), most, each
        self._held: Counter[str] = Counter()
        self._full = RareLog()

    def enter(self, address: str) -> Callable[[], None] | None:
        """What ends the stay of one more from this address; None where none is let in."""
        origin, is_proxy = self._origin(address)
        if self._held.total() >= self._most:
            why = f"there are {self._most} connections"
        elif self._held[origin] >= self._each and not is_proxy:
            why = f"{self._each} connections come from there"
        else:
            self._held[origin] += 1
            return lambda: self._leave(origin)
        more = self._full.due(time.monotonic())
        if more is not None:
            log.warning("hung up on %s: %s%s", address, why, more)
        return None

    def _leave(self, origin: str) -> None:
        self._held[origin] -= 1
        if not self._held[origin]:
            del self._held[origin]

    def _origin(self, address: str) -> tuple[str, bool]:
        found = parsed(address)
        if found is None:  # a Unix socket has none
            return address, True
        return network(address), any(found in each for each in self._proxies)


class Listener(socket.socket):
    """A listening socket, taken over from `listening`, that lets in as many as `guests` does."""

    def __init__(self, listening: socket.socket, guests: ConnectionLimits) -> None:
        family, kind, proto = listening.family, listening.type, listening.proto
        super().__init__(family, kind, proto, fileno=listening.detach())
        self._guests = guests

    def accept(self) -> tuple[socket.socket, Any]:
        for _ in range(BATCH):
            connection, address = super().accept()
            name = str(address[0]) if isinstance(address, tuple) else ""
            if leave := self._guests.enter(name):
                return _Connection(connection, leave), address
            connection.close()
        raise ConnectionAbortedError  # asyncio comes again once it has served others


class _Connection(socket.socket):
    def __init__(self, connection: socket.socket, leave: Callable[[], None]) -> None:
        self._leave: Callable[[], None] | None = leave
        family, kind, proto = connection.family, connection.type, connection.proto
        super().__init__(family, kind, proto, fileno=connection.detach())

    def close(self) -> None:
        super().close()
        if self._leave:
            self._leave()
            self._leave = None


if sys.platform == "win32":
    _Usual = asyncio.ProactorEventLoop
else:
    _Usual = asyncio.SelectorEventLoop


class Loop(_Usual):
    """The event loop of a server, which gives up slow TLS handshakes."""

    def __init__(self) -> None:
        super().__init__()
        self._no_files = RareLog()

    async def create_server(self, *args: Any, **options: Any) -> asyncio.Server:
        if options.get("ssl"):
            options["ssl_handshake_timeout"] = HANDSHAKE_S
        return await super().create_server(*args, **options)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """As asyncio has it, which writes a traceback at each try to accept where it cannot."""
        if not str(context.get("message")).startswith("socket.accept()"):
            super().call_exception_handler(context)
            return
        more = self._no_files.due(self.time())
        if more is not None:
            log.error("cannot let anybody in: %s%s", context.get("exception"), more)
