"""Gives any voice words as they are said, and tells its times of the words that were written.

"It costs 5 EUR." reaches the voice as "It costs five euros."; the history, the captions and
`Speech.words` keep "5" and "EUR.".
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from ..concurrency.worker import Stream
from ..normalize import Reading, guessed, is_ready, readings
from .protocols import Speech, Word

AT_ONCE = 400
"""Characters that are read on the event loop: plain words in half a millisecond, figures in five.
Longer texts go to a thread."""


class ReadAloud:
    """A synthesizer whose texts are read for it first; all else is as it was.

    The language is what the engine's `language_of(voice)` says; of an engine without one, it is
    guessed from each text, and where that cannot be done only markup is taken out.
    """

    def __init__(self, tts: Any) -> None:
        self.engine = tts
        method = tts.synthesize
        # It imports what the first clause would wait for.
        readings("1", _language(tts, None, "") or "en")
        # It keeps its signature, which says what options a call may have. It knows the engine and
        # not us: in a cycle, the engine and its connections would outlive their last user.
        self.synthesize = functools.wraps(method)(functools.partial(_read_aloud, tts))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)


async def _read_aloud(tts: Any, text: str, **options: Any) -> Stream[Speech]:
    language = _language(tts, options.get("voice"), text)
    if len(text) <= AT_ONCE and is_ready(language):
        read = readings(text, language)
    else:
        read = await asyncio.to_thread(readings, text, language)
    spoken = " ".join(reading.spoken for reading in read if reading.spoken)
    if not any(character.isalnum() for character in spoken):
        return
    written = _Written(read)
    async with aclosing(tts.synthesize(spoken, **options)) as speech:
        async for chunk in speech:
            yield replace(chunk, words=written.words(chunk.words)) if chunk.words else chunk


def _language(tts: Any, voice: str | None, text: str) -> str:
    language_of = getattr(tts, "language_of", None)
    known: str = language_of(voice) if language_of else ""
    return known or guessed(text)


class _Written:
    """Turns times of spoken words, as they come, into times of written ones."""

    def __init__(self, read: Sequence[Reading]) -> None:
        self._read = read
        self._at = 0
        self._parts: list[Word] = []
        """Of the word in progress."""

    def words(self, spoken: Sequence[Word]) -> tuple[Word, ...]:
        """The written words that end with these. One without sound ends with the word before."""
        ended: list[Word] = []
        for word in spoken:
            self._skip(0.0, ended)  # only before the first word; later ones follow their word
            if self._at == len(self._read):
                break  # more words than it was given
            self._parts.append(word)
            reading = self._read[self._at]
            if len(self._parts) == len(reading.spoken.split()):
                confidence = min(part.confidence for part in self._parts)
                ended.append(Word(reading.written, self._parts[0].start, word.end, confidence))
                self._parts = []
                self._at += 1
                self._skip(word.end, ended)
        return tuple(ended)

    def _skip(self, end: float, ended: list[Word]) -> None:
        """Words that are not said have neither length nor sound."""
        while self._at < len(self._read) and not self._read[self._at].spoken:
            ended.append(Word(self._read[self._at].written, end, end))
            self._at += 1
