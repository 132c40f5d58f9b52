"""When each boundary of a turn was crossed, and when a stage has kept us waiting too long."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

from ..errors import EngineError
from ..flow import Stream, T

_DONE: Any = object()


class Timeline:
    """Seconds since the user stopped speaking, by boundary name.

    late: how long ago that was. The end of speech is only known after the silence
    that proves it, so a turn starts with that silence already on the clock.
    patience: seconds an engine may go without giving anything.
    """

    def __init__(self, late: float, patience: float) -> None:
        self._zero = asyncio.get_running_loop().time() - late
        self._patience = patience
        self.marks: dict[str, float] = {}

    def mark(self, name: str) -> None:
        """Record `name` the first time it happens."""
        self.marks.setdefault(name, asyncio.get_running_loop().time() - self._zero)

    async def timed(self, stage: str, source: Stream[T]) -> Stream[T]:
        """Pass `source` through, marking `stage.first` and `stage.last`."""
        async with aclosing(self._patient(stage, source)) as items:
            async for item in items:
                self.mark(f"{stage}.first")
                yield item
        self.marks.pop(f"{stage}.last", None)  # the last of several clauses counts
        self.mark(f"{stage}.last")

    async def _patient(self, stage: str, source: Stream[T]) -> Stream[T]:
        async with aclosing(source):
            while True:
                try:
                    async with asyncio.timeout(self._patience):
                        item = await anext(source, _DONE)
                except TimeoutError:
                    reason = f"nothing came for {self._patience:g} s"
                    raise EngineError(stage, reason) from None
                if item is _DONE:
                    return
                yield item
