"""The traces of clients, continued by what we do for them."""

from __future__ import annotations

from opentelemetry import context, propagate
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...observability import genai


class TracingMiddleware:
    """ASGI middleware: what a request with a `traceparent` asks for belongs to its trace.

    A request over HTTP is a span of it; a conversation over a websocket has one for each turn,
    which its observer makes. Requests that tell of no trace get none.
    """

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app, self._tracer = app, tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or "traceparent" not in (headers := Headers(scope=scope)):
            return await self._app(scope, receive, send)
        context.attach(propagate.extract(dict(headers)))  # to the end of this task
        if scope["type"] == "websocket":
            return await self._app(scope, receive, send)
        return await self._request(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        with self._tracer.start_as_current_span(
            method,
            kind=SpanKind.SERVER,
            attributes={genai.METHOD: method},
            record_exception=False,  # the log tells of it
        ) as span:

            async def watched(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute(genai.STATUS, message["status"])
                    if message["status"] >= 500:
                        span.set_attribute(genai.ERROR, str(message["status"]))
                        span.set_status(Status(StatusCode.ERROR))
                await send(message)

            try:
                await self._app(scope, receive, watched)
            finally:
                # Those within have told what they know in the scope by now.
                if path := getattr(scope.get("route"), "path", None):
                    span.update_name(f"{method} {path}")
                    span.set_attribute(genai.ROUTE, path)
                span.set_attribute(genai.REQUEST, scope.get("request_id", ""))
