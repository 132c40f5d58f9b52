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
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field
from math import inf

from .. import context
from ..audio import Audio, join
from ..audio.resample import Windows
from ..concurrency.worker import Stream, background, cancel_and_wait, due
from ..engines import ChatModel, Message, Synthesizer, Transcriber, VoiceDetector
from ..errors import EngineError, Wordless
from ..events import (
    Event,
    Failed,
    InterimTranscript,
    Interrupted,
    SpeechEnded,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    Transcript,
)
from .endpointing import Endpointer, EndpointingSettings
from .fallbacks import Fallbacks
from .inputs import StopReply, Typed
from .interim import InterimTranscripts
from .turn import Speaker, Turn

MIN_UTTERANCE_S = 1.0
"""Seconds of an utterance, silence included, that hardly are a cough: the user is told that the
answer is late even before it is known what they said."""

WORDLESS_S = 2.0
"""Seconds of speech over a reply that hardly hold no word: it is not kept any longer to go on with.
More keeps the chat model at work on what nobody will hear; less gives up a reply for a fit."""

_Speech = SpeechStarted | SpeechPaused | SpeechResumed | SpeechEnded
_Input = _Speech | Typed | StopReply
_Given = AsyncGenerator[Audio | Typed | StopReply]
_Through = Callable[[_Given], AbstractAsyncContextManager[_Given]]


@dataclass(slots=True)
class _Question:
    """What the user has asked and not yet heard a word of answer to."""

    text: str = ""
    """As far as it has been recognised."""
    audio: list[Audio] = field(default_factory=list)
    """What follows `text`, still to be recognised."""


class Conversation:
    """Talk with one user. Engines may be shared, but for `vad`; everything else belongs to us.

    instructions: what the chat model is told before anything else.
    patience: seconds an engine may be silent before its turn is given up.
    reserve: what helps where an answer would be late; nothing by default.
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
        endpointing: EndpointingSettings | None = None,
        instructions: str = "",
        patience: float = 30.0,
        fallbacks: Fallbacks | None = None,
    ) -> None:
        self.vad, self.stt, self.llm, self.tts = vad, stt, llm, tts
        self.speaker, self.emit = speaker, emit
        self.endpointing = endpointing or EndpointingSettings()
        self.patience, self.fallbacks = patience, fallbacks or Fallbacks()
        self.history: list[Message] = [Message("system", instructions)] if instructions else []
        self.interim = False
        """Tell what is being said as `InterimTranscript`s while it is being said."""
        self.at_once = True
        """Somebody waits for the first sound of an answer, and hears it as it is made."""
        self.through: _Through = aclosing
        """Wraps `run`: a context manager that may observe or replace the user's input stream."""
        self._turns = 0
        self._turn: Turn | None = None
        """The one whose answer is being made or heard."""
        self._asked = _Question()
        """What it answers."""
        self._held: Turn | None = None
        """The one that was spoken over, until it is known whether that held a word."""
        self._unanswered = _Question()
        self._chosen = asyncio.Event()

    async def run(self, user: _Given) -> None:
        """Converse until `user`, a microphone or more, closes and the last answer was heard."""
        async with (
            self.through(user) as given,
            background(self._keep_ready()),
            asyncio.TaskGroup() as turns,
            aclosing(self._listen(given, turns)) as inputs,
        ):
            async for event, late in inputs:
                if not isinstance(event, Typed | StopReply):
                    self.emit(event)
                match event:
                    case SpeechStarted() | SpeechResumed():
                        await self._give_way()
                    # What was typed in mid-sentence has a turn; what is being said has none yet.
                    case SpeechPaused() | SpeechEnded() if self._turn is None or self._turn.typed:
                        await self._begin(turns, self._new_turn(late), event.utterance.audio)
                    case Typed():
                        await self._let_go()
                        await self._begin(turns, self._new_turn(late, typed=True), event.text)
                    case StopReply():
                        await self._let_go()
                        if self._turn and self._turn.gate.is_set():
                            self._turn.dismissed = True
                            await self._turn.hush()
                if self._turn and isinstance(event, SpeechEnded):
                    self._turn.open()

    async def _give_way(self) -> None:
        """The user speaks: be quiet, and go on only if there was no word in it."""
        turn, self._turn = self._turn, None
        if turn and turn.hold():
            assert turn.heard is not None
            self._held = turn
            self._cut(turn, self._asked, turn.heard)
        elif turn:
            await cancel_and_wait(turn.task)

    async def _let_go(self) -> None:
        """The user has spoken over the reply for sure."""
        held, self._held = self._held, None
        if held:
            await held.hush()

    def _go_on(self, turn: Turn) -> None:
        """What `turn` was to answer held no word: the reply it was spoken over goes on instead."""
        assert self._held
        self._turn, self._held = self._held, None
        self._unanswered = _Question()
        self._turn.resume(turn.timeline)

    def choose(self, stt: Transcriber, tts: Synthesizer) -> None:
        """Hear and speak with these from the next turn on."""
        self.stt, self.tts = stt, tts
        self._chosen.set()

    async def _keep_ready(self) -> None:
        """Let the voice that is chosen speak what helps when it is late, before that is needed."""
        due.set(lambda: inf)
        while True:
            self._chosen.clear()
            await self.fallbacks.keep_ready(self.tts)
            await self._chosen.wait()

    async def ask(self, text: str) -> None:
        """Answer a typed question, from the moment it is asked to the last sound heard."""
        await self._answer(self._new_turn(late=0.0, typed=True), self._question(text))

    async def _begin(self, turns: asyncio.TaskGroup, turn: Turn, asked: Audio | str) -> None:
        if self._turn:
            await self._turn.hush()
        self._turn, self._asked = turn, self._question(asked)
        turn.task = turns.create_task(self._answer(turn, self._asked))
        # A task cancelled before its first step would not even remember the question.
        await asyncio.sleep(0)

    def _new_turn(self, late: float, *, typed: bool = False) -> Turn:
        turn = Turn(
            self.speaker,
            self.emit,
            late,
            self.patience,
            deadline=self.fallbacks.policy.budget.deadline(self.endpointing),
            fallbacks=self.fallbacks,
            typed=typed,
            at_once=self.at_once,
        )
        if typed:  # there is no doubt that the user has finished
            turn.open()
        return turn

    def _question(self, asked: Audio | str) -> _Question:
        """What has not been answered yet, and now what is `asked`."""
        before = self._unanswered
        if isinstance(asked, Audio):
            return _Question(before.text, [*before.audio, asked])
        return _Question(f"{before.text} {asked}".strip(), before.audio)

    async def _listen(self, user: _Given, tasks: asyncio.TaskGroup) -> Stream[tuple[_Input, float]]:
        """Yield each speech event with how many seconds ago the speech in it ended."""
        listener = Endpointer(self.vad.rate, self.vad.window, self.endpointing)
        windows = Windows(self.vad.rate, self.vad.window)
        partials = InterimTranscripts(self._read_along, tasks)
        async with aclosing(user):
            async for given in user:
                if not isinstance(given, Audio):
                    yield given, 0.0
                    continue
                for window in windows.feed(given):
                    event = listener.feed(window, await self.vad.probability(window))
                    if event:
                        await partials.stop()
                        yield event, _late(event, listener.now)
                        continue
                    if self._held and listener.speaking >= WORDLESS_S:
                        await self._let_go()
                    if self.interim:
                        partials.follow(listener)
        await partials.stop()
        if last := listener.finish():
            yield last, _late(last, listener.now)

    async def _read_along(self, audio: Audio) -> None:
        """Tell what can be understood of a question that is still being asked."""
        question = self._question(audio)
        async with aclosing(self.stt.transcribe(join(question.audio))) as segments:
            said = [question.text, *[segment.text.strip() async for segment in segments]]
        if text := " ".join(filter(None, said)):
            self.emit(InterimTranscript(text))

    async def _answer(self, turn: Turn, question: _Question) -> None:
        """Run one turn to its end, and remember only what the user heard of it."""
        context.begin_turn(self._turns + 1)
        try:
            turn.begin()
            try:
                async with background(turn.fill(self.tts)):
                    await self._reply(turn, question)
            except EngineError as error:
                if not turn.is_held:  # else it is the one that waits to be let go
                    await self._let_go()
                turn.tell(Failed(error.stage, error.reason, error.kind))
                await turn.play_apology(self.tts)
            await turn.gate.wait()
            if self._held and not question.text:
                return self._go_on(turn)
            await turn.drain()
            turn.timeline.mark("end")
        except asyncio.CancelledError:
            if turn.is_held:  # it was told and remembered when it was spoken over
                raise
            if turn.heard is None:  # stopped from outside, not by the user's voice
                turn.heard = self.speaker.stop()
            if turn.gate.is_set():
                self._cut(turn, question, turn.heard)
            raise
        return self._remember(turn, question, turn.spoken.within(inf))

    def _cut(self, turn: Turn, question: _Question, seconds: float) -> None:
        """The user spoke before the answer was over, or wants no more of it."""
        if turn.spoken.answers_within(seconds) or turn.dismissed or turn.is_rest:
            heard = turn.spoken.within(seconds)
            self.emit(Interrupted(heard))
            self._remember(turn, question, heard)
        else:
            # Nothing of it had been heard, so it was no interruption: the question goes on.
            self._unanswered = question
            self._end(turn)

    def _remember(self, turn: Turn, question: _Question, heard: str) -> None:
        self._unanswered = _Question()
        if turn.is_rest:  # the reply's beginning is what was said last
            said = " ".join(filter(None, [self.history[-1].text, heard]))
            self.history[-1] = Message("assistant", said)
        elif question.text:
            self.history.append(Message("user", question.text))
            if heard:
                self.history.append(Message("assistant", heard))
        self._end(turn)

    def _end(self, turn: Turn) -> None:
        self._turns += 1
        self.fallbacks.policy.learn_from(turn.timeline)
        self.emit(turn.timeline.end())

    async def _reply(self, turn: Turn, question: _Question) -> None:
        if question.audio:
            asked = join(question.audio)
            # While a reply may go on, nothing else is said instead.
            turn.is_question = asked.seconds >= MIN_UTTERANCE_S and not self._held
            more = await turn.transcribe(self.stt, asked)
            question.text = f"{question.text} {more}".strip()
            question.audio = []
        turn.is_question = bool(question.text)
        if not question.text:
            return
        await self._let_go()
        if self.interim and not turn.gate.is_set():
            self.emit(InterimTranscript(question.text))
        turn.tell(Transcript(question.text))
        messages = [*self.history, Message("user", question.text)]
        await turn.speak(self.tts, turn.write(self.llm, messages))
        if turn.is_wordless:  # else the user would wait for an answer in silence
            raise Wordless("llm", "the reply holds nothing that can be said")


def _late(event: _Speech, now: float) -> float:
    """Seconds since the speech in it ended."""
    return now - event.utterance.end if isinstance(event, SpeechPaused | SpeechEnded) else 0.0
