"""`/v1/realtime`: OpenAI's Realtime protocol over a websocket, and the secrets browsers need."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from ...assistant.assembly import EngineSet
from ...concurrency.worker import Stream, background
from ..admission import SESSIONS, AdmissionControl, client_of
from ..auth.ephemeral_keys import ANCHOR, LONGEST, SHORTEST, USUAL, EphemeralKeys
from ..auth.middleware import quota, token
from ..auth.rate_limits import WITHDRAWN
from ..errors import ApiError, response
from ..http.bodies import limited
from ..http.json_schema import has_half
from ..memory_budget import Share, let_in
from . import beta, fields
from .actions import Action
from .dependencies import SessionOptions, opened
from .fields import ProtocolError, Table
from .incremental import MAX_MESSAGE_BYTES as MESSAGE
from .incremental import IncrementalMessage
from .protocol import as_text, new_id, root
from .session import Session

_log = logging.getLogger(__name__)

UNREAD_TIMEOUT_S = 10.0
"""Seconds a client may leave what it is told unread before it is given up. Bounds memory."""
BODY = 1_000_000
"""Bytes of a request for a secret: a session's settings, with all its tools."""

REFUSED, BROKEN, RESTART = 1008, 1011, 1012


def routes(
    parts: EngineSet, admission: AdmissionControl, secrets: EphemeralKeys, sessions: int = SESSIONS
) -> list[BaseRoute]:
    """sessions: how many the house may hold for another one to begin."""
    realtime = RealtimeWebSocket(parts, admission, secrets, sessions)
    return [
        WebSocketRoute("/v1/realtime", realtime.serve),
        Route("/v1/realtime/client_secrets", realtime.client_secret, methods=["POST"]),
        Route("/v1/realtime/sessions", realtime.beta_session, methods=["POST"]),
        Route("/v1/realtime/transcription_sessions", realtime.beta_session, methods=["POST"]),
    ]


class RealtimeWebSocket:
    """The routes of the protocol, over the engines of one server."""

    def __init__(
        self,
        parts: EngineSet,
        admission: AdmissionControl,
        secrets: EphemeralKeys,
        sessions: int = SESSIONS,
    ) -> None:
        self._parts, self._admission, self._secrets = parts, admission, secrets
        self._sessions = sessions

    async def serve(self, websocket: WebSocket) -> None:
        """One client, from its first message to its last."""
        try:
            with (
                self._admission.session(self._sessions, speaks="realtime"),
                quota(websocket.scope).session(),
                self._admission.memory.share(client_of(websocket.scope)) as share,
                self._admission.memory.messages(client_of(websocket.scope)) as messages,
            ):
                let_in(websocket.scope, MESSAGE, messages)
                await self._serve(websocket, share)
        except ApiError as refusal:
            await websocket.send_denial_response(response(refusal))

    async def _serve(self, websocket: WebSocket, share: Share) -> None:
        offered = websocket.scope.get("subprotocols", [])
        await websocket.accept("realtime" if "realtime" in offered else None)
        is_beta = "realtime=v1" in websocket.headers.get("openai-beta", "")
        opening = SessionOptions(
            changes(websocket, self._secrets),
            speaks_beta=is_beta or "openai-beta.realtime-v1" in offered,
            root=root(websocket.scope.get("request_id", "")),
        )
        opened = await opening.settings(self._parts)
        session = Session(self._parts, opening, opened, share)
        await _Connection(websocket, session).carry(self._admission)

    async def client_secret(self, request: Request) -> Response:
        """A key for a browser, and the session it opens."""
        body = await _body(request)
        with refusing():
            patch, after = [
                {} if body.get(key) is None else fields.table(body[key], key)
                for key in ("session", "expires_after")
            ]
            fields.choice(after.get("anchor", ANCHOR), (ANCHOR,), "expires_after.anchor")
            seconds = USUAL
            if "seconds" in after:
                seconds = fields.whole(after, "seconds", SHORTEST, LONGEST, "expires_after.")
            patch = beta.nested(patch, "session.")
            session = await self._session(patch)
        value, expires_at = self._secrets.issue(request.scope.get("key"), patch, seconds)
        return JSONResponse({"value": value, "expires_at": expires_at, "session": session})

    async def beta_session(self, request: Request) -> Response:
        """The same in the first dialect."""
        with refusing():
            kind = request.url.path.rpartition("/")[2].removesuffix("s")
            message = {"type": "session.update", "session": await _body(request)}
            if kind == "transcription_session":
                message["type"] = "transcription_session.update"
            patch = beta.read(message)["session"]
            session = await self._session(patch)
        value, expires_at = self._secrets.issue(request.scope.get("key"), patch, USUAL)
        told = beta.told({"type": "session.created", "session": session})
        assert told
        secret = {"value": value, "expires_at": expires_at}
        return JSONResponse({**told["session"], "client_secret": secret})

    async def _session(self, patch: Table) -> Table:
        """One that is opened with `patch`, as its client is told of it.

        Raises:
            ProtocolError: as `Settings.merge`.
        """
        session = await opened(self._parts, [patch])
        return {"id": new_id("sess"), "object": "realtime.session", **session.as_json()}


def changes(connection: HTTPConnection, secrets: EphemeralKeys) -> list[Table]:
    """What is asked of a session by how it is opened."""
    asked: list[Table] = []
    if model := connection.query_params.get("model"):
        asked.append({"model": model})
    if connection.query_params.get("intent") == "transcription":
        asked.append({"type": "transcription"})
    if secret := secrets.find(token(connection.scope)):
        asked.append(secret.session)
    return asked


class _Connection:
    """A websocket, and the session it carries."""

    def __init__(self, websocket: WebSocket, session: Session) -> None:
        self._websocket, self._session = websocket, session

    async def carry(self, admission: AdmissionControl) -> None:
        """Serve the client until it leaves, reads nothing, loses its key, or the house closes."""
        key = quota(self._websocket.scope)
        self._session.begin(key)
        async with (
            background(self._session.closed(admission)) as closing,
            background(key.revoked.wait()) as revoked,
            background(self._tell()) as telling,
            background(self._session.converse(self._actions())) as listening,
        ):
            tasks: list[asyncio.Task[Any]] = [listening, telling, revoked, closing]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if closing.done():
                await hang_up(self._websocket, RESTART, "the server is shutting down")
            elif revoked.done():
                await hang_up(self._websocket, REFUSED, WITHDRAWN)
            elif telling.done():
                await hang_up(self._websocket, REFUSED, "nothing is read")
            elif error := listening.exception():
                # Only this session ends: what is broken is ours, and the log says what.
                _log.error("a realtime session broke", exc_info=error)
                await hang_up(
                    self._websocket, BROKEN, "the session broke; the server's log says why"
                )

    async def _actions(self) -> Stream[Action]:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            sent = await _sent(message)
            if action := self._session.protocol.receive(sent):
                yield action
            await self._session.caught_up(sent)

    async def _tell(self) -> None:
        """Send the client what it has to know; ends when it does not read."""
        # To send what the connection has closed meanwhile is a RuntimeError.
        with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
            while True:
                for event in self._session.take():
                    async with asyncio.timeout(UNREAD_TIMEOUT_S):
                        await self._websocket.send_text(as_text(event))
                await self._session.on_change.wait()


async def hang_up(websocket: WebSocket, code: int, reason: str) -> None:
    """Close it and say why, if its client still reads."""
    with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
        async with asyncio.timeout(1):  # one that does not read does not read this either
            await websocket.close(code, reason)


async def _sent(message: Message) -> str | IncrementalMessage:
    """What came, a long message little by little."""
    fragments: deque[str] | None = message.get("fragments")
    if fragments is None:
        text = message.get("text")
        return bytes(message["bytes"]).decode(errors="replace") if text is None else text
    return await taken_in(_popped(fragments))


def _popped(fragments: deque[str]) -> Iterator[str]:
    while fragments:
        yield fragments.popleft()


async def taken_in(pieces: Iterable[str]) -> IncrementalMessage:
    """A long message, while others get their turn: it is parsed on a thread."""
    long = IncrementalMessage()
    for piece in pieces:
        long.feed(piece)
        await asyncio.sleep(0)
    await asyncio.to_thread(long.parse)
    return long


async def _body(request: Request) -> Table:
    """The object that a request holds.

    Raises:
        ApiError: it holds something else, or too much.
    """
    data = await limited(request, BODY).body()
    with refusing():
        message = fields.message(data.decode(errors="replace")) if data else {}
    if has_half(message):
        raise ApiError(400, "the body holds half a character (a lone surrogate)")
    return message


@contextmanager
def refusing() -> Iterator[None]:
    """What the protocol refuses in a message is a bad request here."""
    try:
        yield
    except ProtocolError as refused:
        raise ApiError(400, str(refused), param=refused.param, code=refused.code) from None
