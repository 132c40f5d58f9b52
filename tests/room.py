"""A pretend room: scripted user, engines of known speed, and a clock that skips waiting."""

from __future__ import annotations

import asyncio
import selectors
from dataclasses import replace
from random import Random

import numpy as np

from voicebot.audio import Audio
from voicebot.conversation import Conversation, StopReply, Typed
from voicebot.conversation.fallbacks import Fallbacks
from voicebot.conversation.pauses import SpeechSettings
from voicebot.engines import Delta, Segment, Speech, Word
from voicebot.errors import EngineError

RATE, WINDOW = 16000, 512
NO_PAUSES = SpeechSettings(0, 0, 0)
"""Lets a test count seconds of words."""


def sound(seconds, rate):
    """Something that can be heard."""
    return Audio(np.full(round(seconds * rate), 0.1, np.float32), rate)


class InstantSelector(selectors.DefaultSelector):
    skipped = 0.0

    def __init__(self):
        super().__init__()
        self.threads = []
        """Those whose work takes pretend time; while one is at it, the clock stands still."""

    def select(self, timeout=None):
        if timeout != 0 and any(thread.at_work for thread in self.threads):
            return super().select(5.0)  # it wakes us; the limit only ends a test that hangs
        if arrived := super().select(0):
            return arrived  # over a Unix socket, what was sent has arrived before time passes
        if timeout is None:
            raise AssertionError("every task is waiting and nothing can wake them")
        self.skipped += max(0.0, timeout)
        return []


class InstantLoop(asyncio.SelectorEventLoop):
    """An event loop where sleeping takes no time but moves the clock."""

    def __init__(self):
        self._instant = InstantSelector()
        self.threads = self._instant.threads
        super().__init__(self._instant)

    def time(self):
        return self._instant.skipped

    def blocked(self, seconds):
        """Let time pass in which nothing on the loop runs, as on a busy machine."""
        self._instant.skipped += seconds


def now():
    return asyncio.get_running_loop().time()


def live(life):
    """What a coroutine returns that lives on that loop."""
    with asyncio.Runner(loop_factory=InstantLoop) as runner:
        return runner.run(life)


class LoudnessVad:
    rate, window = RATE, WINDOW

    async def probability(self, window):
        return float(np.abs(window).max() > 0.1)


class Transcriber:
    """Hears `texts` one after the other, the last for ever; keeps how much sound it was given."""

    def __init__(self, *texts, takes=0.2):
        self.texts, self.takes, self.given = list(texts or ["hello there"]), takes, []

    async def transcribe(self, audio):
        self.given.append(audio.seconds)
        await asyncio.sleep(self.takes)
        text = self.texts.pop(0) if len(self.texts) > 1 else self.texts[0]
        for part in text.split("|"):
            yield Segment(part, 0.0, audio.seconds)


class ChatModel:
    def __init__(self, *words, takes=0.05, passages=()):
        self.words, self.takes, self.made, self.closed = words, takes, 0, False
        self.passages, self.given = passages, []

    async def reply(self, messages):
        self.given.append(list(messages))
        try:
            if self.passages:
                yield Delta(passages=self.passages)
            for word in self.words:
                await asyncio.sleep(self.takes)
                self.made += 1
                yield Delta(word + " ")
            yield Delta(finish="stop")
        finally:
            self.closed = True


class Drawing(ChatModel):
    """Says its words in an order drawn with the seed it is given, or else with 1, 2, ..."""

    async def reply(self, messages, *, seed=None):
        self.given.append(list(messages))
        seed = len(self.given) if seed is None else seed
        words = Random(seed).sample(self.words, len(self.words))
        async for delta in ChatModel(*words, takes=self.takes).reply(messages):
            yield replace(delta, seed=seed)
            seed = None


class Synthesizer:
    """Speaks 0.3 s per word, in 0.1 s chunks, ten times faster than real time."""

    def __init__(self, *, fails=False, hangs=False, times=False):
        self.lines, self.chunks = [], 0
        self.fails, self.hangs, self.times = fails, hangs, times

    async def synthesize(self, text):
        if self.fails:
            raise EngineError("tts", "no voice")
        if self.hangs:
            await asyncio.Event().wait()
        self.lines.append(text)
        for i, word in enumerate(text.split()):
            for part in range(3):
                await asyncio.sleep(0.01)
                self.chunks += 1
                # The word sounds in the first third; the rest of its time is silence.
                done = (Word(word, i * 0.3, i * 0.3 + 0.1),) if self.times and part == 0 else ()
                yield Speech(sound(0.1, 24000), done)


class Speaker:
    """Plays in real time and holds at most 0.2 s unheard."""

    def __init__(self):
        self.ends, self.played = 0.0, 0.0
        self.log = []

    async def play(self, audio):
        await asyncio.sleep(max(0.0, self.ends - now() - 0.2))
        if not self.played:
            self.log.append(("sound", round(now(), 3)))
        self.ends = max(self.ends, now()) + audio.seconds
        self.played += audio.seconds

    async def drain(self):
        await asyncio.sleep(max(0.0, self.ends - now()))
        self.played = 0.0

    def stop(self):
        heard = self.played - max(0.0, self.ends - now())
        self.ends, self.played = now(), 0.0
        self.log.append(("quiet", round(now(), 3)))
        return heard


async def user(*script):
    """Yield 20 ms microphone chunks in real time: ("speak", 1.0), ("wait", 2.0), ...

    What else a user does is yielded as it is: Typed("hello"), Hush().
    """
    for step in script:
        if isinstance(step, Typed | StopReply):
            yield step
            continue
        action, seconds = step
        level = 0.5 if action == "speak" else 0.0
        for _ in range(round(seconds / 0.02)):
            await asyncio.sleep(0.02)
            yield Audio(np.full(320, level, np.float32), RATE)


class Room:
    def __init__(self, *words, stt=None, tts=None, llm=None, speaker=None, **settings):
        self.events, self.speaker = [], speaker or Speaker()
        self.stt, self.tts = stt or Transcriber(), tts or Synthesizer()
        self.llm = llm or ChatModel(*words)
        settings.setdefault("fallbacks", Fallbacks(speech=NO_PAUSES))
        self.conversation = Conversation(
            LoudnessVad(), self.stt, self.llm, self.tts, self.speaker, self.note, **settings
        )

    def note(self, event):
        self.events.append((now(), event))

    def hear(self, *script):
        return self.live(self.conversation.run(user(*script)))

    def read(self, text):
        return self.live(self.conversation.ask(text))

    def live(self, life):
        with asyncio.Runner(loop_factory=InstantLoop) as runner:
            try:
                runner.run(life)
            finally:
                left = runner.run(tasks_left())
        assert not left, left
        return self

    def all(self, kind):
        return [event for _, event in self.events if isinstance(event, kind)]

    def when(self, kind, nth=0):
        return [at for at, event in self.events if isinstance(event, kind)][nth]

    @property
    def history(self):
        return [(m.role, m.text) for m in self.conversation.history]


async def tasks_left():
    return [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
