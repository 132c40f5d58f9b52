"""Who is served at once: so many and no more, and nobody new once the house closes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .refusals import Refusal

PLACES = 8
"""Requests that engines work for at once. They take turns there: more would not be served sooner,
only wait with their bodies in our memory."""
LINE = 100
"""Requests that wait for a place: a program's batch. Each holds at most 64 kB of its body; the
rest is still the client's."""
PATIENCE_S = 2.0
"""Seconds a request waits for a place before its client is told; most places are left sooner."""
FULL_S = 2
"""Seconds the client is then asked to wait: about what a request takes."""
SESSIONS = 100
"""Conversations at once, unless the settings say otherwise: as many as two cores listen to. With
more, all would hear their answers late, instead of one being asked to come back."""
LEAVES_S = 30
"""Seconds a client is asked to wait for a conversation to end."""
CLOSED_S = 10
"""Seconds a client is asked to wait while we shut down: until we are back, or another is."""


class House:
    def __init__(self, places: int = PLACES) -> None:
        self._places, self._free = places, asyncio.Semaphore(places)
        self._waiting = self._inside = 0
        self.sessions: Counter[str] = Counter()
        """How many conversations there are, by what they speak."""
        self.closing = asyncio.Event()
        """Set once nobody new is let in: sessions end after the reply they are in."""
        self._empty = asyncio.Event()
        self._empty.set()

    @asynccontextmanager
    async def request(self) -> AsyncIterator[None]:
        """A place for the time of a request, once there is one.

        Raises:
            Refusal: none becomes free in time, too many wait, or the house is closing.
        """
        with self._counted():
            await self._place()
            try:
                yield
            finally:
                self._free.release()

    async def _place(self) -> None:
        """Wait for a place, those who came before going first."""
        full = Refusal(
            503,
            f"all {self._places} places are taken; ask again in {FULL_S} s",
            code="full",
            retry_after=FULL_S,
        )
        if self._waiting >= LINE:
            raise full
        self._waiting += 1
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._free.acquire()
        except TimeoutError:
            raise full from None
        finally:
            self._waiting -= 1

    @contextmanager
    def session(self, most: int = SESSIONS, *, speaks: str = "") -> Iterator[None]:
        """The time of a conversation, which the house waits for when it closes.

        Raises:
            Refusal: there are `most` already, or the house is closing.
        """
        if self.sessions.total() >= most:
            raise Refusal(
                503,
                f"all {most} conversations are taken; come back in {LEAVES_S} s",
                code="full",
                retry_after=LEAVES_S,
            )
        with self._counted():
            self.sessions[speaks] += 1
            try:
                yield
            finally:
                self.sessions[speaks] -= 1

    async def close(self, limit: float) -> None:
        """Let nobody in any more, and wait until all have left, at most `limit` seconds.

        Raises:
            TimeoutError: some have not.
        """
        self.closing.set()
        async with asyncio.timeout(limit):
            await self._empty.wait()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        if self.closing.is_set():
            raise _closed()
        self._inside += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()


def _closed() -> Refusal:
    return Refusal(503, "the server is shutting down", code="closing", retry_after=CLOSED_S)


class InHouse:
    """ASGI middleware: a place from before the body is read until the last byte is sent."""

    def __init__(self, app: ASGIApp, house: House) -> None:
        self._app, self._house = app, house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            async with self._house.request():
                await self._app(scope, receive, watched)
        except asyncio.CancelledError:
            if not self._house.closing.is_set():
                raise
            # The server ends before the reply does: that is no failure of anybody's.
            if not begun:
                raise _closed() from None
