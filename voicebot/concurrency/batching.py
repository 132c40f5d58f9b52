"""Work that is done for many at once: a list of what they asked for in one turn of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")
R = TypeVar("R")


class MicroBatcher(Generic[T, R]):
    """Does at once, on the event loop, what many ask for in one turn of it.

    For work that takes less time than handing it to another thread would.
    """

    def __init__(self, work: Callable[[list[T]], list[R]], most: int) -> None:
        """work: does all of a list of at most `most`, and returns what came of each, in order."""
        self._work, self._most = work, most
        self._asked: WeakKeyDictionary[
            asyncio.AbstractEventLoop, list[tuple[T, asyncio.Future[R]]]
        ] = WeakKeyDictionary()

    async def do(self, item: T) -> R:
        """What came of `item`. Raises what `work` raised over the list it was on."""
        loop = asyncio.get_running_loop()
        asked = self._asked.setdefault(loop, [])
        if not asked:
            loop.call_soon(self._run, loop, asked)
        future: asyncio.Future[R] = loop.create_future()
        asked.append((item, future))
        return await future

    def _run(
        self, loop: asyncio.AbstractEventLoop, asked: list[tuple[T, asyncio.Future[R]]]
    ) -> None:
        now = asked[: self._most]
        del asked[: self._most]
        if asked:  # after what else the loop has to do
            loop.call_soon(self._run, loop, asked)
        now = [(item, future) for item, future in now if not future.done()]  # they have gone
        if not now:
            return
        try:
            done = self._work([item for item, _ in now])
        except Exception as error:  # noqa: BLE001 - those who asked raise it
            for _, future in now:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), result in zip(now, done, strict=True):
            if not future.done():  # Ctrl-C cancels the main task from a signal handler, in mid-work
                future.set_result(result)
