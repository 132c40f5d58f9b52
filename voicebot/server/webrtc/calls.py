"""`/v1/realtime/calls`: OpenAI's Realtime protocol over WebRTC.

A call is opened by the request that holds the client's offer, which is served until the call is
over: so it keeps its engines, its key and its place as a websocket does.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from ...assistant.assembly import EngineSet
from ...audio import Audio
from ...concurrency.worker import Stream, background
from ...config import ServerSettings
from ..admission import AdmissionControl, client_of
from ..auth.ephemeral_keys import EphemeralKeys
from ..auth.middleware import quota
from ..auth.rate_limits import Quota
from ..errors import ApiError
from ..http.bodies import limited
from ..realtime import fields
from ..realtime.actions import Action
from ..realtime.dependencies import SessionOptions
from ..realtime.fields import ProtocolError, Table
from ..realtime.incremental import CHUNK_CHARACTERS, IncrementalMessage
from ..realtime.playout import Playout, quiet
from ..realtime.protocol import as_text, new_id, root
from ..realtime.session import Session
from ..realtime.websocket import BODY, changes, refusing, taken_in
from . import offer
from .microphone import Microphone

if TYPE_CHECKING:
    from aiortc import RTCDataChannel

    from .peer import Peer

_log = logging.getLogger(__name__)

PATH = "/v1/realtime/calls"
EXTRA = "webrtc"
"""The extra that holds aiortc."""
CONNECT_S = 20.0
"""Seconds a client has to be there once it has our answer."""
UNREAD_TIMEOUT_S = 10.0
"""Seconds a client may leave events unread before it is given up."""
UNREAD = 1 << 20
"""Bytes of events that may be on their way to it. Bounds memory."""
KEPT_EVENTS = 1000
"""Events kept for a client until it opens a data channel, which it need not ever do."""
AHEAD_S = 5.0
"""Seconds of the user's sound that wait to be listened to; what comes beyond is dropped."""
MESSAGES = 256
"""Messages of a client that wait to be read, and `BYTES` of them; what comes beyond is refused."""
BYTES = 4 << 20


def installed() -> Callable[..., Peer] | None:
    """What makes a connection; None where the extra is not installed."""
    try:
        from .peer import Peer
    except ImportError:
        return None
    return Peer


@dataclass(slots=True)
class ActiveCall:
    """A call that goes on."""

    owner: str | None
    """The hash of the key it was opened with."""
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)


def routes(
    parts: EngineSet,
    admission: AdmissionControl,
    secrets: EphemeralKeys,
    settings: ServerSettings,
    calls: dict[str, ActiveCall],
) -> list[BaseRoute]:
    """calls: those that go on."""
    served = Calls(parts, admission, secrets, settings, calls)
    return [
        Route(PATH, served, methods=["POST"]),
        Route("/v1/realtime", served, methods=["POST"]),  # where the first dialect has it
        Route(PATH + "/{call_id}/hangup", served.hang_up, methods=["POST"]),
    ]


class Calls:
    """An ASGI application that opens a call and carries it."""

    def __init__(
        self,
        parts: EngineSet,
        admission: AdmissionControl,
        secrets: EphemeralKeys,
        settings: ServerSettings,
        calls: dict[str, ActiveCall],
    ) -> None:
        self._parts, self._admission, self._secrets = parts, admission, secrets
        self._sessions, self._stun, self._calls = settings.sessions, settings.stun, calls
        self._peer = installed()
        quiet()  # made now, so that the first call has not to wait for it

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if self._peer is None:
            reason = f"WebRTC is not installed on this server: voicebot install {EXTRA}"
            raise ApiError(501, reason, code="not_installed")
        with (
            self._admission.session(self._sessions, speaks="realtime"),
            quota(scope).session(),
            self._admission.memory.share(client_of(scope)) as share,
        ):
            text, asked = await _asked(request)
            with refusing():
                opening = SessionOptions(
                    [*changes(request, self._secrets), *asked],
                    speaks_beta="realtime=v1" in request.headers.get("openai-beta", ""),
                    root=root(scope.get("request_id", "")),
                    has_track=True,
                )
                opened = await opening.settings(self._parts)
                session = Session(self._parts, opening, opened, share)
                connection = _Connection(session, self._peer, self._stun)
            call_id, standing = new_id("rtc"), ActiveCall(scope.get("key"))
            self._calls[call_id] = standing
            try:
                async with connection.answering(text) as answer:
                    headers = {"location": f"{PATH}/{call_id}"}
                    told = Response(answer, 201, headers, "application/sdp")
                    await told(scope, receive, send)
                    await connection.carry(self._admission, quota(scope), standing.hung_up)
            finally:
                self._calls.pop(call_id, None)

    async def hang_up(self, request: Request) -> Response:
        """End a call of the same key."""
        standing = self._calls.get(call_id := request.path_params["call_id"])
        if standing is None or standing.owner != request.scope.get("key"):
            raise ApiError(404, f"there is no call {call_id[:60]!r}")
        del self._calls[call_id]
        standing.hung_up.set()
        return Response(status_code=200)


async def _asked(request: Request) -> tuple[str, list[Table]]:
    """The offer in a request, and the sessions it asks for.

    Raises:
        ApiError: there is none, or too much.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/sdp":
        body = await limited(request, offer.MAX_OFFER_BYTES).body()
        return body.decode(errors="replace"), []
    if kind != "multipart/form-data":
        reason = "the body should be application/sdp, or multipart/form-data with sdp and session"
        raise ApiError(415, f"{reason}; it is {kind[:60] or 'of no type'}", code="content_type")
    try:
        sent = limited(request, BODY).form(max_files=2, max_fields=10, max_part_size=BODY)
        async with sent as received:
            parts = {}
            for name in ("sdp", "session"):
                value = received.get(name, "")
                text = value if isinstance(value, str) else (await value.read()).decode()
                parts[name] = text
    except HTTPException as error:  # what the parser cannot read
        raise ApiError(400, f"the body is no form: {error.detail}") from error
    except UnicodeDecodeError:
        raise ApiError(400, "the parts of the form should be UTF-8") from None
    if not parts["session"]:
        return parts["sdp"], []
    with refusing():
        return parts["sdp"], [fields.message(parts["session"])]


class _Connection:
    """A peer, and the session it carries."""

    def __init__(self, session: Session, peer: Callable[..., Peer], stun: str) -> None:
        self._session, self._far = session, bool(stun)
        self._given: asyncio.Queue[Audio | str | bytes] = asyncio.Queue()
        self._waiting_s, self._waiting = 0.0, 0
        self._is_flooded = False
        self._playout, self._microphone = Playout(), Microphone(self._hear)
        self._peer = peer(
            self._microphone, self._playout.next, self._read, self._session.on_change.set, stun
        )

    @asynccontextmanager
    async def answering(self, text: str) -> AsyncIterator[str]:
        """The answer to an offer, beside a connection that ends with the block.

        Raises:
            ApiError: it is no offer that could be answered.
        """
        try:
            try:
                answer = await self._peer.answer(offer.usable(text, far=self._far))
            except offer.BadOffer as error:
                raise ApiError(400, str(error), param="sdp", code="invalid_offer") from error
            yield answer
        finally:
            await self._peer.close()

    async def carry(self, admission: AdmissionControl, key: Quota, hung_up: asyncio.Event) -> None:
        """Serve the client until it leaves, is gone, loses its key, or the house closes."""
        self._session.begin(key, self._playout)
        async with (
            background(self._session.closed(admission)) as closing,
            background(key.revoked.wait()) as revoked,
            background(hung_up.wait()) as hanging_up,
            background(self._gone()) as gone,
            background(self._tell()) as telling,
            background(self._microphone.keep_time()) as keeping_time,
            background(self._session.converse(self._actions())) as listening,
        ):
            tasks: list[asyncio.Task[Any]] = [
                listening, telling, gone, hanging_up, revoked, closing, keeping_time,
            ]  # fmt: skip
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in (listening, telling, keeping_time):
                if task.done() and not task.cancelled() and (error := task.exception()):
                    # Only this session ends: what is broken is ours, and the log says what.
                    _log.error("a realtime session broke", exc_info=error)

    async def _gone(self) -> None:
        """Wait until the client has gone, or has not come."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_S):
                await self._peer.settled.wait()
        if self._peer.connected:
            await self._peer.gone.wait()

    def _hear(self, audio: Audio) -> None:
        if self._waiting_s < AHEAD_S:
            self._waiting_s += audio.seconds
            self._given.put_nowait(audio)

    def _read(self, message: str | bytes) -> None:
        if self._given.qsize() >= MESSAGES or self._waiting + len(message) > BYTES:
            if not self._is_flooded:
                self._is_flooded = True
                reason = "too many messages wait to be read; this one and some more are lost"
                self._session.protocol.refuse(ProtocolError("too_many_messages", reason))
            return
        self._is_flooded = False
        self._waiting += len(message)
        self._given.put_nowait(message)

    async def _actions(self) -> Stream[Action]:
        while True:
            given = await self._given.get()
            if isinstance(given, Audio):
                self._waiting_s -= given.seconds
                yield self._session.protocol.hear(given)
            else:
                self._waiting -= len(given)
                sent = await _sent(given)
                if action := self._session.protocol.receive(sent):
                    yield action
                await self._session.caught_up(sent)
            await asyncio.sleep(0)  # a queue that is not empty waits for nobody

    async def _tell(self) -> None:
        """Send the client what it has to know; ends when it does not read."""
        kept: deque[Table] = deque(maxlen=KEPT_EVENTS)
        while not (channel := self._peer.channel):
            kept.extend(self._session.take())
            await self._session.on_change.wait()
        drained = asyncio.Event()
        channel.bufferedAmountLowThreshold = UNREAD // 2
        channel.on("bufferedamountlow", drained.set)
        with suppress(TimeoutError):
            while True:
                for event in [*kept, *self._session.take()]:
                    if channel.readyState != "open":
                        return
                    self._send(channel, event)
                    while channel.bufferedAmount > UNREAD:
                        drained.clear()
                        async with asyncio.timeout(UNREAD_TIMEOUT_S):
                            await drained.wait()
                kept.clear()
                await self._session.on_change.wait()

    def _send(self, channel: RTCDataChannel, event: Table) -> None:
        try:
            channel.send(as_text(event))
        except ValueError as error:  # longer than the client says it can read
            reason = f"an event {event['type']} is lost: {error}"
            self._session.protocol.refuse(ProtocolError("event_too_long", reason))


async def _sent(message: str | bytes) -> str | IncrementalMessage:
    """What came, a long message little by little."""
    text = message if isinstance(message, str) else message.decode(errors="replace")
    if len(text) <= CHUNK_CHARACTERS:
        return text
    step = CHUNK_CHARACTERS // 2
    return await taken_in(text[start : start + step] for start in range(0, len(text), step))
