"""A conversation and the websocket that carries it now, which may be another a moment later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from ... import context
from ...audio import Audio
from ...concurrency.worker import T, background
from ..auth.rate_limits import WITHDRAWN, Quota
from . import protocol as words
from .protocol import Frames
from .session import Cursor, InputOverflow, ResumeWindowExceeded, Session, Sound, SoundEnded

_log = logging.getLogger(__name__)

UNREAD_TIMEOUT_S = 10.0
"""Seconds a client may leave a message unread before its connection is given up."""

NORMAL, REFUSED, TOO_LONG, BROKEN, RESTART, LATER = 1000, 1008, 1009, 1011, 1012, 1013
TAKEN_OVER = 4001


@dataclass(frozen=True, slots=True)
class ConnectionEnded:
    """Why a connection is over."""

    code: int
    reason: str = ""
    by_client: bool = False
    final: bool = True
    """The conversation is over too."""


class Connection:
    """A conversation, and the connection that carries it now, if any.

    about: what every connection is greeted with, besides what is chosen.
    key: the hash of the key it was begun with, which is the one it is resumed with.
    allowance: what that key may use.
    """

    def __init__(
        self,
        session: Session,
        conversing: asyncio.Task[None],
        closing: asyncio.Event,
        codec: words.Codec,
        about: dict[str, Any],
        key: str | None,
        quota: Quota,
    ) -> None:
        self.key = key
        self._session, self._conversing, self._closing = session, conversing, closing
        self._codec, self._about = codec, about
        self._connected: asyncio.Event | None = None
        """Set to end the present connection."""
        self.is_over = False
        """It has ended, and cannot be resumed."""
        self._changed = asyncio.Event()
        self._quota = quota
        conversing.add_done_callback(lambda _: self._changed.set())

    async def left(self, window: float) -> None:
        """Wait until the conversation is over, or was without a connection for `window` s."""
        with suppress(TimeoutError):
            while not (self.is_over or self._conversing.done()):
                self._changed.clear()
                if self._connected:
                    await self._changed.wait()
                elif self._closing.is_set() or self._quota.revoked.is_set():
                    return
                else:
                    async with asyncio.timeout(window):
                        await _first(
                            self._changed.wait(),
                            self._closing.wait(),
                            self._quota.revoked.wait(),
                        )

    async def carry(self, websocket: WebSocket, place: Cursor, greeting: dict[str, Any]) -> None:
        """Let one connection carry the conversation from `place` on, until either is over."""
        if self._connected:
            self._connected.set()
        mine = self._connected = asyncio.Event()
        context.begin(self._session.request)
        chosen = words.chosen(self._session.choices)
        greeting = {**greeting, **self._about, **chosen, "request": self._session.request}
        frames = words.frames(self._codec, self._session.speaker.rate)
        try:
            over = await _first(
                self._listen(websocket, frames),
                self._tell(websocket, frames, place, greeting),
                self._taken(mine),
                self._closed(),
                self._revoked(),
                self._ended(),
            )
            self.is_over = self.is_over or over.final
        finally:
            if self._connected is mine:
                self._connected = None
            self._changed.set()
        await close(websocket, over)

    async def _listen(self, websocket: WebSocket, frames: Frames) -> ConnectionEnded:
        while True:
            try:
                match await receive(websocket):
                    case ConnectionEnded() as over:
                        self.is_over = over.final  # now: who has left may come again at once
                        return over
                    case bytes(data):
                        audio = frames.heard(data)
                        self._session.hear(audio)
                        self._charge(audio)
                        if used_up := self._quota.exhausted(_now()):
                            return ConnectionEnded(REFUSED, f"this key has used its {used_up}")
                    case str(text):
                        if answer := self._obey(words.parse(text)):
                            await send(websocket, answer)
            except words.MessageTooLong as error:
                return ConnectionEnded(TOO_LONG, str(error))
            except words.BadMessage as error:
                await send(websocket, words.complaint(error))
            except InputOverflow as error:
                return ConnectionEnded(REFUSED, str(error))
            await asyncio.sleep(0)  # a client that floods must not keep others waiting

    def _charge(self, audio: Audio) -> None:
        self._quota.charge(_now(), audio_s=audio.seconds)

    def _obey(self, message: words.Message) -> dict[str, Any] | None:
        """Do it. Returns what the client waits for."""
        match message:
            case words.Text(text):
                self._session.ask(text)
            case words.Stop():
                self._session.hush()
            case words.Mute():
                self._session.rest()
            case words.Played(turn, samples):
                self._session.played(turn, samples)
            case words.Choose() as wish:
                self._session.choose(words.choosing(self._session.choices, wish))
                return {"event": "chosen", **words.chosen(self._session.choices)}
            case words.Hello() | words.Resume():
                raise words.BadMessage("begun", "this conversation has begun already")
        return None

    async def _tell(
        self, websocket: WebSocket, frames: Frames, place: Cursor, greeting: dict[str, Any]
    ) -> ConnectionEnded:
        follows = None
        try:
            await send(websocket, greeting)
            async with aclosing(self._session.out(place)) as out:
                async for item in out:
                    if isinstance(item, Sound):
                        if (item.turn, item.at) != follows:
                            await send(websocket, frames.begin(item))
                        await self._send(websocket, frames.feed(item.audio))
                        self._charge(item.audio)
                        follows = item.turn, item.at + len(item.audio.samples)
                    else:
                        if isinstance(item.event, SoundEnded):
                            await self._send(websocket, frames.finish())
                        await send(websocket, words.telling(item))
        except TimeoutError:
            return ConnectionEnded(REFUSED, "nothing is read", final=False)
        except ResumeWindowExceeded as error:
            return ConnectionEnded(REFUSED, str(error))
        raise AssertionError("a session's news never end")

    async def _send(self, websocket: WebSocket, frames: Iterator[bytes]) -> None:
        for frame in frames:
            await send(websocket, frame)
            await asyncio.sleep(0)  # others get their turn between two packets being encoded

    async def _taken(self, mine: asyncio.Event) -> ConnectionEnded:
        await mine.wait()
        return ConnectionEnded(TAKEN_OVER, "resumed elsewhere", final=False)

    async def _closed(self) -> ConnectionEnded:
        """The house closes: the reply that is being given is given to its end."""
        await self._closing.wait()
        await self._session.quiet()
        return ConnectionEnded(RESTART, "the server is shutting down")

    async def _revoked(self) -> ConnectionEnded:
        await self._quota.revoked.wait()
        return ConnectionEnded(REFUSED, WITHDRAWN)

    async def _ended(self) -> ConnectionEnded:
        """A conversation ends by itself only when something in it is broken, or all ends."""
        await asyncio.wait([self._conversing])
        if self._conversing.cancelled():
            return ConnectionEnded(RESTART, "the server is shutting down")
        _log.error("a conversation broke", exc_info=self._conversing.exception())
        return ConnectionEnded(BROKEN, "the conversation broke; the server's log says why")


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _first(*ways: Coroutine[Any, Any, T]) -> T:
    """What the first of them returns; the others are stopped."""
    async with AsyncExitStack() as stack:
        tasks = [await stack.enter_async_context(background(way)) for way in ways]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    return done.pop().result()


async def receive(websocket: WebSocket) -> str | bytes | ConnectionEnded:
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        code = message.get("code", NORMAL)
        return ConnectionEnded(code, by_client=True, final=code in (NORMAL, RESTART))
    if "fragments" in message:
        return ConnectionEnded(TOO_LONG, f"a text frame has at most {words.MESSAGE} characters")
    text: str | None = message.get("text")
    return text if text is not None else bytes(message["bytes"])


async def send(websocket: WebSocket, message: dict[str, Any] | bytes) -> None:
    """Raises: TimeoutError, where the client does not read."""
    async with asyncio.timeout(UNREAD_TIMEOUT_S):
        # Who has gone is noticed where we listen; to send once more is a RuntimeError.
        with suppress(WebSocketDisconnect, RuntimeError):
            if isinstance(message, bytes):
                await websocket.send_bytes(message)
            else:
                await websocket.send_json(message)


async def close(websocket: WebSocket, over: ConnectionEnded) -> None:
    if over.by_client:
        return
    with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
        async with asyncio.timeout(1):  # one that does not read does not read this either
            await websocket.send_json({"event": "error", "code": "closed", "reason": over.reason})
            await websocket.close(over.code, over.reason[:100])
