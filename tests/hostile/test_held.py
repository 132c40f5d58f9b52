"""What clients have held for them is bounded: each, one client's, all together, and who was not
let in has next to nothing. Bytes are counted, over real sockets; nobody with little is refused."""

import asyncio
import base64
import json
import threading
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
import websockets
from calling import serving
from serving import app, parts
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from voicebot.audio import silence
from voicebot.config import ServerSettings
from voicebot.server import uvicorn_protocols
from voicebot.server.app import create
from voicebot.server.auth import keys
from voicebot.server.memory_budget import (
    ALWAYS_ALLOWED_BYTES,
    MemoryBudget,
    MemoryBudgetExceeded,
    Share,
)
from voicebot.server.realtime import incremental
from voicebot.server.realtime.fields import ProtocolError
from voicebot.server.realtime.items import MAX_ITEMS, Item, Items, Part

MB = 2**20
SMALL = {"everybody": 8 * MB, "each": 4 * MB, "own": MB // 2}
"""A budget that is soon spent."""


def resting():
    """Bytes this process holds."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


class Wire:
    """A client that sends frames of a message and need not end it."""

    def __init__(self, reader, writer, protocol):
        self._reader, self._writer, self.protocol = reader, writer, protocol
        self.sent = 0

    async def begin(self, data, kind=Opcode.TEXT):
        await self._send(Frame(kind, data, fin=False))

    async def more(self, data):
        await self._send(Frame(Opcode.CONT, data, fin=False))

    async def _send(self, frame):
        self.sent += len(frame.data)
        with suppress(ConnectionError):
            self._writer.write(frame.serialize(mask=True))
            await self._writer.drain()

    async def code(self):
        """With which code it is closed."""
        with suppress(ConnectionError):
            while self.protocol.close_rcvd is None and (data := await self._reader.read(65536)):
                self.protocol.receive_data(data)
                self.protocol.events_received()
        return self.protocol.close_rcvd and self.protocol.close_rcvd.code

    async def opened(self):
        """Read until the server has answered the handshake."""
        while self.protocol.state.name == "CONNECTING" and self.protocol.handshake_exc is None:
            self.protocol.receive_data(await self._reader.read(65536))

    def close(self):
        self._writer.transport.abort()


@asynccontextmanager
async def wired(host, path="/v1/realtime", source="127.0.0.1", *, waits=True):
    protocol = ClientProtocol(parse_uri(f"ws://{host}{path}"))
    name, port = host.split(":")
    reader, writer = await asyncio.open_connection(name, int(port), local_addr=(source, 0))
    protocol.send_request(protocol.connect())
    writer.write(b"".join(protocol.data_to_send()))
    wire = Wire(reader, writer, protocol)
    if waits:
        await wire.opened()
    try:
        yield wire
    finally:
        wire.close()


PIECE = b"x" * 32_768


async def fill(wire, size):
    """Send so much of a message that does not end, as far as it is taken."""
    await wire.begin(b'{"type": "')
    for _ in range(size // len(PIECE)):
        await wire.more(PIECE)


@pytest.fixture
def served():
    """The application, and how to reach it."""

    @asynccontextmanager
    async def serve(budget=None, **settings):
        site = create(parts(), ServerSettings(**settings)) if settings else app()
        site.admission.memory = budget or MemoryBudget()
        async with serving(None, app=site) as host:
            yield host, site.admission.memory

    return serve


async def until(true):
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)


async def talks(host, source="127.0.0.1"):
    """Whether an ordinary client is answered there."""
    async with websockets.connect(
        f"ws://{host}/v1/realtime", proxy=None, local_addr=(source, 0)
    ) as line:
        sound = base64.b64encode(bytes(48_000)).decode()
        await line.send(json.dumps({"type": "input_audio_buffer.append", "audio": sound}))
        await line.send(json.dumps({"type": "response.create"}))
        async with asyncio.timeout(20):
            while (event := json.loads(await line.recv()))["type"] != "response.done":
                pass
    return event["response"]["status"] == "completed"


def test_unfinished_messages_of_many_are_bounded_together_and_others_are_served(served, figure):
    async def script():
        async with served(MemoryBudget(**SMALL)) as (host, budget), AsyncExitStack() as stack:
            before = resting()
            wires = [
                await stack.enter_async_context(wired(host, source=f"127.0.0.{1 + n % 3}"))
                for n in range(30)
            ]
            for wire in wires:
                await fill(wire, 3 * MB)
            codes = [code async for code in closed(wires)]
            # Two or three have room for 3 MB, by how far one has come when the next begins.
            assert set(codes) == {1013}
            assert 27 <= len(codes) < 30
            grown = resting() - before
            figure(
                f"{sum(wire.sent for wire in wires) / MB:.0f} MB of unfinished Realtime messages "
                f"sent: {budget.shared.total() / MB:.1f} MB count, memory grew by "
                f"{grown / MB:.0f} MB"
            )
            assert budget.shared.total() <= 8 * MB
            assert max(budget.shared.values()) <= 4 * MB
            assert await talks(host)
            assert await talks(host, "127.0.0.9")
        return budget

    async def closed(wires):
        for wire in wires:
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    yield await wire.code()

    assert not asyncio.run(script()).shared


def test_a_message_that_ended_is_held_until_the_next_is_asked_for(served):
    async def script():
        async with served(MemoryBudget(**SMALL)) as (host, budget):
            url = f"ws://{host}/v1/realtime"
            async with websockets.connect(url, proxy=None, max_size=None) as line:
                for _ in range(20):
                    text = json.dumps({"type": "x", "padding": "x" * 900_000})
                    await line.send(text)
                    while json.loads(await line.recv())["type"] != "error":
                        pass
                await until(lambda: not budget.shared)

    asyncio.run(script())


@pytest.mark.parametrize("kind", [Opcode.TEXT, Opcode.BINARY])
def test_who_has_no_key_has_hardly_a_message(served, tmp_path, kind):
    keys.add(tmp_path / "keys", "laptop")

    async def script():
        async with (
            served(keys=str(tmp_path / "keys")) as (host, _),
            wired(host, waits=False) as wire,
        ):
            await wire.begin(PIECE, kind)
            for _ in range(20):
                await wire.more(PIECE)
            assert wire.sent > ALWAYS_ALLOWED_BYTES
            await wire.opened()
            return wire.protocol.handshake_exc

    assert "401" in str(asyncio.run(script()))


def test_before_hello_a_message_is_no_longer_than_any_of_that_protocol(served):
    async def script():
        async with served() as (host, _), wired(host, "/v1/talk") as wire:
            await fill(wire, MB)
            return await wire.code()

    assert asyncio.run(script()) == 1009


def test_a_message_that_hardly_goes_on_is_given_up(served, monkeypatch):
    monkeypatch.setattr(uvicorn_protocols, "LOOK_S", 0.05)
    monkeypatch.setattr(uvicorn_protocols, "QUIET_S", 0.1)
    monkeypatch.setattr(uvicorn_protocols, "PACE", 10**9)

    async def script():
        async with served() as (host, _), wired(host) as wire, wired(host) as little:
            await fill(wire, 3 * ALWAYS_ALLOWED_BYTES)
            await little.begin(b'{"type": "')
            assert await wire.code() == 1008
            with pytest.raises(TimeoutError):  # it holds nothing that others might need
                async with asyncio.timeout(0.5):
                    await little.code()

    asyncio.run(script())


def test_each_has_its_own_beyond_that_one_client_half_and_all_so_much():
    budget = MemoryBudget(everybody=100, each=90, own=10)
    with budget.share("a") as one, budget.share("a") as two, budget.share("b") as other:
        one.hold("items", 60)
        with pytest.raises(MemoryBudgetExceeded, match="your conversations"):
            two.hold("items", 11)
        two.hold("items", 10)
        other.hold("items", 60)
        with (
            pytest.raises(MemoryBudgetExceeded, match="all conversations"),
            budget.share("c") as late,
        ):
            late.hold("items", 11)
        with pytest.raises(MemoryBudgetExceeded, match="one conversation"):
            other.hold("messages", 31)
        other.hold("items", 5)
        other.hold("messages", 50)
        assert (one.size, two.size, other.size) == (60, 10, 55)
    assert not budget.shared
    one.hold("items", 10**9)  # of a connection that outlives its conversation
    assert not budget.shared


def test_what_is_less_than_before_is_never_refused():
    share = Share(MemoryBudget(everybody=100, each=90), own=10)
    share.hold("items", 60)
    share.hold("items", 59)
    with pytest.raises(MemoryBudgetExceeded):
        share.hold("items", 61)
    assert share.size == 59


class Session:
    """A Realtime session over a real socket."""

    def __init__(self, line):
        self._line = line

    async def say(self, type, **fields):
        await self._line.send(json.dumps({"type": type, **fields}))

    async def until(self, *kinds):
        async with asyncio.timeout(20):
            while (event := json.loads(await self._line.recv()))["type"] not in kinds:
                pass
        return event

    async def item(self, *content, id=None):
        """Create an item of the user's; what comes of it."""
        item = {"type": "message", "role": "user", "content": [*content], "id": id}
        await self.say("conversation.item.create", item=item)
        event = await self.until("conversation.item.done", "error")
        return event.get("error", {}).get("code")


@asynccontextmanager
async def session(host):
    url = f"ws://{host}/v1/realtime"
    async with websockets.connect(url, proxy=None, max_size=None) as line:
        yield Session(line)


def text(size):
    return {"type": "input_text", "text": "x" * size}


def sound(seconds):
    return {
        "type": "input_audio",
        "audio": base64.b64encode(bytes(round(48_000 * seconds))).decode(),
    }


@pytest.mark.parametrize("content", [[text(190_000)], [text(0)] * 1900, [sound(2)]])
def test_items_are_refused_where_there_is_no_room_and_the_session_goes_on(served, content):
    async def script():
        async with served(MemoryBudget(**SMALL)) as (host, budget), session(host) as one:
            made = 0
            while (refused := await one.item(*content, id=f"item{made}")) is None:
                made += 1
            assert refused == "too_much_held"
            assert made < 40
            assert budget.shared.total() <= 4 * MB
            await one.say("conversation.item.delete", item_id="item0")
            assert await one.item(*content, id="item0") is None
            await one.say("response.create")
            done = await one.until("response.done")
            assert done["response"]["status"] == "completed"

    asyncio.run(script())


def test_sound_that_is_not_committed_is_refused_where_there_is_no_room(served):
    async def script():
        async with served(MemoryBudget(**SMALL)) as (host, budget), session(host) as one:
            turns = {"input": {"turn_detection": None}}
            await one.say("session.update", session={"type": "realtime", "audio": turns})
            await one.until("session.updated")
            for _ in range(80):
                await one.say("input_audio_buffer.append", audio=sound(1)["audio"])
            refused = await one.until("error")
            assert refused["error"]["code"] == "too_much_held"
            await one.say("input_audio_buffer.clear")
            await one.until("input_audio_buffer.cleared")
            await until(lambda: not budget.shared)
            await one.say("input_audio_buffer.append", audio=sound(1)["audio"])
            await one.say("input_audio_buffer.commit")
            await one.until("input_audio_buffer.committed")

    asyncio.run(script())


def test_settings_that_grow_bit_by_bit_are_no_more_than_fits_in_one_message(served):
    async def script():
        async with served() as (host, _), session(host) as one:
            for field in ("prompt", "tracing", "include"):
                value = {"a": "x" * 400_000}
                await one.say("session.update", session={"type": "realtime", field: value})
                event = await one.until("session.updated", "error")
            assert event["error"]["code"] == "message_too_long"
            await one.say("session.update", session={"instructions": "Hello."})
            now = await one.until("session.updated")
            assert now["session"]["instructions"] == "Hello."

    asyncio.run(script())


def test_a_conversation_that_is_full_is_not_answered_but_goes_on(served):
    async def script():
        async with served() as (host, _), session(host) as one:
            for number in range(MAX_ITEMS):
                await one.item(text(1), id=f"item{number}")
            await one.say("response.create")
            assert (await one.until("error"))["error"]["code"] == "too_many_items"
            await one.say("conversation.item.delete", item_id="item0")
            await one.say("response.create")
            done = await one.until("response.done")
            assert done["response"]["status"] == "completed"

    asyncio.run(script())


def test_a_long_message_is_parsed_on_a_thread_and_in_its_turn(served, monkeypatch):
    on = []
    parse = incremental.IncrementalMessage.parse

    def watched(self):
        on.append(threading.current_thread().name)
        parse(self)

    monkeypatch.setattr(incremental.IncrementalMessage, "parse", watched)

    async def script():
        async with served() as (host, _), session(host) as one:
            for number in range(6):
                length = 190_000 if number % 2 else 10
                await one.say(
                    "conversation.item.create",
                    item={"type": "message", "role": "user", "content": [text(length)],
                          "id": f"item{number}"},
                )  # fmt: skip
            return [
                (await one.until("conversation.item.done"))["item"]["id"] for number in range(6)
            ]

    assert asyncio.run(script()) == [f"item{number}" for number in range(6)]
    assert {name.split("_")[0] for name in on[::2]} == {"asyncio"}


def test_sound_that_is_forgotten_counts_no_more():
    sizes = []
    items = Items(sizes.append)
    part = Part("input_audio", "yes", silence(6, 16000))
    item = Item("a", role="user", content=[part])
    items.add(item)
    assert sizes[-1] > 4 * 6 * 16000
    items.forget(item, part)
    assert sizes[-1] < 2000
    items.delete("a")
    assert sizes[-1] == 0
    with pytest.raises(ProtocolError):
        items.find("a")
