"""How work overlaps, waits and stops. Models have their threads here and in `together`.

A stage is an async generator: it reads one stream and yields another. Chained stages
take turns, so `buffered` lets a stage work while its reader is busy.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator
from contextlib import aclosing, asynccontextmanager, closing, suppress
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from math import inf
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, TypeAlias, TypeVar

from .shutdown import working

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
async def buffered(source: Stream[T], items: int) -> AsyncIterator[Stream[T]]:
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

    async with background(fill()):
        yield _read(queue)


@asynccontextmanager
async def background(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Do `work` in a task of its own beside the block; leaving the block, however, stops it."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        await cancel_and_wait(task)


async def cancel_and_wait(task: asyncio.Task[Any] | None) -> None:
    """Cancel `task` and wait until it has tidied up."""
    if task is not None and not task.done():
        task.cancel()
        await asyncio.wait([task])


due: ContextVar[Callable[[], float] | None] = ContextVar("due", default=None)
"""When what is being done here has to be done: the time, on the loop's clock, from which somebody
would hear silence. It is asked anew before every step, for it moves on with what is made; inf
lets everybody else go first. Where nobody sets it, somebody waits and nobody listens: `REQUEST`.
"""

REQUEST = 5.0
"""Seconds that work nobody listens to may be kept waiting in all, before it goes first. More is
for those who talk, less for those who wait for a whole file."""

SWITCH = 0.1
"""A call is parked only for one that is due so many seconds sooner. Less would let two that are
due at about the same time take turns at every step."""

WORTH = 20
"""A call that was gone on with works for so many times as long as going over to it took, before
another that was begun goes on. Less spends more on going over, which is a twentieth now; more lets
others wait."""


@dataclass(slots=True, eq=False)
class _Call:
    """A call of an engine for one reader, made in steps."""

    steps: Generator[None]
    context: Context
    """The reader's, which says what request it is for."""
    clock: Callable[[], float]
    left: Event = field(default_factory=Event)
    """The reader has gone."""
    allowed: float = 0.0
    """Until when it may take, where nobody has said when it is due."""
    begun: bool = False
    worked: float = 0.0
    """Seconds it has worked since it was gone on with."""

    def __post_init__(self) -> None:
        self.allowed = self.clock() + REQUEST

    def when(self) -> float:
        """When it has to be done; at once if it only has to be closed."""
        if self.left.is_set():
            return -inf
        told = self.context.get(due)
        return told() if told else self.allowed

    def step(self) -> bool:
        """Go on to the next yield; whether there is more to do."""
        began = self.clock()
        with working():
            more = self.context.run(next, self.steps, self) is not self
        took = self.clock() - began
        self.begun = True
        self.worked += took
        self.allowed += took  # only waiting makes it more urgent
        return more


class Worker:
    """One thread that owns one model. Of the calls that wait, it makes the one due soonest.

    A call is an engine's generator, and a step of it is what it does up to a yield. If `parks`,
    the calls of an engine may overlap: before each step the thread looks which call is due
    soonest, and one that is not stays parked at its yield meanwhile. Otherwise a call, once
    begun, is made to its end. Of calls due at the same time the one that came first is made;
    and nothing starves, because whatever comes later is due later in the end. A call that goes on
    keeps the thread for at least WORTH times what going over cost, except from a call that has not
    begun: several at once take as long together as one after the other.

    The thread never waits for a reader: a paused engine would be a locked engine. What waits here
    is bounded all the same: a conversation has one call for each stage of its one turn, and the
    reader of a call is owed no more than that call makes, which is a reply or a clause's sound.
    What its reader has left is closed at the next step of any.

    It is a daemon thread, because a model that hangs must not keep the process from ending.
    """

    def __init__(self, name: str, *, parks: bool = False) -> None:
        """parks: the engine's generators bear that others run between two of their steps."""
        self._parks = parks
        self._came: SimpleQueue[_Call | None] = SimpleQueue()
        self._left = Event()
        self._closed = False
        self.calls = 0
        """Those that somebody reads: one is made, or a few in turns, and the others wait."""
        self.switch_s = 0.0
        """Seconds that going over from one begun call to another took last, as the engine says."""
        self._last: Callable[[], None] | None = None
        Thread(target=self._work, name=name, daemon=True).start()

    @property
    def abandoned(self) -> bool:
        """Nobody reads what the thread is working on: engines that can stop midway poll this."""
        return self._closed or self._left.is_set()

    async def stream(self, engine: Callable[..., Generator[T | None]], *args: Any) -> Stream[T]:
        """Yield what the blocking generator `engine(*args)` yields, but for None.

        None is for a place where the engine has nothing to tell and may be stopped or parked.
        If the reader stops early, the generator is closed at its next yield, and nothing more
        of it is delivered.
        """
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[T | _End] = asyncio.Queue()

        def deliver(item: T | _End) -> None:
            with suppress(RuntimeError):  # the loop has closed: nobody is left to tell
                loop.call_soon_threadsafe(queue.put_nowait, item)

        def steps() -> Generator[None]:
            end = _End()
            try:
                if call.left.is_set():
                    return
                with closing(engine(*args)) as items:
                    for item in items:
                        if item is not None:
                            deliver(item)
                        yield
                        if call.left.is_set():
                            return
            except Exception as error:  # noqa: BLE001 - the reader raises it
                end = _End(error)
            deliver(end)

        call = _Call(steps(), copy_context(), loop.time)
        self._came.put(call)
        self.calls += 1
        try:
            async with aclosing(_read(queue)) as items:
                async for item in items:
                    yield item
        finally:
            self.calls -= 1
            call.left.set()

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Call the blocking `function(*args)` in the thread and return what it returns."""

        def once() -> Generator[tuple[T]]:
            yield (function(*args),)

        async with aclosing(self.stream(once)) as results:
            (result,) = await anext(results)
            return result

    def close(self, last: Callable[[], None] | None = None) -> None:
        """Let the thread end after the step it is in; what is parked is closed, what waits dropped.

        last: called in the thread before it ends, to tidy up what only it may touch.
        """
        self._last, self._closed = last, True
        self._came.put(None)

    def _work(self) -> None:
        calls: list[_Call] = []  # begun or not, in the order they came
        running: _Call | None = None
        while self._take_in(calls):
            before, running = running, self._soonest(calls, running)
            if running is not before:
                running.worked = 0.0
            self._left = running.left
            if not running.step():
                calls.remove(running)
                running = None
        for call in calls:
            call.context.run(call.steps.close)
        if self._last:
            self._last()

    def _take_in(self, calls: list[_Call]) -> bool:
        """Add what has come, waiting if there is nothing to do; false once we are closed."""
        while not calls or not self._came.empty():
            if (call := self._came.get()) is None:
                return False
            calls.append(call)
        return not self._closed

    def _soonest(self, calls: list[_Call], running: _Call | None) -> _Call:
        """The call to go on with; `running`, if any, unless another is due clearly sooner."""
        if running and not self._parks:
            return running
        soonest = min(calls, key=_Call.when)
        if not running or running.left.is_set() or soonest.left.is_set():
            return soonest
        if soonest.when() >= running.when() - SWITCH:
            return running
        slice_s = max(self.switch_s, min(WORTH * self.switch_s, REQUEST))
        return running if soonest.begun and running.worked < slice_s else soonest


async def pulled(source: Generator[T]) -> Stream[T]:
    """Yield what a blocking generator yields, each item made in a thread when it is asked for."""
    worker = Worker("reader")
    done: Any = object()
    try:
        while (item := await worker.run(next, source, done)) is not done:
            yield item
    finally:
        worker.close(source.close)  # in its thread: a generator at work cannot be closed
