"""Engines beside the usual ones, each loaded when somebody first asks for it by its name."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from .. import engines
from ..engines import Kind
from ..errors import EngineError, VoicebotError
from ..observability.provenance import Chosen, revision
from . import probe

log = logging.getLogger(__name__)

AGAIN_S = 5.0
"""Seconds after a failure until it is tried again: less would spend a server on one bad file."""


_FOLDERS = re.compile(r"(?<![^\s'\"(])(?:/|[A-Za-z]:\\)[^\s'\";,]*[/\\]")
"""The beginning of an absolute path, as far as its last part."""


class Unavailable(EngineError):
    """A model that can be chosen cannot be loaded; the reason says why, and the way out."""

    kind = "unavailable"


class OnDemand:
    """One engine. It is loaded in a thread, once, for all who ask for it meanwhile.

    chosen: finds out which engine that is, and with which weights; raises VoicebotError where they
        are not here. It is asked whenever the engine is to be loaded: weights may come later.
    load: builds it.
    model: the weights as the settings name them.
    """

    def __init__(
        self,
        kind: Kind,
        name: str,
        engine: str,
        chosen: Callable[[], Chosen],
        load: Callable[[Any], Any],
        *,
        model: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.kind, self.name, self.engine_name = kind, name, engine
        self.choose, self._load, self._clock = chosen, load, clock
        self._lock = Lock()
        self._coming: Future[Any] | None = None
        self._failed_at = 0.0
        self._probe: probe.Probe | None = None
        self.loaded_as: Chosen | None = None
        """What it was loaded from, once it is."""
        self._commit = ""
        self._model, self._weights = Path(model).name, ""
        self._closed = False

    @property
    def weights(self) -> tuple[str, ...]:
        """What its weights are called: by the settings, and by themselves once they are here."""
        if not self._weights and (chosen := self.chosen):
            self._weights = revision(chosen).model
        return tuple(name for name in (self._model, self._weights) if name)

    @property
    def failure(self) -> str:
        """Why it could not be loaded; empty if it could, or was not asked for."""
        coming = self._coming
        error = coming.exception() if coming and coming.done() else None
        return error.reason if isinstance(error, Unavailable) else ""

    @property
    def chosen(self) -> Chosen | None:
        """Which engine it is, as far as its weights are here."""
        try:
            return self.choose()
        except VoicebotError:
            return None

    @property
    def loaded(self) -> Any:
        """The engine; None as long as it has not been loaded."""
        coming = self._coming
        done = coming and coming.done() and not coming.exception()
        return coming.result() if coming and done else None

    def is_same(self, other: OnDemand) -> bool:
        """Whether the other, of the same name, would be loaded from the same weights as this."""
        mine, others = self.chosen, other.chosen
        if not (mine and others) or mine != others:
            return False
        # Weights may have been pulled anew, to the same place.
        return not self.loaded_as or self._commit == revision(others).commit

    def __str__(self) -> str:
        try:
            return f"{self.name}: {self.choose()}, loaded once it is asked for"
        except VoicebotError as error:
            return f"{self.name}: {error}"

    async def get(self) -> Any:
        """The engine, once it is loaded. Who leaves meanwhile does not stop it for others.

        Raises:
            Unavailable: it cannot be loaded.
        """
        # A future that a thread is at work for cannot be cancelled by one of those who wait.
        return await asyncio.wrap_future(self._begun())

    def close(self) -> None:
        """Close the engine, or have it closed once it is loaded."""
        with self._lock:
            self._closed = True
            if self._probe:
                self._probe.kill()
        _close(self.loaded)

    def _begun(self) -> Future[Any]:
        with self._lock:
            if self._closed:
                raise Unavailable(self.kind, f"{self.name} has been closed")
            failed = self._coming and self._coming.done() and self._coming.exception()
            if self._coming is None or (failed and self._clock() - self._failed_at >= AGAIN_S):
                coming: Future[Any] = Future()
                self._coming = coming
                coming.set_running_or_notify_cancel()
                Thread(target=self._work, args=(coming,), name=self.name, daemon=True).start()
            return self._coming

    def _work(self, coming: Future[Any]) -> None:
        began = self._clock()
        try:
            engine = self._tried()
        except Exception as error:  # noqa: BLE001 - whoever asked for it is told
            self._failed_at = self._clock()
            coming.set_exception(self._failure(error))
            return
        with self._lock:
            if not self._closed:
                log.info("%s is loaded, in %.1f s", self.name, self._clock() - began)
                coming.set_result(engine)
                return
        _close(engine)
        coming.set_exception(Unavailable(self.kind, f"{self.name} has been closed"))

    def _tried(self) -> Any:
        """The engine, whose first request was made in a child process, unless it was before."""
        chosen, known = self.choose(), probe.known()
        if engines.find(self.kind, chosen.name).native and not known.has(chosen):
            with closing(probe.Probe(chosen)) as trial:
                with self._lock:
                    self._probe = trial
                    if self._closed:
                        trial.kill()
                failure = trial.failure()
                with self._lock:
                    self._probe = None
            if failure:
                raise EngineError(self.kind, failure.reason)
            known.add(chosen)
        self._commit, self.loaded_as = revision(chosen).commit, chosen
        return self._load(chosen)

    def _failure(self, error: Exception) -> Unavailable:
        if isinstance(error, EngineError):
            reason = error.reason
        elif isinstance(error, VoicebotError):
            reason = str(error).removeprefix(f"[{self.kind}] ")
        else:  # an engine of anybody's own may raise anything
            log.error("%s failed while it was loaded", self.name, exc_info=error)
            return Unavailable(self.kind, f"{self.name} cannot be loaded; the log says why")
        if not self._closed:
            log.warning("%s cannot be loaded: %s", self.name, reason)
        # Strangers may ask for it: of this machine's folders they are told no more than the last.
        brief = _FOLDERS.sub("", reason)
        return Unavailable(self.kind, f"{self.name} cannot be loaded: {brief}")


def _close(engine: Any) -> None:
    if close := getattr(engine, "close", None):
        close()


class OnDemandEngines:
    """All the engines beside the usual ones, in the order of the settings."""

    def __init__(self, models: Sequence[OnDemand] = ()) -> None:
        self._models = models

    def __iter__(self) -> Iterator[OnDemand]:
        return iter(self._models)

    def of(self, kind: Kind) -> list[OnDemand]:
        return [model for model in self._models if model.kind == kind]

    def named(self, kind: Kind, name: str) -> OnDemand | None:
        """The one of that name, in whatever case."""
        named = (each for each in self.of(kind) if each.name.lower() == name.lower())
        return next(named, None)
