"""A Realtime client without a socket, on a clock that skips waiting."""

import asyncio
import base64
import json
from contextlib import nullcontext

import numpy as np
import room
from realtime_order import Observer
from room import InstantLoop, now, tasks_left

from voicebot.assistant.assembly import EngineSet, EngineSpec
from voicebot.audio import Audio, g711, to_pcm16
from voicebot.config import AssistantSettings
from voicebot.conversation import EndpointingSettings
from voicebot.conversation.degradation import DegradationPolicy
from voicebot.conversation.fallbacks import Fallbacks
from voicebot.conversation.latency_budget import LatencySettings
from voicebot.conversation.prerendered import PrerenderedSpeech
from voicebot.server.auth.rate_limits import Limits, Quota
from voicebot.server.realtime.capabilities import Capabilities
from voicebot.server.realtime.conversation import RealtimeConversation
from voicebot.server.realtime.dependencies import SessionDependencies, SessionOptions
from voicebot.server.realtime.playout import PACKET_S, Playout
from voicebot.server.realtime.protocol import Protocol, ids
from voicebot.server.realtime.recording import SessionRecorder
from voicebot.server.realtime.settings import initial

COMPLETED = "conversation.item.input_audio_transcription.completed"
KINDS = {"vad": "LoudnessVad", "stt": "Transcriber", "llm": "ChatModel", "tts": "Synthesizer"}
ASK = [("speak", 1.0), ("wait", 1.0)]


def _fallbacks(degradations):
    budget = LatencySettings(degradations=degradations)
    return Fallbacks(
        DegradationPolicy(budget), PrerenderedSpeech(budget.sentences), speech=room.NO_PAUSES
    )


class Client:
    """Does what its script says, and keeps what it is told, with the time.

    has_track: its sound comes as over WebRTC, a packet each 20 ms.
    """

    def __init__(
        self, *words, stt=None, llm=None, tts=None, limits=None, degradations="", recorder=None,
        has_track=False, **session,
    ):  # fmt: skip
        self.stt = stt or room.Transcriber()
        self.llm = llm or room.ChatModel(*words)
        self.parts = EngineSet(
            self.stt, EndpointingSettings(),
            [EngineSpec(kind, f"room:{name}", {}) for kind, name in KINDS.items()],
            self.llm, tts or room.Synthesizer(times=True), AssistantSettings(),
            _fallbacks(degradations),
        )  # fmt: skip
        self.protocol = Protocol(
            initial(
                "model", "voice", EndpointingSettings(), "Be brief.", Capabilities.of(self.parts)
            ),
            new_id=ids("mine"),
        )
        self.limits, self.events, self.observer = limits or Limits(), [], Observer()
        transcription = {"audio": {"input": {"transcription": {}}}}
        for each in (transcription, session):
            self.protocol.receive(json.dumps({"type": "session.update", "session": each}))
        changes = [{"instructions": "Be brief."}, transcription, session]
        self.recorder, self.opening = recorder, SessionOptions(changes, False, "mine")
        self.playout = Playout() if has_track else None

    def does(self, *script):
        with asyncio.Runner(loop_factory=InstantLoop) as runner:
            runner.run(self._live(script))
            left = runner.run(tasks_left())
        assert not left, left
        return self

    async def _live(self, script):
        outside, recording = SessionDependencies.of(self.parts), nullcontext()
        if self.recorder:
            about = self.opening, self.limits
            recording = SessionRecorder(self.recorder, outside, self.protocol, *about).session()
        call = RealtimeConversation(outside, self.protocol, Quota(self.limits, now()), self.playout)
        telling = asyncio.create_task(self._keep())
        track = asyncio.create_task(self._play())
        with recording:
            await call.run(self._actions(script))
        telling.cancel()
        track.cancel()
        self._take()

    async def _keep(self):
        while True:
            self._take()
            await asyncio.sleep(0.005)

    async def _play(self):
        while self.playout:
            self.playout.next()
            await asyncio.sleep(PACKET_S)

    def _take(self):
        for event in self.protocol.take():
            self.observer.see(event)
            self.events.append((now(), event))

    async def _actions(self, script):
        for name, value in script:
            if name in ("speak", "wait"):
                async for action in self._sound(0.5 if name == "speak" else 0.0, value):
                    yield action
            else:
                about = {"type": name, **value}
                if value.get("response_id") == "the last":
                    last = self.all("response.created")[-1]["response"]
                    about["response_id"] = last["id"]
                if value.get("item_id") == "the user's":
                    about["item_id"] = self.all("input_audio_buffer.committed")[-1]["item_id"]
                elif "item_id" in value:
                    about["item_id"] = self.answer["item"]["id"]
                if action := self.protocol.receive(json.dumps(about)):
                    yield action

    async def _sound(self, level, seconds):
        form = self.protocol.settings.input_format
        for _ in range(round(seconds / 0.05)):
            await asyncio.sleep(0.05)
            if form == "audio/pcm":
                data = to_pcm16(Audio(np.full(1200, level, np.float32), 24000))
            else:
                data = g711.encode(Audio(np.full(400, level, np.float32), 8000), "ulaw")
            audio = base64.b64encode(data).decode()
            yield self.protocol.receive(
                json.dumps({"type": "input_audio_buffer.append", "audio": audio})
            )

    def all(self, kind):
        return [event for _, event in self.events if event["type"] == kind]

    def when(self, kind, nth=0):
        return [at for at, event in self.events if event["type"] == kind][nth]

    @property
    def answer(self):
        """Where the last answer was last told of."""
        return self.all("response.output_item.added")[-1]

    @property
    def asked(self):
        """What the model was asked last, as it was told."""
        return [(m.role, m.text) for m in self.llm.given[-1]]

    @property
    def sound_s(self):
        """Seconds of the sound at 24 kHz."""
        return len(self.sound) / 48000

    @property
    def sound(self):
        return b"".join(
            base64.b64decode(e["delta"]) for e in self.all("response.output_audio.delta")
        )


def item(role, text):
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
