"""How work overlaps, waits and stops. Nothing else in voicebot starts a thread for a model.

A stage is an async generator: it reads one stream and yields another. Chained stages
take turns, so `ahead` lets a stage work while its reader is busy.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator
from contextlib import aclosing, asynccontextmanager, closing, suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

Stream: TypeAlias = AsyncGenerator[T, None]
"""What every stage yields. Read it inside `aclosing` so that stopping early closes it now."""


@dataclass(frozen=True, slots=True)
class _End:
    error: Exception | None = None


async def _read(queue: asyncio.Queue[T | _End]) -> Stream[T]:
    while not isinstance(item := await queue.get(), _End):
        yield item
    if item.error:
        raise item.error


@asynccontextmanager
async def ahead(source: Stream[T], items: int) -> AsyncIterator[Stream[T]]:
    """Read `source` in a task of its own, at most `items` ahead of our reader (0: no limit).

    The reader sees the same items, then the same error, as if it read `source` itself.
    Leaving the block, however it is left, stops the task and closes `source`.
    """
    queue: asyncio.Queue[T | _End] = asyncio.Queue(items)

    async def fill() -> None:
        end = _End()
        try:
            async with aclosing(source):
                async for item in source:
                    await queue.put(item)
        except Exception as error:  # noqa: BLE001 - the reader raises it
            end = _End(error)
        await queue.put(end)

    async with started(fill()):
        yield _read(queue)


@asynccontextmanager
async def started(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Do `work` in a task of its own beside the block; leaving the block, however, stops it."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        await stop(task)


async def stop(task: asyncio.Task[Any] | None) -> None:
    """Cancel `task` and wait until it has tidied up."""
    if task is not None and not task.done():
        task.cancel()
        await asyncio.wait([task])


class Worker:
    """One thread that owns one model. Calls take turns, first come first served.

    The thread never waits for its reader: a paused engine would be a locked engine. It is a
    daemon thread, because a model that hangs must not keep the process from ending.
    """

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._left = Event()
        Thread(target=self._work, name=name, daemon=True).start()

    @property
    def abandoned(self) -> bool:
        """Nobody reads what the thread is working on: engines that can stop midway poll this."""
        return self._left.is_set()

    async def stream(self, engine: Callable[..., Generator[T]], *args: Any) -> Stream[T]:
        """Yield what the blocking generator `engine(*args)` yields.

        If the reader stops early, the generator is closed at its next yield. Until it
        gets there the next call waits, and nothing more of this one is delivered.
        """
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[T | _End] = asyncio.Queue()
        left = Event()

        def deliver(item: T | _End) -> None:
            with suppress(RuntimeError):  # the loop has closed: nobody is left to tell
                loop.call_soon_threadsafe(queue.put_nowait, item)

        def produce() -> None:
            if left.is_set():
                return
            self._left, end = left, _End()
            try:
                with closing(engine(*args)) as items:
                    for item in items:
                        if left.is_set():
                            return
                        deliver(item)
            except Exception as error:  # noqa: BLE001 - the reader raises it
                end = _End(error)
            deliver(end)

        # In our context, which says what request it is for.
        self._jobs.put(partial(copy_context().run, produce))
        try:
            async with aclosing(_read(queue)) as items:
                async for item in items:
                    yield item
        finally:
            left.set()

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Call the blocking `function(*args)` in the thread and return what it returns."""

        def once() -> Generator[T]:
            yield function(*args)

        async with aclosing(self.stream(once)) as results:
            return await anext(results)

    def close(self, last: Callable[[], None] | None = None) -> None:
        """Let the thread end after the call it is in; what still waits its turn is dropped.

        last: called in the thread before it ends, to tidy up what only it may touch.
        """
        self._left.set()
        while not self._jobs.empty():
            self._jobs.get_nowait()
        if last:
            self._jobs.put(last)
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


async def pulled(source: Generator[T]) -> Stream[T]:
    """Yield what a blocking generator yields, each item made in a thread when it is asked for."""
    worker = Worker("reader")
    done: Any = object()
    try:
        while (item := await worker.run(next, source, done)) is not done:
            yield item
    finally:
        worker.close(source.close)  # in its thread: a generator at work cannot be closed
