"""One conversation: hear the user, answer, and be quiet when they speak.

    microphone -> windows -> speech events | transcript -> reply -> clauses -> audio -> speaker
    '--------- listening, always on -------'  '------------ one turn, one task --------------'

A turn owns every task and queue it makes. To interrupt is to cancel that one task: there is
nothing left to flush, because nothing outlives it.

A turn begins at the first pause, before we know that the user has finished. Until the silence
has lasted, the gate before the speaker is shut and what happens is told to nobody; if the user
goes on, the turn is cancelled as if it had never been, and the next one hears the whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

from ..audio import Audio, join
from ..engines import ChatModel, Message, Speech, Synthesizer, Transcriber, VoiceDetector
from ..errors import EngineError
from ..events import (
    Event,
    Failed,
    Heard,
    Interrupted,
    Passages,
    Said,
    SpeechEnded,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    TurnEnded,
)
from ..flow import Stream, ahead, stop
from ..resample import Windows
from .clauses import clauses
from .listen import Listener, ListenSettings
from .spoken import Spoken
from .timeline import Timeline

AHEAD = 4
"""Chunks of audio made before they are needed. More hides slow synthesis; less wastes less."""


class Speaker(Protocol):
    """Plays one turn at a time; a turn's sound ends with `drain` or `stop`."""

    async def play(self, audio: Audio) -> None:
        """Queue `audio`, waiting while a fraction of a second is still unheard."""

    async def drain(self) -> None:
        """Wait until all of it has been heard."""

    def stop(self) -> float:
        """Drop what has not been heard. Returns seconds of this turn that were."""


@dataclass(slots=True)
class _Question:
    """What the user has asked and not yet heard a word of answer to."""

    text: str = ""
    """As far as it has been recognised."""
    audio: list[Audio] = field(default_factory=list)
    """What follows `text`, still to be recognised."""


class _Turn:
    """One question and its answer: all that ends when the user speaks again."""

    def __init__(self, question: _Question, timeline: Timeline, emit: Callable[[Event], None]):
        self.question, self.timeline = question, timeline
        self.spoken = Spoken()
        self.gate = asyncio.Event()
        self.heard: float | None = None
        """Seconds of the answer that reached the user, once it has been cut short."""
        self.task: asyncio.Task[None] | None = None
        self._emit = emit
        self._untold: list[Event] = []

    def tell(self, event: Event) -> None:
        if self.gate.is_set():
            self._emit(event)
        else:
            self._untold.append(event)

    def open(self) -> None:
        """The user has finished: let them hear the answer, and hear of it."""
        self.timeline.mark("gate")
        self.gate.set()
        for event in self._untold:
            self._emit(event)


class Conversation:
    """Talk with one user. Engines may be shared, but for `vad`; everything else belongs to us.

    instructions: what the chat model is told before anything else.
    patience: seconds an engine may be silent before its turn is given up.
    """

    def __init__(
        self,
        vad: VoiceDetector,
        stt: Transcriber,
        llm: ChatModel,
        tts: Synthesizer,
        speaker: Speaker,
        emit: Callable[[Event], None],
        *,
        listen: ListenSettings | None = None,
        instructions: str = "",
        patience: float = 30.0,
    ) -> None:
        self.vad, self.stt, self.llm, self.tts = vad, stt, llm, tts
        self.speaker, self.emit = speaker, emit
        self.listen = listen or ListenSettings()
        self.patience = patience
        self.history: list[Message] = [Message("system", instructions)] if instructions else []
        self._unanswered = _Question()

    async def run(self, microphone: AsyncGenerator[Audio]) -> None:
        """Converse until the microphone closes and the last answer has been heard."""
        turn: _Turn | None = None
        async with asyncio.TaskGroup() as turns, aclosing(self._listen(microphone)) as speech:
            async for event, late in speech:
                self.emit(event)
                match event:
                    case SpeechStarted() | SpeechResumed():
                        await self._hush(turn)
                        turn = None
                    case SpeechPaused() | SpeechEnded() if turn is None:
                        turn = self._turn(event.utterance.audio, late)
                        turn.task = turns.create_task(self._answer(turn))
                if turn and isinstance(event, SpeechEnded):
                    turn.open()

    async def ask(self, text: str) -> None:
        """Answer a typed question, from the moment it is asked to the last sound heard."""
        turn = self._turn(None, 0.0)
        turn.question.text = f"{turn.question.text} {text}".strip()
        turn.open()
        await self._answer(turn)

    def _turn(self, audio: Audio | None, late: float) -> _Turn:
        before = self._unanswered
        question = _Question(before.text, [*before.audio, *([audio] if audio else [])])
        return _Turn(question, Timeline(late, self.patience), self.emit)

    async def _hush(self, turn: _Turn | None) -> None:
        """Be quiet at once, and then tidy up."""
        if turn and turn.task and not turn.task.done():
            turn.heard = self.speaker.stop()
            await stop(turn.task)

    async def _listen(
        self, microphone: AsyncGenerator[Audio]
    ) -> Stream[tuple[SpeechStarted | SpeechPaused | SpeechResumed | SpeechEnded, float]]:
        """Yield each speech event with how many seconds ago the speech in it ended."""
        listener = Listener(self.vad.rate, self.vad.window, self.listen)
        windows = Windows(self.vad.rate, self.vad.window)
        async with aclosing(microphone):
            async for audio in microphone:
                for window in windows.feed(audio):
                    event = listener.feed(window, self.vad.probability(window))
                    if isinstance(event, SpeechPaused | SpeechEnded):
                        yield event, listener.now - event.utterance.end
                    elif event:
                        yield event, 0.0
        if last := listener.finish():
            yield last, listener.now - last.utterance.end

    async def _answer(self, turn: _Turn) -> None:
        """Run one turn to its end, and remember only what the user heard of it."""
        try:
            try:
                await self._reply(turn)
            except EngineError as error:
                turn.tell(Failed(error.stage, error.reason))
            await turn.gate.wait()
            await self.speaker.drain()
        except asyncio.CancelledError:
            if turn.heard is None:  # stopped from outside, not by the user's voice
                turn.heard = self.speaker.stop()
            if turn.gate.is_set():
                self._cut(turn, turn.spoken.within(turn.heard))
            raise
        self._remember(turn, turn.spoken.within(inf))

    def _cut(self, turn: _Turn, heard: str) -> None:
        """The user spoke before the answer was over."""
        if heard:
            turn.tell(Interrupted(heard))
            self._remember(turn, heard)
        else:
            # Nothing had been heard, so it was no interruption: the question goes on.
            self._unanswered = turn.question
            turn.tell(TurnEnded(turn.timeline.marks))

    def _remember(self, turn: _Turn, heard: str) -> None:
        self._unanswered = _Question()
        if turn.question.text:
            self.history.append(Message("user", turn.question.text))
        if heard:
            self.history.append(Message("assistant", heard))
        turn.tell(TurnEnded(turn.timeline.marks))

    async def _reply(self, turn: _Turn) -> None:
        if turn.question.audio:
            await self._transcribe(turn)
        if not turn.question.text:
            return
        turn.tell(Heard(turn.question.text))
        messages = [*self.history, Message("user", turn.question.text)]
        async with (
            ahead(clauses(self._write(turn, messages)), items=0) as lines,
            ahead(self._speak(turn, lines), AHEAD) as speech,
        ):
            async for line, chunk in speech:
                await turn.gate.wait()
                if chunk is None:
                    turn.spoken.end()
                    continue
                if line:
                    turn.spoken.begin(line)
                    turn.tell(Said(line))
                turn.spoken.add(chunk)
                turn.timeline.mark("speaker.first")
                await self.speaker.play(chunk.audio)

    async def _transcribe(self, turn: _Turn) -> None:
        question = turn.question
        stream = turn.timeline.timed("stt", self.stt.transcribe(join(question.audio)))
        async with aclosing(stream) as segments:
            texts = [question.text, *[segment.text async for segment in segments]]
        question.text = " ".join(text.strip() for text in texts if text.strip())
        question.audio = []

    async def _write(self, turn: _Turn, messages: list[Message]) -> Stream[str]:
        async with aclosing(turn.timeline.timed("llm", self.llm.reply(messages))) as deltas:
            async for delta in deltas:
                if delta.passages:
                    turn.tell(Passages(delta.passages))
                if delta.text:
                    yield delta.text

    async def _speak(self, turn: _Turn, lines: Stream[str]) -> Stream[tuple[str, Speech | None]]:
        """Yield each chunk of sound, the first of a line with the line it speaks; None ends it."""
        async with aclosing(lines):
            async for line in lines:
                begins, voice = line, self.tts.synthesize(line)
                async with aclosing(turn.timeline.timed("tts", voice)) as chunks:
                    async for chunk in chunks:
                        yield begins, chunk
                        begins = ""
                yield "", None
