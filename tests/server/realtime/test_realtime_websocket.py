"""Clients that behave badly, and a server that ends, on a clock that skips waiting."""

import asyncio
import base64
import json

import numpy as np
import pytest
import room
from room import InstantLoop, now, tasks_left
from serving import parts
from starlette.websockets import WebSocket

from voicebot.audio import Audio, to_pcm16
from voicebot.server.admission import AdmissionControl
from voicebot.server.auth.ephemeral_keys import EphemeralKeys
from voicebot.server.realtime.session import BEHIND
from voicebot.server.realtime.websocket import UNREAD_TIMEOUT_S, RealtimeWebSocket

STORY = " ".join(f"One two three. Four five six. Seven eight {n}." for n in range(9)).split()
HELLO = {
    "type": "conversation.item.create",
    "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
}


class Line:
    """A websocket as the server sees it. `script` yields what comes in: messages, or seconds."""

    def __init__(self, *script, reads=True, subprotocols=(), headers=(), **engines):
        self.script, self.reads = list(script), reads
        self.sent, self.heard, self.ended = [], 0, None
        self.admission = AdmissionControl()
        self.realtime = RealtimeWebSocket(parts(**engines), self.admission, EphemeralKeys())
        self.scope = {
            "type": "websocket", "path": "/v1/realtime", "query_string": b"", "scheme": "ws",
            "headers": list(headers), "subprotocols": list(subprotocols),
            "extensions": {"websocket.http.response": {}},
        }  # fmt: skip

    async def receive(self):
        if not self.heard:
            self.heard = 1
            return {"type": "websocket.connect"}
        if self.script and isinstance(self.script[0], int | float):
            await asyncio.sleep(self.script.pop(0))
        if not self.script:
            return {"type": "websocket.disconnect", "code": 1001}
        self.heard += 1
        message = self.script.pop(0)
        if message == "close the house":
            self.admission.closing.set()
            await asyncio.Event().wait()
        if isinstance(message, bytes):
            return {"type": "websocket.receive", "bytes": message}
        text = message if isinstance(message, str) else json.dumps(message)
        return {"type": "websocket.receive", "text": text}

    async def send(self, message):
        if message["type"] == "websocket.send" and not self.reads:
            await asyncio.Event().wait()
        self.sent.append((now(), message))

    def lives(self):
        async def life():
            await self.realtime.serve(WebSocket(self.scope, self.receive, self.send))
            self.ended = now()

        with asyncio.Runner(loop_factory=InstantLoop) as runner:
            runner.run(life())
            left = runner.run(tasks_left())
        assert not left, left
        return self

    @property
    def events(self):
        sends = [m for _, m in self.sent if m["type"] == "websocket.send"]
        return [json.loads(m["text"]) for m in sends]

    @property
    def kinds(self):
        return [event["type"] for event in self.events]

    @property
    def code(self):
        """What the server closed with; None where it was left to the client."""
        codes = [m["code"] for _, m in self.sent if m["type"] == "websocket.close"]
        return codes[0] if codes else None


def test_a_message_may_come_in_a_binary_frame():
    line = Line(json.dumps({"type": "session.update", "session": {}}).encode(), 0.1).lives()
    assert line.kinds == ["session.created", "session.updated"]


def test_rubbish_in_any_frame_is_answered_and_the_session_goes_on():
    line = Line(b"\xff\xfe\x00", "", "{", HELLO, 0.1).lives()
    assert line.kinds[:4] == ["session.created", "error", "error", "error"]
    assert line.kinds[-1] == "conversation.item.done"


@pytest.mark.parametrize(
    ("about", "is_beta"),
    [
        ({}, False),
        ({"headers": [(b"openai-beta", b"realtime=v1")]}, True),
        ({"subprotocols": ["realtime", "openai-beta.realtime-v1"]}, True),
    ],
)
def test_the_dialect_is_the_one_asked_for(about, is_beta):
    line = Line(0.1, **about).lives()
    assert ("modalities" in line.events[0]["session"]) == is_beta


def test_a_client_that_reads_nothing_is_given_up():
    line = Line(HELLO, {"type": "response.create"}, 1000.0, reads=False).lives()
    assert line.code == 1008
    assert line.ended == pytest.approx(UNREAD_TIMEOUT_S, abs=0.5)


def test_a_client_that_reads_nothing_is_soon_not_listened_to():
    line = Line(*(f"rubbish{n}" for n in range(5000)), reads=False).lives()
    assert line.heard < BEHIND + 10


def test_a_client_that_leaves_in_mid_answer_leaves_nothing_behind():
    llm = room.ChatModel(*STORY)
    line = Line(HELLO, {"type": "response.create"}, 1.0, llm=llm).lives()
    assert "response.created" in line.kinds
    assert llm.closed
    assert llm.made < len(STORY)
    assert line.code is None


def test_a_minute_in_one_message_is_heard():
    sound = np.concatenate([np.full(24000, 0.5, np.float32), np.zeros(24000 * 59, np.float32)])
    audio = base64.b64encode(to_pcm16(Audio(sound, 24000))).decode()
    line = Line({"type": "input_audio_buffer.append", "audio": audio}, 5.0).lives()
    assert line.kinds.count("input_audio_buffer.committed") == 1
    assert "response.done" in line.kinds


def test_a_server_that_closes_lets_the_answer_end():
    llm = room.ChatModel("Good", "morning.", takes=0.5)
    line = Line(HELLO, {"type": "response.create"}, 0.1, "close the house", llm=llm).lives()
    assert line.events[-1]["response"]["status"] == "completed"
    assert line.code == 1012
    assert line.ended < 3


def test_a_server_that_has_closed_lets_nobody_in():
    line = Line()
    line.admission.closing.set()
    line.lives()
    ((_, start), *_) = line.sent
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 503)


def test_what_is_broken_ends_one_session_and_is_logged(caplog):
    class Broken:
        async def reply(self, messages):
            raise RuntimeError("a fault of ours")
            yield

    line = Line(HELLO, {"type": "response.create"}, 1000.0, llm=Broken()).lives()
    assert line.code == 1011
    assert "a fault of ours" in caplog.text
