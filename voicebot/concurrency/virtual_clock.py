"""An event loop without waiting: what sleeps is woken at once, and finds that it is later."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any


class VirtualClock(selectors.DefaultSelector):
    """Counts the seconds that a loop would have waited. Each loop has one of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._at, self._since, self._working = 0.0, 0.0, 0

    @property
    def now(self) -> float:
        """Seconds since its beginning."""
        return self._at + (monotonic() - self._since if self._working else 0.0)

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self._at += seconds

    def begin(self) -> None:
        """From here to `end` it goes as other clocks do."""
        if not self._working:
            self._since = monotonic()
        self._working += 1

    def end(self) -> None:
        """End what `begin` has begun."""
        self._at = self.now
        self._since = monotonic()
        self._working -= 1

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for nothing: what has arrived, or else nothing, `timeout` seconds later."""
        if self._working:
            return super().select(timeout)
        # Over a Unix socket, what was sent has arrived before time passes.
        if arrived := super().select(0):
            return arrived
        if timeout is None:
            raise RuntimeError("every task is waiting and nothing can wake them")
        self._at += max(0.0, timeout)
        return []


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """Its clock begins at 0 and stands still but for what is waited for, and for real work."""

    def __init__(self, clock: VirtualClock | None = None) -> None:
        self._virtual = clock or VirtualClock()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._virtual.now

    def blocked(self, seconds: float) -> None:
        """Let time pass in which nothing on the loop runs, as on a busy machine."""
        self._virtual.advance(seconds)

    async def shutdown_default_executor(self, *timeout: Any) -> None:
        """As every loop does, in real time: its threads end when they end."""
        with self.working():
            await super().shutdown_default_executor(*timeout)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Inside, the clock goes as other clocks do: for work that takes as long as it takes."""
        self._virtual.begin()
        try:
            yield
        finally:
            self._virtual.end()
