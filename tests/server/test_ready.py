"""Whether the server is ready is told by engine, and only once each has answered."""

import asyncio
import threading
from dataclasses import replace

import httpx
import room
from serving import app, parts, served

from voicebot.assistant import warmup
from voicebot.config import AssistantSettings, ServerSettings
from voicebot.conversation.fallbacks import Fallbacks
from voicebot.conversation.prerendered import PrerenderedSpeech
from voicebot.engines import Delta, first_request
from voicebot.server.app import create


def until(url, true):
    """What /ready says once it is as wished."""
    for _ in range(10_000):
        answer = httpx.get(f"{url}/ready")
        if true(answer.json()["engines"]):
            return answer
        threading.Event().wait(0.01)
    raise AssertionError(answer.text)


class Loading(room.ChatModel):
    def __init__(self):
        super().__init__(takes=0)
        self.loaded = threading.Event()

    async def reply(self, messages):
        await asyncio.to_thread(self.loaded.wait)
        yield Delta("Yes.", finish="stop")


def test_while_an_engine_loads_the_server_is_alive_and_not_ready():
    llm = Loading()
    with served(app(llm=llm), once_ready=False) as url:
        loading = until(url, lambda engines: engines["stt"] == "ready")
        alive = httpx.get(f"{url}/health")
        llm.loaded.set()
        ready = until(url, lambda engines: engines["llm"] == "ready")
    assert loading.status_code == 503
    assert int(loading.headers["retry-after"]) > 0
    assert loading.json() == {
        "ready": False,
        "engines": {"vad": "ready", "tts": "ready", "stt": "ready", "llm": "loading"},
        "reload": "none",
    }
    assert alive.status_code == 200
    assert ready.status_code == 200
    assert ready.json()["ready"]


def test_the_recogniser_is_tried_with_speech():
    stt = room.Transcriber(takes=0)
    with served(app(stt=stt)):
        pass
    assert stt.given == [len(first_request.SAYING.split()) * 0.3]


def test_the_model_has_read_the_instructions_before_anybody_asks():
    llm = room.ChatModel("Yes.", takes=0)
    given = replace(parts(llm=llm), assistant=AssistantSettings(instructions="Be brief."))
    with served(create(given, ServerSettings())):
        pass
    assert [message.text for message in llm.given[0]] == ["Be brief.", first_request.SAYING]


def test_what_helps_when_an_answer_is_late_is_there_for_the_first_who_comes():
    given = replace(parts(), fallbacks=Fallbacks(prerendered=PrerenderedSpeech(["Let me see."])))
    with served(create(given, ServerSettings())) as url:
        for _ in range(10_000):
            if given.fallbacks.prerendered.speech(given.tts, "Let me see."):
                break
            httpx.get(f"{url}/health")
    assert given.fallbacks.prerendered.speech(given.tts, "Let me see.")


def test_an_engine_that_fails_is_tried_again(monkeypatch):
    monkeypatch.setattr(warmup, "AGAIN_S", 0.05)
    tts = room.Synthesizer(fails=True)
    with served(app(tts=tts), once_ready=False) as url:
        failed = until(url, lambda engines: engines["llm"] == "ready")
        tts.fails = False
        ready = until(url, lambda engines: engines["tts"] == "ready")
    assert failed.status_code == 503
    assert failed.json()["engines"]["tts"] == "failed: tts: no voice"
    assert ready.status_code == 200


class Broken(room.Transcriber):
    async def transcribe(self, audio):
        raise ZeroDivisionError
        yield


def test_an_engine_with_a_bug_does_not_stop_the_server(caplog):
    with served(app(stt=Broken()), once_ready=False) as url:
        failed = until(url, lambda engines: engines["llm"] == "ready")
    assert failed.json()["engines"]["stt"] == "failed: the log says why"
    assert "ZeroDivisionError" in caplog.text
