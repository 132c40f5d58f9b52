"""`/metrics`, and the counting of answers.

scrape_configs:
  - job_name: voicebot
    static_configs: [{targets: ["localhost:8124"]}]
    # Where the server has keys, this needs one as everything else does that costs or tells:
    authorization: {credentials_file: /etc/prometheus/voicebot-key}
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..assistant.assembly import EngineSet
from ..concurrency.worker import Worker
from ..engines import Kind
from ..observability.metrics import MEDIA_TYPE, OTHER, Metrics
from .admission import AdmissionControl

_BEGINS = ("http.response.start", "websocket.http.response.start", "websocket.accept")
_COMPUTING: tuple[Kind, ...] = ("stt", "llm", "tts")


def route(metrics: Metrics, parts: EngineSet, admission: AdmissionControl) -> Route:
    async def page(request: Request) -> Response:
        sessions = {
            speaks: admission.sessions[speaks] for speaks in ("talk", "realtime", "responses")
        }
        text = await metrics.page(sessions, _calls(parts), _windows(parts))
        return Response(text, headers={"content-type": MEDIA_TYPE})

    return Route("/metrics", page)


def _calls(parts: EngineSet) -> dict[str, int]:
    """How many calls each engine has that computes in this process."""
    workers = {name: getattr(engine, "worker", None) for name, engine in _engines(parts).items()}
    return {name: worker.calls for name, worker in workers.items() if isinstance(worker, Worker)}


def _engines(parts: EngineSet) -> dict[str, Any]:
    """Those that are loaded, the usual ones by their kinds, the further ones as "stt/NAME"."""
    usual: dict[str, Any] = {kind: parts.engine(kind) for kind in _COMPUTING}
    return usual | {
        f"{model.kind}/{model.name}": model.loaded for model in parts.further if model.loaded
    }


def _windows(parts: EngineSet) -> dict[str, dict[str, int]]:
    """How many windows each recogniser was given that counts them."""
    found = {}
    for name, engine in _engines(parts).items():
        recognised, again = getattr(engine, "recognised", None), getattr(engine, "again", None)
        if isinstance(recognised, int) and isinstance(again, int):
            found[name] = {"first": recognised, "second": again}
    return found


class MetricsMiddleware:
    """ASGI middleware that counts answers by the route that gave them and their status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        def count(status: int) -> None:
            nonlocal begun
            begun = True
            # What nothing matched, or nobody let in, has no route: its path is anybody's word.
            route = getattr(scope.get("route"), "path", OTHER)
            self._metrics.requests.labels(route, str(status)).inc()

        async def counted(message: Message) -> None:
            if message["type"] in _BEGINS:
                count(message.get("status", 101))
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except Exception:
            if not begun:
                count(500)  # which is what our caller makes of it
            raise
