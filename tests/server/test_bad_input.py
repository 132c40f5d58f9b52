"""What a client may do wrong, over real sockets: each has its answer, and what follows is served.

What only a pretended clock or no socket is needed for is tested beside what it is about.
"""

import asyncio
import base64
import io
import json
import logging
import socket
import tracemalloc
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import av
import httpx
import numpy as np
import pytest
import room
from calling import connected
from room import InstantLoop
from serving import app, parts, served
from starlette.requests import Request
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from voicebot.audio import silence, to_pcm16
from voicebot.config import ServerSettings
from voicebot.server.app import create
from voicebot.server.auth import keys
from voicebot.server.errors import ApiError
from voicebot.server.http import bodies, unread_bodies
from voicebot.server.http.bodies import PACE, QUIET_S, UPLOAD
from voicebot.server.realtime.incremental import MAX_MESSAGE_BYTES

ASK = {
    "type": "conversation.item.create",
    "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
}
RESPOND = {"type": "response.create"}


@pytest.fixture(scope="module")
def url():
    with served(app(llm=room.ChatModel(*["word"] * 20, takes=0.05))) as url:
        yield url


class Realtime:
    """A client of `/v1/realtime`."""

    def __init__(self, line):
        self._line = line

    def say(self, *messages):
        for message in messages:
            self._line.send(message if isinstance(message, str | bytes) else json.dumps(message))

    def until(self, *kinds):
        while (event := json.loads(self._line.recv(100)))["type"] not in kinds:
            pass
        return event

    def refused(self, message):
        """What is said to a message that cannot be obeyed."""
        self.say(message)
        return self.until("error")["error"]

    @property
    def code(self):
        """What it was closed with."""
        return self._line.protocol.close_code


@contextmanager
def realtime(url):
    with connect(f"ws{url[4:]}/v1/realtime", max_size=None, proxy=None) as line:
        yield Realtime(line)


def append(data):
    return {"type": "input_audio_buffer.append", "audio": base64.b64encode(data).decode()}


@contextmanager
def line(url):
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as end:
        yield end


def rest(end):
    """All that comes until the other side hangs up."""
    data = b""
    while more := end.recv(65536):
        data += more
    return data


def exchange(url, sent):
    """What is answered to these bytes, until the server hangs up."""
    with line(url) as end:
        end.sendall(sent)
        return rest(end)


# Sound


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (append(b"\0\0\0"), "whole 16-bit samples"),
        ({"type": "input_audio_buffer.append", "audio": "not base64 at all!"}, "base64"),
        ({"type": "input_audio_buffer.append", "audio": "AAAAA"}, "base64"),
        ({"type": "input_audio_buffer.append", "audio": 7}, "base64 text"),
        ({"type": "input_audio_buffer.append"}, "base64 text"),
        (
            {"type": "session.update", "session": {
                "audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}}},
            "24000",
        ),
        (
            {"type": "session.update", "session": {
                "audio": {"input": {"format": {"type": "audio/mp3"}}}}},
            "audio/pcm",
        ),
        ({"type": "input_audio_buffer.commit"}, "at least 100 ms"),
        ({"type": "response.cancel"}, "no such response"),
        ({"type": "conversation.item.truncate", "item_id": "x", "content_index": 0,
          "audio_end_ms": 1}, "no item 'x'"),
        ({"type": "session.uptade"}, "session.uptade"),
        ("[1, 2", "not JSON"),
        ("7", "should be a JSON object"),
        (b"\xff\xfe", "not JSON"),
    ],
)  # fmt: skip
def test_a_message_that_cannot_be_obeyed_is_named_and_the_session_goes_on(url, message, says):
    with realtime(url) as client:
        error = client.refused(message)
        assert error["type"] == "invalid_request_error"
        assert says in error["message"]
        client.say({"type": "session.update", "session": {"type": "realtime"}})
        client.until("session.updated")


def test_15_mib_of_sound_may_come_in_one_message(url):
    with realtime(url) as client:
        client.say(append(bytes(15 * 2**20)), {"type": "input_audio_buffer.clear"})
        assert client.until("error", "input_audio_buffer.cleared")["type"].endswith("cleared")


def test_a_larger_message_ends_the_connection(url):
    with realtime(url) as client, suppress(ConnectionClosed):
        client.say("x" * (MAX_MESSAGE_BYTES + 1))
        client.until("error")
    assert client.code == 1009


def test_a_large_message_of_small_things_is_not_taken_apart(url):
    with realtime(url) as client:
        for count, says in ((200_000, "20000 objects"), (5_000_000, "1000000 characters")):
            rubbish = "[" + "[]," * count + "[]]"
            assert f"at most {says}" in client.refused(rubbish)["message"]


def test_what_is_large_and_no_sound_is_refused(url):
    with realtime(url) as client:
        session = {"type": "realtime", "instructions": "x" * 1_000_001}
        for message in (
            {"type": "session.update", "session": session},
            {"type": "session.update", "audio": "AAAA" * 20_000, "session": {"audio": session}},
        ):
            assert "but for its sound" in client.refused(message)["message"]


def test_of_two_responses_at_once_the_second_is_refused(url):
    with realtime(url) as client:
        client.say(ASK, RESPOND, RESPOND)
        assert client.until("error")["error"]["code"] == "conversation_already_has_active_response"
        assert client.until("response.done")["response"]["status"] == "completed"


def test_a_response_is_cancelled_once(url):
    with realtime(url) as client:
        client.say(ASK, RESPOND)
        client.until("response.output_audio.delta")
        client.say({"type": "response.cancel"}, {"type": "response.cancel"})
        assert client.until("response.done")["response"]["status"] == "cancelled"
        assert client.until("error")["error"]["code"] == "response_cancel_not_active"


def test_sound_that_nobody_has_recognised_yet_is_bounded(url):
    """Each would be kept for an answer that may never be asked for."""
    audio = append(bytes(4_800_000))["audio"]  # 100 s
    asked = {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_audio", "audio": audio}],
    }
    item = {"type": "conversation.item.create", "item": asked}
    with realtime(url) as client:
        client.say(item, item, item)
        for _ in range(3):
            assert client.until("conversation.item.added", "error")["type"] != "error"
        assert "300 s" in client.refused(item)["message"]


# Paths, heads and keys


@pytest.mark.parametrize(
    "path",
    [
        "/page/../app.py", "/page/../../config.py", "/../../../../etc/passwd", "/page/..%2fapp.py",
        "/page/%2e%2e/app.py", "/page/%2e%2e%2f%2e%2e%2fconfig.py", "/page/app.js%00.html",
        "/page/app.js/../../app.py", "/page//etc/passwd", "/page/..%5capp.py", "//etc/passwd",
        "/page/__init__.py", "/page/", "/page", "/page/%ff%fe", "/page/app.js/", "/%00",
        "http://evil.example/page/app.js", "/page/" + "a" * 5000,
    ],
)  # fmt: skip
def test_there_is_no_way_out_of_the_page(url, path):
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = exchange(url, head.encode())
    assert answer.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 307 "))
    assert b"root:" not in answer
    assert b"import" not in answer


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: +5",
        "Content-Length: -1",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: gzip",
        "Host: evil.example",
        "X : a",
        "X: \0",
    ],
)
def test_a_head_with_two_meanings_has_none(url, head):
    """Two requests where a proxy before us sees one would be a stranger's in another's name."""
    smuggled = "0\r\n\r\nGET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    sent = f"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n{smuggled}"
    answer = exchange(url, sent.encode())
    assert b"alive" not in answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.split()[1] in (b"400", b"413", b"415", b"501")


def test_a_key_in_an_address_opens_nothing_and_is_not_logged(tmp_path, caplog):
    key = keys.add(tmp_path / "keys", "laptop")
    caplog.set_level("WARNING", "uvicorn.error")  # as `serve` has it
    caplog.set_level(logging.DEBUG)
    with served(create(parts(), ServerSettings(keys=str(tmp_path / "keys")))) as url:
        for path in ("models", "realtime", "talk"):
            asked = f"{url}/v1/{path}?key={key}&api_key={key}&model={key}"
            assert httpx.get(asked).status_code in (401, 404)
        for path in ("realtime", "talk"):
            with pytest.raises(InvalidStatus):
                connect(f"ws{url[4:]}/v1/{path}?key={key}", proxy=None)
    ours = [r for r in caplog.records if not r.name.startswith(("http", "websockets"))]
    assert ours
    assert not [record for record in ours if key in record.getMessage()]


def test_a_strange_page_may_open_no_websocket(url):
    for path in ("realtime", "talk"):
        for lie in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
            with pytest.raises(InvalidStatus) as refused:
                connect(f"ws{url[4:]}/v1/{path}", additional_headers=lie, proxy=None)
            assert refused.value.response.status_code in (400, 403)


# Bodies

FORM = "Content-Type: multipart/form-data; boundary=x"
PART = '--x\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n{}'
TWO_HOURS = 2 * 3600 * 16000 * 2
"""Bytes of WAV at 16 kHz."""


def head(path, *fields):
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", *fields, "", ""]).encode()


@pytest.mark.parametrize("expects", [[], ["Expect: 100-continue"]])
def test_two_hours_of_wav_are_refused_before_they_are_sent(url, expects):
    sent = head("/v1/audio/transcriptions", FORM, f"Content-Length: {TWO_HOURS}", *expects)
    answer = exchange(url, sent)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()


def test_two_hours_of_wav_in_chunks_are_refused_and_no_longer_read(url, monkeypatch):
    monkeypatch.setattr(unread_bodies, "LINGER_S", 0.1)
    with line(url) as end:
        end.sendall(head("/v1/audio/transcriptions", FORM, "Transfer-Encoding: chunked"))
        begin = PART.format("file", '; filename="a.wav"', "").encode()
        end.sendall(b"%x\r\n%s\r\n" % (len(begin), begin))
        for _ in range(25):
            end.sendall(b"%x\r\n%s\r\n" % (2**20, bytes(2**20)))
        endless = (b"%x\r\n%s\r\n" % (2**20, bytes(2**20))) * 1000
        with pytest.raises(ConnectionError):
            end.sendall(endless)
        assert end.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_who_refuses_waits_for_the_sender_to_read_why(url):
    """Otherwise what is still on its way would reset the connection before the answer is read."""
    with line(url) as end:
        end.sendall(head("/nowhere", "Content-Length: 3000000"))
        for _ in range(3):
            end.sendall(bytes(1_000_000))
        assert rest(end).startswith(b"HTTP/1.1 404 ")


def test_whose_body_was_read_keeps_the_connection(url):
    with httpx.Client(base_url=url) as client:
        refused = client.post("/v1/chat/completions", json={"model": "gpt-4o", "messages": []})
        assert refused.status_code == 400
        assert "connection" not in refused.headers


def encoded(seconds, codec, form):
    """A recording of silence."""
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        stream = container.add_stream(codec, rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 80_000), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        for _ in range(round(seconds / 10)):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def test_a_long_recording_that_is_small_is_heard(url):
    """Two hours would be, too: it is read piece by piece, but that takes a test too long."""
    recording = encoded(1200, "flac", "flac")
    assert 6 * len(recording) < UPLOAD
    heard = httpx.post(
        f"{url}/v1/audio/transcriptions",
        data={"model": "whisper-1", "response_format": "verbose_json"},
        files={"file": ("long.flac", recording)},
        timeout=50,
    )
    assert heard.status_code == 200
    assert heard.json()["duration"] == pytest.approx(1200, abs=1)


def test_a_large_upload_is_kept_on_disk(url):
    """It is refused in the end, being no sound, and never was in memory."""
    file = PART.format("file", '; filename="a.wav"', "").encode()
    end_of_file = b"\r\n" + PART.format("model", "", "whisper-1").encode() + b"\r\n--x--\r\n"
    length = len(file) + 20 * 2**20 + len(end_of_file)
    block = bytes(2**16)
    with line(url) as end:
        tracemalloc.start()
        try:
            end.sendall(head("/v1/audio/transcriptions", FORM, f"Content-Length: {length}"))
            end.sendall(file)
            for _ in range(20 * 2**20 // len(block)):
                end.sendall(block)
            end.sendall(end_of_file)
            answer = end.recv(65536)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert most < 6 * 2**20


@pytest.mark.parametrize(
    ("every", "size", "status"),
    [(1.0, 1, 408), (QUIET_S + 1, 10**6, 408), (1.0, PACE, 413), (QUIET_S - 1, 10**6, 413)],
)
def test_a_body_has_to_come_at_some_pace(every, size, status):
    """So much of it, every so often, until it is refused: too slow, or at last too large."""

    async def receive():
        await asyncio.sleep(every)
        return {"type": "http.request", "body": bytes(size), "more_body": True}

    async def life():
        request = Request({"type": "http", "headers": []}, receive)
        with pytest.raises(ApiError) as refused:
            await bodies.limited(request, 25 * 2**20).body()
        return refused.value.status

    with asyncio.Runner(loop_factory=InstantLoop) as runner:
        assert runner.run(life()) == status


# The plain websocket


@pytest.mark.parametrize(
    "message",
    [
        {"type": "hello", "rate": "\ud800"},
        {"type": "\ud800"},
        {"type": "text", "text": "\ud800"},
        {"type": "resume", "token": "\ud800", "number": 0, "turn": 0, "received": 0},
        {"type": "choose", "voice": "\ud800"},
        {"\ud800": "\ud800"},
    ],
)
def test_half_a_character_is_refused_as_any_other_wrong_field(url, message):
    async def script():
        async with connected(url.removeprefix("http://")) as caller:
            await caller.say(type="hello", rate=24000)
            await caller.until("ready")
            await caller.say(**message)
            await caller.until("error")
            await caller.say(type="text", text="hello")
            await caller.until("clause_spoken")

    asyncio.run(script())


def test_a_long_line_of_text_ends_the_connection_unread(url):
    async def script():
        async with connected(url.removeprefix("http://")) as caller:
            await caller.say(type="hello", rate=24000)
            await caller.until("ready")
            await caller.socket.send("[" + "[]," * 300_000 + "[]]")
            return await caller.closed()

    assert asyncio.run(script()) == 1009


def test_frames_with_next_to_nothing_in_them_are_no_way_to_fill_the_memory(url):
    async def script():
        async with connected(url.removeprefix("http://")) as caller:
            await caller.say(type="hello", rate=48000)
            await caller.until("ready")
            for _ in range(50):
                await caller.socket.send(b"")
            await caller.say(type="text", text="hello")
            await caller.until("clause_spoken")

    asyncio.run(script())
    assert to_pcm16(silence(0, 48000)) == b""


@pytest.mark.parametrize("kind", ["speed", "max_tokens", "temperature"])
def test_a_number_that_no_float_holds_is_a_wrong_field(url, kind):
    huge = 10**309
    asked = {"model": "whisper-1", "input": "hi", "messages": [{"role": "user", "content": "hi"}]}
    route = "audio/speech" if kind == "speed" else "chat/completions"
    fields = ("model", "input") if kind == "speed" else ("model", "messages")
    body = {**{name: asked[name] for name in fields}, kind: huge}
    answer = httpx.post(f"{url}/v1/{route}", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, kind)
