"""Sound at the rate a stage wants, whatever the rate it arrives at."""

from __future__ import annotations

import numpy as np
import soxr

from .audio import Audio, Samples


class Resampler:
    """Turn a stream of audio into samples at `rate`. A change of the incoming rate is followed.

    It keeps back a few milliseconds that it needs to see before it can decide.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._from = rate
        self._stream: soxr.ResampleStream | None = None

    def feed(self, audio: Audio) -> Samples:
        """float32, shape (m,): what can be told so far, m about n * rate / audio.rate."""
        if audio.rate != self._from:
            self._from = audio.rate
            same = audio.rate == self.rate
            self._stream = (
                None if same else soxr.ResampleStream(audio.rate, self.rate, 1, dtype="float32")
            )
        if self._stream is None:
            return audio.samples
        return np.asarray(self._stream.resample_chunk(audio.samples), np.float32)

    def finish(self) -> Samples:
        """What was kept back; nothing more may be fed."""
        if self._stream is None:
            return np.zeros(0, np.float32)
        return np.asarray(
            self._stream.resample_chunk(np.zeros(0, np.float32), last=True), np.float32
        )
