"""Cuts a long recording into pieces that a recogniser takes at once, where nobody speaks longest.

A recogniser hears a sentence better the more of it, and of what was said before, it is given. So
pieces are nearly as long as it takes, and a pause that people make inside a sentence stays in one.
No I/O.
"""

from __future__ import annotations

import numpy as np

from ..audio import Audio, Samples
from ..conversation.endpointing import SOFT, EndpointingSettings
from ..engines.speech_segments import MAX_SEGMENT_S as LONGEST_S
from ..engines.speech_segments import PAUSE
from ..events import Utterance

SHORTEST_S = 14.0
"""No piece is cut off before that: many short ones cost more and are heard worse."""
SILENCE_S = PAUSE
"""After that the piece is over, however short: recognisers would part it there themselves."""
MARGIN_S = 0.5
"""Kept of the silence behind a piece: last consonants are soft."""


class Cutter:
    """Takes the windows of a recording in order, and gives pieces that hold speech."""

    def __init__(self, rate: int, window: int, settings: EndpointingSettings) -> None:
        """settings: what counts as speech, as in a conversation."""
        self._rate, self._window = rate, window
        self._threshold = settings.threshold
        self._proof = max(1, self._count(settings.min_speech_ms / 1000))
        self._before = self._count(settings.prefix_padding_ms / 1000) + self._proof
        self._windows: list[Samples] = []
        self._chances: list[float] = []
        self._fed = 0  # windows
        self._loud = 0  # in a row, until speech is proven
        self._spoken = False
        self._quiet = 0  # windows since the last speech

    def feed(self, window: Samples, probability: float) -> Utterance | None:
        """Take the next window and the chance that it holds speech; give the piece it completes."""
        self._fed += 1
        self._windows.append(window)
        self._chances.append(probability)
        if not self._spoken:
            self._wait(probability)
            return None
        is_speech = probability >= min(self._threshold, SOFT)
        self._quiet = 0 if is_speech else self._quiet + 1
        if self._quiet >= self._count(SILENCE_S):
            return self.finish()
        if len(self._windows) >= self._count(LONGEST_S):
            return self._piece(self._cut())
        return None

    def finish(self) -> Utterance | None:
        """The piece that is left at the end of the recording."""
        if not self._spoken:
            return None
        excess = max(0, self._quiet - self._count(MARGIN_S))
        piece = self._piece(len(self._windows) - excess)
        self._spoken, self._loud = False, 0
        self._keep(self._before)
        return piece

    def _wait(self, probability: float) -> None:
        self._loud = self._loud + 1 if probability >= self._threshold else 0
        self._keep(self._before)
        if self._loud >= self._proof:
            self._spoken, self._quiet = True, 0

    def _keep(self, most: int) -> None:
        excess = max(0, len(self._windows) - most)
        del self._windows[:excess], self._chances[:excess]

    def _piece(self, end: int) -> Utterance:
        """The windows up to `end`; those behind it stay."""
        start = (self._fed - len(self._windows)) * self._window / self._rate
        audio = Audio(np.concatenate(self._windows[:end]), self._rate)
        del self._windows[:end], self._chances[:end]
        return Utterance(audio, start, start + audio.seconds)

    def _cut(self) -> int:
        """The middle of the longest silence, or else of what is least likely to be speech."""
        first = self._count(SHORTEST_S)
        chances = np.array(self._chances[first:])
        edges = np.diff(np.concatenate(([0], chances < SOFT, [0])))
        begins, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
        if len(begins) and (ends - begins).max() >= 3:
            longest = int(np.argmax(ends - begins))
            return first + int(begins[longest] + ends[longest]) // 2
        # A pause between words is longer than the stop inside one: look at 160 ms at once.
        return first + 2 + int(np.argmin(np.convolve(chances, np.ones(5), "valid")))

    def _count(self, seconds: float) -> int:
        return round(seconds * self._rate / self._window)
