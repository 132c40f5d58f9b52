"""Who hangs up before anything has come is not worked for, and gives the place back."""

import asyncio
import json
import socket
import threading
from contextlib import contextmanager

import httpx
import pytest
import room
from serving import app, served, wav

from voicebot.engines import Delta, Segment, Speech
from voicebot.server.admission import PLACES


class Left:
    """Gives nothing until it is left, and counts how often it was."""

    def __init__(self):
        self.begun, self.left = threading.Semaphore(0), threading.Semaphore(0)

    async def wait(self):
        self.begun.release()
        try:
            await asyncio.Event().wait()
        finally:
            self.left.release()


class Ears(Left):
    async def transcribe(self, audio):
        if audio.seconds > 2:  # the server tries it with a short word
            await self.wait()
        yield Segment("yes", 0, 1)


class Wits(Left):
    async def reply(self, messages):
        if messages[-1].text == "Hello.":
            await self.wait()
        yield Delta("Yes.")


class Mouth(Left):
    async def synthesize(self, text):
        if "At last" in text:
            await self.wait()
        yield Speech(room.sound(1, 24000))


HELLO = [{"role": "user", "content": "Hello."}]


def chat(**fields):
    return "/v1/chat/completions", {"json": {"model": "gpt-4o", "messages": HELLO, **fields}}


def upload(**fields):
    files = {"file": ("a.wav", wav(seconds=3))}
    return "/v1/audio/transcriptions", {"data": {"model": "whisper-1", **fields}, "files": files}


def speech(**fields):
    return "/v1/audio/speech", {"json": {"model": "tts-1", "input": "At last.", **fields}}


@contextmanager
def hung_up(url, path, sent):
    """A request that is sent whole; its client goes at the end of the block."""
    request = httpx.Request("POST", f"{url}{path}", **sent)
    body = request.read()
    head = [
        f"POST {path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in request.headers.items()),
    ]
    with socket.create_connection((request.url.host, request.url.port), timeout=10) as line:
        line.sendall("\r\n".join([*head, "", ""]).encode() + body)
        yield


@pytest.mark.parametrize(
    ("engine", "asked"),
    [
        (Wits, chat()),
        (Wits, chat(stream=True)),
        (Ears, upload()),
        (Ears, upload(stream="true")),
        (Mouth, speech()),
        (Mouth, speech(stream_format="sse")),
    ],
    ids=["chat", "chat-streamed", "heard", "heard-streamed", "speech", "speech-sse"],
)
def test_places_are_free_again_once_their_clients_hang_up(engine, asked):
    at_work = engine()
    kind = {Wits: "llm", Ears: "stt", Mouth: "tts"}[engine]
    with served(app(**{kind: at_work})) as url:
        for _ in range(PLACES + 1):
            with hung_up(url, *asked):
                assert at_work.begun.acquire(timeout=20)
            assert at_work.left.acquire(timeout=20)
        # Nobody has a place: all are free for others.
        answer = httpx.post(
            f"{url}/v1/chat/completions",
            content=json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "?"}]}),
            headers={"content-type": "application/json"},
            timeout=20,
        )
        assert answer.status_code == 200
