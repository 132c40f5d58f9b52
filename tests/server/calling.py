"""A real server on loopback, and clients of `/v1/talk` to call it with."""

import asyncio
import json
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from threading import Event, Thread

import numpy as np
import uvicorn
import websockets
from room import ChatModel, LoudnessVad, Synthesizer, Transcriber
from starlette.applications import Starlette

from voicebot.conversation import Conversation
from voicebot.observability.provenance import Provenance
from voicebot.server import uvicorn_protocols
from voicebot.server.admission import AdmissionControl
from voicebot.server.talk import websocket as talk_socket

RATE = 24000


class Parts:
    """What `assemble` gives, of engines that cost nothing."""

    def __init__(self, *words, stt=None, llm=None, tts=None):
        self.stt = stt or Transcriber(takes=0.0)
        self.llm = llm or ChatModel(*words, takes=0.0)
        self.tts = tts or Synthesizer()
        self.begun = []

    identity = Provenance([])

    def conversation(self, speaker, emit):
        self.begun.append(Conversation(LoudnessVad(), self.stt, self.llm, self.tts, speaker, emit))
        return self.begun[-1]

    def describe(self):
        return ["a parrot speaks"]

    @property
    def history(self):
        """What the first conversation remembers."""
        return [(m.role, m.text) for m in self.begun[0].history]


@asynccontextmanager
async def serving(parts, *, window=30.0, admission=None, around=None, app=None, path=None):
    """Serve `parts` for a while, or `app`; gives the host with its port.

    around: what lies between the clients and us.
    path: that of a Unix socket to listen at instead.
    """
    admission = admission or AdmissionControl()
    app = app or Starlette(routes=talk_socket.routes(parts, admission, window=window))
    app = around(app) if around else app
    config = uvicorn.Config(app, host="127.0.0.1", port=0, uds=path, **uvicorn_protocols.OPTIONS)
    config.timeout_graceful_shutdown = 1
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext  # the test's signals stay its own
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells in no other way
        await asyncio.sleep(0.01)
    try:
        yield path or f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        admission.closing.set()
        server.should_exit = True
        await task


class Caller:
    """One connection, and all that came over it."""

    def __init__(self, socket):
        self.socket = socket
        self.events, self.sound, self.received = [], {}, 0
        self._place = (0, 0)

    async def say(self, **message):
        await self.socket.send(json.dumps(message))

    async def speak(self, seconds, level=0.5, rate=RATE, takes=0.0):
        """takes: seconds until the next 20 ms, none for all at once."""
        block = (np.full(rate // 50, level) * 32767).astype("<i2").tobytes()
        for _ in range(round(seconds * 50)):
            await self.socket.send(block)
            if takes:
                await asyncio.sleep(takes)

    async def until(self, name, **fields):
        """Read until this event; gives it."""
        while True:
            event = await self.next()
            if event and event["event"] == name and fields.items() <= event.items():
                return event

    async def next(self):
        """Read one message; an event, or None for sound."""
        message = await asyncio.wait_for(self.socket.recv(), 100)
        if isinstance(message, bytes):
            turn, at = self._place
            assert at == len(self.sound.get(turn, b"")) // 2, "sound repeated or lost"
            self.sound[turn] = self.sound.get(turn, b"") + message
            self._place = turn, at + len(message) // 2
            return None
        self.events.append(event := json.loads(message))
        if event["event"] == "sound":
            self._place = event["turn"], event["at"]
        return event

    async def hears(self, seconds, turn=1):
        """Read until so much sound has come, and say that it was played."""
        while len(self.sound.get(turn, b"")) < 2 * seconds * RATE:
            await self.next()
        await self.say(type="played", turn=turn, samples=round(seconds * RATE))

    async def closed(self):
        """Read to the end; the code it was closed with."""
        try:
            while True:
                await self.next()
        except websockets.ConnectionClosed as end:
            return end.rcvd.code if end.rcvd else None

    def all(self, name):
        return [event for event in self.events if event["event"] == name]


def dial(host, route, **options):
    """A websocket to what `serving` gave."""
    where = {"unix": True, "path": host} if host.startswith("/") else {}
    name = "localhost" if where else host
    return websockets.connect(f"ws://{name}{route}", proxy=None, **where, **options)


@asynccontextmanager
async def connected(host, **options):
    async with dial(host, "/v1/talk", max_size=None, **options) as socket:
        yield Caller(socket)


@asynccontextmanager
async def calling(host, rate=RATE):
    """A conversation that has begun."""
    async with connected(host) as caller:
        await caller.say(type="hello", rate=rate)
        caller.ready = await caller.until("ready")
        yield caller


class Cable:
    """What carries every byte to a server in a thread of its own, until it is cut."""

    def __init__(self):
        self.host = ""
        self._ends, self._cut, self._tasks = set(), False, set()

    def cut(self):
        """Break every connection; new ones fail until it is mended."""
        self._cut = True
        self._loop.call_soon_threadsafe(self._break)

    def mend(self):
        self._cut = False

    def _break(self):
        for end in list(self._ends):
            end.transport.abort()

    async def lay(self, to):
        self._loop = asyncio.get_running_loop()
        self._to = to.split(":")
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return server

    async def _carry(self, reader, writer):
        if self._cut:
            return writer.transport.abort()
        there, back = await asyncio.open_connection(*self._to)
        self._ends |= {writer, back}
        await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
        self._ends -= {writer, back}
        return None

    async def _pass(self, reader, writer):
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()


@contextmanager
def serving_browsers(parts, app=None):
    """Serve `parts`, or `app`, from another thread, for tests that block; gives the cable to it."""
    cable, laid, done = Cable(), Event(), Event()

    async def serve():
        async with serving(parts, app=app) as host, await cable.lay(host):
            laid.set()
            await asyncio.to_thread(done.wait)
            cable.cut()

    thread = Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert laid.wait(100)
    try:
        yield cable
    finally:
        done.set()
        thread.join()
