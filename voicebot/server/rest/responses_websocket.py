"""`/v1/responses` over a websocket: the turns of a conversation without a connection for each.

A text frame {"type": "response.create", ...} has the fields of the POST and is answered by the
events that the POST streams, one JSON object a frame; errors are {"type": "error", "status": ...,
"error": ...} and end nothing but what they are about. Beyond the POST, as OpenAI has it:

1. `stream_id` names a lane. Responses of one lane are made one after the other, those of different
   lanes side by side; what belongs to a lane has its `stream_id`.
2. `previous_response_id` finds what was made on the same connection, with "store": false too.
3. "generate": false makes nothing: the response that it begins can be gone on from.
4. {"type": "response.cancel", "response_id": ...} ends a response, or without an id the one of its
   lane. It ends with `response.incomplete` and the status "cancelled"; OpenAI has no such event,
   but pipecat sends it and waits for an end. One that has ended already is no error.
5. `response.steer` always fails, as it does with OpenAI's models that cannot be steered.
6. After an hour the connection is closed, between two responses.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from ...concurrency.worker import background, cancel_and_wait
from ...engines.call_options import OptionError
from ...errors import EngineError
from ..admission import SESSIONS, AdmissionControl, client_of
from ..auth.middleware import BROWSERS, quota, too_often
from ..auth.rate_limits import WITHDRAWN, RateLimitExceeded
from ..errors import ApiError, error, response, unsuitable
from ..http.bodies import DOCUMENT, LARGE, checked, parsed
from ..memory_budget import let_in
from ..realtime.protocol import as_text, new_id
from ..realtime.websocket import REFUSED, RESTART, UNREAD_TIMEOUT_S, hang_up
from .responses import ResponsesService, failed
from .responses_answer import Event, ResponseBuilder, events
from .responses_schema import RESPONSE

log = logging.getLogger(__name__)

LIFE_S = 3600.0
"""Seconds after which a connection takes no more requests, as at OpenAI. Without it, one that
nobody closes would keep the engines of before a reload."""
LANES = 32
"""Named lanes of a connection, as at OpenAI."""
WAITING = 100
"""Requests of a connection that wait for a place, and DOCUMENT characters of them."""

MESSAGE = 4 * DOCUMENT
"""Bytes of a message: one that is too long by little is told so."""

_GOING = 1001
_LANE = re.compile(r"[A-Za-z0-9_.-]{1,256}")
_ENVELOPE = {"type", "stream_id", "generate", "stream", "event_id"}
"""What a request has over a websocket beside the fields of its response."""


def routes(
    responder: ResponsesService, admission: AdmissionControl, sessions: int = SESSIONS
) -> list[BaseRoute]:
    """sessions: how many conversations the house may hold for another one to begin."""

    async def serve(websocket: WebSocket) -> None:
        try:
            with (
                admission.session(sessions, speaks="responses"),
                quota(websocket.scope).session(),
                admission.memory.messages(client_of(websocket.scope)) as messages,
            ):
                let_in(websocket.scope, MESSAGE, messages)
                offered = websocket.scope.get("subprotocols", [])
                # A browser names its key as one; it wants another of its own to be chosen.
                named = [name for name in offered if not name.startswith(BROWSERS)]
                await websocket.accept(named[0] if named else None)
                await _Connection(websocket, responder, admission).carry()
        except ApiError as refusal:
            await websocket.send_denial_response(response(refusal))

    # LiveKit connects to the base URL itself, with whatever slash it has.
    return [WebSocketRoute(path, serve) for path in ("/v1/responses", "/v1", "/v1/")]


@dataclass(frozen=True, slots=True, eq=False)
class _Create:
    """A response that is asked for."""

    fields: dict[str, Any]
    size: int
    """Characters it came in."""
    generates: bool


@dataclass(slots=True, eq=False)
class _Lane:
    """Requests that are answered one after the other."""

    name: str | None
    waiting: deque[_Create] = field(default_factory=deque)
    working: asyncio.Task[None] | None = None
    """Answers them, as long as there are any."""
    making: asyncio.Task[None] | None = None
    """Answers the one whose turn it is."""
    answer: ResponseBuilder | None = None
    """To that one."""


class _Gone(Exception):
    """The client has gone, or reads nothing."""


class _Connection:
    """A websocket, and what is asked for on it."""

    def __init__(
        self, websocket: WebSocket, responder: ResponsesService, admission: AdmissionControl
    ) -> None:
        self._websocket, self._scope = websocket, websocket.scope
        self._responder, self._admission = responder, admission
        self._id = new_id("conn")
        self._lanes: dict[str | None, _Lane] = {}
        self._waiting: list[_Create] = []
        """Those that have no place in the house yet."""
        self._idle, self._unread = asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._is_old = False

    async def carry(self) -> None:
        """Serve the client until it leaves, reads nothing, loses its key, or the house closes."""
        key = quota(self._scope)
        try:
            async with (
                background(self._over()) as over,
                background(key.revoked.wait()) as revoked,
                background(self._unread.wait()) as unread,
                background(self._listen()) as listening,
            ):
                tasks: list[asyncio.Task[Any]] = [listening, over, revoked, unread]
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                if revoked.done():
                    await hang_up(self._websocket, REFUSED, WITHDRAWN)
                elif unread.done():
                    await hang_up(self._websocket, REFUSED, "nothing is read")
                elif over.done() and self._is_old:
                    await hang_up(self._websocket, _GOING, "open for an hour; open another")
                elif over.done():
                    await hang_up(self._websocket, RESTART, "the server is shutting down")
                else:
                    listening.result()
        finally:
            for lane in self._lanes.values():
                await cancel_and_wait(lane.working)
            self._responder.kept.forget(self._id)

    async def _over(self) -> None:
        """Wait until there is to be nothing new, and what was begun has ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LIFE_S):
                await self._admission.closing.wait()
        if not self._admission.closing.is_set():
            self._is_old = True
        await self._idle.wait()
        if self._is_old:
            with suppress(_Gone):
                await self._refuse(_old(), None)

    # What is asked

    async def _listen(self) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            with suppress(_Gone):
                await self._take(message)
            await asyncio.sleep(0)  # a queue that is not empty waits for nobody

    async def _take(self, message: Message) -> None:
        lane: str | None = None
        try:
            text = _text(message, quota(self._scope).limits.upload(DOCUMENT))
            asked = await _read(text)
            lane = _lane(asked)
            match asked.get("type"):
                case "response.create":
                    self._create(lane, await self._understood(asked, len(text)))
                case "response.cancel":
                    self._cancel(lane, asked.get("response_id"))
                case "response.steer":
                    await self._send(_unsteered(asked))
                case None:
                    raise ApiError(400, "type is missing", param="type")
                case other:
                    says = f"there is no client event {str(other)[:60]!r}"
                    there = "there are response.create and response.cancel"
                    raise ApiError(400, f"{says}; {there}", param="type", code="unknown_event")
        except ApiError as refusal:
            await self._refuse(refusal, lane)

    async def _understood(self, asked: dict[str, Any], size: int) -> _Create:
        generate = asked.get("generate")
        if not isinstance(generate, bool | None):
            raise ApiError(
                400, f"generate should be boolean, not {generate!r:.60}", param="generate"
            )
        fields = {name: value for name, value in asked.items() if name not in _ENVELOPE}
        if "model" not in fields and (named := self._websocket.query_params.get("model")):
            fields["model"] = named
        if size < LARGE:
            fields = checked(self._scope, fields, RESPONSE)
        else:
            fields = await asyncio.to_thread(checked, self._scope, fields, RESPONSE)
        return _Create(fields, size, generate is not False)

    def _create(self, name: str | None, create: _Create) -> None:
        if self._is_old:
            raise _old()
        if name not in self._lanes:
            if name is not None and len(self._lanes.keys() - {None}) >= LANES:
                says = f"a connection has {LANES} lanes with a stream_id at most"
                code = "websocket_stream_limit_reached"
                raise ApiError(400, says, param="stream_id", code=code)
            self._lanes[name] = _Lane(name)
        size = create.size + sum(other.size for other in self._waiting)
        if len(self._waiting) >= WAITING or (self._waiting and size > DOCUMENT):
            says = "too many requests wait on this connection; wait for a response"
            raise ApiError(429, says, code="too_many_requests")
        self._waiting.append(create)
        lane = self._lanes[name]
        lane.waiting.append(create)
        if not lane.working:
            self._idle.clear()
            lane.working = asyncio.create_task(self._work(lane))

    def _cancel(self, name: str | None, id: Any) -> None:
        for lane in self._lanes.values():
            if lane.making is None or lane.answer is None:
                continue
            if lane.answer.id == id or (id is None and lane.name == name):
                lane.making.cancel()

    # What is answered

    async def _work(self, lane: _Lane) -> None:
        """Answer what is asked for in a lane, one after the other, until nothing is."""
        with suppress(_Gone):
            while lane.waiting:
                create = lane.waiting.popleft()
                lane.answer = ResponseBuilder(create.fields)
                try:
                    await self._answer(lane, create, lane.answer)
                finally:
                    lane.making = lane.answer = None
                    if create in self._waiting:
                        self._waiting.remove(create)
        lane.working = None
        if not any(other.working for other in self._lanes.values()):
            self._idle.set()

    async def _answer(self, lane: _Lane, create: _Create, answer: ResponseBuilder) -> None:
        async with background(self._make(lane, create, answer)) as making:
            lane.making = making
            await asyncio.wait([making])
        if making.cancelled():
            for event in answer.cancel():
                await self._tell(lane, event)
            return
        try:
            making.result()
        except ApiError as refusal:
            await self._refuse(refusal, lane.name)
        except RateLimitExceeded as exceeded:
            await self._refuse(too_often(exceeded), lane.name)
        except OptionError as wrong:
            await self._refuse(unsuitable(wrong), lane.name)
        except _Gone:
            raise
        except Exception:
            # Only this response ends: what is broken is ours, and the log says what.
            log.exception("a response over a websocket broke")
            says = (
                f"internal server error; the log has it under {self._scope.get('request_id', '-')}"
            )
            await self._refuse(ApiError(500, says), lane.name)

    async def _make(self, lane: _Lane, create: _Create, answer: ResponseBuilder) -> None:
        quota(self._scope).admit(asyncio.get_running_loop().time())
        async with self._admission.request(client_of(self._scope)):
            self._waiting.remove(create)
            model = await self._responder.model(answer)
            told, keep = self._responder.begin(answer, model, self._scope, self._id)
            if not create.generates:
                keep()
                answer.account.read = 0
                for event in [*answer.begin(), *answer.end()]:
                    await self._tell(lane, event)
                return
            try:
                async with aclosing(events(answer, told, keep)) as made:
                    async for event in made:
                        await self._tell(lane, event)
            except EngineError as failure:
                raise failed(failure) from failure

    # What is told

    async def _tell(self, lane: _Lane, event: Event) -> None:
        await self._send(event if lane.name is None else {**event, "stream_id": lane.name})

    async def _refuse(self, refusal: ApiError, lane: str | None) -> None:
        """
        Raises:
            _Gone: nobody reads it.
        """
        body = error(str(refusal), refusal.status, param=refusal.param, code=refusal.code)
        event: Event = {"type": "error", "status": refusal.status, **body}
        if refusal.retry_after is not None:
            event["error"]["headers"] = {"retry-after": str(refusal.retry_after)}
        await self._send(event if lane is None else {**event, "stream_id": lane})

    async def _send(self, event: Event) -> None:
        try:
            async with asyncio.timeout(UNREAD_TIMEOUT_S):
                await self._websocket.send_text(as_text(event))
        except TimeoutError:
            self._unread.set()
            raise _Gone from None
        except WebSocketDisconnect:
            raise _Gone from None


def _text(message: Message, most: int) -> bytes:
    """What came, in whatever frames.

    Raises:
        ApiError: it is too long.
    """
    if (given := message.get("bytes")) is None:
        pieces = message.get("fragments") or [message["text"]]
        if sum(map(len, pieces)) <= most:
            given = "".join(pieces).encode(errors="replace")
    if given is None or len(given) > most:
        raise ApiError(413, f"the message is larger than {most} bytes", code="too_large")
    return bytes(given)


async def _read(text: bytes) -> dict[str, Any]:
    """
    Raises:
        ApiError: it is no JSON object.
    """
    if len(text) < LARGE:
        asked = parsed(text, "the message")
    else:  # other conversations go on meanwhile
        asked = await asyncio.to_thread(parsed, text, "the message")
    if not isinstance(asked, dict):
        raise ApiError(400, "the message should be a JSON object")
    return asked


def _lane(asked: dict[str, Any]) -> str | None:
    """
    Raises:
        ApiError: it is not the name of a lane.
    """
    name = asked.get("stream_id")
    if name is None or (isinstance(name, str) and _LANE.fullmatch(name)):
        return name
    says = "stream_id should be 1 to 256 letters, digits, underscores, hyphens or periods"
    raise ApiError(400, says, param="stream_id", code="invalid_stream_id")


def _unsteered(asked: dict[str, Any]) -> Event:
    """A response goes on as it was begun; its client has what it said back."""
    steer = {name: asked.get(name) for name in ("previous_response_id", "input")}
    says = "a response cannot be steered here; cancel it, or wait and send a response.create"
    wrong = {"type": "invalid_request_error", "code": "steering_not_supported", "message": says}
    return {"type": "response.steer.failed", "sequence_number": 0, "error": wrong, "steer": steer}


def _old() -> ApiError:
    says = f"this connection is {LIFE_S / 60:g} minutes old; open another"
    return ApiError(400, says, code="websocket_connection_limit_reached")
