"""`/v1/talk`: a conversation over one websocket; its page is mounted beside it.

 1. Text frames are JSON objects, binary frames 16-bit little-endian mono PCM.
 2. Begin with {"type": "hello", "rate": 24000}: samples per second of all sound, 8000 to 48000.
    The answer is {"event": "ready", "token": ..., "window": 30, ...}.
 3. Then send what the microphone hears, at most a second in a frame; {"type": "mute"} ends it
    for now. {"type": "text", "text": ...} is a typed question, {"type": "stop"} silences the reply.
 4. What happens is told as {"event": "heard", "text": ..., "turn": 1, "number": 7}; so are
    passages, said (`at` seconds into the turn's sound), interrupted, failed, turn_ended, ...
 5. {"event": "sound", "turn": 1, "at": 0}: the binary frames that follow are turn 1's sound from
    that sample on. "sound_ended" says how many samples there are; at "flushed" drop the rest.
 6. Some ten times a second say {"type": "played", "turn": 1, "samples": 4800}: only that is
    remembered as heard. A client that never does is thought to play what it gets at once.
 7. If the connection breaks, within `window` seconds open another and begin with {"type":
    "resume", "token": ..., "number": last told, "turn": 1, "received": its samples you have}.
 8. {"event": "resumed"}, and what you have missed follows, as if nothing had been.
 9. {"event": "error", "code": ..., "reason": ...} is a message of yours that changed nothing.
10. Close with 1000 to end. We close with 1008 who floods, 1009 who sends a frame too long.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Coroutine
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..assembly import Parts
from ..audio import to_pcm16
from ..flow import stop
from . import page
from . import talk_protocol as words
from .house import House
from .refusals import Refusal
from .session import Behind, Flooded, Place, Session, Sound

_log = logging.getLogger(__name__)

WINDOW = 30.0
"""Seconds a conversation waits for its client to come back. More keeps more dead ones."""
GREETING = 10.0
"""Seconds a client has to say how it begins."""
PATIENCE = 10.0
"""Seconds a client may leave a message unread before its connection is given up."""

NORMAL, REFUSED, TOO_LONG, BROKEN, RESTART, LATER = 1000, 1008, 1009, 1011, 1012, 1013
TAKEN_OVER = 4001


def routes(parts: Parts, house: House, *, window: float = WINDOW) -> list[BaseRoute]:
    """The websocket, for as many conversations as there are clients, and the page that uses it."""
    return [WebSocketRoute("/v1/talk", TalkSocket(parts, house, window).serve), *page.routes()]


@dataclass(frozen=True, slots=True)
class _Over:
    """Why a connection is over."""

    code: int
    reason: str = ""
    by_client: bool = False
    final: bool = True
    """The conversation is over too."""


class TalkSocket:
    """Holds the conversations, and hands each connection to its own."""

    def __init__(self, parts: Parts, house: House, window: float) -> None:
        self._parts, self._house, self._window = parts, house, window
        self._calls: dict[str, _Call] = {}

    async def serve(self, websocket: WebSocket) -> None:
        """One connection, from its first message to its last."""
        if not _from_here(websocket):
            await websocket.close(REFUSED)  # before it is accepted: 403
            return
        await websocket.accept()
        match await self._greeting(websocket):
            case words.Hello(rate):
                try:
                    with self._house.session():
                        await self._begin(websocket, rate)
                except Refusal as refusal:
                    await _close(websocket, _Over(LATER, str(refusal)))
            case words.Resume(token, place):
                await self._calls[token].carry(websocket, place, {"event": "resumed"})
            case _Over() as over:
                await _close(websocket, over)

    async def _greeting(self, websocket: WebSocket) -> words.Hello | words.Resume | _Over:
        try:
            async with asyncio.timeout(GREETING):
                while True:
                    match await _receive(websocket):
                        case _Over() as over:
                            return over
                        case bytes():
                            return _Over(REFUSED, "sound before hello")
                        case str(text):
                            try:
                                return self._known(words.parse(text))
                            except words.BadMessage as error:
                                await _send(websocket, words.complaint(error))
        except TimeoutError:
            return _Over(REFUSED, f"no hello within {GREETING:g} s")

    def _known(self, message: words.Message) -> words.Hello | words.Resume:
        match message:
            case words.Hello():
                return message
            case words.Resume() if message.token in self._calls:
                return message
            case words.Resume():
                raise words.BadMessage("gone", "that conversation is over; begin with hello")
            case _:
                raise words.BadMessage("not_begun", "begin with hello or resume")

    async def _begin(self, websocket: WebSocket, rate: int) -> None:
        """Hold a conversation for as long as its client is there, or may come back."""
        token = secrets.token_urlsafe(24)
        session = Session(self._parts.conversation, rate)
        ready = {
            "event": "ready",
            "token": token,
            "window": self._window,
            "rate": rate,
            "engines": self._parts.describe(),
        }
        conversing = asyncio.create_task(session.run())
        try:
            call = self._calls[token] = _Call(session, conversing, self._house.closing)
            await call.carry(websocket, Place(), ready)
            await call.left(self._window)
        finally:
            del self._calls[token]
            await stop(conversing)


class _Call:
    """A conversation, and the connection that carries it now, if any."""

    def __init__(
        self, session: Session, conversing: asyncio.Task[None], closing: asyncio.Event
    ) -> None:
        self._session, self._conversing, self._closing = session, conversing, closing
        self._connected: asyncio.Event | None = None
        """Set to end the present connection."""
        self._over = False
        self._changed = asyncio.Event()
        conversing.add_done_callback(lambda _: self._changed.set())

    async def left(self, window: float) -> None:
        """Wait until the conversation is over, or was without a connection for `window` s."""
        with suppress(TimeoutError):
            while not (self._over or self._conversing.done() or self._closing.is_set()):
                self._changed.clear()
                async with asyncio.timeout(None if self._connected else window):
                    await self._changed.wait()

    async def carry(self, websocket: WebSocket, place: Place, greeting: dict[str, Any]) -> None:
        """Let one connection carry the conversation from `place` on, until either is over."""
        if self._connected:
            self._connected.set()
        mine = self._connected = asyncio.Event()
        try:
            over = await _first(
                self._listen(websocket),
                self._tell(websocket, place, greeting),
                self._taken(mine),
                self._closed(),
                self._ended(),
            )
            self._over = self._over or over.final
        finally:
            if self._connected is mine:
                self._connected = None
            self._changed.set()
        await _close(websocket, over)

    async def _listen(self, websocket: WebSocket) -> _Over:
        while True:
            try:
                match await _receive(websocket):
                    case _Over() as over:
                        return over
                    case bytes(data):
                        self._session.hear(words.hearing(data, self._session.speaker.rate))
                    case str(text):
                        self._obey(words.parse(text))
            except words.TooLong as error:
                return _Over(TOO_LONG, str(error))
            except words.BadMessage as error:
                await _send(websocket, words.complaint(error))
            except Flooded as error:
                return _Over(REFUSED, str(error))
            await asyncio.sleep(0)  # a client that floods must not keep others waiting

    def _obey(self, message: words.Message) -> None:
        match message:
            case words.Text(text):
                self._session.ask(text)
            case words.Stop():
                self._session.hush()
            case words.Mute():
                self._session.rest()
            case words.Played(turn, samples):
                self._session.played(turn, samples)
            case words.Hello() | words.Resume():
                raise words.BadMessage("begun", "this conversation has begun already")

    async def _tell(self, websocket: WebSocket, place: Place, greeting: dict[str, Any]) -> _Over:
        follows = None
        try:
            await _send(websocket, greeting)
            async with aclosing(self._session.out(place)) as out:
                async for item in out:
                    if isinstance(item, Sound):
                        if (item.turn, item.at) != follows:
                            await _send(websocket, words.announcing(item))
                        await _send(websocket, to_pcm16(item.audio))
                        follows = item.turn, item.at + len(item.audio.samples)
                    else:
                        await _send(websocket, words.telling(item))
        except TimeoutError:
            return _Over(REFUSED, "nothing is read", final=False)
        except Behind as error:
            return _Over(REFUSED, str(error))
        raise AssertionError("a session's news never end")

    async def _taken(self, mine: asyncio.Event) -> _Over:
        await mine.wait()
        return _Over(TAKEN_OVER, "resumed elsewhere", final=False)

    async def _closed(self) -> _Over:
        """The house closes: the reply that is being given is given to its end."""
        await self._closing.wait()
        await self._session.quiet()
        return _Over(RESTART, "the server is shutting down")

    async def _ended(self) -> _Over:
        """A conversation ends by itself only when something in it is broken."""
        await asyncio.wait([self._conversing])
        error = None if self._conversing.cancelled() else self._conversing.exception()
        _log.error("a conversation broke", exc_info=error)
        return _Over(BROKEN, "the conversation broke; the server's log says why")


async def _first(*ways: Coroutine[Any, Any, _Over]) -> _Over:
    """What the first of them returns; the others are stopped."""
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        for task in tasks:
            await stop(task)


async def _receive(websocket: WebSocket) -> str | bytes | _Over:
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        code = message.get("code", NORMAL)
        return _Over(code, by_client=True, final=code in (NORMAL, RESTART))
    text: str | None = message.get("text")
    return text if text is not None else bytes(message["bytes"])


async def _send(websocket: WebSocket, message: dict[str, Any] | bytes) -> None:
    """Raises: TimeoutError, where the client does not read."""
    async with asyncio.timeout(PATIENCE):
        # Who has gone is noticed where we listen.
        with suppress(WebSocketDisconnect):
            if isinstance(message, bytes):
                await websocket.send_bytes(message)
            else:
                await websocket.send_json(message)


async def _close(websocket: WebSocket, over: _Over) -> None:
    if over.by_client:
        return
    with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
        async with asyncio.timeout(1):  # one that does not read does not read this either
            await websocket.send_json({"event": "error", "code": "closed", "reason": over.reason})
            await websocket.close(over.code, over.reason[:100])


def _from_here(websocket: WebSocket) -> bool:
    """Whether it comes from our own page, or from no page at all. Others may not listen in."""
    origin = websocket.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == websocket.headers.get("host")
