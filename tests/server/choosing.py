"""Engines that tell by their answers which of a server's models they are, loaded when told to."""

import threading
from dataclasses import replace

import room
from serving import parts

from voicebot.assistant.assembly import EngineSpec
from voicebot.assistant.on_demand import OnDemand, OnDemandEngines
from voicebot.config import ServerSettings
from voicebot.engines import Delta, Segment, Speech
from voicebot.engines.call_options import OptionError
from voicebot.server.app import create

HERE = __name__


class Ears(room.Transcriber):
    """Hears its own word, in a language it may be told."""

    def __init__(self, word, languages=("en",)):
        super().__init__(takes=0)
        self.word, self.languages, self.closed = word, languages, False

    async def transcribe(self, audio, *, language="en"):
        yield Segment(f"{self.word} {language}", 0.0, audio.seconds)

    def close(self):
        self.closed = True


class Writer(room.ChatModel):
    def __init__(self, word):
        super().__init__(word, takes=0)

    async def reply(self, messages, *, max_tokens=9):
        yield Delta(self.words[0], finish="stop")


class Voice(room.Synthesizer):
    """Speaks in a pitch of its own, in one of its voices."""

    def __init__(self, *voices):
        super().__init__()
        self.voices, self.spoke = voices, []

    async def synthesize(self, text, *, voice=""):
        if voice and voice not in self.voices:
            raise OptionError("voice", f"there is no voice {voice!r}")
        self.spoke.append((text, voice))
        async for speech in super().synthesize(text):
            yield Speech(speech.audio)


class Loads:
    """Builds an engine when it is told to, and counts how often it was asked."""

    def __init__(self, engine, error=None):
        self.engine, self.error, self.count = engine, error, 0
        self.may, self.asked = threading.Event(), threading.Event()
        self.may.set()

    def __call__(self, chosen):
        self.count += 1
        self.asked.set()
        self.may.wait(60)
        if self.error:
            raise self.error
        return self.engine


def further(kind, name, loads, chosen=None, **options):
    """A model beside the usual ones. It is our own, so that no child process tries it first."""
    which = EngineSpec(kind, f"{HERE}:{type(loads.engine).__name__}", {})
    return OnDemand(kind, name, which.name, chosen or (lambda: which), loads, **options)


def app(*models, **engines):
    return create(replace(parts(**engines), further=OnDemandEngines(models)), ServerSettings())
