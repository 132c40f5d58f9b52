"""`/v1/talk`: a conversation over one websocket; its page is mounted beside it.

 1. Text frames are JSON objects, binary frames 16-bit little-endian mono PCM. Where a key is
    needed, say Authorization: Bearer KEY, or offer "talk" and "openai-insecure-api-key.KEY".
 2. Begin with {"type": "hello", "rate": 24000}: samples per second of all sound, 8000 to 48000.
    The answer is {"event": "ready", "token": ..., "window": 30, "voices": [...], "languages":
    [...], ...}; in hello, or by {"type": "choose", "voice": ..., "language": ...}, have of those.
 3. Then send what the microphone hears, at most a second in a frame; {"type": "mute"} ends it
    for now. {"type": "text", "text": ...} is a typed question, {"type": "stop"} silences the reply.
 4. What happens is told as {"event": "transcript", "text": ..., "turn": 1, "number": 7}; so are
    passages, clause_spoken (`at` seconds into the turn's sound), interrupted, failed,
    turn_ended, ...
    What was said over a reply and held no word interrupts it; "reply_resumed" begins the next turn,
    which says the rest of it.
    and, with "interim_transcripts": true in hello, interim_transcript: what the
    user is saying, as far as it is clear.
 5. {"event": "sound", "turn": 1, "at": 0}: the binary frames that follow are turn 1's sound from
    that sample on. "sound_ended" says how many samples there are; at "flushed" drop the rest.
    With "codec": "opus" in hello a frame is one Opus packet of 20 ms, yours too; at each "sound"
    begin with a new decoder, drop the first `skip` samples, and in the end what is too many.
 6. Some ten times a second say {"type": "played", "turn": 1, "samples": 4800}: only that is
    remembered as heard. A client that never does is thought to play what it gets at once.
 7. If the connection breaks, within `window` seconds open another and begin with {"type":
    "resume", "token": ..., "number": last told, "turn": 1, "received": its samples you have}.
 8. {"event": "resumed", ...}, and what you have missed follows, as if nothing had been.
 9. {"event": "error", "code": ..., "reason": ...} is a message of yours that changed nothing.
10. Close with 1000 to end. We close with 1008 (too much, a key used up or gone), 1009 (a frame too
    long), 1011 (our mistake), 1012 (shutting down), 1013 (come later), 4001 (resumed elsewhere).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Scope
from starlette.websockets import WebSocket

from ...assistant.assembly import EngineSet
from ...concurrency.worker import background
from ...conversation.voice_options import VoiceOptions
from .. import page
from ..admission import SESSIONS, AdmissionControl, client_of
from ..auth.middleware import quota
from ..auth.rate_limits import RateLimitExceeded
from ..errors import ApiError, response
from ..memory_budget import let_in
from . import protocol as words
from .connection import LATER, REFUSED, Connection, ConnectionEnded, close, receive, send
from .session import Cursor, Session

WINDOW = 30.0
"""Seconds a conversation waits for its client to come back. More keeps more dead ones."""
MAX_FRAME_BYTES = 4 * words.MESSAGE
"""Bytes of a frame: of the longest text, or of a second of sound, and some more."""
HELLO_TIMEOUT_S = 10.0
"""Seconds a client has to say how it begins."""


def routes(
    parts: EngineSet,
    admission: AdmissionControl,
    calls: dict[str, Connection] | None = None,
    sessions: int = SESSIONS,
    *,
    window: float = WINDOW,
) -> list[BaseRoute]:
    """The websocket, and the page that uses it.

    calls: the conversations that can be resumed, by their token, where others hold some too.
    sessions: how many the house may hold for another one to begin.
    """
    talk = TalkWebSocket(parts, admission, {} if calls is None else calls, sessions, window)
    return [
        WebSocketRoute("/v1/talk", talk.serve),
        Route("/v1/talk", talk.refuse, methods=["GET", "POST"], include_in_schema=False),
        *page.routes(),
    ]


class TalkWebSocket:
    """Holds the conversations, and hands each connection to its own."""

    def __init__(
        self,
        parts: EngineSet,
        admission: AdmissionControl,
        calls: dict[str, Connection],
        sessions: int,
        window: float,
    ) -> None:
        self._parts, self._admission, self._calls = parts, admission, calls
        self._sessions, self._window = sessions, window

    async def serve(self, websocket: WebSocket) -> None:
        """One connection, from its first message to its last.

        Raises:
            Refusal, Exceeded: it can neither begin a conversation nor go on with one.
        """
        scope = websocket.scope
        if not any(call.key == scope.get("key") for call in self._calls.values()):
            with self._place(scope):
                pass  # there is one now; whether it is needed is known when something was said
        with self._admission.memory.messages(client_of(scope)) as messages:
            let_in(scope, MAX_FRAME_BYTES, messages)
            await self._carry(websocket)

    async def _carry(self, websocket: WebSocket) -> None:
        scope = websocket.scope
        # A browser names its key as a second subprotocol, which must not be the one we choose.
        await websocket.accept("talk" if "talk" in scope["subprotocols"] else None)
        match await self._greeting(websocket):
            case words.Hello() as hello:
                try:
                    with self._place(scope):
                        await self._begin(websocket, hello)
                except (ApiError, RateLimitExceeded) as refusal:
                    await close(websocket, ConnectionEnded(LATER, str(refusal)))
            case words.Resume(token, place):
                await self._calls[token].carry(websocket, place, {"event": "resumed"})
            case ConnectionEnded() as over:
                await close(websocket, over)

    async def refuse(self, request: Request) -> Response:
        """Tell why a websocket was not opened: browsers hide it from a page, which asks here.

        Raises:
            Refusal, Exceeded: there was no place for it, as there is none now.
        """
        with self._place(request.scope):
            pass
        remedy = "a proxy in between has to pass on Upgrade and Connection"
        refused = response(ApiError(426, f"/v1/talk is for websockets; {remedy}"))
        refused.headers["upgrade"] = "websocket"
        return refused

    @contextmanager
    def _place(self, scope: Scope) -> Iterator[None]:
        """The time of a conversation."""
        with self._admission.session(self._sessions, speaks="talk"), quota(scope).session():
            yield

    async def _greeting(self, websocket: WebSocket) -> words.Hello | words.Resume | ConnectionEnded:
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                while True:
                    match await receive(websocket):
                        case ConnectionEnded() as over:
                            return over
                        case bytes():
                            return ConnectionEnded(REFUSED, "sound before hello")
                        case str(text):
                            try:
                                return self._known(words.parse(text), websocket.scope)
                            except words.BadMessage as error:
                                await send(websocket, words.complaint(error))
        except TimeoutError:
            return ConnectionEnded(REFUSED, f"no hello within {HELLO_TIMEOUT_S:g} s")

    def _known(self, message: words.Message, scope: Scope) -> words.Hello | words.Resume:
        match message:
            case words.Hello():
                words.choosing(VoiceOptions(self._parts.stt, self._parts.tts), message.choose)
                return message
            case words.Resume(token):
                call = self._calls.get(token)
                # Another's conversation would be on another's account.
                if call and not call.is_over and call.key == scope.get("key"):
                    return message
                raise words.BadMessage("gone", "that conversation is over; begin with hello")
            case _:
                raise words.BadMessage("not_begun", "begin with hello or resume")

    async def _begin(self, websocket: WebSocket, hello: words.Hello) -> None:
        """Hold a conversation for as long as its client is there, or may come back."""
        token = secrets.token_urlsafe(24)
        session = Session(self._parts.conversation, hello.rate)
        session.choose(words.choosing(session.choices, hello.choose))
        session.conversation.interim = hello.interim
        limits = quota(websocket.scope).limits
        session.conversation.endpointing = limits.listening(session.conversation.endpointing)
        ready = {"event": "ready", "token": token, "window": self._window}
        about = {
            "rate": hello.rate,
            "codec": hello.codec,
            "voices": session.choices.voices,
            "languages": session.choices.languages,
            "engines": self._parts.describe(),
            "spoke": self._parts.identity.as_json(),
        }
        async with background(session.run()) as conversing:
            call = self._calls[token] = Connection(
                session,
                conversing,
                self._admission.closing,
                hello.codec,
                about,
                websocket.scope.get("key"),
                quota(websocket.scope),
            )
            try:
                await call.carry(websocket, Cursor(), ready)
                await call.left(self._window)
            finally:
                del self._calls[token]
