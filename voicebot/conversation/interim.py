"""What is being said, recognised while it is still being said, for whoever reads along.

Nothing a turn does depends on it, and it hardly keeps a turn waiting: it takes a tenth of the
engine at most, and is dropped at the first pause, where the turn's own recognition begins.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from math import inf

from ..audio import Audio
from ..concurrency.worker import cancel_and_wait, due
from ..errors import EngineError
from .endpointing import Endpointer

log = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds of speech between two, where the engine is quick. More lags behind the speaker; less
shows words that are taken back again."""
REST = 10.0
"""Seconds of speech between two for each second that the last took. More lags behind; less keeps
other conversations waiting for the engine."""


class InterimTranscripts:
    """Recognises what has been said so far, now and then, one at a time."""

    def __init__(
        self, recognise: Callable[[Audio], Awaitable[None]], tasks: asyncio.TaskGroup
    ) -> None:
        """recognise: understands what was said, and tells it; stopped where it is by cancelling."""
        self._recognise, self._tasks = recognise, tasks
        self._task: asyncio.Task[None] | None = None
        self._due = 0.0  # on the listener's clock

    def follow(self, listener: Endpointer) -> None:
        """Another window was heard: begin, if it is time to."""
        if self._task or listener.now < self._due or listener.speaking < EVERY:
            return
        self._due = listener.now + EVERY
        self._task = self._tasks.create_task(self._once(listener.so_far(), listener.now))

    async def stop(self) -> None:
        """Leave the engine to others."""
        await cancel_and_wait(self._task)
        self._task = None

    async def _once(self, audio: Audio, now: float) -> None:
        due.set(lambda: inf)
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            await self._recognise(audio)
        except EngineError as error:  # if it matters, the turn will meet it too
            log.debug("no interim transcript: %s", error)
        finally:
            self._due = max(self._due, now + REST * (loop.time() - began))
            self._task = None
