"""`voicebot serve`: the engines of this machine for whoever reaches its port."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import uvicorn

from ..assembly import assemble
from ..config import Config, ServerSettings
from ..errors import ConfigError, VoicebotError
from . import realtime_fields
from .app import create
from .house import House
from .keys import check_door

log = logging.getLogger(__name__)

DRAIN_S = 30.0
"""Seconds that replies may take to end once we are told to: a long one spoken, and less than
service managers wait before they kill."""
LAST_S = 2
"""Seconds that connections may take to close after that."""


class PortTaken(VoicebotError):
    """Something else listens there already, or we may not."""


def run(config: Config, models: Path, *, host: str | None, port: int | None) -> int:
    """Serve until the process is told to end; return the exit code.

    host, port: instead of those in the settings.

    The first SIGTERM or Ctrl-C lets nobody new in and lets replies end; a second one ends at once.

    Raises:
        PortTaken: the address cannot be listened at.
        ConfigError: others can reach the address, and nothing says that they may.
        VoicebotError: an engine cannot be built, or a certificate cannot be used.
    """
    settings = replace(
        config.server,
        host=config.server.host if host is None else host,
        port=config.server.port if port is None else port,
    )
    check_door(settings.host, has_keys=bool(settings.keys), is_open=settings.open)
    # The port before the engines: that it is taken is told now, not after a model has loaded.
    with _listening(settings.host, settings.port) as door:
        _check(settings)
        with assemble(config, models) as parts:
            print(*parts.describe(), sep="\n", file=sys.stderr)
            app = create(parts, settings)
            server = _Server(
                uvicorn.Config(
                    app,
                    log_config=None,  # our own command line has set up the log
                    log_level="warning",  # in detail, it logs headers, which hold keys
                    ws_max_size=realtime_fields.LONGEST,
                    lifespan="on",
                    server_header=False,
                    ws="websockets-sansio",
                    ssl_certfile=settings.tls_certificate or None,
                    ssl_keyfile=settings.tls_key or None,
                    timeout_graceful_shutdown=LAST_S,
                ),
                app.state.house,
                _url(door, bool(settings.tls_certificate)),
            )
            asyncio.run(server.serve(sockets=[door]))
    return 0


class _Server(uvicorn.Server):
    """Uvicorn, ended our way: it would hang up on new clients and die of the signal."""

    def __init__(self, config: uvicorn.Config, house: House, url: str) -> None:
        super().__init__(config)
        self._house, self._url = house, url

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        ending: list[asyncio.Task[None]] = []

        def end(number: int, frame: object) -> None:
            loop.call_soon_threadsafe(told)

        def told() -> None:
            if ending:
                self.config.timeout_graceful_shutdown, self.should_exit = 0, True
            else:
                ending.append(loop.create_task(self._drain()))

        try:
            for number in before:
                signal.signal(number, end)
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # One line on standard output, for people and for programs that started us.
        print(self._url, flush=True)

    async def _drain(self) -> None:
        try:
            await self._house.close(DRAIN_S)
        except TimeoutError:
            log.warning("some replies did not end within %g s and are cut off", DRAIN_S)
        self.should_exit = True


def _listening(host: str, port: int) -> socket.socket:
    try:
        (family, *_, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise ConfigError(f"[server] host {host!r}: {error.strerror}") from error
    # By its full name, or asyncio does not know it for TCP: it would send small things only once
    # the ones before are acknowledged, 40 ms later.
    door = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # A port that has only just been given up can be had at once; one in use cannot.
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(address)
        door.listen(128)
    except OSError as error:
        door.close()
        raise PortTaken(
            f"cannot listen at {host} port {port} ({error.strerror}); --port 0 takes a free one"
        ) from error
    return door


def _check(settings: ServerSettings) -> None:
    if not settings.tls_certificate:
        return
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.tls_certificate, settings.tls_key or None)
    except OSError as error:  # which ssl.SSLError is
        files = " and ".join(filter(None, (settings.tls_certificate, settings.tls_key)))
        raise ConfigError(f"[server] {files}: no certificate with its key ({error})") from error


def _url(door: socket.socket, is_safe: bool) -> str:
    host, port = door.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "localhost"
    return f"http{'s' if is_safe else ''}://{f'[{host}]' if ':' in host else host}:{port}"
