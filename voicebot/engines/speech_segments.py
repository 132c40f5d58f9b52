"""Where in a recording somebody speaks, in stretches short enough to recognise at once.

A recogniser given noise or silence invents words. So it is given only what Silero hears as speech.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr

from ..audio import Audio, Samples
from .silero import RATE, WINDOW, probabilities

SPEECH = 0.5
"""Above this a window is taken for speech."""
PROOF = 3
"""Windows in a row (96 ms) that prove speech; a click or a cough is shorter."""
PAUSE = 2.0
"""Seconds. A shorter pause stays inside a stretch, where it helps to tell sentences apart, and what
was said before it helps to hear what comes next; a longer one is left out, because there
recognisers invent words."""
MARGIN = 0.3
"""Seconds kept around speech: first and last consonants are soft."""
ROOM = 0.5
"""Seconds kept around it in a recording: that saves two of a hundred words misheard with Whisper's
base, and four with tiny.en. In a conversation it saves none."""
MAX_SEGMENT_S = 28.0
"""Seconds. Whisper takes 30, and is better with a little silence at the end."""


@dataclass(frozen=True, slots=True, eq=False)
class SpeechSegment:
    """A part of a recording that holds speech."""

    samples: Samples
    """At 16 kHz."""
    start: float
    """Seconds from the start of the recording."""
    chances: Sequence[float]
    """Silero's for each 32 ms of it."""

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE

    @property
    def spoken(self) -> tuple[float, float]:
        """Seconds in the stretch where speech begins and ends, with MARGIN."""
        loud = [at for at, chance in enumerate(self.chances) if chance > SPEECH]
        first, last = loud[0] * WINDOW / RATE, (loud[-1] + 1) * WINDOW / RATE
        return max(0.0, first - MARGIN), min(self.seconds, last + MARGIN)

    @property
    def certainty(self) -> float:
        """Silero's mean chance where it hears speech: noise that passes for it does so just."""
        return float(np.mean([chance for chance in self.chances if chance > SPEECH]))

    def is_speech(self, start: float, end: float) -> bool:
        """Whether anybody speaks between these seconds of the stretch."""
        per_second = RATE / WINDOW
        first, last = int(start * per_second), int(np.ceil(end * per_second))
        return max(self.chances[first : max(last, first + 1)], default=0.0) > SPEECH


def stretches(audio: Audio, margin: float = MARGIN) -> list[SpeechSegment]:
    """All the speech of a recording, each at most LONGEST seconds; none if nobody speaks.

    margin: seconds to keep around speech, at most half of PAUSE.
    """
    samples = audio.samples
    if audio.rate != RATE:
        samples = soxr.resample(samples, audio.rate, RATE)
    chances = probabilities(samples)
    parts = [part for span in _spans(chances, margin) for part in _cut(*span, chances)]
    return [
        SpeechSegment(
            samples[first * WINDOW : last * WINDOW],
            first * WINDOW / RATE,
            chances[first:last].tolist(),
        )
        for first, last in parts
        if (chances[first:last] > SPEECH).any()  # not what a cut leaves of a margin
    ]


def _spans(chances: Samples, around: float) -> list[tuple[int, int]]:
    """First and last window of each run of speech with its margins, pauses closed."""
    margin, pause = _windows(around), _windows(PAUSE)
    spans: list[tuple[int, int]] = []
    proven = False
    for at in np.flatnonzero(chances > SPEECH).tolist():
        if spans and at - spans[-1][1] <= pause:
            spans[-1] = (spans[-1][0], at + 1)
        else:
            if not proven:
                del spans[-1:]
            spans.append((at, at + 1))
            proven = False
        proven = proven or bool((chances[at : at + PROOF] > SPEECH).sum() == PROOF)
    if not proven:
        del spans[-1:]
    return [(max(0, a - margin), min(len(chances), b + margin)) for a, b in spans]


def _cut(first: int, last: int, chances: Samples) -> list[tuple[int, int]]:
    """The span in pieces of at most LONGEST, parted where speech is least likely."""
    longest, pieces = _windows(MAX_SEGMENT_S), []
    while last - first > longest:
        # Not in the first half: many short pieces cost more and are recognised worse.
        from_ = first + longest // 2
        # A pause between sentences is longer than the stop inside a word: look at 160 ms at once.
        quiet = np.convolve(chances[from_ : first + longest], np.ones(5), "same")[2:-2]
        cut = from_ + 2 + int(np.argmin(quiet))
        pieces.append((first, cut))
        first = cut
    return [*pieces, (first, last)]


def _windows(seconds: float) -> int:
    return round(seconds * RATE / WINDOW)
