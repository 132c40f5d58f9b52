"""The server as an ASGI application, which outlives its engines and its settings."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from starlette.types import ASGIApp, Receive, Scope, Send

from ..assistant.assembly import EngineSet
from ..assistant.warmup import Warmup
from ..concurrency.worker import Worker, background
from ..config import ServerSettings
from ..errors import VoicebotError
from .admission import AdmissionControl
from .auth.keys import Keys, wanted
from .hot_swap import HotSwap
from .routes import DONE, FAILED, NONE, UNDER_WAY, SharedState, Status, site

log = logging.getLogger(__name__)

Again: TypeAlias = Callable[[EngineSet], tuple[EngineSet, ServerSettings]]
"""Given the engines of now, what the settings mean meanwhile. It may take its time, and raise
VoicebotError where they cannot be followed."""


@dataclass(frozen=True, slots=True, eq=False)
class _Generation:
    """Engines, and the application before them."""

    parts: EngineSet
    keys: Keys | None
    """What opens it; None where it is open."""
    site: ASGIApp
    warmth: Warmup


def create(
    parts: EngineSet,
    settings: ServerSettings,
    *,
    again: Again | None = None,
    on_change: Callable[[Status], None] = lambda standing: None,
) -> App:
    """The application that serves these engines, which it owns from now on: `close` closes them.

    again: what is done when it is told to reload; left out, engines and settings are the same.
    news: called in the event loop whenever its standing may have changed.

    Raises:
        ConfigError: the keys cannot be read.
    """
    with ExitStack() as undoing:
        undoing.callback(parts.close)
        app = App(parts, settings, again or (lambda now: (now, settings)), on_change)
        undoing.pop_all()
    return app


class App:
    """Serves each request and each conversation with the engines and settings it began with.

    Those that a reload has replaced are closed when the last that uses them is over. So a
    conversation that goes on for hours keeps an engine in memory for hours.
    """

    def __init__(
        self,
        parts: EngineSet,
        settings: ServerSettings,
        again: Again,
        on_change: Callable[[Status], None],
    ) -> None:
        self._again, self._told = again, on_change
        self._lasting = SharedState()
        self._reload = NONE
        self._asked = asyncio.Event()
        warmth = Warmup(parts, on_change=self._on_change)
        first = self._generation(parts, settings, warmth)
        self._generations = HotSwap(first, self._returned)

    @property
    def admission(self) -> AdmissionControl:
        """Who is inside. It is told when to close."""
        return self._lasting.admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            with self._generations.lease() as generation:
                await generation.site(scope, receive, send)

    def standing(self) -> Status:
        warmth = self._generations.current.warmth
        is_open = warmth.ready and not self.admission.closing.is_set()
        return Status(is_open, warmth.states.copy(), self._reload)

    def reload(self) -> None:
        """Follow what the settings say now, if that can be done; else all stays as it is."""
        self._asked.set()

    def close(self) -> None:
        """Close all engines, in use or not."""
        with ExitStack() as closing:
            parts = [generation.parts for generation in self._generations.used]
            for at, each in enumerate(parts):
                closing.callback(each.close, but=parts[:at])

    async def _live(self, receive: Receive, send: Send) -> None:
        """What is done from before the first request until after the last."""
        await receive()
        async with background(self._attend()), background(self._lasting.metrics.watch_loop()):
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _attend(self) -> None:
        """Get the engines to answer, and exchange them when told to."""
        while True:
            async with background(self._generations.current.warmth.warm()):
                await self._asked.wait()
                self._asked.clear()
                await self._follow()

    async def _follow(self) -> None:
        self._note(UNDER_WAY)
        try:
            new = await self._next()
        except VoicebotError as error:
            log.error("not reloaded: %s", error)
            self._note(f"{FAILED}{error}")
        except Exception:  # an engine of anybody's own may raise anything
            log.exception("not reloaded: an engine failed")
            self._note(f"{FAILED}the log says why")
        else:
            self._generations.exchange(new)
            if new.keys:
                self._lasting.follow(new.keys)
            log.info("reloaded: %s", "; ".join(new.parts.describe()))
            self._note(DONE)

    async def _next(self) -> _Generation:
        """The next generation, once its new engines have answered."""
        now = self._generations.current
        worker = Worker("reload")
        try:
            with ExitStack() as undoing:
                parts, settings = await worker.run(self._again, now.parts)
                undoing.callback(parts.close, but=[now.parts])
                warmth = Warmup(parts, now.warmth.states, self._on_change)
                new = await worker.run(self._generation, parts, settings, warmth)
                await warmth.require(parts.new(now.parts))
                undoing.pop_all()
        finally:
            worker.close()
        return new

    def _generation(
        self, parts: EngineSet, settings: ServerSettings, warmth: Warmup
    ) -> _Generation:
        """Raises: ConfigError: the keys cannot be read."""
        keys = wanted(settings)
        follows = site(parts, settings, keys, self._lasting, self.standing)
        return _Generation(parts, keys, follows, warmth)

    def _returned(self, old: _Generation, used: list[_Generation]) -> None:
        # Elsewhere: what has been in memory for long may take its time to leave it.
        close = partial(old.parts.close, but=[generation.parts for generation in used])
        asyncio.get_running_loop().run_in_executor(None, close)

    def _note(self, reload: str) -> None:
        self._reload = reload
        self._on_change()

    def _on_change(self) -> None:
        self._told(self.standing())
