"""Uvicorn protocol classes with timeouts for idle and stalled peers.

Uvicorn waits without end for a head that never comes, and for its last words to be read. It
answers pings, and collects the fragments of a message, without a bound. A long message it copies
five times in one go, while everybody waits.
"""

from __future__ import annotations

import asyncio
import codecs
import logging
import sys
from collections import deque
from http import HTTPStatus
from typing import Any
from weakref import ref

import h11
from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from .errors import ApiError, response
from .http.bodies import PACE, QUIET_S
from .http.unread_bodies import LINGER_S
from .memory_budget import ALWAYS_ALLOWED_BYTES, MemoryBudgetExceeded, Share, allowing
from .realtime.incremental import CHUNK_CHARACTERS
from .websocket_fragments import Fragmenter

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 500
"""Connections at once: half of the files a process may usually have open, and several for each
conversation. One more is asked for its question only if that is how we are."""
RESERVED_CONNECTIONS = 20
"""Connections more for whoever watches: /health and /ready, and a refusal for all else."""
RESERVED_S = 2.0
"""Seconds that one of them may stay."""
WATCHED = "/health", "/ready"
LOOK_S = 10.0
"""Seconds between two looks at a connection. It is given up if it has not moved between them: if
it has not said what it wants, or not read the end of what it was told."""
SMALL = 4096
"""Bytes of a message that is taken in without a pause: 40 ms of sound, as Realtime sends it."""
FEW = 32
"""Messages that may wait before we read no more: a second of such sound, and 128 kB at most."""
READ = 8192
"""Bytes of a websocket read at once, instead of asyncio's 256 kB: that many may be 43,000 empty
frames, and everybody would wait until all are taken apart. Less makes long messages slower."""
FRAGMENTS = 10_000
"""Pieces a message may come in: the longest one in pieces of 2 kB. Empty ones count for no length,
and would go on for ever."""


class _Watched:
    """What both kinds have in common."""

    connections: set[Any]
    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop

    def _look(self, before: object = None) -> None:
        if self not in self.connections:
            return  # it is closed, or a websocket by now
        waits_for = self._waits_for()
        if waits_for is not None and waits_for == before:
            # Where something is still to be read, closing would wait for it to be read.
            self.transport.abort()
        # Weakly, or all that a connection held would be kept until it is looked at once more.
        self.loop.call_later(LOOK_S, _look_again, ref(self), waits_for)

    def _waits_for(self) -> object:
        """What the client has to do next for the connection to be of use; None while it is."""
        return "to read" if self.transport.is_closing() else None


def _look_again(connection: ref[_Watched], before: object) -> None:
    if there := connection():
        there._look(before)


class HttpProtocol(_Watched, H11Protocol):
    """Uvicorn's HTTP/1.1 protocol, with timeouts and limits of its own."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._is_reserved = len(self.connections) > MAX_CONNECTIONS
        if len(self.connections) > MAX_CONNECTIONS + RESERVED_CONNECTIONS:
            transport.abort()
        elif self._is_reserved:
            self.app = _only_watched(self.app)
            self.loop.call_later(RESERVED_S, transport.abort)
        self._look()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        if self._is_reserved:
            self.transport.abort()
        else:
            super().handle_websocket_upgrade(event)

    def _waits_for(self) -> object:
        if self.cycle is None:
            return "to ask"
        if self.cycle.response_complete:
            return self.cycle  # after an answer, the next question
        unread = self.transport.get_write_buffer_size()
        if unread and not self.cycle.scope["path"].startswith("/v1/"):
            # What costs no work is short, and a player that pauses asks for none of it. To ask
            # again and again without reading would keep the connection for ever.
            return self.cycle, unread
        return super()._waits_for()


def _only_watched(app: Any) -> Any:
    async def watched(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] in WATCHED:
            await app(scope, receive, send)
            return
        full = ApiError(503, "all connections are taken", code="full", retry_after=int(LOOK_S))
        answer = response(full)
        answer.headers["connection"] = "close"
        await answer(scope, receive, send)

    return watched


class WebsocketProtocol(_Watched, WebSocketsSansIOProtocol):
    """A text longer than LONG comes as "fragments", a deque of texts, instead of as "text".

    Messages have at most FIRST bytes until the application says otherwise (`let_in`). From then on
    what has come of one counts until the application asks for the next.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        transport.max_size = READ  # type: ignore[attr-defined]  # asyncio's sockets have it
        self._cutter, self._decoder = Fragmenter(ALWAYS_ALLOWED_BYTES), _Decoder()
        self._texts: list[str] = []
        self._share: Share | None = None
        self._coming = 0  # bytes in memory of a message that has not ended
        self._begun: float | None = None  # when it did
        self._sizes: deque[int] = deque()  # of those in the queue
        self._heard_at = 0.0
        self._in_hand = 0  # of the one that the application has
        self._look()

    def data_received(self, data: bytes) -> None:
        if self.disconnected:
            return
        self._heard_at = self.loop.time()
        super().data_received(self._cutter.feed(data) if self.handshake_initiated else data)
        if not self.handshake_initiated and self.conn.handshake_exc:
            self._refuse_handshake()

    def _refuse_handshake(self) -> None:
        """Answer a request that websockets does not read, as one of over 128 headers: uvicorn would
        keep its connection without a word."""
        head = f"HTTP/1.1 431 {HTTPStatus(431).phrase}\r\nconnection: close\r\ncontent-length: 0"
        self.transport.write(f"{head}\r\n\r\n".encode())
        self.disconnected = True
        self.transport.close()

    def keepalive_timeout(self) -> None:
        """As uvicorn has it, which hangs up on who is busy: what answers our ping may stand behind
        messages that we do not read yet, or do not get to."""
        if self.read_paused or self._heard_at > self.ping_sent_at:
            self.pong_timer = None
            self.schedule_ping()
        else:
            super().keepalive_timeout()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):  # else it is no handshake, and was refused
            allowing(self.scope["extensions"], self._allow)

    def _allow(self, longest: int, share: Share) -> None:
        # The parser asks before each frame, so the next one has FIRST still: a fragment is shorter.
        self._cutter.longest = self.conn.max_message_size = longest
        self._share = share

    def handle_text(self, event: Frame) -> None:
        if self.disconnected:
            return
        self.curr_msg_data_type = "text"
        self._texts = []
        if not event.fin:
            self._decoder.reset()
        self._take(event)

    def handle_cont(self, event: Frame) -> None:
        if self.disconnected:
            return
        if len(self.frames) + len(self._texts) >= FRAGMENTS:
            self._fail(1009, "too many fragments")
        elif self.curr_msg_data_type == "text":
            self._take(event)
        elif self._holds(len(event.data)):
            super().handle_cont(event)

    def handle_bytes(self, event: Frame) -> None:
        if not self.disconnected and self._holds(len(event.data)):
            super().handle_bytes(event)

    def _take(self, event: Frame) -> None:
        try:
            if event.fin and not self._texts:
                text = str(event.data, "utf-8")
            else:  # a letter may be in two pieces
                text = self._decoder.decode(event.data, event.fin)
        except UnicodeDecodeError:
            log.warning("hung up on a client whose text is not UTF-8")
            self._fail(1007, "text should be UTF-8")
            return
        if self._holds(sys.getsizeof(text)):
            self._texts.append(text)
            if event.fin:
                self.send_receive_event_to_app()

    def _holds(self, size: int) -> bool:
        """Whether so many bytes more of a message are kept; else the client is hung up on."""
        self._coming += size
        if self._begun is None:
            self._begun = self.loop.time()
        try:
            self._tell_share()
        except MemoryBudgetExceeded as full:
            self._fail(1013, str(full))
            return False
        return True

    def _tell_share(self) -> None:
        if self._share:
            self._share.hold("messages", self._coming + sum(self._sizes) + self._in_hand)

    def _fail(self, code: int, reason: str) -> None:
        self.conn.fail(code, reason)
        self.handle_parser_exception()

    def send_receive_event_to_app(self) -> None:
        """As uvicorn has it, which stops reading at every message: two system calls for each."""
        texts, frames = self._texts, self.frames
        self._texts, self.frames = [], []
        held, self._coming, self._begun = self._coming, 0, None
        if self.close_sent:
            return
        self._sizes.append(held)
        message: Any
        size = sum(map(len, texts or frames))
        if not texts:
            message = {"type": "websocket.receive", "bytes": b"".join(frames)}
        elif size > CHUNK_CHARACTERS:
            message = {"type": "websocket.receive", "fragments": deque(texts)}
        else:
            message = {"type": "websocket.receive", "text": "".join(texts)}
        self.queue.put_nowait(message)
        if not self.read_paused and (size > SMALL or self.queue.qsize() > FEW):
            self.read_paused = True
            self.transport.pause_reading()

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            # Or uvicorn would log each denial as a handshake that we forgot.
            self.handshake_complete = True

    async def receive(self) -> ASGIReceiveEvent:
        if not self.queue.empty():
            # It would be had at once, and one who floods would keep the others waiting.
            await asyncio.sleep(0)
        self._in_hand = 0
        self._tell_share()
        message = await super().receive()
        if message["type"] == "websocket.receive" and self._sizes:
            self._in_hand = self._sizes.popleft()
        if self._begun is not None:
            self._begun = self.loop.time()  # what came late by our pause is not the client's fault
        return message

    def _look(self, before: object = None) -> None:
        if self._begun is not None and self._coming > ALWAYS_ALLOWED_BYTES and not self.read_paused:
            # As a body that comes no faster: it would hold for ever what others have no room for.
            late = self.loop.time() - self._begun - QUIET_S - self._coming / PACE
            if late > 0 and not self.disconnected:
                self._fail(1008, f"a message comes slower than {PACE} bytes a second")
        super()._look(before)

    def handle_ping(self) -> None:
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()  # who reads no answers gets none

    def handle_parser_exception(self) -> None:
        """As uvicorn has it, which hangs up at once: on one that still sends, before it can read
        why. Who sends to it from now on finds the client gone, not that it must not send.
        """
        failed = self.conn.close_sent
        assert failed
        code, reason = int(failed.code), failed.reason
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = self.disconnected = True
        self._texts, self.frames, self._coming = [], [], 0
        self._tell_share()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        if self.close_timer is None:
            self.close_timer = self.loop.call_later(LINGER_S, self.transport.close)


_Decoder = codecs.getincrementaldecoder("utf-8")

OPTIONS: dict[str, Any] = {
    "http": HttpProtocol,
    "ws": WebsocketProtocol,
    "ws_max_size": ALWAYS_ALLOWED_BYTES,
    # Sound does not become smaller by it, and each side keeps its window in memory.
    "ws_per_message_deflate": False,
    "log_config": None,  # our own command line has set up the log
    "log_level": "warning",  # in detail, it logs headers, which hold keys
    "server_header": False,
    "proxy_headers": False,  # it would believe whoever is on loopback; `forwarded` names its own
}
"""What is asked of uvicorn wherever it serves us."""
