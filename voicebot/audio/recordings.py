"""Read any recording as a stream of sound, and write what was spoken as a WAV file."""

from __future__ import annotations

import logging
import struct
import sys
import wave
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from errno import EINVAL
from math import inf
from pathlib import Path
from typing import IO

import av
import numpy as np
from av.container import InputContainer

from ..concurrency.worker import Stream, pulled
from ..errors import ConfigError, InputError
from . import Audio, Samples, to_pcm16
from .mixing import Mixer
from .resample import Resampler

log = logging.getLogger(__name__)

BLOCK_S = 0.2
"""Seconds a block of a recording holds at most: small, so that an hour costs no memory."""


FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,eac3,flac,flv,gsm,matroska,mov,mp3,mpeg,mpegts,ogg,tta,"
    "w64,wav,wv"
)
"""FFmpeg's demuxers that are asked. It has 350: scripts that make sound out of a line, playlists
that name files and servers, games. None of those is a recording."""
CODECS = (
    "aac,aac_fixed,aac_latm,ac3,alac,amrnb,amrwb,ape,eac3,flac,g722,g726,g726le,gsm,gsm_ms,libgsm,"
    "libopus,libspeex,libvorbis,mp1,mp1float,mp2,mp2float,mp3,mp3float,nellymoser,opus,pcm_alaw,"
    "pcm_f32be,pcm_f32le,pcm_f64be,pcm_f64le,pcm_mulaw,pcm_s16be,pcm_s16le,pcm_s24be,pcm_s24le,"
    "pcm_s32be,pcm_s32le,pcm_s64be,pcm_s64le,pcm_s8,pcm_u8,adpcm_ima_qt,adpcm_ima_wav,adpcm_ms,"
    "adpcm_swf,adpcm_yamaha,speex,tta,vorbis,wavpack,wmalossless,wmapro,wmav1,wmav2,wmavoice"
)
"""FFmpeg's decoders that are used; those of pictures are not even opened."""
LOWEST, HIGHEST = 4000, 768_000
"""Samples per second that sound may have. What claims less is hours of it in a few bytes."""


def decode(
    source: str | IO[bytes], rate: int, name: str = "", longest_s: float = inf
) -> Generator[Audio]:
    """Yield the sound of a recording as mono at `rate`, in blocks of BLOCK_S.

    Rate, channels and sample format may change in the middle: as many samples come out as the
    seconds of each part make at `rate`.

    source: a path, "-" for standard input, or an open file, which stays the caller's to close.
    name: what errors call it, instead of its path.
    longest_s: seconds after which it is refused, however much of it was yielded before.

    Damage in the middle of a recording ends it there, with a warning: what came before is kept.

    Raises:
        InputError: there is no such file, it holds no sound that can be read, or it is too long.
    """
    # A container may name files of ours or servers: what is read opens nothing more.
    protocols = "none"
    if not isinstance(source, str):
        name = name or "the recording"
    elif source == "-":
        name = name or "standard input"
        # Unbuffered, because a buffer's lock held by a waiting thread would keep us from exiting.
        source = open(0, "rb", buffering=0, closefd=False)
    else:
        name = name or source
        if not Path(source).exists():
            raise InputError(f"{name}: no such file")
        source, protocols = f"file:{source}", "file"  # a name may hold a colon
    options = {
        "protocol_whitelist": protocols,
        "format_whitelist": FORMATS,
        "codec_whitelist": CODECS,
    }
    samples = 0
    try:
        with av.open(source, "r", options=options) as container:
            for block in _blocks(_mono(container, name, rate), round(BLOCK_S * rate)):
                samples += len(block)
                if samples > longest_s * rate:
                    raise InputError(f"{name}: longer than {longest_s:g} seconds of sound")
                yield Audio(block, rate)
    except _Damaged as error:
        if not samples:
            raise InputError(f"{name}: cannot be read as sound ({error})") from error
        log.warning("%s: damaged after %.1f s (%s)", name, samples / rate, error)
    except av.FFmpegError as error:
        why = "it is none of the formats that are read" if error.errno == EINVAL else error.strerror
        raise InputError(f"{name}: cannot be read as sound ({why})") from error
    except OSError as error:
        raise InputError(f"{name}: {error.strerror}") from error
    if not samples:
        raise InputError(f"{name}: there is no sound in it")


class _Damaged(Exception):
    """A recording cannot be read any further."""


def _mono(container: InputContainer, name: str, rate: int) -> Iterator[Samples]:
    """The first track of sound as one channel at `rate`, in pieces of any length.

    Raises:
        InputError: there is none, or it is of a kind that is not read.
        _Damaged: after a last piece, where it cannot be read any further.
    """
    if not container.streams.audio:
        raise InputError(f"{name}: there is no sound in it")
    track = container.streams.audio[0]
    if track.codec_context is None or track.codec_context.name not in CODECS.split(","):
        codec = track.codec_context.name if track.codec_context else "an unknown codec"
        raise InputError(f"{name}: sound in {codec} is not read")
    mixer, resampler = Mixer(), Resampler(rate)
    kind: tuple[int, int, str] | None = None
    damage: _Damaged | None = None
    frames = container.decode(track)
    while True:
        try:
            frame = next(frames, None)
        except av.FFmpegError as error:
            damage, frame = _Damaged(error.strerror), None
        if frame and not LOWEST <= frame.sample_rate <= HIGHEST:
            damage, frame = _Damaged(f"{frame.sample_rate} samples a second"), None
        if not frame:
            break
        now = (frame.sample_rate, frame.layout.nb_channels, frame.format.name)
        if now != kind:
            yield resampler.finish()
            mixer, resampler, kind = Mixer(), Resampler(rate), now
        audio = Audio(mixer.mix(_channels(frame), frame.sample_rate), frame.sample_rate)
        yield resampler.feed(audio)
    yield resampler.finish()
    if damage:
        raise damage


def _channels(frame: av.AudioFrame) -> Samples:
    """float32, shape (channels, n), finite; full scale is 1."""
    data = frame.to_ndarray()
    if not frame.format.is_planar:
        data = data.reshape(-1, frame.layout.nb_channels).T
    if data.dtype.kind == "f":
        # A float recording may hold anything; every stage after this counts on finite numbers.
        return np.nan_to_num(data.astype(np.float32), posinf=1, neginf=-1)
    bits = 8 * data.dtype.itemsize
    middle = 128 if data.dtype.kind == "u" else 0
    scaled: Samples = (data.astype(np.float32) - np.float32(middle)) * np.float32(2.0 ** (1 - bits))
    return scaled


def _blocks(pieces: Iterable[Samples], size: int) -> Iterator[Samples]:
    """The same samples, in [-1, 1], `size` at a time; at the end as many as there are."""
    waiting: list[Samples] = []
    count = 0
    try:
        for piece in pieces:
            waiting.append(piece)
            count += len(piece)
            if count >= size:
                whole = np.concatenate(waiting)
                for start in range(0, count - count % size, size):
                    yield whole[start : start + size].clip(-1, 1)
                waiting, count = [whole[count - count % size :]], count % size
    except _Damaged:
        if count:
            yield np.concatenate(waiting).clip(-1, 1)
        raise
    if count:
        yield np.concatenate(waiting).clip(-1, 1)


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
