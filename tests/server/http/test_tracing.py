"""Traces of those who are served, which go on where their clients' began."""

import asyncio
import json
import os
import subprocess
import sys

import httpx
import pytest
import serving
from calling import connected
from calling import serving as served
from otlp import collecting
from room import Synthesizer
from websockets.asyncio.client import connect

from voicebot.config import Config, ServerSettings, TracesSettings
from voicebot.errors import EngineError
from voicebot.observability.traces import traced
from voicebot.server.app import create
from voicebot.server.http.tracing import TracingMiddleware

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CLIENTS = {"traceparent": f"00-{TRACE}-{PARENT}-01", "x-request-id": "mine"}
ANSWER = {"type": "response.create"}
QUESTION = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Is it?"}]}
SERVER = 2


@pytest.fixture
def collector():
    with collecting() as collector:
        yield collector


def tracing(collector, life, **engines):
    """Live while a server is traced; gives what has arrived."""

    async def main(spans):
        parts = serving.parts(**engines)
        parts.observers.append(spans.observer)
        app = create(parts, ServerSettings())
        async with served(None, app=TracingMiddleware(app, spans.tracer)) as host:
            await life(host)
        app.close()

    with traced(Config(traces=TracesSettings(collector.url))) as spans:
        asyncio.run(main(spans))
    return collector.spans


async def asks(host, headers):
    """Speak to it over `/v1/talk`, and hear its answer to the end."""
    async with connected(host, additional_headers=headers) as caller:
        await caller.say(type="hello", rate=24000)
        await caller.until("ready")
        await caller.speak(1.0)
        await caller.speak(1.0, level=0.0)
        await caller.until("turn_ended")


def test_a_spoken_turn_continues_the_trace_of_the_handshake(collector):
    whole, *stages = tracing(collector, lambda host: asks(host, CLIENTS))
    assert (whole.trace, whole.parent, whole.kind) == (TRACE, PARENT, SERVER)
    assert whole.about["voicebot.turn.id"] == "mine.1"
    assert [span.about["voicebot.stage"] for span in stages] == [
        "recognition",
        "llm",
        "synthesis",
        "speaker",
    ]
    assert {span.trace for span in stages} == {TRACE}
    assert all(whole.begins <= span.begins <= span.ends <= whole.ends for span in stages)


def test_without_a_trace_of_the_client_s_a_turn_begins_its_own(collector):
    whole, *_ = tracing(collector, lambda host: asks(host, {}))
    assert whole.parent == ""
    assert whole.trace != TRACE


async def realtime(host, headers):
    said = {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "Is it?"}],
    }
    async with connect(
        f"ws://{host}/v1/realtime", additional_headers=headers, proxy=None
    ) as socket:
        await socket.send(json.dumps({"type": "conversation.item.create", "item": said}))
        await socket.send(json.dumps(ANSWER))
        async with asyncio.timeout(100):
            while json.loads(await socket.recv())["type"] != "response.done":
                pass


def test_so_does_a_realtime_response(collector):
    whole, *stages = tracing(collector, lambda host: realtime(host, CLIENTS))
    assert (whole.trace, whole.parent) == (TRACE, PARENT)
    assert whole.about["voicebot.turn.id"] == "mine.1"
    assert [span.about["voicebot.stage"] for span in stages] == ["llm", "synthesis", "speaker"]


def test_one_that_fails_tells_where(collector):
    spans = tracing(collector, lambda host: realtime(host, {}), tts=Synthesizer(fails=True))
    failed = [(span.about.get("voicebot.stage"), span.reason) for span in spans if span.failed]
    assert failed == [(None, "tts: no voice"), ("synthesis", "tts: no voice")]


class Mute:
    async def reply(self, messages):
        raise EngineError("llm", "no words")
        yield


def test_a_model_that_fails_at_once_has_a_span_that_says_so(collector):
    whole, llm = tracing(collector, lambda host: realtime(host, {}), llm=Mute())
    assert (llm.about["voicebot.stage"], llm.reason) == ("llm", "llm: no words")
    assert whole.failed


async def posts(host, headers, **question):
    async with httpx.AsyncClient(base_url=f"http://{host}", headers=headers) as client:
        await client.post("/v1/chat/completions", json=QUESTION | question)
        await client.get("/health")


def test_a_request_that_belongs_to_a_trace_is_a_span_of_it(collector):
    chat, health = tracing(collector, lambda host: posts(host, CLIENTS))
    assert (chat.trace, chat.parent, chat.kind) == (TRACE, PARENT, SERVER)
    assert chat.name == "POST /v1/chat/completions"
    assert chat.about == {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
        "voicebot.request.id": "mine",
    }
    assert health.name == "GET /health"


def test_a_request_that_belongs_to_none_has_no_span(collector):
    assert tracing(collector, lambda host: posts(host, {})) == []


async def speech(host):
    async with httpx.AsyncClient(base_url=f"http://{host}", headers=CLIENTS) as client:
        await client.post("/v1/audio/speech", json={"model": "tts-1", "input": "Hello."})
        await client.get("/nowhere")


def test_a_request_that_fails_is_an_error_where_it_is_our_fault(collector):
    failed, nowhere = tracing(collector, speech, tts=Synthesizer(fails=True))
    assert (failed.failed, failed.about["error.type"]) == (True, "500")
    assert (nowhere.failed, nowhere.about["http.response.status_code"]) == (False, 404)


def test_the_server_is_traced_where_the_settings_say_so(collector, tmp_path):
    traces = f'[traces]\nendpoint = "{collector.url}"\n'
    (tmp_path / "voicebot.toml").write_text(serving.EMBEDDED + traces)
    process = subprocess.Popen(
        [sys.executable, "-m", "voicebot", "--models", "none", "serve", "--port", "0"],
        cwd=tmp_path,
        env={**os.environ},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            host = process.stdout.readline().strip().removeprefix("http://")
            asyncio.run(types(host))
        finally:
            process.terminate()
    whole, *stages = collector.spans
    assert process.returncode == 0
    assert (whole.trace, whole.about["voicebot.turn.id"]) == (TRACE, "mine.1")
    assert [span.name for span in stages] == [
        "retrieval",
        "chat extractive",
        "synthesize espeak",
        "speaker",
    ]


async def types(host):
    async with connected(host, additional_headers=CLIENTS) as caller:
        await caller.say(type="hello", rate=24000)
        await caller.until("ready")
        await caller.say(type="text", text="When was the old apple tree planted?")
        await caller.until("turn_ended")
