"""Who is let in, who is asked to come back, and when the house is empty."""

import asyncio
import json
import socket
import threading
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import httpx
import pytest
import room
from calling import connected
from serving import app, parts, served, wav
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from voicebot.config import ServerSettings
from voicebot.engines import Delta, Segment, Speech
from voicebot.server import admission as admission_module
from voicebot.server.admission import LINE, PLACES, QUEUE_TIMEOUT_S, AdmissionControl
from voicebot.server.app import create
from voicebot.server.errors import ApiError
from voicebot.server.http import bodies, streaming


def spend(evening):
    """Live through it on a clock that skips waiting."""
    with asyncio.Runner(loop_factory=room.InstantLoop) as runner:
        runner.run(evening)


async def visit(admission, seconds, client=""):
    """Have a place for so long; gives when it was there."""
    async with admission.request(client):
        there = room.now()
        await asyncio.sleep(seconds)
    return there


def test_who_finds_no_place_has_the_next_that_is_left():
    async def evening():
        admission = AdmissionControl(places=1)
        guests = [asyncio.create_task(visit(admission, 0.8)) for _ in range(3)]
        assert await asyncio.gather(*guests) == pytest.approx([0, 0.8, 1.6])

    spend(evening())


def test_who_has_waited_for_a_place_in_vain_is_told_when_to_come_back():
    async def evening():
        admission = AdmissionControl(places=1)
        async with admission.request():
            with pytest.raises(ApiError, match="all 1 places are taken") as refusal:
                await visit(admission, 0)
            assert room.now() == QUEUE_TIMEOUT_S
        assert refusal.value.retry_after
        await visit(admission, 0)

    spend(evening())


def test_who_finds_a_long_line_is_told_at_once():
    async def evening():
        admission = AdmissionControl(places=1)
        async with admission.request():
            line = [asyncio.create_task(visit(admission, 0)) for _ in range(LINE)]
            await asyncio.sleep(0)
            with pytest.raises(ApiError, match="all 1 places are taken"):
                await visit(admission, 0)
            line[0].cancel()  # who goes leaves room
            await asyncio.sleep(0)
            last = asyncio.create_task(visit(admission, 0))
            await asyncio.sleep(1)
        assert await last == 1

    spend(evening())


def test_one_client_leaves_others_a_place_however_many_it_takes():
    async def evening():
        admission = AdmissionControl(places=4)
        greedy = [asyncio.create_task(visit(admission, 1, "greedy")) for _ in range(LINE)]
        await asyncio.sleep(0)
        assert (
            await asyncio.gather(*(visit(admission, 0, name) for name in ("a", "b", "c")))
            == [0] * 3
        )
        found = await asyncio.gather(*greedy, return_exceptions=True)
        assert [there for there in found if there == 0] == [0] * 4

    spend(evening())


def test_one_client_leaves_others_room_in_the_line():
    async def evening():
        admission = AdmissionControl(places=1)
        async with AsyncExitStack() as taken:
            for client in ("greedy", "other", "third"):  # all places there are
                await taken.enter_async_context(admission.request(client))
            line = [asyncio.create_task(visit(admission, 0, "greedy")) for _ in range(2 * LINE)]
            await asyncio.sleep(0)
            refused = [guest for guest in line if guest.done()]
            assert len(refused) == LINE
            waiting = asyncio.create_task(visit(admission, 0, "fourth"))
            await asyncio.sleep(1)
        assert await waiting == 1
        await asyncio.gather(*line, return_exceptions=True)

    spend(evening())


def test_a_place_that_comes_as_its_client_leaves_is_the_next_ones():
    async def evening():
        admission = AdmissionControl(places=1)
        async with admission.request("a"):
            gone = asyncio.create_task(visit(admission, 0, "a"))
            waits = asyncio.create_task(visit(admission, 0, "a"))
            await asyncio.sleep(0)
        gone.cancel()  # after it was given the place, before it has noticed
        assert await waits == 0
        await asyncio.wait_for(visit(admission, 0, "a"), 100)

    spend(evening())


def test_a_house_that_closes_still_serves_who_waits():
    async def evening():
        admission = AdmissionControl(places=1)
        guests = [asyncio.create_task(visit(admission, 1)) for _ in range(2)]
        await asyncio.sleep(0)
        await admission.close(5)
        assert [guest.result() for guest in guests] == [0, 1]

    spend(evening())


def test_so_many_conversations_and_no_more():
    admission = AdmissionControl()
    with admission.session(most=2):
        with (
            admission.session(most=2),
            pytest.raises(ApiError, match="all 2 conversations") as refusal,
        ):
            admission.session(most=2).__enter__()
        assert refusal.value.retry_after
        with admission.session(most=2):
            pass


def test_a_conversation_takes_no_place_of_a_request():
    async def evening():
        with (admission := AdmissionControl(places=1)).session(), admission.session():
            assert await visit(admission, 0) == 0

    spend(evening())


def test_a_house_that_closes_waits_for_its_guests_and_lets_nobody_in():
    async def evening():
        admission = AdmissionControl()
        with admission.session():
            closing = asyncio.ensure_future(admission.close(5))
            await admission.closing.wait()
            with pytest.raises(ApiError, match="shutting down"):
                await visit(admission, 0)
            assert not closing.done()
        await closing

    asyncio.run(evening())


def test_a_house_does_not_wait_for_ever():
    async def evening():
        admission = AdmissionControl()
        with admission.session(), pytest.raises(TimeoutError):
            await admission.close(0.01)

    asyncio.run(evening())


def test_a_full_house_refuses_a_conversation_before_it_is_heard():
    async def evening(url):
        host = url.removeprefix("http://")
        async with connect(f"ws://{host}/v1/realtime"):
            for path in ("realtime", "talk"):
                with pytest.raises(InvalidStatus) as full:
                    await connect(f"ws://{host}/v1/{path}")
                assert full.value.response.status_code == 503
                assert full.value.response.headers["retry-after"] == "30"
                assert json.loads(full.value.response.body)["error"]["code"] == "full"

    with served(create(parts(), ServerSettings(sessions=1))) as url:
        asyncio.run(evening(url))


def test_who_was_cut_off_comes_back_to_a_full_house():
    async def evening(host):
        async with connected(host) as caller:
            await caller.say(type="hello", rate=24000)
            token = (await caller.until("ready"))["token"]
            async with connected(host) as stranger:
                await stranger.say(type="hello", rate=24000)
                assert await stranger.closed() == 1013
            async with connected(host) as again:
                await again.say(type="resume", token=token, number=0, turn=0, received=0)
                await again.until("resumed")

    with served(create(parts(), ServerSettings(sessions=1))) as url:
        asyncio.run(evening(url.removeprefix("http://")))


class Thinking(room.ChatModel):
    """Answers when it is allowed to."""

    def __init__(self):
        super().__init__(takes=0)
        self.asked, self.allowed = threading.Semaphore(0), threading.Event()
        self.allowed.set()

    async def reply(self, messages):
        self.asked.release()
        while not self.allowed.is_set():  # noqa: ASYNC110 - the test is another thread
            await asyncio.sleep(0.01)
        yield Delta("Yes.", finish="stop")


def announce(url):
    """What is answered to the head of a request whose body never comes."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as line:
        head = (
            "POST /v1/audio/transcriptions HTTP/1.1",
            "Host: localhost",
            "Content-Length: 1000000",
        )
        line.sendall("\r\n".join([*head, "", ""]).encode())
        return line.recv(4096).decode()


def test_a_full_house_refuses_before_it_reads_a_body(monkeypatch):
    monkeypatch.setattr(admission_module, "QUEUE_TIMEOUT_S", 0.05)
    llm = Thinking()
    question = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Well?"}]}

    async def evening(url):
        async with httpx.AsyncClient(base_url=url, timeout=20) as client:
            llm.allowed.clear()
            llm.asked = threading.Semaphore(0)
            guests = [
                asyncio.create_task(client.post("/v1/chat/completions", json=question))
                for _ in range(PLACES)
            ]
            for _ in guests:
                await asyncio.to_thread(llm.asked.acquire)
            late = await asyncio.to_thread(announce, url)
            health = await client.get("/health")
            llm.allowed.set()
            served = await asyncio.gather(*guests)
            again = await client.post("/v1/chat/completions", json=question)
        return late, health, served, again

    with served(app(llm=llm)) as url:
        late, health, guests, again = asyncio.run(evening(url))
    assert late.startswith("HTTP/1.1 503 ")
    assert "\nretry-after: 2\r\n" in late
    assert health.status_code == 200
    assert {guest.status_code for guest in guests} == {200}
    assert again.status_code == 200


class Listening:
    """Hears nothing until it is left."""

    def __init__(self):
        self.begun, self.left = threading.Event(), threading.Event()

    async def transcribe(self, audio):
        if audio.seconds < 2:  # the server tries it with a short word
            yield Segment("yes", 0, 1)
            return
        self.begun.set()
        try:
            await asyncio.sleep(60)
            yield Segment("late", 0, 1)
        finally:
            self.left.set()


def test_who_hangs_up_is_not_worked_for():
    stt = Listening()

    async def ask_and_leave(url):
        async with httpx.AsyncClient(timeout=60) as client:
            asked = client.post(
                f"{url}/v1/audio/transcriptions",
                data={"model": "whisper-1"},
                files={"file": wav(seconds=3)},
            )
            asking = asyncio.create_task(asked)
            assert await asyncio.to_thread(stt.begun.wait, 40)
            asking.cancel()
            await asyncio.wait([asking])

    with served(app(stt=stt)) as url:
        asyncio.run(ask_and_leave(url))
        assert stt.left.wait(40)


def send(url, path, kind, body, length):
    """A connection on which so much of a request has been sent."""
    address = urlsplit(url)
    line = socket.create_connection((address.hostname, address.port), timeout=10)
    head = f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Type: {kind}"
    line.sendall("\r\n".join([*head, f"Content-Length: {length}", "", body]).encode())
    return line


class Endless(room.Synthesizer):
    def __init__(self):
        self.left = threading.Event()

    async def synthesize(self, text):
        try:
            yield Speech(room.sound(1, 24000))
            while "Endless" in text:
                await asyncio.sleep(0)
                yield Speech(room.sound(10, 24000))
        finally:
            if "Endless" in text:
                self.left.set()


def test_a_client_that_takes_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(streaming, "STALLED_S", 0.3)
    tts, body = Endless(), '{"model":"tts-1","input":"Endless.","response_format":"pcm"}'
    with (
        served(app(tts=tts)) as url,
        send(url, "/v1/audio/speech", "application/json", body, len(body)),
    ):
        assert tts.left.wait(20)


def test_a_client_that_stops_sending_is_told_so(monkeypatch):
    monkeypatch.setattr(bodies, "QUIET_S", 0.3)
    with (
        served(app()) as url,
        send(url, "/v1/audio/speech", "application/json", '{"model":', 100) as line,
    ):
        assert line.recv(4096).decode().startswith("HTTP/1.1 408 ")
