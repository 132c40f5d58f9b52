"""Conversations with the server, recorded and replayed."""

import asyncio
from dataclasses import replace

import calling
import pytest
import serving
from recorded_room import differing
from room import ChatModel

from voicebot.config import RecordSettings, ServerSettings
from voicebot.observe.recording import Recorder
from voicebot.replay.recorded import found, read
from voicebot.server.app import create

ANSWER = [
    "The",
    "sun",
    "shines,",
    "and",
    "so",
    "it",
    "will",
    "for",
    "as",
    "long",
    "as",
    "anybody",
    "asks",
    "about",
    "it.",
]
BUSY = 0.5
"""Seconds that this machine may be busy with other things: that is not recorded."""


@pytest.fixture
def session(tmp_path):
    """A question, an interruption and a typed question, while the client hangs up."""
    parts = serving.parts(llm=ChatModel(*ANSWER, takes=0.02))
    recorder = Recorder(RecordSettings(str(tmp_path)))
    app = create(replace(parts, recorder=recorder), ServerSettings())

    async def converse():
        async with calling.serving(None, app=app) as host, calling.calling(host) as caller:
            listed = caller.ready["engines"]
            assert "[record] keeps every conversation, with all its sound" in listed
            await caller.speak(1.0)
            await caller.speak(1.0, level=0)
            await caller.until("said")
            await caller.hears(0.5)
            await caller.speak(0.5)
            await caller.speak(1.0, level=0)
            await caller.until("interrupted")
            await caller.hears(0.5, turn=2)
            await caller.say(type="text", text="and tomorrow?")
            await caller.until("heard", text="and tomorrow?")
            await caller.until("said")

    asyncio.run(converse())
    app.close()
    return read(*found(tmp_path))


def test_nothing_differs_when_a_call_is_held_again(session):
    events = {told["event"] for _, told in session.events}
    assert events >= {"speech_started", "heard", "said", "interrupted", "turn_ended"}
    assert differing(session, tolerance=BUSY) == []


def test_live_engines_give_what_they_give(session):
    parts = serving.parts(llm=ChatModel("It", "is", "late.", takes=0))
    told = {line[0] + line[9:] for line in differing(session, parts=parts, tolerance=60)}
    assert "+  said: It is late." in told
    assert "-  said: The sun shines," in told
