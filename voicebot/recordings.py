"""Read any recording as a stream of sound, and write what was spoken as a WAV file."""

from __future__ import annotations

import logging
import struct
import sys
import wave
from collections.abc import Generator, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import IO

import av
import numpy as np

from .audio import Audio, Samples, to_pcm16
from .errors import ConfigError, InputError
from .flow import Stream, pulled
from .resample import Resampler

log = logging.getLogger(__name__)

BLOCK_S = 0.2
"""Seconds a block of a recording holds at most: small, so that an hour costs no memory."""


def decode(source: str | IO[bytes], rate: int, name: str = "") -> Generator[Audio]:
    """Yield the sound of anything PyAV can decode as mono at `rate`.

    source: a path, "-" for standard input, or an open file, which stays the caller's to close.
    name: what errors call it, instead of its path.

    Damage in the middle of a recording ends it there, with a warning: what came before is kept.

    Raises:
        InputError: there is no such file, or it holds no sound that can be read.
    """
    options = {}
    if not isinstance(source, str):
        name = name or "the recording"
        # A playlist may name files of ours or servers: what a stranger sent opens nothing more.
        options["protocol_whitelist"] = "none"
    elif source == "-":
        name = name or "standard input"
        # Unbuffered, because a buffer's lock held by a waiting thread would keep us from exiting.
        source = open(0, "rb", buffering=0, closefd=False)
    else:
        name = name or source
        if not Path(source).exists():
            raise InputError(f"{name}: no such file")
    seconds = 0.0
    try:
        with av.open(source, "r", options=options) as container:
            if not container.streams.audio:
                raise InputError(f"{name}: there is no sound in it")
            mono = av.AudioResampler("flt", "mono", rate, frame_size=round(BLOCK_S * rate))
            frames: Iterator[av.AudioFrame | None] = container.decode(audio=0)
            for frame in chain(frames, [None]):  # None: give what was kept back
                for block in mono.resample(frame):
                    audio = _audio(block, rate)
                    seconds += audio.seconds
                    yield audio
    except av.FFmpegError as error:
        if not seconds:
            raise InputError(f"{name}: cannot be read as sound ({error.strerror})") from error
        log.warning("%s: damaged after %.1f s (%s)", name, seconds, error.strerror)
    except OSError as error:
        raise InputError(f"{name}: {error.strerror}") from error
    if not seconds:
        raise InputError(f"{name}: there is no sound in it")


def _audio(block: av.AudioFrame, rate: int) -> Audio:
    samples: Samples = block.to_ndarray().reshape(-1).astype(np.float32)
    # A float recording may hold anything; every stage after this counts on numbers in [-1, 1].
    return Audio(np.nan_to_num(samples, posinf=1, neginf=-1).clip(-1, 1), rate)


def recording(source: str | IO[bytes], rate: int, name: str = "") -> Stream[Audio]:
    """`decode` without holding up the loop, read no faster than it is used."""
    return pulled(decode(source, rate, name))


def endless_wav(rate: int) -> bytes:
    """The header of a mono 16-bit WAV stream whose length is not known yet."""
    unknown = 0xFFFFFFFF
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", unknown, b"WAVE", b"fmt ", 16, 1, 1),
        *(rate, 2 * rate, 2, 16, b"data", unknown),
    )


class WavWriter:
    """A mono 16-bit WAV file that is whole after every write, whatever happens next.

    The rate is that of the first audio written; later audio is brought to it. To standard
    output ("-") the header says that the length is not known, as players expect of a stream.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._resampler: Resampler | None = None
        self._wave: wave.Wave_write | None = None
        try:
            self._file: IO[bytes] = sys.stdout.buffer if path == "-" else Path(path).open("wb")
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written ({error.strerror})") from error

    def write(self, audio: Audio) -> None:
        if self._resampler is None:
            self._resampler = Resampler(audio.rate)
            self._begin(audio.rate)
        data = to_pcm16(Audio(self._resampler.feed(audio), self._resampler.rate))
        try:
            if self._wave:
                self._wave.writeframes(data)  # corrects the header each time
            else:
                self._file.write(data)
            self._file.flush()
        except BrokenPipeError:  # the reader has gone: as any program of a pipe ends
            raise
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be written ({error.strerror})") from error

    def _begin(self, rate: int) -> None:
        if self.path == "-":
            self._file.write(endless_wav(rate))
            return
        self._wave = wave.open(self._file, "wb")
        self._wave.setnchannels(1)
        self._wave.setsampwidth(2)
        self._wave.setframerate(rate)

    def __enter__(self) -> WavWriter:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # told by the write before: nothing more is to be written
            if self._wave:
                self._wave.close()
        if self.path != "-":
            with suppress(OSError):
                self._file.close()
