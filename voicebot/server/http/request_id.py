"""One id for a request, wherever it is told of."""

from __future__ import annotations

import logging
import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ... import context

log = logging.getLogger(__name__)

_SANE = re.compile(r"[\w.:-]{1,128}", re.ASCII)
"""What a client may call its own request: nothing that could forge a line of a log."""

_HEADS = "http.response.start", "websocket.accept", "websocket.http.response.start"
"""The messages that headers are sent with: of answers, and of websockets opened and denied."""


class RequestIDMiddleware:
    """ASGI middleware: an `x-request-id` on every answer, the client's own if it is a sane one.

    It is `scope["request_id"]` and `context.current()` to whoever serves the request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _SANE.fullmatch(given) else context.new_id()
        scope["request_id"] = request_id

        async def labelled(message: Message) -> None:
            if message["type"] in _HEADS:
                MutableHeaders(scope=message)["x-request-id"] = request_id
                if "status" in message:
                    asked = scope.get("method", "websocket")
                    log.debug("%s %s %d", asked, scope["path"], message["status"])
            await send(message)

        context.begin(request_id)  # to the end of this task: what it died of is logged after us
        return await self._app(scope, receive, labelled)
