"""What becomes of a body that is refused before it was read."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LINGER_S = 1.0
"""Seconds that we go on reading once we have answered. A client hung up on while it sends may
never read the answer; one that has read it may send for hours."""


class UnreadBodyMiddleware:
    """ASGI middleware: an answer to a body that was not read to its end closes the connection.

    Uvicorn would read the body to its end, however long it is, to get at the next request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        more = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
        closes = answered = False

        async def reading() -> Message:
            nonlocal more
            message = await receive()
            more = more and bool(message.get("more_body"))
            return message

        async def answering(message: Message) -> None:
            nonlocal closes, answered
            if message["type"] == "http.response.start" and more:
                closes = True
                MutableHeaders(scope=message)["connection"] = "close"
            elif closes and not message.get("more_body"):
                answered = True
                message = {**message, "more_body": True}
            await send(message)

        await self._app(scope, reading, answering)
        if answered:
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER_S):
                    while more:
                        await reading()
            await send({"type": "http.response.body"})
