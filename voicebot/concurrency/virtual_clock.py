"""An event loop without waiting: what sleeps is woken at once, and finds that it is later."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """Its clock begins at 0 and stands still but for what is waited for, and for real work."""

    def __init__(self) -> None:
        self._clock = _Clock()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now

    async def shutdown_default_executor(self, *timeout: Any) -> None:
        with self.working():  # its threads end when they end
            await super().shutdown_default_executor(*timeout)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Inside, the clock goes as other clocks do: for work that takes as long as it takes."""
        self._clock.begin()
        try:
            yield
        finally:
            self._clock.end()


class _Clock(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self._at, self._since, self._working = 0.0, 0.0, 0

    @property
    def now(self) -> float:
        return self._at + (monotonic() - self._since if self._working else 0.0)

    def begin(self) -> None:
        if not self._working:
            self._since = monotonic()
        self._working += 1

    def end(self) -> None:
        self._at = self.now
        self._since = monotonic()
        self._working -= 1

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self._working:
            return super().select(timeout)
        if timeout is None:
            raise RuntimeError("every task is waiting and nothing can wake them")
        self._at += max(0.0, timeout)
        return super().select(0)
