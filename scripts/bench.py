"""What voicebot itself costs, apart from its models. Prints the table in docs/latency.md.

scripts/bench            all of it, about a minute
scripts/bench core       end of utterance to first audio, and barge-in to silence
scripts/bench help       how long `voicebot --help` takes
scripts/bench memory     what the embedded engines hold while nobody talks
scripts/bench books      what the log and the metrics of a turn take
"""

from __future__ import annotations

import asyncio
import gc
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from itertools import pairwise

import numpy as np

from voicebot.audio import Audio, silence
from voicebot.bench.processes import resident
from voicebot.bench.simulated import Loudness
from voicebot.concurrency.worker import Worker
from voicebot.config import LogSettings
from voicebot.conversation import Conversation, EndpointingSettings
from voicebot.engines import Delta, Segment, Speech
from voicebot.events import (
    ClauseSpoken,
    Passages,
    SpeechEnded,
    SpeechPaused,
    SpeechStarted,
    Transcript,
    TurnEnded,
    Utterance,
)
from voicebot.observability.log import Log
from voicebot.observability.metrics import Metrics
from voicebot.observability.provenance import Provenance
from voicebot.observability.turn_log import TurnLogger

RATE, WINDOW = 16000, 512
TURNS = 300
INTERRUPTIONS = 39
MARKS = [
    "stt.first",
    "stt.last",
    "llm.first",
    "clause",
    "tts.first",
    "gate",
    "speaker.first",
    "llm.last",
    "tts.last",
]


def tone(seconds):
    """Sound that can be heard: silence around words is trimmed, and is no first audio."""
    samples = 0.1 * np.sin(np.arange(round(seconds * 24000)) * 2 * np.pi * 220 / 24000)
    return Audio(samples.astype(np.float32), 24000)


SECOND, TENTH = tone(1.0), tone(0.1)


class Free:
    """A transcriber, a chat model and a synthesizer that cost nothing but a step of the loop."""

    async def transcribe(self, audio):
        yield Segment("what is the time", 0.0, audio.seconds)

    async def reply(self, messages):
        for word in ["It", "is", "noon.", "And", "all", "is", "well."]:
            yield Delta(word + " ")

    async def synthesize(self, text):
        yield Speech(SECOND)


class Busy:
    """The same three, each on a thread of its own that computes as hard as a model does."""

    def __init__(self, turns):
        self.workers = [Worker(name) for name in ("llm", "tts")]
        self.turns = turns

    async def transcribe(self, audio):
        self.turns -= 1
        yield Segment("tell me a story", 0.0, audio.seconds)

    def _compute(self, items):
        matrix = np.random.default_rng(0).standard_normal((400, 400))
        for item in items:
            matrix = matrix @ matrix / 1e3  # releases the interpreter's lock, as models do
            sum(i * i for i in range(2000))  # and this holds it, as their wrappers do
            yield item

    def reply(self, messages):
        # No two sentences alike: a reply that repeats itself is stopped. The last one is short, so
        # that the bench ends.
        count = 26 * 26 if self.turns > 0 else 2
        names = (chr(97 + n // 26) + chr(97 + n % 26) for n in range(count))
        return self.workers[0].stream(
            self._compute, (Delta(f"Then {a} met {b} at {a}{b}. ") for a, b in pairwise(names))
        )

    def synthesize(self, text):
        count = 1000 if self.turns > 0 else 1
        return self.workers[1].stream(self._compute, [Speech(TENTH)] * count)


class Speaker:
    """Notes when the first sound of each turn comes and when it is silenced."""

    def __init__(self, real_time):
        self.first, self.stopped, self._playing, self._real = [], [], False, real_time

    async def play(self, audio):
        if not self._playing:
            self._playing = True
            self.first.append(time.perf_counter())
        await asyncio.sleep(audio.seconds if self._real else 0)

    async def drain(self):
        self._playing = False

    def stop(self):
        self.stopped.append(time.perf_counter())
        self._playing = False
        return 1.0


class Microphone:
    """Speech, then silence, a window every `wait` seconds."""

    def __init__(self, turns, wait):
        self.turns, self.wait, self.due = turns, wait, 0.0

    async def listen(self):
        loud, quiet = np.full(WINDOW, 0.5, np.float32), np.zeros(WINDOW, np.float32)
        for _ in range(self.turns):
            for window in [loud] * 6 + [quiet] * 16:
                self.due = time.perf_counter() + self.wait
                await asyncio.sleep(self.wait)
                yield Audio(window, RATE)
            await asyncio.sleep(self.wait * 50)


def converse(engine, turns, *, wait, real_time, settings=None):
    """Hold `turns` turns; what the speaker noted, and when utterances ended and began.

    A beginning is when the sound that proved it was due, so that a late loop counts.
    """
    speaker, ended, started = Speaker(real_time), [], []
    microphone = Microphone(turns, wait)

    def emit(event):
        if isinstance(event, SpeechEnded):
            ended.append(time.perf_counter())
        if isinstance(event, SpeechStarted):
            started.append((microphone.due, time.perf_counter()))

    conversation = Conversation(
        Loudness(), engine, engine, engine, speaker, emit, endpointing=settings
    )
    gc.collect()
    asyncio.run(conversation.run(microphone.listen()))
    return speaker, ended, started


def core():
    speaker, ended, _ = converse(Free(), TURNS, wait=0.0005, real_time=False)
    show("end of utterance to first audio, answer ready", after(ended, speaker.first))
    late = EndpointingSettings(
        preemptive_silence_ms=480
    )  # nothing is begun before the end: the whole path counts
    speaker, ended, _ = converse(Free(), TURNS, wait=0.0005, real_time=False, settings=late)
    show("end of utterance to first audio, whole path", after(ended, speaker.first))
    speaker, _, started = converse(
        Busy(INTERRUPTIONS + 1), INTERRUPTIONS + 1, wait=0.01, real_time=True
    )
    due, decided = zip(*started[1:], strict=True)
    show("barge-in decision to Speaker.stop, two busy threads", after(decided, speaker.stopped))
    show("sound of it due to Speaker.stop, two busy threads", after(due, speaker.stopped))


def after(causes, effects):
    """Milliseconds from each cause to the first effect that follows it."""
    delays = []
    for cause in causes:
        later = [effect for effect in effects if effect >= cause]
        if later:
            delays.append((later[0] - cause) * 1000)
    return delays


def show(name, ms):
    p50, p95 = np.percentile(ms, [50, 95])
    print(f"{name:52} p50 {p50:7.2f} ms   p95 {p95:7.2f} ms   ({len(ms)} times)")


def books():
    """A turn's log line and metrics: on the event loop, and with the log's own thread."""
    marks = {name: 0.05 * i for i, name in enumerate(MARKS)}
    utterance = Utterance(silence(1.2, RATE), 0.0, 1.2)
    begun = [SpeechStarted(0.2), SpeechPaused(utterance), SpeechEnded(utterance)]
    answered = [
        Transcript("what time is it"),
        Passages(()),
        ClauseSpoken("It is noon."),
        ClauseSpoken("All is well."),
    ]
    loop, whole = [], time.process_time()
    with tempfile.TemporaryDirectory() as folder, Log() as log:
        log.keep(LogSettings(file=f"{folder}/voicebot.log"))
        account = TurnLogger(Provenance([]), lambda event: None, observers=[Metrics().observer])
        for _ in range(TURNS):
            events = [*begun, *answered, TurnEnded(marks, began=0.1, ended=2.0, tokens=(300, 40))]
            began = time.perf_counter()
            for event in events:
                account.note(event)
            loop.append((time.perf_counter() - began) * 1000)
            time.sleep(0.01)  # until the log's thread has written it
        whole = (time.process_time() - whole) * 1000 / TURNS
    show("log and metrics of a turn, on the event loop", loop)
    print(f"{'log and metrics of a turn, CPU of all threads':52} {whole:.2f} ms")


def helped():
    ms = []
    for _ in range(20):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "voicebot", "--help"], capture_output=True, check=True
        )
        ms.append((time.perf_counter() - began) * 1000)
    show("voicebot --help", ms)


def memory():
    """Resident memory of a process and its children that has answered once, and now waits.

    The engines are the best whose packages and weights are here: after `scripts/run`,
    Whisper tiny.en, quoting and hibari.
    """
    code = """
import asyncio, sys, gc
from pathlib import Path
from voicebot import config
from voicebot.assistant import assembly
from voicebot.weights import manifest as weights
from voicebot.commands.ask import FileSpeaker, _Microphone
read = config.read(Path("voicebot.toml"))
with assembly.assemble(read, weights.folder()) as parts:
    microphone = _Microphone("examples/question.wav")
    conversation = parts.conversation(FileSpeaker(None), microphone.note)
    asyncio.run(conversation.run(microphone.listen()))
    gc.collect()
    print("ready", flush=True)
    sys.stdin.read()
"""
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    if child.stdout.readline() != b"ready\n":
        child.communicate()
        sys.exit("scripts/bench memory: the process that answers once has failed; see above")
    print(f"{'idle memory, embedded engines':52} {resident(child.pid):.0f} MB")
    child.communicate()


def main():
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, {threading.active_count()} thread at start"
    )
    parts = {"core": core, "help": helped, "memory": memory, "books": books}
    for name in sys.argv[1:] or parts:
        parts[name]()


if __name__ == "__main__":
    main()
