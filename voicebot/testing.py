"""Test a conversation, or an engine in one, without models, devices or waiting.

`Room` holds a conversation with a scripted user, engines of known speed and a speaker that plays
nothing. Its clock skips waiting: a minute of speech takes milliseconds, and always the same number
of seconds by `now`.

    room = Room("Yes,", "of", "course.").hear(("speak", 1.0), ("wait", 3.0))
    assert room.all(Transcript) == [Transcript("hello there")]
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Literal, Self, TypeVar

import numpy as np

from .audio import Audio, Samples
from .concurrency.virtual_clock import VirtualClockLoop
from .concurrency.worker import Stream
from .conversation import Conversation, Speaker, StopReply, Typed
from .conversation.fallbacks import Fallbacks
from .conversation.pauses import SpeechSettings
from .engines import (
    ChatModel,
    Delta,
    EngineError,
    Message,
    Segment,
    Speech,
    Synthesizer,
    Transcriber,
    VoiceDetector,
    Word,
)
from .events import Event, Passage

__all__ = [
    "LoudnessDetector", "Room", "ScriptedChatModel", "ScriptedSynthesizer", "ScriptedTranscriber",
    "VirtualClockLoop", "VirtualSpeaker", "now", "run", "sound", "user",
]  # fmt: skip

T = TypeVar("T")
E = TypeVar("E")

Step = tuple[Literal["speak", "wait"], float] | Typed | StopReply
"""What a scripted user does: for how many seconds they speak or wait; or what else they do."""

MICROPHONE_RATE = 16000
CHUNK_S = 0.02
"""Seconds of sound that the scripted microphone gives at a time."""
AHEAD_S = 0.2
"""Seconds of sound that `VirtualSpeaker` takes before they are heard."""


def now() -> float:
    """Seconds on the clock of the running loop; `VirtualClockLoop`'s begins at 0."""
    return asyncio.get_running_loop().time()


def run(life: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns on a loop whose clock skips waiting.

    Raises:
        RuntimeError: every task waits for what never comes.
    """
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        return runner.run(life)


def sound(seconds: float, rate: int) -> Audio:
    """A steady sound that counts as audible."""
    return Audio(np.full(round(seconds * rate), 0.1, np.float32), rate)


class LoudnessDetector:
    """A voice detector that takes everything loud for speech."""

    rate, window = MICROPHONE_RATE, 512

    async def probability(self, window: Samples) -> float:
        """1 for a window with a sample above 0.1, else 0."""
        return float(np.abs(window).max() > 0.1)


class ScriptedTranscriber:
    """A recogniser that hears `texts` one after the other, the last for ever.

    A text with "|" in it comes as several segments. Each call takes `takes` seconds.
    """

    def __init__(self, *texts: str, takes: float = 0.2) -> None:
        self.texts, self.takes = list(texts or ["hello there"]), takes
        self.given: list[float] = []
        """Seconds of sound of each call."""

    async def transcribe(self, audio: Audio) -> Stream[Segment]:
        """Yield the next text, whatever the sound."""
        self.given.append(audio.seconds)
        await asyncio.sleep(self.takes)
        text = self.texts.pop(0) if len(self.texts) > 1 else self.texts[0]
        for part in text.split("|"):
            yield Segment(part, 0.0, audio.seconds)


class ScriptedChatModel:
    """A chat model that replies with `words`, each after `takes` seconds.

    passages: told before the first word, as by a model that draws on documents.
    """

    def __init__(self, *words: str, takes: float = 0.05, passages: Sequence[Passage] = ()) -> None:
        self.words, self.takes, self.passages = words, takes, tuple(passages)
        self.given: list[list[Message]] = []
        """The messages of each call."""
        self.made, self.closed = 0, False
        """Words written in all; whether a reply has ended or was stopped."""

    async def reply(self, messages: Sequence[Message]) -> Stream[Delta]:
        """Yield the words, whatever the messages."""
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


class ScriptedSynthesizer:
    """A voice that speaks 0.3 s a word, in chunks of 0.1 s, ten times faster than real time.

    fails: every call raises EngineError.
    hangs: no call gives anything.
    times: it tells when each word ends.
    """

    def __init__(self, *, fails: bool = False, hangs: bool = False, times: bool = False) -> None:
        self.lines: list[str] = []
        """The text of each call."""
        self.chunks = 0
        """Chunks made in all."""
        self.fails, self.hangs, self.times = fails, hangs, times

    async def synthesize(self, text: str) -> Stream[Speech]:
        """Yield three chunks a word.

        Raises:
            EngineError: it was made to fail.
        """
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


class VirtualSpeaker:
    """A speaker that plays nothing, in real time, and holds at most 0.2 s unheard."""

    def __init__(self) -> None:
        self.ends, self.played = 0.0, 0.0
        """When what it holds has been heard; seconds it was given since it was last silent."""
        self.log: list[tuple[str, float]] = []
        """("sound", when) of answers that began, and ("quiet", when) of those that were stopped."""

    async def play(self, audio: Audio) -> None:
        """Take the sound, as soon as there is room for it."""
        await asyncio.sleep(max(0.0, self.ends - now() - AHEAD_S))
        if not self.played:
            self.log.append(("sound", round(now(), 3)))
        self.ends = max(self.ends, now()) + audio.seconds
        self.played += audio.seconds

    async def drain(self) -> None:
        """Return when all has been heard."""
        await asyncio.sleep(max(0.0, self.ends - now()))
        self.played = 0.0

    def stop(self) -> float:
        """Drop what has not been heard. Returns the seconds of this answer that were."""
        heard = self.played - max(0.0, self.ends - now())
        self.ends, self.played = now(), 0.0
        self.log.append(("quiet", round(now(), 3)))
        return heard


async def user(*script: Step) -> Stream[Audio | Typed | StopReply]:
    """Yield what a microphone gives in real time: ("speak", 1.0), ("wait", 2.0), ...

    What else a user does is yielded as it is: Typed("hello"), StopReply().
    """
    for step in script:
        if isinstance(step, Typed | StopReply):
            yield step
            continue
        action, seconds = step
        level = 0.5 if action == "speak" else 0.0
        for _ in range(round(seconds / CHUNK_S)):
            await asyncio.sleep(CHUNK_S)
            samples = np.full(round(CHUNK_S * MICROPHONE_RATE), level, np.float32)
            yield Audio(samples, MICROPHONE_RATE)


class Room:
    """A conversation with a scripted user.

    words: the reply of the chat model, where `llm` is not given.
    settings: further arguments of `Conversation`. Without `fallbacks`, answers are spoken without
        pauses between their clauses, so that their seconds are those of their words.
    """

    def __init__(
        self,
        *words: str,
        vad: VoiceDetector | None = None,
        stt: Transcriber | None = None,
        tts: Synthesizer | None = None,
        llm: ChatModel | None = None,
        speaker: Speaker | None = None,
        **settings: Any,
    ) -> None:
        # Tests ask the fakes what they were given, and know which they are.
        self.stt: Any = stt or ScriptedTranscriber()
        self.llm: Any = llm or ScriptedChatModel(*words)
        self.tts: Any = tts or ScriptedSynthesizer()
        self.speaker: Any = speaker or VirtualSpeaker()
        self.events: list[tuple[float, Event]] = []
        """What happened, with when."""
        settings.setdefault("fallbacks", Fallbacks(speech=SpeechSettings(0, 0, 0)))
        self.conversation = Conversation(
            vad or LoudnessDetector(),
            self.stt,
            self.llm,
            self.tts,
            self.speaker,
            self.note,
            **settings,
        )

    def note(self, event: Event) -> None:
        """Keep an event; a test may hand it to what else tells events."""
        self.events.append((now(), event))

    def hear(self, *script: Step) -> Self:
        """Converse with a user who does this, until the last answer is over."""
        return self.live(self.conversation.run(user(*script)))

    def read(self, text: str) -> Self:
        """Answer a typed question."""
        return self.live(self.conversation.ask(text))

    def live(self, life: Coroutine[Any, Any, object]) -> Self:
        """Run a coroutine on a clock that skips waiting.

        Raises:
            AssertionError: it left tasks behind.
        """
        with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
            try:
                runner.run(life)
            finally:
                left = runner.run(_tasks_left())
        if left:
            raise AssertionError(f"tasks are left: {left}")
        return self

    def all(self, kind: type[E]) -> list[E]:
        """The events of a kind, in order."""
        return [event for _, event in self.events if isinstance(event, kind)]

    def when(self, kind: type[Event], nth: int = 0) -> float:
        """Seconds at which the nth event of a kind happened."""
        return [at for at, event in self.events if isinstance(event, kind)][nth]

    @property
    def history(self) -> list[tuple[str, str]]:
        """The messages that the conversation remembers, as (role, text)."""
        return [(message.role, message.text) for message in self.conversation.history]


async def _tasks_left() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
