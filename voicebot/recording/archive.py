"""A folder of recordings that never outgrows its bound. Only its own thread touches the disk."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeAlias
from uuid import uuid4

from ..audio import Audio
from ..audio.recordings import WavWriter
from ..errors import ConfigError

log = logging.getLogger(__name__)

STORY = "session.jsonl"
"""What happened in a session, one JSON object a line, beside the sound."""
WAITING = 32_000_000
"""Bytes of sound that may wait to be written. More outlasts a slower disk: it is eight minutes of
one conversation, or five seconds of a hundred."""
PART = 0.5
"""Of the folder, what one session may take: others need room too, however long it goes on."""
LAST_S = 2.0
"""Seconds that the last lines may take when we end."""

_NAME = re.compile(r"\d{8}T\d{12}Z-[0-9a-f]{8}")
_LINE = 200
"""Bytes that a line counts as while it waits, if nobody says more; sound counts as what it is."""

Line: TypeAlias = dict[str, Any]
"""What is written of one thing that happened, as JSON's values."""


class RecordingHandle:
    """One session's recording, for whoever records it."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self.name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z-{uuid4().hex[:8]}"
        self.lost = False
        """It could not be kept, and nothing more of it will be."""

    def write(self, line: Line, sound: Audio | None = None, track: str = "", size: int = 0) -> None:
        """Note what happened, and the sound of it at the end of `track`. It never waits.

        size: bytes that the line has, where it may be long.
        """
        self._archive.take(self, line, sound, track, size)

    def end(self, *, keep: bool) -> None:
        """Nothing follows. keep: otherwise it is thrown away."""
        self._archive.finish(self, keep)


class _Files:
    """The files of a session that goes on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700)
        self._story = _made(folder / STORY).open("wb")
        self._tracks: dict[str, WavWriter] = {}
        self.size = 0
        self.full = False

    def write(self, line: bytes, sound: Audio | None, track: str) -> None:
        if sound:
            if track not in self._tracks:
                self._tracks[track] = WavWriter(str(_made(self._folder / f"{track}.wav")))
            self._tracks[track].write(sound)
        self._story.write(line)
        self._story.flush()

    def close(self) -> None:
        self._story.close()
        for wav in self._tracks.values():
            wav.__exit__()


def _made(path: Path) -> Path:
    """An empty file that only its owner may read."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return path


class Archive:
    """Keeps sessions in `folder`, of which the oldest go when they fill `size` bytes.

    Of a session that alone takes half of that, the rest is not kept.
    """

    def __init__(self, folder: str, size: int, waiting: int = WAITING) -> None:
        """waiting: bytes that may wait; a session that does not fit is lost, and that is told.

        Raises:
            ConfigError: the folder cannot be made, or not be written to.
        """
        self._folder, self._size, self._most = Path(folder), size, waiting
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._kept = _sizes(self._folder)
            """Bytes of each session that is over, the oldest first."""
        except OSError as error:
            raise ConfigError(f"[record] folder {folder}: {error.strerror}") from error
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise ConfigError(f"[record] folder {folder}: cannot be written to")
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        # Each is written by one thread and read by the other: their difference waits.
        self._taken = self._written = 0
        self._open: dict[str, _Files] = {}
        self._thread = Thread(target=self._work, name="record", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Bytes that are not written yet."""
        return self._taken - self._written

    def take(
        self, handle: RecordingHandle, line: Line, sound: Audio | None, track: str, size: int
    ) -> None:
        """See `Tape.write`."""
        if handle.lost:
            return
        size += _LINE + (sound.samples.nbytes if sound else 0)
        if self.waiting + size > self._most:
            self._lose(handle, "the disk is too slow")
            return
        self._taken += size
        self._queue.put((handle, line, sound, track, size))

    def finish(self, handle: RecordingHandle, keep: bool) -> None:
        """See `Tape.end`."""
        self._queue.put((handle, keep and not handle.lost))

    def close(self) -> None:
        """Write what waits. What takes too long is given up."""
        self._queue.put(None)
        self._thread.join(LAST_S)

    def _lose(self, handle: RecordingHandle, why: object) -> None:
        handle.lost = True
        log.warning("the recording %s is lost: %s", handle.name, why)

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            handle = job[0]
            try:
                self._do(job)
            # An engine of anybody's own may give what cannot be written down.
            except (OSError, ConfigError, TypeError, ValueError) as error:
                if not handle.lost:
                    self._lose(handle, error)
        for files in self._open.values():
            with suppress(OSError):
                files.close()

    def _do(self, job: _Job) -> None:
        match job:
            case (handle, keep):
                self._end(handle.name, keep)
            case (handle, line, sound, track, size):
                try:
                    if not handle.lost:
                        self._write(handle.name, line, sound, track)
                finally:
                    self._written += size

    def _write(self, name: str, line: Line, sound: Audio | None, track: str) -> None:
        if name not in self._open:
            self._open[name] = _Files(self._folder / name)
        files = self._open[name]
        text = json.dumps(line, ensure_ascii=False, default=float) + "\n"
        data = text.encode(errors="backslashreplace")  # which is how JSON has it too
        size = len(data) + (2 * len(sound.samples) if sound else 0)
        if not files.full and not self._fits(files, size):
            files.full = True
            log.warning("the recording %s ends early: [record] size_mb is full", name)
        if not files.full:
            files.size += size
            files.write(data, sound, track)

    def _fits(self, files: _Files, size: int) -> bool:
        """Make room for so much more; whether there is."""
        begun = sum(each.size for each in self._open.values()) + size
        while begun + sum(self._kept.values()) > self._size and self._kept:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            shutil.rmtree(self._folder / oldest, ignore_errors=True)
        return begun <= self._size and files.size + size <= PART * self._size

    def _end(self, name: str, keep: bool) -> None:
        if files := self._open.pop(name, None):
            with suppress(OSError):
                files.close()
            if keep:
                self._kept[name] = files.size
            else:
                shutil.rmtree(self._folder / name, ignore_errors=True)


_Job: TypeAlias = (
    "tuple[RecordingHandle, Line, Audio | None, str, int] | tuple[RecordingHandle, bool]"
)


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of each session in it, the oldest first; anything else there is not ours."""
    sizes = {}
    for each in sorted(folder.iterdir()):
        if _NAME.fullmatch(each.name) and (each / STORY).is_file():
            with suppress(OSError):  # another process has just dropped it
                sizes[each.name] = sum(file.stat().st_size for file in each.iterdir())
    return sizes
