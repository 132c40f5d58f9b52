"""Connections that are of no use to anybody, over real sockets: each is given up."""

import asyncio
import gc
import json
import socket
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from urllib.parse import urlsplit

import httpx
import pytest
import room
from calling import RATE, Parts, connected, serving
from serving import app, served
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from voicebot.engines import Speech
from voicebot.server import uvicorn_protocols


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(uvicorn_protocols, "LOOK_S", 0.2)


@contextmanager
def line(url, *, reads=True):
    address = urlsplit(url)
    with socket.socket() as end:
        if not reads:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        end.settimeout(10)
        end.connect((address.hostname, address.port))
        yield end


def rest(end):
    """All that comes until the other side hangs up."""
    data = b""
    with suppress(ConnectionResetError):
        while more := end.recv(65536):
            data += more
    return data


def answer(end):
    """What `/health` answers, whole."""
    data = b""
    while not data.endswith(b"}"):
        data += end.recv(4096)
    return data


def test_who_says_nothing_is_hung_up_on():
    with served(app()) as url, line(url) as end:
        assert rest(end) == b""


def test_who_spells_out_its_head_is_hung_up_on():
    with served(app()) as url, line(url) as end:
        begun, head = time.monotonic(), b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
        with suppress(ConnectionError):
            while time.monotonic() < begun + 10:
                end.sendall(head[:1] or b"x")
                head = head[1:]
                time.sleep(0.02)
        assert time.monotonic() < begun + 5


def test_who_spells_out_its_second_head_is_hung_up_on_too():
    with served(app()) as url, line(url) as end:
        end.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer(end)
        end.sendall(b"GET /hea")
        assert rest(end) == b""


def test_who_takes_its_time_between_questions_is_waited_for(monkeypatch):
    monkeypatch.setattr(uvicorn_protocols, "LOOK_S", 0.5)
    with served(app()) as url, line(url) as end:
        for _ in range(6):
            end.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert answer(end).startswith(b"HTTP/1.1 200 ")
            time.sleep(0.2)


def small(endpoint):
    """An application that answers so, and says that it is ready."""

    async def ready(request):
        return Response()

    return Starlette(routes=[Route("/ready", ready), Route("/", endpoint)])


def test_an_answer_may_take_long():
    async def slow(request):
        await asyncio.sleep(1.0)
        return Response("At last.")

    with served(small(slow)) as url:
        assert httpx.get(url).text == "At last."


def test_who_does_not_read_its_answer_is_hung_up_on():
    async def large(request):
        return Response(bytes(30 * 2**20))

    with served(small(large)) as url, line(url, reads=False) as end:
        end.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        time.sleep(1.0)
        assert len(rest(end)) < 20 * 2**20


def test_one_connection_too_many_is_hung_up_on(monkeypatch):
    monkeypatch.setattr(uvicorn_protocols, "MAX_CONNECTIONS", 3)
    monkeypatch.setattr(uvicorn_protocols, "RESERVED_CONNECTIONS", 0)
    monkeypatch.setattr(uvicorn_protocols, "LOOK_S", 10.0)
    with served(app()) as url:
        with line(url) as a, line(url), line(url), line(url) as late:
            assert rest(late) == b""
            a.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert answer(a).startswith(b"HTTP/1.1 200 ")
        assert httpx.get(f"{url}/health").status_code == 200


def test_where_all_connections_are_taken_the_server_still_says_that_it_lives(monkeypatch):
    monkeypatch.setattr(uvicorn_protocols, "MAX_CONNECTIONS", 2)
    monkeypatch.setattr(uvicorn_protocols, "RESERVED_S", 0.2)
    monkeypatch.setattr(uvicorn_protocols, "LOOK_S", 10.0)
    with served(app()) as url, line(url), line(url), line(url) as late:
        assert httpx.get(f"{url}/health").status_code == 200
        refused = httpx.get(f"{url}/v1/models")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "full")
        assert rest(late) == b""  # it may not stay for all that


def test_who_asks_again_and_again_and_never_reads_is_hung_up_on():
    asked = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 400_000  # 19 MB
    # A connection that stays would be a TimeoutError.
    with served(app()) as url, line(url, reads=False) as end, pytest.raises(ConnectionError):
        end.sendall(asked)


class Wire:
    """A client of `/v1/talk` that decides itself what it sends and reads."""

    def __init__(self, host):
        self._host, self._loop = host, asyncio.get_running_loop()
        self.protocol = ClientProtocol(parse_uri(f"ws://{host}/v1/talk"))

    async def connect(self):
        name, port = self._host.split(":")
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.setblocking(False)
        await self._loop.sock_connect(self._socket, (name, int(port)))
        self.protocol.send_request(self.protocol.connect())
        await self.flush()
        await self.read()

    async def read(self):
        self.protocol.receive_data(await self._loop.sock_recv(self._socket, 65536))
        return self.protocol.events_received()

    async def say(self, **message):
        self.protocol.send_text(json.dumps(message).encode())
        await self.flush()

    async def flush(self):
        for data in self.protocol.data_to_send():
            if data:
                await self.raw(data)

    async def raw(self, data):
        await self._loop.sock_sendall(self._socket, data)

    def close(self):
        self._socket.close()


@asynccontextmanager
async def wired(host):
    wire = Wire(host)
    await wire.connect()
    try:
        yield wire
    finally:
        wire.close()


async def closed(wire):
    """Read until it is closed; with which code."""
    with suppress(ConnectionResetError):
        while wire.protocol.close_rcvd is None:
            await asyncio.wait_for(wire.read(), 100)
    return wire.protocol.close_rcvd.code


def masked(opcode, data, fin=True):
    return Frame(opcode, data, fin).serialize(mask=True)


def test_a_message_in_pieces_is_one_message():
    async def script():
        async with serving(Parts("Yes.")) as host, wired(host) as wire:
            hello = b'{"type": "hello", "rate": 24000}'
            await wire.raw(masked(Opcode.TEXT, hello[:5], fin=False))
            await wire.raw(masked(Opcode.CONT, hello[5:9], fin=False))
            await wire.raw(masked(Opcode.CONT, hello[9:]))
            (frame,) = await wire.read()
            return json.loads(frame.data)["event"]

    assert asyncio.run(script()) == "ready"


def test_a_message_that_never_ends_is_cut_off(monkeypatch):
    monkeypatch.setattr(uvicorn_protocols, "FRAGMENTS", 100)

    async def script():
        async with serving(Parts("Yes.")) as host, wired(host) as wire:
            await wire.raw(masked(Opcode.TEXT, b"", fin=False))
            with suppress(ConnectionError):
                for _ in range(200):
                    await wire.raw(masked(Opcode.CONT, b"", fin=False))
            return await closed(wire)

    assert asyncio.run(script()) == 1009


@pytest.mark.parametrize(
    "frame",
    [
        b"\x83\x80\0\0\0\0",
        b"\x81\x01x",
        b"\xc1\x80\0\0\0\0",
        masked(Opcode.TEXT, b"\xff\xfe"),
        b"\x89\xfe\x01\x00\0\0\0\0" + bytes(256),
        masked(Opcode.CONT, b"x"),
    ],
    ids=["unknown", "unmasked", "compressed", "no text", "long ping", "no beginning"],
)
def test_what_is_no_websocket_ends_the_connection_and_not_the_conversation(frame, caplog):
    async def script():
        parts = Parts(*" ".join(f"One two {n}." for n in range(100)).split())
        async with serving(parts) as host:
            async with wired(host) as wire:
                await wire.say(type="hello", rate=RATE)
                (ready,) = await wire.read()
                await wire.say(type="text", text="a story")
                await wire.read()
                await wire.raw(frame)
                await closed(wire)
            async with connected(host) as again:
                token = json.loads(ready.data)["token"]
                await again.say(type="resume", token=token, number=0, turn=0, received=0)
                await again.until("clause_spoken")

    asyncio.run(script())
    assert "ASGI" not in caplog.text


def test_who_is_cut_off_and_sends_on_is_not_read_for_ever(monkeypatch):
    monkeypatch.setattr(uvicorn_protocols, "LINGER_S", 0.2)

    async def sends_on(wire):
        while True:
            await wire.raw(bytes(65536))

    async def script():
        async with serving(Parts("Yes.")) as host, wired(host) as wire:
            await wire.raw(b"\x81\xff" + (2**62).to_bytes(8) + b"mask")
            with pytest.raises(ConnectionError):
                await asyncio.wait_for(sends_on(wire), 100)

    asyncio.run(script())


@pytest.mark.parametrize("pieces", [[b"\xff\xfe"], [b'{"type": "', b'\xc3"}']])
def test_a_text_that_is_none_ends_the_connection_and_is_logged_in_one_line(pieces, caplog):
    async def script():
        async with serving(Parts("Yes.")) as host, wired(host) as wire:
            last = len(pieces) - 1
            for at, piece in enumerate(pieces):
                kind = Opcode.CONT if at else Opcode.TEXT
                await wire.raw(masked(kind, piece, fin=at == last))
            return await closed(wire)

    assert asyncio.run(script()) == 1007
    said = [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
    assert [record.getMessage() for record in said] == [
        "hung up on a client whose text is not UTF-8"
    ]
    assert said[0].exc_info is None


def test_a_letter_may_be_in_two_pieces():
    async def script():
        async with serving(Parts("Yes.")) as host, wired(host) as wire:
            await wire.raw(masked(Opcode.TEXT, '"\N{SNOWMAN}'.encode()[:2], fin=False))
            await wire.raw(masked(Opcode.CONT, '"\N{SNOWMAN}"'.encode()[2:]))
            (answer,) = await wire.read()
            return json.loads(answer.data)

    assert "\N{SNOWMAN}" in asyncio.run(script())["reason"]


def test_who_sends_to_a_client_that_was_cut_off_finds_it_gone():
    ends = []

    async def talks(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        ends.append((await receive())["type"])
        try:
            await send({"type": "websocket.send", "text": "There?"})
        except OSError:
            ends.append("gone")

    async def script():
        async with serving(None, app=talks) as host, wired(host) as wire:
            await wire.raw(b"\x83\x80\0\0\0\0")
            await closed(wire)

    asyncio.run(script())
    assert ends == ["websocket.disconnect", "gone"]


def test_a_handshake_with_more_headers_than_are_read_is_refused():
    with served(app()) as url, line(url) as end:
        head = b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        end.sendall(head + b"Connection: upgrade\r\n" + b"x: y\r\n" * 500 + b"\r\n")
        assert rest(end).startswith(b"HTTP/1.1 431 ")


def test_who_waits_for_us_to_read_is_not_thought_dead(monkeypatch):
    monkeypatch.setitem(uvicorn_protocols.OPTIONS, "ws_ping_interval", 0.05)
    monkeypatch.setitem(uvicorn_protocols.OPTIONS, "ws_ping_timeout", 0.05)

    async def busy(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        await asyncio.sleep(1.0)  # meanwhile what it sent lies before its pong
        while (await receive())["type"] != "websocket.disconnect":
            await send({"type": "websocket.send", "text": "There."})

    async def script():
        async with serving(None, app=busy) as host, connected(host) as caller:
            for _ in range(5):
                await caller.socket.send("x" * 60_000)
            async with asyncio.timeout(20):
                return [await caller.socket.recv() for _ in range(4)]

    assert asyncio.run(script()) == ["There."] * 4


def test_who_answers_no_ping_is_hung_up_on(monkeypatch):
    monkeypatch.setitem(uvicorn_protocols.OPTIONS, "ws_ping_interval", 0.05)
    monkeypatch.setitem(uvicorn_protocols.OPTIONS, "ws_ping_timeout", 0.05)

    async def script():
        async with serving(Parts("Yes.")) as host, wired(host) as wire:
            while data := await wire._loop.sock_recv(wire._socket, 65536):
                wire.protocol.receive_data(data)
            return wire.protocol.close_rcvd.code

    assert asyncio.run(asyncio.wait_for(script(), 20)) == 1011


def test_pings_are_answered():
    async def script():
        async with serving(Parts()) as host, connected(host) as caller:
            await (await caller.socket.ping())

    asyncio.run(script())


def test_pings_of_who_reads_no_answers_cost_no_memory(monkeypatch):
    monkeypatch.setattr("voicebot.server.talk.websocket.HELLO_TIMEOUT_S", 1000.0)

    async def script():
        sent = 0
        async with serving(Parts()) as host, wired(host) as wire:
            ping = masked(Opcode.PING, bytes(125))
            before = memory()
            with suppress(ConnectionError):  # a slow machine has it given up before the end
                while sent < 60 * 2**20:
                    await wire.raw(ping * 1000)
                    sent += 1000 * len(ping)
            return memory() - before

    assert asyncio.run(script()) < 20 * 2**20


def memory():
    """Bytes this process holds."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def test_a_client_that_is_given_up_has_no_connection_any_more(monkeypatch):
    monkeypatch.setattr("voicebot.server.talk.connection.UNREAD_TIMEOUT_S", 0.2)

    class Endless(room.Synthesizer):
        async def synthesize(self, text):
            while True:
                await asyncio.sleep(0.001)
                yield Speech(room.sound(1, RATE))

    async def script():
        async with serving(Parts("Yes.", tts=Endless()), window=0.1) as host, wired(host) as wire:
            await wire.say(type="hello", rate=48000)
            await wire.say(type="text", text="go on")
            with suppress(ConnectionError):
                async with asyncio.timeout(100):
                    while True:
                        # Who says that all was played is sent more, until no buffer takes it.
                        await wire.say(type="played", turn=1, samples=2**40)
                        await asyncio.sleep(0.01)
            return "hung up"

    assert asyncio.run(script()) == "hung up"


def test_nothing_is_kept_of_a_connection_that_has_ended(monkeypatch):
    monkeypatch.setattr(uvicorn_protocols, "LOOK_S", 1000.0)  # nothing is tidied up by looking

    async def script():
        async with serving(Parts("Yes.")) as host:
            for _ in range(3):
                async with connected(host) as caller:
                    await caller.say(type="hello", rate=RATE)
                    await caller.until("ready")
            while any(
                type(kept) is uvicorn_protocols.WebsocketProtocol for kept in gc.get_objects()
            ):
                await asyncio.sleep(0.01)
                gc.collect()

    asyncio.run(asyncio.wait_for(script(), 100))
