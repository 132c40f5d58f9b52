"""One answer: recognised, written, cut into clauses and spoken, unheard until the gate opens.

A turn owns every task and queue it makes, so that cancelling its one task ends all of it.
Which question it answers, and what is remembered of it, is not its business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Protocol

from ..audio import Audio
from ..engines import ChatModel, Message, Speech, Synthesizer, Transcriber
from ..events import Event, Passages, Said
from ..flow import Stream, ahead, stop
from .clauses import Clause, clauses
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


class Turn:
    """Everything that ends when the user speaks again."""

    def __init__(
        self,
        speaker: Speaker,
        emit: Callable[[Event], None],
        late: float,
        patience: float,
        *,
        typed: bool = False,
    ) -> None:
        self.typed = typed
        self.dismissed = False
        """The user wants no answer any more, whether or not some of it was heard."""
        self.timeline = Timeline(late, patience)
        self.spoken = Spoken()
        self.gate = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        """What `hush` ends; set by whoever starts it."""
        self.heard: float | None = None
        """Seconds of the answer that reached the user, once it has been cut short."""
        self._speaker, self._emit = speaker, emit
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

    async def hush(self) -> None:
        """Be quiet at once, and then tidy up."""
        if self.task and not self.task.done():
            self.heard = self._speaker.stop()
            await stop(self.task)

    async def transcribe(self, stt: Transcriber, audio: Audio) -> str:
        """What is said in `audio`; empty if nothing is."""
        async with aclosing(self.timeline.timed("stt", stt.transcribe(audio))) as segments:
            texts = [segment.text.strip() async for segment in segments]
        return " ".join(text for text in texts if text)

    async def write(self, llm: ChatModel, messages: Sequence[Message]) -> Stream[str]:
        """Yield the reply a few characters at a time, and tell what it is drawn from."""
        async with aclosing(self.timeline.timed("llm", llm.reply(messages))) as deltas:
            async for delta in deltas:
                if delta.passages:
                    self.tell(Passages(delta.passages))
                if delta.text:
                    yield delta.text

    async def speak(self, tts: Synthesizer, text: Stream[str]) -> None:
        """Speak `text` as it is written, once the gate is open; its end may still be unheard."""
        async with (
            ahead(clauses(text), items=0) as lines,
            ahead(self._synthesize(tts, lines), AHEAD) as speech,
        ):
            async for line, chunk in speech:
                await self.gate.wait()
                if chunk is None:
                    self.spoken.end()
                    continue
                if line:
                    self.spoken.begin(line)
                    self.tell(Said(line))
                self.spoken.add(chunk)
                self.timeline.mark("speaker.first")
                await self._speaker.play(chunk.audio)

    async def _synthesize(
        self, tts: Synthesizer, lines: Stream[Clause]
    ) -> Stream[tuple[str, Speech | None]]:
        """Yield each chunk of sound, the first of a line with the line it speaks; None ends it."""
        async with aclosing(lines):
            async for line in lines:
                begins, voice = line.text, tts.synthesize(line.spoken)
                async with aclosing(self.timeline.timed("tts", voice)) as chunks:
                    async for chunk in chunks:
                        yield begins, chunk
                        begins = ""
                yield "", None
