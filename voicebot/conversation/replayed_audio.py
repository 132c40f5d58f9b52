"""The sound that a turn gave its speaker last, to be given again if it was not heard."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from ..audio import Audio

KEPT_S = 8.0
"""Seconds kept besides the newest chunk: more than any speaker holds unheard. Less would lose words
of a reply that goes on; more is memory, 100 kB a second."""


class ReplayedAudio:
    """Chunks in the order they were given since the speaker began to count."""

    def __init__(self, chunks: Iterable[Audio] = ()) -> None:
        self._chunks = deque(chunks)
        self._dropped = 0.0
        """Seconds given before them."""
        self.seconds = sum(chunk.seconds for chunk in self._chunks)
        """Of all of them."""

    def add(self, audio: Audio) -> None:
        """It was given."""
        self._chunks.append(audio)
        self.seconds += audio.seconds
        while self.seconds - self._chunks[0].seconds - audio.seconds >= KEPT_S:
            first = self._chunks.popleft()
            self._dropped += first.seconds
            self.seconds -= first.seconds

    def after(self, heard: float) -> list[Audio]:
        """What of them follows the first `heard` seconds of all that was given."""
        left, rest = heard - self._dropped, []
        for chunk in self._chunks:
            cut = max(0, round(left * chunk.rate))
            if cut < len(chunk.samples):
                rest.append(Audio(chunk.samples[cut:], chunk.rate))
            left -= chunk.seconds
        return rest
