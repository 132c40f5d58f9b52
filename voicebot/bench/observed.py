"""What engines are asked and when they answer, noted from between them and the conversation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from ..audio import Audio, first_audible
from ..concurrency.worker import Stream, T
from ..engines import ChatModel, Delta, Message, Segment, Speech, Synthesizer, Transcriber


@dataclass(frozen=True, slots=True)
class Mark:
    """A boundary of a stage."""

    name: str
    """"stt.begun", "stt.first", "stt.done", and the same for llm and tts."""
    at: float
    """Seconds on the loop's clock, which processes of one machine share."""
    text: str = ""
    """What was to be spoken, at "tts.begun"."""


Note = Callable[[Mark], None]


class Observed:
    """A transcriber, a chat model and a synthesizer, all three watched."""

    def __init__(self, stt: Transcriber, llm: ChatModel, tts: Synthesizer, note: Note) -> None:
        self._stt, self._llm, self._tts, self._note = stt, llm, tts, note

    def __eq__(self, other: object) -> bool:
        # What the voice has shown of its pace is for the next conversation too.
        mine: bool = self._tts == (other._tts if isinstance(other, Observed) else other)
        return mine

    def transcribe(self, audio: Audio, **options: Any) -> Stream[Segment]:
        return self._watch("stt", self._stt.transcribe(audio, **options))

    def reply(self, messages: Sequence[Message], **options: Any) -> Stream[Delta]:
        return self._watch("llm", self._llm.reply(messages, **options))

    def synthesize(self, text: str, **options: Any) -> Stream[Speech]:
        return self._watch("tts", self._tts.synthesize(text, **options), text)

    async def _watch(self, stage: str, source: Stream[T], text: str = "") -> Stream[T]:
        now = asyncio.get_running_loop().time
        self._note(Mark(f"{stage}.begun", now(), text))
        has_begun = False
        async with aclosing(source):
            async for item in source:
                if not has_begun and _counts(item):
                    has_begun = True
                    self._note(Mark(f"{stage}.first", now()))
                yield item
        self._note(Mark(f"{stage}.done", now()))


def _counts(item: object) -> bool:
    """Whether a stage has begun to give: neither passages are words nor is silence sound."""
    if isinstance(item, Delta):
        return bool(item.text)
    return not isinstance(item, Speech) or first_audible(item.audio) is not None
