"""The pretend room of `voicebot.testing`, and what only the tests of voicebot itself need."""

from __future__ import annotations

import asyncio
import selectors
from dataclasses import replace
from random import Random

from voicebot.concurrency.virtual_clock import VirtualClock
from voicebot.conversation.pauses import SpeechSettings
from voicebot.testing import LoudnessDetector as LoudnessVad
from voicebot.testing import Room, VirtualClockLoop, now, sound, user
from voicebot.testing import ScriptedChatModel as ChatModel
from voicebot.testing import ScriptedSynthesizer as Synthesizer
from voicebot.testing import ScriptedTranscriber as Transcriber
from voicebot.testing import VirtualSpeaker as Speaker

__all__ = [
    "NO_PAUSES", "RATE", "WINDOW", "ChatModel", "Drawing", "InstantLoop", "LoudnessVad", "Room",
    "Speaker", "Synthesizer", "Transcriber", "live", "now", "sound", "tasks_left", "user",
]  # fmt: skip

RATE, WINDOW = LoudnessVad.rate, LoudnessVad.window
NO_PAUSES = SpeechSettings(0, 0, 0)
"""Lets a test count seconds of words."""


class ClockOfThreads(VirtualClock):
    def __init__(self):
        super().__init__()
        self.threads = []
        """Those whose work takes pretend time; while one is at it, the clock stands still."""

    def select(self, timeout=None):
        if timeout != 0 and any(thread.at_work for thread in self.threads):
            # A thread wakes us; the limit only ends a test that hangs.
            return selectors.DefaultSelector.select(self, 5.0)
        return super().select(timeout)


class InstantLoop(VirtualClockLoop):
    """A loop for threads that work in pretend time, too."""

    def __init__(self):
        clock = ClockOfThreads()
        self.threads = clock.threads
        super().__init__(clock)


def live(life):
    """What a coroutine returns that lives on that loop."""
    with asyncio.Runner(loop_factory=InstantLoop) as runner:
        return runner.run(life)


class Drawing(ChatModel):
    """Says its words in an order drawn with the seed it is given, or else with 1, 2, ..."""

    async def reply(self, messages, *, seed=None):
        self.given.append(list(messages))
        seed = len(self.given) if seed is None else seed
        words = Random(seed).sample(self.words, len(self.words))
        async for delta in ChatModel(*words, takes=self.takes).reply(messages):
            yield replace(delta, seed=seed)
            seed = None


async def tasks_left():
    return [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
