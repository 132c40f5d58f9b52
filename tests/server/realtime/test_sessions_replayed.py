"""Conversations with the server, recorded and replayed.

Server and client share the pretend room's clock and talk over a Unix socket, through which bytes
get in no time: so what is recorded does not depend on how busy this machine is.
"""

import asyncio
import base64
import json
from dataclasses import replace

import calling
import numpy as np
import pytest
import serving
from recorded_room import LONG, differing
from room import ChatModel, live
from scripted import WEATHER, Scripted

from voicebot.audio import Audio, g711, to_pcm16
from voicebot.config import Config, RecordSettings, ServerSettings
from voicebot.conversation.latency_budget import LatencySettings
from voicebot.recording.recorder import Recorder
from voicebot.replay.read import found, read
from voicebot.server.app import create

LATER = 0.1
"""Seconds until a client answers: what happens in one instant may be in another order again."""
AS_SERVED = Config(latency=LatencySettings(degradations=""))
"""The settings of `serving.parts`, the pauses between sentences included."""


@pytest.fixture
def session(tmp_path):
    """A question, an interruption and a typed question, while the client hangs up."""
    parts = serving.parts(llm=ChatModel(*LONG, takes=0.02))
    recorder = Recorder(RecordSettings(str(tmp_path)))
    app = create(replace(parts, recorder=recorder), ServerSettings())

    async def converse():
        path = str(tmp_path / "door")
        async with calling.serving(None, app=app, path=path), calling.calling(path) as caller:
            listed = caller.ready["engines"]
            assert "[record] keeps every conversation, with all its sound" in listed
            await caller.speak(1.0, takes=0.02)
            await caller.speak(1.0, level=0, takes=0.02)
            await caller.until("clause_spoken")
            await caller.hears(0.5)
            await caller.speak(0.5, takes=0.02)
            await caller.speak(1.0, level=0, takes=0.02)
            await caller.until("interrupted")
            await caller.hears(0.5, turn=2)
            await asyncio.sleep(LATER)
            await caller.say(type="text", text="and tomorrow?")
            await caller.until("transcript", text="and tomorrow?")
            await caller.until("clause_spoken")
            await asyncio.sleep(LATER)

    live(converse())
    app.close()
    return read(*found(tmp_path))


def test_nothing_differs_when_a_call_is_held_again(session):
    events = {told["event"] for _, told in session.events}
    assert events >= {"speech_started", "transcript", "clause_spoken", "interrupted", "turn_ended"}
    assert differing(session, AS_SERVED) == []


def test_live_engines_give_what_they_give(session):
    parts = serving.parts(llm=ChatModel("It", "is", "late.", takes=0))
    told = {line[0] + line[9:] for line in differing(session, AS_SERVED, parts, tolerance=60)}
    assert "+  clause spoken: It is late." in told
    assert "-  clause spoken: The sun shines," in told


class Realtime:
    """A client of `/v1/realtime`: of today, or by telephone in the first dialect."""

    def __init__(self, socket, is_beta):
        self.socket, self.is_beta = socket, is_beta

    async def says(self, type, **about):
        await self.socket.send(json.dumps({"type": type, **about}))

    async def configures(self, **session):
        if self.is_beta:
            form = {"input_audio_format": "g711_ulaw", "output_audio_format": "g711_ulaw"}
            await self.says("session.update", session={**session, **form})
        else:
            await self.says("session.update", session={"type": "realtime", **session})

    async def speaks(self, seconds, level=0.5):
        rate = 8000 if self.is_beta else 24000
        piece = Audio(np.full(rate // 20, level, np.float32), rate)
        data = g711.encode(piece, "ulaw") if self.is_beta else to_pcm16(piece)
        for _ in range(round(seconds / 0.05)):
            audio = base64.b64encode(data).decode()
            await self.says("input_audio_buffer.append", audio=audio)
            await asyncio.sleep(0.05)  # as a microphone gives it

    async def until(self, kind):
        while True:
            event = json.loads(await asyncio.wait_for(self.socket.recv(), 100))
            if event["type"] == kind:
                return event


@pytest.fixture(params=["now", "beta"])
def realtime(request, tmp_path):
    """A question whose answer takes a function, an interruption and a typed question."""
    forecast = " ".join(LONG * 3)
    parts = serving.parts(llm=Scripted("Let me look.", {"city": "Rome"}, takes=0.02))
    recorder = Recorder(RecordSettings(str(tmp_path)))
    app = create(replace(parts, recorder=recorder), ServerSettings())
    is_beta = request.param == "beta"
    headers = {"openai-beta": "realtime=v1"} if is_beta else {}
    sound = "response.audio.delta" if is_beta else "response.output_audio.delta"
    typed = {"role": "user", "content": [{"type": "input_text", "text": "And tomorrow?"}]}

    async def converse(client):
        created = await client.until("session.created")
        notice = "[record] keeps every conversation, with all its sound"
        assert created["session"]["voicebot"] == {"notice": notice}
        # Not even its dialect is known otherwise.
        modalities = "modalities" if is_beta else "output_modalities"
        await client.says("response.create", response={modalities: ["text"]})
        await client.until("response.done")
        await client.socket.send("{")
        await client.until("error")
        await client.configures(tools=[{"type": "function", **WEATHER}])
        await client.speaks(0.6)
        await client.speaks(0.8, level=0)
        call = await client.until("response.function_call_arguments.done")
        await client.until("response.done")
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": forecast}
        await client.says("conversation.item.create", item=output)
        await client.says("response.create")
        item = (await client.until(sound))["item_id"]
        await client.speaks(1.0, level=0)
        await client.speaks(0.5)
        await client.until("input_audio_buffer.speech_started")
        about = {"item_id": item, "content_index": 0, "audio_end_ms": 650}
        await client.says("conversation.item.truncate", **about)
        await client.until("conversation.item.truncated")
        await client.speaks(0.8, level=0)
        await client.until("response.done")
        await client.says("conversation.item.create", item={"type": "message", **typed})
        await client.says("response.create")
        await client.until("response.done")
        await asyncio.sleep(LATER)

    async def life():
        path, route = str(tmp_path / "door"), "/v1/realtime"
        async with (
            calling.serving(None, app=app, path=path),
            calling.dial(path, route, additional_headers=headers) as socket,
        ):
            await converse(Realtime(socket, is_beta))

    live(life())
    app.close()
    return read(*found(tmp_path))


def test_nothing_differs_when_a_realtime_session_is_held_again(realtime):
    events = {told["event"] for _, told in realtime.events}
    assert events >= {
        "speech_started",
        "transcript",
        "clause_spoken",
        "called",
        "interrupted",
        "turn_ended",
    }
    assert "refused" not in events
    assert differing(realtime, AS_SERVED) == []
