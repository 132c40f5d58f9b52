"""One answer: recognised, written, cut into clauses and spoken, unheard until the gate opens.

A turn owns every task and queue it makes, so that cancelling its one task ends all of it.
Which question it answers, and what is remembered of it, is not its business.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from math import inf
from typing import Protocol

from ..audio import Audio, first_audible, silence
from ..concurrency.worker import Stream, background, buffered, cancel_and_wait, due
from ..engines import ChatModel, Message, Speech, Synthesizer, Transcriber
from ..engines.call_options import active_degradations
from ..errors import EngineError, VoicebotError
from ..events import ClauseSpoken, Degraded, Event, Passages, ReplyResumed
from .clauses import Clause
from .fallbacks import Fallbacks
from .latency_budget import Degradation, Stage
from .pace import Pace, Timing
from .pieces import Pieces
from .playout_estimate import PROMISED, PlayoutEstimate
from .replayed_audio import ReplayedAudio
from .spoken import Spoken
from .timeline import Timeline
from .trim import trimmed

log = logging.getLogger(__name__)

FALLBACK_TIMEOUT_S = 3.0
"""Seconds of silence that a voice may let the listener hear where another could speak. Sooner would
change voices in mid-answer for a passing delay."""

AHEAD_S = 5.0
"""Seconds of sound made and not yet played, at which no more is begun. More lets a slow voice say
longer sentences in one go; less wastes less when it is interrupted."""

MOST_S = 20.0
"""Seconds of sound made and not yet played, at which no more of a piece is taken from its voice: no
piece is so long."""

UNNOTICED_S = 0.02
"""Seconds of silence within an answer that nobody notices."""


class Speaker(Protocol):
    """Plays one turn at a time; a turn's sound ends with `drain` or `cancel_and_wait`."""

    async def play(self, audio: Audio) -> None:
        """Queue `audio`, waiting while a fraction of a second is still unheard."""

    async def drain(self) -> None:
        """Wait until all of it has been heard."""

    def stop(self) -> float:
        """Drop what has not been heard. Returns seconds of this turn that were."""


class Turn:
    """Everything that ends when the user speaks again."""

    def __init__(
        self,
        speaker: Speaker,
        emit: Callable[[Event], None],
        late: float,
        patience: float,
        *,
        deadline: float = inf,
        fallbacks: Fallbacks | None = None,
        typed: bool = False,
        at_once: bool = True,
    ) -> None:
        """late, patience, deadline: as a `Timeline` takes them.

        at_once: somebody waits for the first sound, and hears it when it is made.
        """
        self.typed = typed
        self.is_question = typed
        """The user probably asked something, so a filler may be played."""
        self.is_wordless = True
        """No word of an answer has been written that can be said."""
        self.dismissed = False
        """The user wants no answer any more, whether or not some of it was heard."""
        self.timeline = Timeline(late, patience, deadline)
        self.spoken = Spoken()
        self.gate = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        """What `hush` ends; set by whoever starts it."""
        self.heard: float | None = None
        """Seconds of the answer that reached the user, once it has been cut short."""
        self.is_rest = False
        """It goes on with an answer whose beginning was another turn's."""
        self._going = asyncio.Event()
        """Cleared while the turn is held."""
        self._going.set()
        self._recent = ReplayedAudio()
        self._unheard: list[Audio] = []
        """What is to be given to the speaker again, before anything else."""
        self._giving: asyncio.Task[None] | None = None
        """What the speaker is being given now."""
        self._speaker, self._emit = speaker, emit
        self._fallbacks = fallbacks or Fallbacks()
        promised = PROMISED if deadline == inf else deadline
        self._lead = PlayoutEstimate(self.timeline.at(promised))
        self._voice: Synthesizer | None = None
        """The one that took over, once the usual one has failed."""
        self._at_once = at_once
        self._finish = ""
        self._gave = asyncio.Event()
        """Set whenever sound went to the speaker."""
        self._mouth = asyncio.Lock()
        self._aside_ended = False
        """The last that was said is no part of the answer."""
        self._untold: list[Event] = []

    def tell(self, event: Event) -> None:
        if self.gate.is_set() and not self.is_held:
            self._emit(event)
        else:
            self._untold.append(event)

    def open(self) -> None:
        """The user has finished: let them hear the answer, and hear of it."""
        self.timeline.mark("gate")
        self.gate.set()
        self._tell_all()

    def _tell_all(self) -> None:
        pending_events, self._untold = self._untold, []
        for event in pending_events:
            self._emit(event)

    async def hush(self) -> None:
        """Be quiet at once, and then tidy up."""
        if self.task and not self.task.done():
            if not self.is_held:
                self.heard = self._silence()
            await cancel_and_wait(self.task)

    def _silence(self) -> float:
        """Be quiet at once. Returns the seconds that were heard."""
        heard = self._speaker.stop()
        if self._giving:  # what is being given would be the first of the next turn's sound
            self._giving.cancel()
        return heard

    @property
    def is_held(self) -> bool:
        return not self._going.is_set()

    def hold(self) -> bool:
        """Be quiet at once, with the answer kept as far as it is made, for `resume` or `hush`.

        Whether that is worth it: some of the answer was heard. Otherwise `hush` it.
        """
        if self.task is None or self.task.done():
            return False
        self.heard = self._silence()
        if not (self.is_rest or self.spoken.answers_within(self.heard)):
            return False
        self._going.clear()
        return True

    def resume(self, timeline: Timeline, heard: float | None = None) -> None:
        """Go on from where it was heard, as another turn, whose times are `timeline`'s.

        heard: the seconds of it that were, where that is known better by now.
        """
        assert self.heard is not None
        timeline.finish = self.timeline.finish
        self.timeline = timeline
        self._say_rest(self, self.heard if heard is None else heard)
        self.heard = None
        self._going.set()
        self._tell_all()

    def take_over(self, over: Turn, heard: float) -> None:
        """Say what was not heard of a turn that had made all its sound, before `drain`.

        heard: the seconds of it that were.
        """
        self._say_rest(over, heard)

    def _say_rest(self, over: Turn, heard: float) -> None:
        self._unheard = over._recent.after(heard)
        self._recent = ReplayedAudio(self._unheard)
        self.spoken, self.is_rest = over.spoken.after(heard), True
        self._lead.restart(self._recent.seconds)
        self._emit(ReplyResumed())
        for text in self.spoken.texts:
            self._emit(ClauseSpoken(text))
        if self._unheard:
            self.timeline.mark("speaker.first")

    async def allowed(self) -> None:
        """Wait until the user may hear of it."""
        await self.gate.wait()
        await self._going.wait()

    async def drain(self) -> None:
        """Wait until all that was said has been heard."""
        await self._through(None)

    def begin(self) -> None:
        """Call this first in the turn's task: what follows does what it can to be in time."""
        preemptive = frozenset(self._fallbacks.policy.preemptive)
        active_degradations.set(preemptive)
        for degradation in sorted(preemptive):
            self.tell(Degraded(degradation, preemptive=True))

    def _degrade_if_late(self, stage: Stage) -> None:
        """A stage begins: give up what it takes to be in time again."""
        for degradation in self._fallbacks.policy.short_of_time(stage, self.timeline.left):
            if degradation not in active_degradations.get():
                active_degradations.set(active_degradations.get() | {degradation})
                self._took(degradation)

    def _took(self, degradation: Degradation) -> None:
        self.tell(Degraded(degradation, at=self.timeline.now))

    async def transcribe(self, stt: Transcriber, audio: Audio) -> str:
        """What is said in `audio`; empty if nothing is."""
        self._degrade_if_late("recognition")
        self.timeline.count("stt.sound", audio.seconds)
        before = due.set(self._lead.sound)
        try:
            async with aclosing(self.timeline.timed("stt", stt.transcribe(audio))) as segments:
                texts = [segment.text.strip() async for segment in segments]
        finally:
            due.reset(before)  # a reply that is only read is due when others are
        return " ".join(text for text in texts if text)

    async def write(self, llm: ChatModel, messages: Sequence[Message]) -> Stream[str]:
        """Yield the reply a few characters at a time, and tell what it is drawn from."""
        self._degrade_if_late("retrieval")
        reply = self.timeline.timed("llm", llm.reply(messages), begins=lambda d: bool(d.text))
        async with aclosing(reply) as deltas:
            async for delta in deltas:
                if delta.passages:
                    self.timeline.mark("passages")
                    self.tell(Passages(delta.passages))
                if delta.forgotten:
                    self.timeline.count("llm.forgotten", delta.forgotten)
                if delta.seed is not None:
                    self.timeline.seed = delta.seed
                if delta.tokens:
                    self.timeline.tokens = delta.tokens
                if delta.kept is not None:
                    self.timeline.set("llm.kept", delta.kept)
                self._finish = delta.finish or self._finish
                if delta.text:
                    if "clause" not in self.timeline.marks:
                        self._degrade_if_late("first_clause")
                    yield delta.text

    async def speak(self, tts: Synthesizer, text: Stream[str]) -> None:
        """Speak `text` as it is written, once the gate is open; its end may still be unheard."""
        pace = self._fallbacks.paces.of(tts)
        pieces = Pieces(pace, self._lead, self._fallbacks.speech, at_once=self._at_once)
        async with (
            background(self._read(text, pieces)),
            buffered(self._synthesize(tts, pieces, pace), items=0) as speech,
        ):
            async for line, chunk in speech:
                await self.gate.wait()
                async with self._mouth:
                    await self._going.wait()
                    if chunk is None:
                        if line:  # nothing of it is to be heard
                            self.spoken.begin(line.text)
                            self.tell(ClauseSpoken(line.text))
                        self.spoken.end()
                        continue
                    if line:
                        await self._pause(line, chunk.audio.rate)
                        self.spoken.begin(line.text)
                        self.tell(ClauseSpoken(line.text))
                    if (unheard := first_audible(chunk.audio)) is not None:
                        self.timeline.mark("speaker.first", self._lead.begins() + unheard)
                    if not line:
                        self._ran_dry(self._late())
                    await self._sound(chunk)

    async def _pause(self, line: Clause, rate: int) -> None:
        """Be silent for as long as what is between the last clause and `line` means."""
        # What was said while the answer was late is a sentence of its own.
        pause = line.pause or ("stop" if self._aside_ended else "")
        self._aside_ended = False
        meant = self._fallbacks.speech.seconds(pause)
        late = self._late()
        self._ran_dry(late - meant)
        # Of a pause that sound is late for, only the rest is still to come.
        if seconds := max(0.0, meant - late):
            self.spoken.pause(seconds)
            self._lead.made(seconds)
            await self._give(silence(seconds, rate))

    def _late(self) -> float:
        """Seconds of silence since the last sound, for somebody who listens."""
        return self._lead.silent() if self._at_once else 0.0

    def _ran_dry(self, seconds: float) -> None:
        """The listener has heard silence that nobody wrote, if it is more than none."""
        if seconds > UNNOTICED_S and "speaker.first" in self.timeline.marks:
            self.timeline.count("underruns", 1)
            self.timeline.count("underrun", seconds)

    async def _read(self, text: Stream[str], pieces: Pieces) -> None:
        """Have the reply cut into pieces as it is written, up to where it only repeats itself."""
        due.set(self._lead.text)
        try:
            async with aclosing(text):
                async for more in text:
                    pieces.text.degraded = "short_clause" in active_degradations.get()
                    pieces.feed(more)
                    self._lead.wrote(len(more))
                    if pieces.text.loop is not None:
                        self._finish = "repetition"
                        break
        except Exception as error:  # noqa: BLE001 - whoever takes the pieces raises it
            return pieces.end(error)
        self.timeline.finish = self._finish
        return pieces.end(cut_off=self._finish == "length")

    async def fill(self, tts: Synthesizer) -> None:
        """Say in the voice of `tts` that the answer is being sought, should it be late."""
        if not (speech := self._fallbacks.filler(tts)):
            return
        await self.gate.wait()
        late = self._fallbacks.filler_at(self.timeline.deadline, speech)
        await asyncio.sleep(late - self.timeline.now)
        if (
            self.is_question
            and not self._mouth.locked()
            and "speaker.first" not in self.timeline.marks
        ):
            with suppress(VoicebotError):  # a speaker that is gone: the answer finds it so, too
                await self._aside("filler", self._fallbacks.policy.budget.filler, speech)

    async def play_apology(self, tts: Synthesizer) -> None:
        """Say that there is no answer, if there is a voice that can."""
        if not (text := self._fallbacks.apology()):
            return
        await self.allowed()
        speech = self._fallbacks.prerendered.speech(tts, text)
        if not speech and (second_voice := self._fallbacks.fallback_voice()):
            with suppress(EngineError):
                made = self.timeline.timed("tts", second_voice.synthesize(text))
                async with aclosing(trimmed(made)) as chunks:
                    speech = tuple([chunk async for chunk in chunks])
        if speech:
            await self._aside("apology", text, speech)

    async def _aside(self, degradation: Degradation, text: str, speech: Sequence[Speech]) -> None:
        async with self._mouth:
            self.timeline.mark(degradation)
            self._took(degradation)
            self.spoken.begin(text, aside=True)
            self.tell(ClauseSpoken(text))
            for chunk in speech:
                self._lead.made(chunk.audio.seconds)
                await self._sound(chunk)
            self.spoken.end()
            self._aside_ended = True

    async def _sound(self, chunk: Speech) -> None:
        self.spoken.add(chunk)
        await self._give(chunk.audio)

    async def _give(self, audio: Audio) -> None:
        self._lead.gave(audio.seconds)
        self._gave.set()
        self._recent.add(audio)
        await self._through(audio)

    async def _through(self, audio: Audio | None) -> None:
        """Give the speaker `audio`, or let it play to the end of what it has, if that is None.

        What it did not play before the turn was held comes first.
        """
        chunks = [] if audio is None else [audio]
        while True:
            chunks, self._unheard = [*self._unheard, *chunks], []
            async with background(self._play(chunks, is_last=audio is None)) as self._giving:
                self._giving.add_done_callback(_take_error)
                await asyncio.wait([self._giving])
            await self._going.wait()
            if not self._giving.cancelled():
                return self._giving.result()
            chunks = []  # they are in what is unheard, as far as they are

    async def _play(self, chunks: Sequence[Audio], *, is_last: bool) -> None:
        for audio in chunks:
            await self._speaker.play(audio)
        if is_last:
            await self._speaker.drain()

    async def _synthesize(
        self, tts: Synthesizer, pieces: Pieces, pace: Pace
    ) -> Stream[tuple[Clause | None, Speech | None]]:
        """Yield each chunk of sound, the first of a line with the line it speaks; None ends it.

        A line that is not to be heard comes with its end.
        """
        due.set(self._lead.sound)
        while line := await self._next(pieces):
            self.is_wordless = False
            self.timeline.mark("clause")
            if line.silent:
                yield line, None
                continue
            begins: Clause | None = line
            timing, taken = Timing(), pieces.text.taken
            usual = self._voice is None
            async with aclosing(self._voiced(tts, line.spoken)) as chunks:
                async for chunk in chunks:
                    timing.note(chunk)
                    self._lead.made(chunk.audio.seconds)
                    yield begins, chunk
                    begins = None
                    await self._played_but(MOST_S)
            if usual and self._voice is None:
                timing.teach(pace, line.text)
            self._lead.spoke(taken)
            yield None, None

    async def _next(self, pieces: Pieces) -> Clause | None:
        """What is to be spoken next, once not too much is waiting to be played."""
        await self._played_but(AHEAD_S)
        return await pieces.next()

    async def _played_but(self, seconds: float) -> None:
        """Wait until no more than so many seconds of sound are made and not played."""
        while self._lead.unplayed > seconds:
            self._gave.clear()
            await self._gave.wait()

    async def _voiced(self, tts: Synthesizer, text: str) -> Stream[Speech]:
        """Yield `text` spoken by `tts`, or from where that fails on by the voice in reserve."""
        second_voice = self._fallbacks.fallback_voice()
        patience = FALLBACK_TIMEOUT_S if second_voice and not self._voice else inf
        begun = False
        try:
            voice = (self._voice or tts).synthesize(text)
            timed = self.timeline.timed(
                "tts", voice, begins=_is_audible, patience=patience, since=self._lead.sound
            )
            async with aclosing(trimmed(timed)) as chunks:
                async for chunk in chunks:
                    begun = True
                    self.timeline.count("tts.sound", chunk.audio.seconds)
                    yield chunk
        except EngineError as error:
            if begun or self._voice or second_voice is None:
                raise
            log.warning("the voice in reserve speaks: %s", error)
            self._voice = second_voice
            self._took("fallback_voice")
            async with aclosing(self._voiced(tts, text)) as chunks:
                async for chunk in chunks:
                    yield chunk


def _is_audible(chunk: Speech) -> bool:
    return first_audible(chunk.audio) is not None


def _take_error(task: asyncio.Task[None]) -> None:
    """A turn that is stopped in the moment its speaker fails has no use for the failure."""
    if not task.cancelled():
        task.exception()
