"""Cut the silence that a voice puts around its words. No I/O.

Voices end every text as if it were the last: Kokoro and its kin give 0.3 s of silence before the
first sound and 0.45 s behind the last, which makes every answer later and every join a hole. How
long a pause is, is said by the punctuation and by the settings, not by the voice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace

import numpy as np

from ..audio import Audio, Samples
from ..concurrency.worker import Stream
from ..engines import Speech, Word

SILENT = 10 ** (-60 / 20)
"""RMS below which a block is silence. An f or an h begins at about -55 dBFS; the silence of voices
lies below -75 dBFS."""
BLOCK_S = 0.005
"""Seconds that are judged at a time."""
BEFORE_S = 0.015
"""Seconds kept before the first block that is not silent: a soft consonant begins in them."""
BEHIND_S = 0.03
"""Seconds kept behind the last one, for the sound to die away in."""
FADE_S = 0.005
"""Seconds in which a cut edge fades, so that it cannot click."""


async def trimmed(speech: Stream[Speech]) -> Stream[Speech]:
    """Pass a text's sound on without the silence before and behind it, as soon as it comes.

    Only what is silent at the end of a chunk is held back, until it is known whether more sound
    follows. Word times are moved to fit. Nothing comes of nothing but silence.
    """
    trim = Trim()
    async with aclosing(speech):
        async for chunk in speech:
            for part in trim.feed(chunk):
                yield part
    for part in trim.finish():
        yield part


class Trim:
    """Feed it the chunks of one text's sound; it gives back what is to be heard of them."""

    def __init__(self) -> None:
        self._begun = False
        self._rate = 0
        self._cut = 0.0
        """Seconds of silence that were cut from the beginning."""
        self._given = 0.0
        """Seconds given back so far."""
        self._lead: Samples = np.zeros(0, np.float32)
        """The last of the silence before the first sound."""
        self._held: list[Samples] = []
        """Silence behind the last sound so far."""
        self._words: list[Word] = []
        """Told, and not given back yet."""

    def feed(self, chunk: Speech) -> Iterator[Speech]:
        """What of it, and of what was held back, is to be heard now."""
        self._words += chunk.words
        samples, rate = chunk.audio.samples, chunk.audio.rate
        self._rate = rate
        heard = sounding(chunk.audio)
        if heard is None:
            if self._begun:
                self._held.append(samples)
            else:
                self._skip(samples, rate)
            return
        start, end = heard
        if not self._begun:
            self._begun = True
            self._skip(samples[:start], rate)
            lead = _fade_in(self._lead, rate)
            self._cut -= len(lead) / rate
            samples = np.concatenate([lead, samples[start:]])
            end += len(lead) - start
        sound = np.concatenate([*self._held, samples[:end]])
        self._held = [samples[end:]] if end < len(samples) else []
        # Words that end in what is held back are told with it; without any, all are told.
        yield self._give(Audio(sound, rate), last=not self._held)

    def finish(self) -> Iterator[Speech]:
        """No more sound comes: what is left to be heard."""
        if self._held:
            kept = np.concatenate(self._held)[: round(BEHIND_S * self._rate)]
            yield self._give(Audio(_fade_out(kept, self._rate), self._rate), last=True)

    def _skip(self, samples: Samples, rate: int) -> None:
        """These come before the first sound: keep the end of them in `_lead`."""
        self._cut += len(samples) / rate
        self._lead = np.concatenate([self._lead, samples])[-round(BEFORE_S * rate) :]

    def _give(self, audio: Audio, *, last: bool) -> Speech:
        """`audio` with the words that end in it. last: all that have been told do."""
        self._given += audio.seconds
        ends = [word.end - self._cut <= self._given for word in self._words]
        count = len(ends) if last or all(ends) else ends.index(False)
        ending, self._words = self._words[:count], self._words[count:]
        return Speech(audio, tuple(_earlier(word, self._cut, self._given) for word in ending))


def sounding(audio: Audio) -> tuple[int, int] | None:
    """From which sample to which there is sound in `audio`; None if all of it is silent."""
    samples, size = audio.samples, max(1, round(BLOCK_S * audio.rate))
    blocks = np.arange(0, len(samples), size)
    if not len(blocks):
        return None
    energy = np.add.reduceat(np.square(samples, dtype=np.float64), blocks)
    counts = np.minimum(size, len(samples) - blocks)
    loud = np.flatnonzero(energy > counts * SILENT**2)
    if not len(loud):
        return None
    return int(blocks[loud[0]]), min(len(samples), int(blocks[loud[-1]]) + size)


def _earlier(word: Word, seconds: float, end: float) -> Word:
    """`word`, so much earlier, within a sound that ends at `end`."""
    start = max(0.0, word.start - seconds)
    return replace(word, start=min(start, end), end=min(max(0.0, word.end - seconds), end))


def _fade_in(samples: Samples, rate: int) -> Samples:
    count = min(len(samples), round(FADE_S * rate))
    faded = samples.copy()
    faded[:count] *= np.linspace(0, 1, count, endpoint=False, dtype=np.float32)
    return faded


def _fade_out(samples: Samples, rate: int) -> Samples:
    return _fade_in(samples[::-1], rate)[::-1]
