"""Websockets without a network: the application is called, so that a pretended clock serves too."""

import asyncio
import json
from contextlib import asynccontextmanager

from room import InstantLoop, tasks_left

from voicebot.config import ServerSettings
from voicebot.server.app import create


def lives(life):
    """Run it on the clock that skips waiting; nothing may be left of it."""
    with asyncio.Runner(loop_factory=InstantLoop) as runner:
        result = runner.run(life)
        left = runner.run(tasks_left())
    assert not left, left
    return result


@asynccontextmanager
async def application(parts, **settings):
    """Serve for a while; a minute later nobody may be inside."""
    app = create(parts, ServerSettings(**settings))
    try:
        yield app
        await asyncio.sleep(60)
        await app.admission.close(0)
    finally:
        app.close()


class Socket:
    """One websocket. What comes goes to `see`, as text or as bytes."""

    def __init__(self, app, path, see, headers=()):
        self._app, self._path, self._see = app, path, see
        self._given = asyncio.Queue()
        self._headers = [(b"host", b"localhost"), *headers]
        self.moved = asyncio.Event()
        """Set whenever something has come."""
        self.status = self.code = None
        """What the handshake was answered with, and what it was closed with."""

    async def open(self):
        scope = {
            "type": "websocket", "path": self._path, "query_string": b"", "scheme": "ws",
            "headers": self._headers, "subprotocols": [], "client": ("127.0.0.1", 1),
            "extensions": {"websocket.http.response": {}},
        }  # fmt: skip
        self._given.put_nowait({"type": "websocket.connect"})
        self._task = asyncio.create_task(self._app(scope, self._given.get, self._send))
        self._task.add_done_callback(lambda _: self.moved.set())
        while self.status is None:
            await self._next()
        return self

    def say(self, *messages):
        for message in messages:
            if isinstance(message, bytes):
                self._given.put_nowait({"type": "websocket.receive", "bytes": message})
            else:
                text = message if isinstance(message, str) else json.dumps(message)
                self._given.put_nowait({"type": "websocket.receive", "text": text})

    @property
    def is_open(self):
        if self._task.done():
            self._task.result()  # what broke it, also in whoever sees
        return self.code is None

    async def until(self, true):
        """Wait until `true()`, or the end of the connection."""
        while not true() and self.is_open:
            await self._next()

    async def passes(self, seconds):
        """Let so much time pass, once the server has taken what was said."""
        while not self._given.empty() and self.is_open:  # noqa: ASYNC110 - nobody tells when
            await asyncio.sleep(0.001)
        await asyncio.sleep(seconds)

    async def ended(self):
        """Wait until the server is done with it."""
        await self._task

    async def close(self, code=1006):
        """Go, with a goodbye (1000) or without one (1006)."""
        self._given.put_nowait({"type": "websocket.disconnect", "code": code})
        if self.code is None:
            self.code = code
        self.moved.set()

    async def _next(self):
        async with asyncio.timeout(100):
            self.moved.clear()
            await self.moved.wait()

    async def _send(self, message):
        kind = message["type"]
        if kind == "websocket.accept":
            self.status = 101
        elif kind == "websocket.http.response.start":
            self.status = message["status"]
        elif kind == "websocket.close":
            self.code = message["code"]
            self._given.put_nowait({"type": "websocket.disconnect", "code": self.code})
        elif kind == "websocket.send" and self.is_open:
            text, data = message.get("text"), message.get("bytes")
            if text is not None:
                text.encode()  # as the wire does
            self._see(data if text is None else json.loads(text))
        self.moved.set()
        await asyncio.sleep(0)
