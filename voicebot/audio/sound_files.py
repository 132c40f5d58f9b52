"""Write what was spoken as a sound file of the format that its name ends in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, Self

import av

from ..errors import ConfigError
from . import Audio
from .coded import OPUS_RATE, Coded, usual
from .recordings import WavWriter

CODECS = {
    "mp3": ("mp3", "libmp3lame"),
    "ogg": ("ogg", "libopus"),
    "opus": ("ogg", "libopus"),
    "flac": ("flac", "flac"),
    "m4a": ("ipod", "aac"),
    "aac": ("adts", "aac"),
    "webm": ("webm", "libopus"),
}
"""FFmpeg's format and encoder for each ending but wav."""
ENDINGS = ("wav", *CODECS)


class SoundFile(Protocol):
    """A file that sound is written to, whole once its `with` block is left."""

    def write(self, audio: Audio) -> None:
        """Append sound of any rate.

        Raises:
            ConfigError: there is no room, or the file cannot be written any more.
        """

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def sound_file(path: str) -> SoundFile:
    """A new file at `path`, replacing one that is there: MP3 for x.mp3, and so on.

    path: "-" is standard output, as WAV; so is a name without an ending.

    Raises:
        ConfigError: no such format can be written, or nothing can be written there.
    """
    ending = Path(path).suffix.lower().removeprefix(".")
    if path == "-" or ending in ("", "wav"):
        return WavWriter(path)
    if ending not in CODECS:
        known = ", ".join(f".{each}" for each in ENDINGS)
        raise ConfigError(f"{path}: no sound is written as .{ending}; name it with one of {known}")
    return _CodedWriter(path, *CODECS[ending])


class _CodedWriter:
    """A mono file of one of FFmpeg's formats; its rate is near that of the first audio."""

    def __init__(self, path: str, form: str, codec: str) -> None:
        self.path = path
        self._form, self._codec = form, codec
        self._coded: Coded | None = None
        with self._told():
            Path(path).open("wb").close()  # before an answer is made that cannot be kept

    def write(self, audio: Audio) -> None:
        with self._told():
            if self._coded is None:
                rate = OPUS_RATE if self._codec == "libopus" else usual(audio.rate)
                # FFmpeg writes it itself: an error of ours would not come through it.
                self._coded = Coded(f"file:{self.path}", rate, self._form, self._codec)
            self._coded.feed(audio)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._coded:
            with self._told():
                self._coded.finish()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, av.FFmpegError) as error:
            raise ConfigError(f"{self.path}: cannot be written ({error.strerror})") from error
