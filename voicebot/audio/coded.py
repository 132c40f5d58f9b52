"""Sound in one of FFmpeg's formats, encoded while it is being made."""

from __future__ import annotations

from typing import Protocol

import av
import numpy as np

from . import Audio, Samples
from .resample import Resampler

RATES = (8000, 16000, 22050, 24000, 44100, 48000)
"""Samples per second that every codec here knows, except Opus."""
OPUS_RATE = 24000
"""What Opus is given: voices have no more, and it knows no 22050 or 44100."""


class Writable(Protocol):
    """What takes the bytes of a file in their order."""

    def write(self, data: bytes, /) -> int: ...


class Coded:
    """One sound file being written to `sink`: a path, or what takes its bytes and stays open."""

    def __init__(
        self,
        sink: str | Writable,
        rate: int,
        form: str,
        codec: str,
        options: dict[str, str] | None = None,
    ) -> None:
        self._resampler = Resampler(rate)
        self._container = av.open(sink, "w", format=form, options=options or {})
        stream = self._container.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        self._stream = stream
        context = stream.codec_context
        context.open()  # only then it says how long its frames are
        self._frames = av.AudioResampler(context.format, "mono", rate, context.frame_size or None)

    def feed(self, audio: Audio) -> None:
        self._encode(self._resampler.feed(audio))

    def finish(self) -> None:
        """Write what was kept back, and the end of the file."""
        self._encode(self._resampler.finish())
        for frame in [*self._frames.resample(None), None]:
            self._container.mux(self._stream.encode(frame))
        self._container.close()

    def _encode(self, samples: Samples) -> None:
        if not len(samples):
            return
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), "fltp", "mono")
        frame.sample_rate = self._resampler.rate
        for piece in self._frames.resample(frame):
            self._container.mux(self._stream.encode(piece))


def usual(rate: int) -> int:
    """The rate itself if every codec knows it, or else the nearest above that all know."""
    return next((known for known in RATES if known >= rate), RATES[-1])
