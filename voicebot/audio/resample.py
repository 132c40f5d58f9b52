"""Sound at the rate and in the pieces a stage wants, however it arrives."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import soxr

from . import Audio, Samples


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


class Windows:
    """Cut a stream of audio into windows of `size` samples at `rate`."""

    def __init__(self, rate: int, size: int) -> None:
        self.size = size
        self._resampler = Resampler(rate)
        self._pending = np.zeros(0, np.float32)

    def feed(self, audio: Audio) -> Iterator[Samples]:
        """Yield each window that is complete; what is left over waits for more."""
        self._pending = np.concatenate([self._pending, self._resampler.feed(audio)])
        while len(self._pending) >= self.size:
            window, self._pending = self._pending[: self.size], self._pending[self.size :]
            yield window
