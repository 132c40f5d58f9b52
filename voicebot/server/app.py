"""The server as an ASGI application: what is where, and what lives as long as it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..assembly import Parts
from ..config import ServerSettings
from ..flow import stop
from . import keys, openai_audio, openai_text, openapi, realtime_socket, talk_socket
from .catalogue import Catalogue
from .client_secrets import ClientSecrets
from .doorkeeper import LOCAL, Doorkeeper
from .house import House
from .refusals import HANDLERS
from .request_id import RequestId
from .warm import Warmth

SOON_S = 1
"""Seconds after which it is worth asking again whether we are ready."""


def create(parts: Parts, settings: ServerSettings) -> Starlette:
    """The application that serves these engines. Its `state.house` is told when to close.

    The engines stay the caller's to close.
    """
    house, catalogue, warmth = House(), Catalogue(parts), Warmth(parts)
    secrets = ClientSecrets()
    described = openapi.description()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        warming = asyncio.create_task(warmth.warm())
        try:
            yield
        finally:
            await stop(warming)

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def ready(request: Request) -> Response:
        open_now = warmth.ready and not house.closing.is_set()
        states = {"ready": open_now, "engines": warmth.states}
        headers = {} if open_now else {"retry-after": str(SOON_S)}
        return JSONResponse(states, 200 if open_now else 503, headers)

    async def description(request: Request) -> Response:
        return JSONResponse(described)

    app = Starlette(
        routes=[
            Route("/health", health),
            Route("/ready", ready),
            Route("/openapi.json", description),
            *openai_audio.routes(parts, catalogue, house),
            *openai_text.routes(catalogue, house),
            *realtime_socket.routes(parts, house, secrets),
            *talk_socket.routes(parts, house),
        ],
        middleware=[Middleware(RequestId), *_doors(settings, secrets)],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )
    app.state.house = house
    return app


def _doors(settings: ServerSettings, secrets: ClientSecrets) -> list[Middleware]:
    """What lies between strangers and the routes.

    Raises:
        ConfigError: the keys cannot be read.
    """
    origins = tuple(settings.origins.split())
    doorkeeper = Middleware(
        Doorkeeper,
        keys.read(Path(settings.keys)) if settings.keys else None,
        secrets,
        origins,
        () if settings.open else (*LOCAL, settings.host),
    )
    if not origins:
        return [doorkeeper]
    cors = Middleware(
        CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"]
    )
    return [cors, doorkeeper]
