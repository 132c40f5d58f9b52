"""Who is served at once: so many and no more, and nobody new once the house closes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .client_networks import network
from .errors import ApiError
from .memory_budget import MemoryBudget

PLACES = 8
"""Requests of one client that engines work for at once. They take turns there: more would not be
served sooner, only wait with their bodies in our memory."""
SPARE = 2
"""Places beside those: whoever takes all that one client may have leaves others these."""
LINE = 100
"""Requests of one client that wait for a place: a program's batch. Each holds at most 64 kB of its
body; the rest is still the client's. All clients together may have twice as many waiting."""
QUEUE_TIMEOUT_S = 2.0
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


class AdmissionControl:
    """Decides which requests and sessions are served, which wait in line, and which are refused."""

    def __init__(self, places: int = PLACES) -> None:
        """places: that one client may have."""
        self._each, self._all = places, places + SPARE
        self._held: Counter[str] = Counter()
        """Places, by the client that has them."""
        self._line: list[tuple[str, asyncio.Future[None]]] = []
        self._inside = 0
        self.memory = MemoryBudget()
        """What conversations hold."""
        self.sessions: Counter[str] = Counter()
        """How many conversations there are, by what they speak."""
        self.closing = asyncio.Event()
        """Set once nobody new is let in: sessions end after the reply they are in."""
        self._empty = asyncio.Event()
        self._empty.set()

    @asynccontextmanager
    async def request(self, client: str = "") -> AsyncIterator[None]:
        """A place for the time of a request, once there is one.

        client: whose it is: a key or an address.

        Raises:
            ApiError: none becomes free in time, too many wait, or the house is closing.
        """
        with self._counted():
            await self._place(client)
            try:
                yield
            finally:
                self._leave(client)

    async def _place(self, client: str) -> None:
        """Wait for a place, those who came before going first."""
        if self._may_enter(client):
            self._held[client] += 1
            return
        full = ApiError(
            503,
            f"all {self._each} places are taken; ask again in {FULL_S} s",
            code="full",
            retry_after=FULL_S,
        )
        waiting = sum(client == other for other, _ in self._line)
        if waiting >= LINE or len(self._line) >= 2 * LINE:
            raise full
        turn = client, asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            async with asyncio.timeout(QUEUE_TIMEOUT_S):
                await turn[1]
        except BaseException as error:
            if turn in self._line:
                self._line.remove(turn)
            else:  # the place came as we left
                self._leave(client)
            if isinstance(error, TimeoutError):
                raise full from None
            raise

    def _may_enter(self, client: str) -> bool:
        return self._held.total() < self._all and self._held[client] < self._each

    def _leave(self, client: str) -> None:
        self._held[client] -= 1
        if not self._held[client]:
            del self._held[client]
        for turn in [*self._line]:
            waits, place = turn
            if self._may_enter(waits) and not place.done():
                self._held[waits] += 1
                self._line.remove(turn)
                place.set_result(None)

    @contextmanager
    def session(self, most: int = SESSIONS, *, speaks: str = "") -> Iterator[None]:
        """The time of a conversation, which the house waits for when it closes.

        Raises:
            ApiError: there are `most` already, or the house is closing.
        """
        if self.sessions.total() >= most:
            raise ApiError(
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


def _closed() -> ApiError:
    return ApiError(503, "the server is shutting down", code="closing", retry_after=CLOSED_S)


def client_of(scope: Scope) -> str:
    """Whose request it is: that of a key, or else of an address."""
    key: str = scope.get("key", "")
    return key or network((scope.get("client") or ("", 0))[0])


class AdmissionMiddleware:
    """ASGI middleware: a place from before the body is read until the last byte is sent."""

    def __init__(self, app: ASGIApp, admission: AdmissionControl) -> None:
        self._app, self._admission = app, admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            async with self._admission.request(client_of(scope)):
                await self._app(scope, receive, watched)
        except asyncio.CancelledError:
            if not self._admission.closing.is_set():
                raise
            # The server ends before the reply does: that is no failure of anybody's.
            if not begun:
                raise _closed() from None
