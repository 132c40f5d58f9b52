"""What is where, and the doors before it, for one set of engines and settings."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from ..assistant.assembly import EngineSet
from ..config import ServerSettings
from ..engines import Kind
from ..observability.metrics import Metrics
from . import metrics as measured
from .admission import AdmissionControl
from .auth.ephemeral_keys import EphemeralKeys
from .auth.forwarded import ForwardedMiddleware
from .auth.keys import Keys
from .auth.middleware import LOCAL, AuthMiddleware, token
from .auth.rate_limits import Quota
from .errors import HANDLERS, ApiError, response
from .http.request_id import RequestIDMiddleware
from .http.unknown_fields import UnknownFieldsMiddleware
from .http.unread_bodies import UnreadBodyMiddleware
from .model_catalog import ModelCatalog
from .realtime import websocket as realtime_socket
from .rest import (
    audio as openai_audio,
)
from .rest import (
    chat as openai_text,
)
from .rest import (
    completions,
    documents,
    openapi,
    responses,
)
from .rest import (
    responses_websocket as responses_socket,
)
from .rest.responses_store import ResponseStore
from .talk import websocket as talk_socket
from .talk.connection import Connection
from .webrtc import calls as webrtc

SOON_S = 1
"""Seconds after which it is worth asking again whether we are ready."""

NONE, UNDER_WAY, DONE, FAILED = "none", "under way", "done", "failed: "
"""What may have come of a reload."""


@dataclass(frozen=True, slots=True)
class SharedState:
    """What is the same before and after a change of engines or settings."""

    admission: AdmissionControl = field(default_factory=AdmissionControl)
    secrets: EphemeralKeys = field(default_factory=EphemeralKeys)
    allowances: dict[str, Quota] = field(default_factory=dict)
    """What each key has left, by its hash."""
    calls: dict[str, Connection] = field(default_factory=dict)
    """The conversations of `/v1/talk` that can be resumed, by their token."""
    responses: ResponseStore = field(default_factory=ResponseStore)
    """What `/v1/responses` can go on from."""
    spoken: ResponseStore = field(default_factory=ResponseStore)
    """The words of chat completions that were read aloud."""
    webrtc: dict[str, webrtc.ActiveCall] = field(default_factory=dict)
    """The calls over WebRTC, by their ids."""
    metrics: Metrics = field(default_factory=Metrics)

    def follow(self, keys: Keys) -> None:
        """End what goes on with keys that are none any more."""
        for gone in [hash for hash in self.allowances if not keys.known(hash)]:
            self.allowances.pop(gone).revoked.set()
            self.secrets.revoke(gone)
            self.responses.forget(gone)
            self.spoken.forget(gone)


@dataclass(frozen=True, slots=True)
class Status:
    """How a server is doing."""

    ready: bool
    engines: dict[Kind, str]
    """Of each kind of engine its state: "loading", "ready", or why it failed."""
    reload: str
    """What has come of the last one: "none", "under way", "done", or "failed: " and why."""

    @property
    def failure(self) -> str:
        """Why the last reload failed; empty if it did not."""
        return self.reload.removeprefix(FAILED) if self.reload.startswith(FAILED) else ""

    def brief(self) -> Status:
        """The same without the reasons, which the log has."""
        engines = {kind: state.partition(":")[0] for kind, state in self.engines.items()}
        return replace(self, engines=engines, reload=self.reload.partition(":")[0])


def site(
    parts: EngineSet,
    settings: ServerSettings,
    keys: Keys | None,
    lasting: SharedState,
    standing: Callable[[], Status],
) -> Starlette:
    """The application that serves these engines to whoever has a key; to all where keys is None."""
    admission, catalogue = lasting.admission, ModelCatalog(parts)
    responder = responses.ResponsesService(catalogue, lasting.responses)
    described = openapi.description()
    if lasting.metrics.observer not in parts.observers:  # after a reload they may be the same
        parts.observers.append(lasting.metrics.observer)

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def ready(request: Request) -> Response:
        now = standing()
        if not _is_known(request):  # why something failed names files and servers of this machine
            now = now.brief()
        states = {"ready": now.ready, "engines": now.engines, "reload": now.reload}
        headers = {} if now.ready else {"retry-after": str(SOON_S)}
        return JSONResponse(states, 200 if now.ready else 503, headers)

    def _is_known(request: Request) -> bool:
        return keys.find(token(request.scope)) is not None if keys else not settings.open

    async def description(request: Request) -> Response:
        return JSONResponse(described)

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/ready", ready),
            Route("/openapi.json", description),
            measured.route(lasting.metrics, parts, admission),
            *openai_audio.routes(catalogue, admission),
            *openai_text.routes(parts, catalogue, admission, lasting.spoken),
            documents.route(parts),
            *completions.routes(catalogue, admission),
            *responses.routes(responder, admission),
            *responses_socket.routes(responder, admission, settings.sessions),
            *realtime_socket.routes(parts, admission, lasting.secrets, settings.sessions),
            *webrtc.routes(parts, admission, lasting.secrets, settings, lasting.webrtc),
            *talk_socket.routes(parts, admission, lasting.calls, settings.sessions),
            Route("/v1/realtime", _no_websocket, methods=["GET"]),
            Route("/v1/responses", _no_websocket, methods=["GET"]),
            WebSocketRoute("/{path:path}", _nowhere),
        ],
        middleware=[
            Middleware(ForwardedMiddleware, settings.proxies),
            Middleware(measured.MetricsMiddleware, lasting.metrics),
            Middleware(RequestIDMiddleware),
            Middleware(UnknownFieldsMiddleware),
            Middleware(UnreadBodyMiddleware),
            *_doors(settings, keys, lasting),
        ],
        exception_handlers=HANDLERS,
    )


async def _no_websocket(request: Request) -> Response:
    reason = f"{request.url.path} is for websockets; a proxy has to pass"
    refused = response(ApiError(426, f"{reason} on Upgrade and Connection"))
    refused.headers["upgrade"] = "websocket"
    return refused


async def _nowhere(websocket: WebSocket) -> None:
    path = websocket.url.path
    opens = "/v1/realtime, /v1/responses or /v1/talk"
    raise ApiError(404, f"there is no {path} here; a websocket opens {opens}")


def _own_names() -> tuple[str, ...]:
    """This machine's name, alone and as the local network knows it."""
    name = socket.gethostname().lower()
    return name, f"{name.partition('.')[0]}.local"


def _doors(settings: ServerSettings, keys: Keys | None, lasting: SharedState) -> list[Middleware]:
    """What lies between strangers and the routes."""
    origins = tuple(settings.origins.split())
    doorkeeper = Middleware(
        AuthMiddleware,
        keys,
        lasting.secrets,
        origins,
        (*LOCAL, settings.host, *settings.hosts, *(_own_names() if settings.open else ())),
        lasting.allowances,
        any_address=settings.open,
    )
    if not origins:
        return [doorkeeper]
    cors = Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=["location", "x-request-id", "x-voicebot-ignored"],
    )
    return [cors, doorkeeper]
