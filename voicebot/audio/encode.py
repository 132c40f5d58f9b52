"""Speech as the bytes of a sound file, made while it is being spoken."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from typing import Protocol

from ..concurrency.worker import Stream, Worker
from . import Audio, Samples, to_pcm16
from .coded import OPUS_RATE, Coded, usual
from .recordings import endless_wav
from .resample import Resampler

PCM_RATE = 24000
"""Samples per second of raw PCM: clients cannot be told, and this is what OpenAI sends."""


class Encoder(Protocol):
    """One sound file. Its methods take milliseconds: call them in a thread."""

    def feed(self, audio: Audio) -> bytes:
        """What of the file is certain after this sound."""

    def finish(self) -> bytes:
        """The rest of it."""


class _Pcm:
    """Signed 16-bit little-endian samples, raw or behind a WAV header."""

    def __init__(self, rate: int, header: bytes = b"") -> None:
        self._resampler, self._header = Resampler(rate), header

    def feed(self, audio: Audio) -> bytes:
        return self._bytes(self._resampler.feed(audio))

    def finish(self) -> bytes:
        return self._bytes(self._resampler.finish())

    def _bytes(self, samples: Samples) -> bytes:
        header, self._header = self._header, b""
        return header + to_pcm16(Audio(samples, self._resampler.rate))


class _Coded:
    """A file of one of FFmpeg's formats, written without ever going back in it."""

    def __init__(
        self, rate: int, form: str, codec: str, options: dict[str, str] | None = None
    ) -> None:
        self._sink = _Sink()
        self._coded = Coded(self._sink, rate, form, codec, options)

    def feed(self, audio: Audio) -> bytes:
        self._coded.feed(audio)
        return self._sink.take()

    def finish(self) -> bytes:
        self._coded.finish()
        return self._sink.take()


class _Sink:
    """A file that can only be written on; what was written is taken away."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        data = bytes(self._written)
        self._written.clear()
        return data


def _mp3(rate: int) -> Encoder:
    # Its header of lengths could only be written by going back.
    return _Coded(rate, "mp3", "libmp3lame", {"write_xing": "0"})


def _opus(rate: int) -> Encoder:
    # A page as soon as a packet is there: usually one holds a second.
    return _Coded(OPUS_RATE, "ogg", "libopus", {"page_duration": "20000"})


FORMS: dict[str, tuple[str, Callable[[int], Encoder]]] = {
    "mp3": ("audio/mpeg", _mp3),
    "opus": ("audio/ogg", _opus),
    "aac": ("audio/aac", lambda rate: _Coded(rate, "adts", "aac")),
    "flac": ("audio/flac", lambda rate: _Coded(rate, "flac", "flac")),
    "wav": ("audio/wav", lambda rate: _Pcm(rate, endless_wav(rate))),
    "pcm": ("audio/pcm", lambda rate: _Pcm(PCM_RATE)),
}
"""Media type of each, and what makes an encoder for sound of a rate."""


async def encoded(sound: Stream[Audio], form: str) -> Stream[bytes]:
    """Yield the file piece by piece; nothing if there is no sound."""
    worker = Worker("encoder")
    encoder: Encoder | None = None
    try:
        async with aclosing(sound):
            async for audio in sound:
                if encoder is None:
                    encoder = FORMS[form][1](usual(audio.rate))
                if data := await worker.run(encoder.feed, audio):
                    yield data
        if encoder and (data := await worker.run(encoder.finish)):
            yield data
    finally:
        worker.close()
