"""`voicebot serve`: the engines of this machine for whoever reaches its port."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from ..assistant.assembly import EngineSet, build, offers
from ..assistant.warmup import READY
from ..concurrency.worker import background
from ..config import Config, ServerSettings
from ..errors import ConfigError, VoicebotError
from ..observability.traces import traced
from ..weights import manifest as weights
from . import addresses, certificate, memory_trim, systemd, uvicorn_protocols
from .app import App, create
from .auth.keys import check_door, wanted
from .listeners import ConnectionLimits, Listener, Loop
from .routes import UNDER_WAY, Status

log = logging.getLogger(__name__)

DRAIN_S = 30.0
"""Seconds that replies may take to end once we are told to: a long one spoken, and less than
service managers wait before they kill."""
LAST_S = 2
"""Seconds that connections may take to close after that."""
FIXED = ("host", "port", "tls_certificate", "tls_key")
"""What a socket that is listened at cannot change."""


class PortTaken(VoicebotError):
    """Something else listens there already, or we may not."""


def run(
    config: Config,
    models: Path,
    read: Callable[[], Config],
    *,
    host: str | None,
    port: int | None,
    https: bool = False,
    qr: bool = False,
) -> int:
    """Serve until the process is told to end; return the exit code.

    read: gives the settings as they are when it is called, for when we are told to reload.
    host, port: instead of those in the settings. A socket that systemd hands us goes before both.
    https: with a certificate of our own making, where the settings name none.
    qr: draw the address that a phone can be pointed at.

    The first SIGTERM or Ctrl-C lets nobody new in and lets replies end; a second one ends at once.
    SIGHUP has the settings read again, unless it means that our terminal has gone.

    Raises:
        PortTaken: the address cannot be listened at.
        ConfigError: others can reach the address, and nothing says that they may.
        VoicebotError: an engine cannot be built, or a certificate cannot be used.
    """
    memory_trim.give_back()
    manager = systemd.Manager()
    settings = replace(
        config.server,
        host=config.server.host if host is None else host,
        port=config.server.port if port is None else port,
    )
    with ExitStack() as closing:
        doors = [closing.enter_context(door) for door in systemd.sockets()]
        if doors:
            settings = replace(settings, host=doors[0].getsockname()[0])
        reached = [str(door.getsockname()[0]) for door in doors] or [settings.host]
        _check_doors(reached, settings)
        others = [each for host in reached for each in addresses.addresses(host)]
        if qr and not others:
            raise ConfigError(
                f"--qr: {settings.host} is reached from this machine alone; --host 0.0.0.0"
            )
        certified = None
        if https and not settings.tls_certificate:
            certified = certificate.own(weights.data(), addresses.own_addresses())
            settings = replace(settings, tls_certificate=str(certified))
        # The port before the engines: that it is taken is told now, not after a model has loaded.
        if not doors:
            doors = [_listening(settings.host, settings.port)]
        guests = ConnectionLimits(settings.proxies)
        doors = [closing.enter_context(Listener(each, guests)) for each in doors]
        _check(settings)

        is_safe = bool(settings.tls_certificate)
        url = _url(doors[0], is_safe)
        port = doors[0].getsockname()[1]
        elsewhere = [addresses.url(each, port, is_safe=is_safe) for each in others]

        def again(now: EngineSet) -> tuple[EngineSet, ServerSettings]:
            meanwhile = read()
            followed = _followed(config, meanwhile, settings)
            _check_doors(reached, followed)
            return build(meanwhile, models, now), followed

        spans = closing.enter_context(traced(config))
        manager.status("loading the engines")
        parts = build(config, models)
        print(*parts.describe(), *offers(config), sep="\n", file=sys.stderr)
        _point(elsewhere, certified, qr=qr)
        app = create(parts, settings, again=again, on_change=partial(_report, manager, url))
        closing.callback(app.close)
        site: ASGIApp = app
        if spans:
            from .http.tracing import TracingMiddleware

            parts.observers.append(spans.observer)
            site = TracingMiddleware(app, spans.tracer)
        server = _Server(
            uvicorn.Config(
                site,
                lifespan="on",
                ssl_certfile=settings.tls_certificate or None,
                ssl_keyfile=settings.tls_key or None,
                timeout_graceful_shutdown=LAST_S,
                **uvicorn_protocols.OPTIONS,
            ),
            app,
            manager,
            url,
        )
        with asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(server.serve(sockets=doors))
    return 0


def _check_doors(hosts: Iterable[str], settings: ServerSettings) -> None:
    for host in hosts:
        check_door(host, has_keys=bool(settings.keys), is_open=settings.open)


def _followed(before: Config, now: Config, settings: ServerSettings) -> ServerSettings:
    """The settings of now, as far as they can be followed without a restart."""
    fixed = {name: getattr(settings, name) for name in FIXED}
    changed = [name for name in FIXED if getattr(before.server, name) != getattr(now.server, name)]
    sections = [f"[server] {', '.join(changed)}"] if changed else []
    sections += [
        f"[{name}]" for name in ("log", "traces") if getattr(before, name) != getattr(now, name)
    ]
    if sections:
        log.warning("%s: as before until a restart", " and ".join(sections))
    return replace(now.server, **fixed)


def _point(elsewhere: list[str], certified: Path | None, *, qr: bool) -> None:
    """Tell people, not programs, how other machines get here."""
    tell = partial(print, file=sys.stderr)
    if elsewhere:
        tell(f"from other machines: {', '.join(elsewhere)}")
        if elsewhere[0].startswith("http:"):
            tell("browsers give them no microphone without https: --https")
    if certified:
        tell(f"browsers ask once whether to trust {certified}; its SHA-256 fingerprint is")
        tell(certificate.fingerprint(certified))
    if qr:
        addresses.draw(elsewhere[0], sys.stderr)


def _report(manager: systemd.Manager, url: str, standing: Status) -> None:
    failure = f"; not reloaded: {standing.failure}" if standing.failure else ""
    if standing.reload == UNDER_WAY:
        manager.reloading()
    elif standing.ready:
        manager.ready(f"serving at {url}{failure}")
    else:
        waits = [f"{kind}: {state}" for kind, state in standing.engines.items() if state != READY]
        manager.status(f"{', '.join(waits)}{failure}")


class _Server(uvicorn.Server):
    """Uvicorn, ended our way: it would hang up on new clients and die of the signal."""

    def __init__(
        self, config: uvicorn.Config, app: App, manager: systemd.Manager, url: str
    ) -> None:
        super().__init__(config)
        self._app, self._manager, self._url = app, manager, url
        self._ending = asyncio.Event()
        self._has_terminal = os.isatty(0)

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        async with background(self._drained()), background(self._manager.reassure()):
            await super().serve(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        meant = {signal.SIGINT: self._end, signal.SIGTERM: self._end}
        # Ignored it is by nohup, and should be.
        if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
            meant[signal.SIGHUP] = self._hang_up
        before = {number: signal.getsignal(number) for number in meant}

        def told(number: int, frame: object) -> None:
            loop.call_soon_threadsafe(meant[signal.Signals(number)])

        try:
            for number in before:
                signal.signal(number, told)
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _end(self) -> None:
        if self._ending.is_set():
            self.config.timeout_graceful_shutdown, self.should_exit = 0, True
        self._ending.set()

    def _hang_up(self) -> None:
        if self._has_terminal and not os.isatty(0):
            self._end()  # nobody is left to stop us in another way
        else:
            self._app.reload()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # One line on standard output, for people and for programs that started us.
        with suppress(OSError):  # of a reader who has gone
            print(self._url, flush=True)

    async def _drained(self) -> None:
        """Once we are told to end, let replies end first."""
        await self._ending.wait()
        self._manager.stopping()
        try:
            await self._app.admission.close(DRAIN_S)
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
    """Read what the settings name, before models are loaded for nothing.

    Raises:
        ConfigError: the keys cannot be read, or the certificate cannot be used.
    """
    wanted(settings)
    if not settings.tls_certificate:
        return
    key = settings.tls_key or settings.tls_certificate

    def pass_phrase() -> str:
        raise ConfigError(
            f"[server] {key} needs a pass phrase, and a server is asked for none; "
            f"openssl pkey -in {key} takes it off"
        )

    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.tls_certificate, settings.tls_key or None, pass_phrase)
    except OSError as error:  # which ssl.SSLError is
        files = " and ".join(filter(None, (settings.tls_certificate, settings.tls_key)))
        raise ConfigError(f"[server] {files}: no certificate with its key ({error})") from error


def _url(door: socket.socket, is_safe: bool) -> str:
    host, port = door.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "localhost"
    return f"http{'s' if is_safe else ''}://{f'[{host}]' if ':' in host else host}:{port}"
