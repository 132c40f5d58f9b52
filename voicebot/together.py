"""Work that is done for many at once: one thread, and lists of what they asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

from .ending import working

T = TypeVar("T")
R = TypeVar("R")


class Together(Generic[T, R]):
    """One thread that does at once what many have asked for while it was busy."""

    def __init__(self, name: str, work: Callable[[list[T]], list[R]], most: int) -> None:
        """work: does all of a list of at most `most`, and returns what came of each, in order."""
        self._work, self._most = work, most
        self._asked: SimpleQueue[tuple[T, asyncio.Future[R]]] = SimpleQueue()
        Thread(target=self._run, name=name, daemon=True).start()

    async def do(self, item: T) -> R:
        """What came of `item`. Raises what `work` raised over the list it was on."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._asked.put((item, future))
        return await future

    def _run(self) -> None:
        while True:
            asked = [self._asked.get()]
            while len(asked) < self._most and not self._asked.empty():
                asked.append(self._asked.get())
            futures = [future for _, future in asked]
            done: list[R] | Exception
            try:
                with working():
                    done = self._work([item for item, _ in asked])
            except Exception as error:  # noqa: BLE001 - those who asked raise it
                done = error
            for loop in {future.get_loop() for future in futures}:
                with suppress(RuntimeError):  # the loop has closed: nobody is left to tell
                    loop.call_soon_threadsafe(_tell, loop, futures, done)


def _tell(
    loop: asyncio.AbstractEventLoop, futures: list[asyncio.Future[R]], done: list[R] | Exception
) -> None:
    """What was done, to those who wait for it in this loop."""
    for at, future in enumerate(futures):
        if future.get_loop() is not loop or future.done():
            continue  # another loop's, or whoever asked has gone
        if isinstance(done, Exception):
            future.set_exception(done)
        else:
            future.set_result(done[at])
