"""Answers that are sent while they are made, and what happens when nobody takes them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from ...concurrency.worker import Stream, background
from ...errors import EngineError
from ..errors import ApiError, error

T = TypeVar("T")

log = logging.getLogger(__name__)

STALLED_S = 30.0
"""Seconds a client may take nothing before it is given up: it holds a place that others want."""


class CancellableStreamingResponse(StreamingResponse):
    """A body made piece by piece; whoever makes it is stopped as soon as the client goes.

    closing: what is to be tidied up once it is over, however it ends.
    """

    def __init__(
        self,
        content: AsyncGenerator[bytes],
        media_type: str,
        headers: Mapping[str, str],
        closing: AsyncExitStack,
    ) -> None:
        super().__init__(content, headers=headers, media_type=media_type)
        self._content, self._closing = content, closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._closing, aclosing(self._content):
            try:
                await super().__call__(scope, receive, send)
            except (EngineError, ApiError, _ClientStalled) as failure:
                # Too late for a status. The body ends in the middle, and so the client knows.
                log.warning("%s", failure)

    async def stream_response(self, send: Send) -> None:
        async def patiently(message: Message) -> None:
            try:
                async with asyncio.timeout(STALLED_S):
                    await send(message)
            except TimeoutError as failure:
                raise _ClientStalled(f"the client took nothing for {STALLED_S:g} s") from failure

        await super().stream_response(patiently)


class _ClientStalled(Exception):
    pass


async def events(objects: Stream[dict[str, Any]], last: str = "") -> Stream[bytes]:
    """Each object as a server-sent event, an engine's failure as one more; then `last`."""
    try:
        async with aclosing(objects):
            async for item in objects:
                yield _event(json.dumps(item, ensure_ascii=False))
    except EngineError as failure:
        yield _event(json.dumps(error(str(failure), 500, code=f"{failure.stage}_failed")))
        return
    except ApiError as refused:  # a limit that was reached on the way
        yield _event(json.dumps(error(str(refused), refused.status, code=refused.code)))
        return
    if last:
        yield _event(last)


def _event(data: str) -> bytes:
    return f"data: {data}\n\n".encode()


async def begun(request: Request, stream: Stream[T], closing: AsyncExitStack) -> Stream[T]:
    """The same stream once its first item is there, so that what fails before it has a status.

    Raises:
        ClientDisconnect: the client has gone meanwhile, and so has the stream.
    """
    held = await closing.enter_async_context(aclosing(_held(stream)))
    async with _while_here(request):
        await anext(held)
    return held


@asynccontextmanager
async def _while_here(request: Request) -> AsyncIterator[None]:
    """What is in the block is stopped when the client goes. It stays in its task, which a stream
    that is read on behind the block may rely on.

    Raises:
        ClientDisconnect: it has gone.
    """
    try:
        async with asyncio.timeout(None) as limit, background(_gone(request)) as watch:

            def leave(watch: asyncio.Task[None]) -> None:
                if not watch.cancelled():
                    limit.reschedule(0.0)

            watch.add_done_callback(leave)
            yield
    except TimeoutError:
        if limit.expired():
            raise ClientDisconnect from None
        raise


async def _held(stream: Stream[T]) -> Stream[Any]:
    nothing: Any = object()
    async with aclosing(stream):
        first = await anext(stream, nothing)
        yield nothing  # what is above runs before anybody reads
        if first is nothing:
            return
        yield first
        async for item in stream:
            yield item


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives; it is stopped when the client goes.

    Raises:
        ClientDisconnect: it has gone.
    """
    async with background(work) as task, background(_gone(request)) as watch:
        await asyncio.wait([task, watch], return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
