"""Recorded questions, and when the speech in them truly begins and ends."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..audio import Audio, join
from ..audio.recordings import decode
from ..errors import ConfigError, InputError

RATE = 16000
FRAME_S = 0.01
"""Seconds in which loudness is measured: a tenth of the shortest latency anybody notices."""
BELOW_DB = 30.0
"""Sound this far below the loudest is no speech any more. More hears the room as speech."""
ABOVE_DB = 6.0
"""Sound has to be this far above the room: in a noisy one BELOW_DB alone would hear no end."""
SILENT_DB = -60.0
"""A recording that is nowhere louder, of full scale, holds nothing that could be heard."""
DEEPEST_HZ = 80
"""No voice is deeper. Handling and a microphone that drifts are, and are louder than speech."""
SHORTEST_FRAMES = 3
"""Loud frames in a row that are speech: fewer are a click."""
SHORTEST_S = 0.1
"""A stretch this short says nothing: it is a mouse or a microphone that is switched on."""
FIRM_DB, FIRM_S, MOST = 20.0, 0.2, 0.8
"""What nobody takes for a breath or a chair: louder, for longer, and most of that time."""
PAUSE_S = 1.5
"""Seconds of silence after which another question begins: nobody waits so long in one."""
LONGEST_S = 15.0
"""Seconds of a recording that is a question: longer ones are readings and meetings."""
ENDINGS = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a")


@dataclass(frozen=True, slots=True)
class Question:
    """One thing that somebody says, with the silence around it."""

    name: str
    audio: Audio
    start: float
    """Seconds into `audio` at which the speech begins."""
    end: float
    """Seconds into `audio` at which it has ended."""

    @property
    def onset(self) -> float:
        """Seconds into `audio` at which somebody unmistakably speaks: from there on it is at most
        FIRM_DB below the loudest for most of FIRM_S. A breath before it interrupts nobody."""
        level = _levels(self.audio)
        loud = level > np.percentile(level, 95) - FIRM_DB
        frames = round(FIRM_S / FRAME_S)
        share = np.convolve(loud, np.ones(frames) / frames)[frames - 1 :]
        firm = np.flatnonzero(loud[: len(share)] & (share >= MOST))
        return float(firm[0]) * FRAME_S if len(firm) else self.start


def own() -> list[str]:
    """The folder of the examples that come with the source.

    Raises:
        ConfigError: this is no checkout.
    """
    examples = Path(__file__).parents[2] / "examples"
    if not examples.is_dir():
        raise ConfigError("there are no recordings here; --audio DIR names a folder of questions")
    return [str(examples)]


def read(folders: Sequence[str]) -> list[Question]:
    """The questions recorded in these folders, or in the folders in them.

    A folder's manifest.jsonl, where there is one, says which of its recordings count: not those
    of over LONGEST_S, nor those with an empty `text`; it may say where speech begins and ends, as
    `speech_start_s` and `speech_end_s`.

    Raises:
        ConfigError: there are no recordings there.
        InputError: a recording or manifest cannot be read, or makes no sense.
    """
    questions = [
        question
        for folder in folders
        for path, entry in _recordings(Path(folder))
        for question in _questions(path, entry)
    ]
    if not questions:
        raise ConfigError(f"--audio {' '.join(folders)}: there are no recorded questions there")
    return questions


def _recordings(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    if not folder.is_dir():
        raise ConfigError(f"--audio {folder}: no such folder")
    manifest = folder / "manifest.jsonl"
    if manifest.is_file():
        yield from _listed(manifest)
    else:
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in ENDINGS:
                yield path, {}
            elif (path / "manifest.jsonl").is_file():
                yield from _recordings(path)


def _listed(manifest: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    number = 0
    try:
        for number, line in enumerate(manifest.read_text("utf-8").splitlines(), 1):  # noqa: B007 - told below
            if not line.strip():
                continue
            entry = json.loads(line)
            if entry.get("text") != "" and entry.get("duration_s", 0) <= LONGEST_S:
                yield manifest.parent / entry["audio"], entry
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{manifest}: line {number} is none of a manifest ({error!r})") from error


def _questions(path: Path, entry: dict[str, Any]) -> Iterator[Question]:
    audio = join(list(decode(str(path), RATE)))
    if audio.seconds > LONGEST_S:
        return
    if "speech_start_s" in entry and "speech_end_s" in entry:
        start, end = entry["speech_start_s"], entry["speech_end_s"]
        if not (_is_number(start) and _is_number(end) and 0 <= start < end <= audio.seconds):
            raise InputError(
                f"{path}: the manifest has speech from {start!r} to {end!r} s "
                f"in {audio.seconds:g} s of sound"
            )
        yield Question(path.stem, audio, start, end)
        return
    stretches = speech(audio)
    for i, (start, end) in enumerate(stretches):
        # All that lies between two of them belongs to the one it follows.
        begin = 0.0 if i == 0 else start - 0.3
        until = audio.seconds if i + 1 == len(stretches) else stretches[i + 1][0] - 0.3
        samples = audio.samples[round(begin * RATE) : round(until * RATE)]
        name = path.stem if len(stretches) == 1 else f"{path.stem}#{i + 1}"
        yield Question(name, Audio(samples, RATE), start - begin, end - begin)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _levels(audio: Audio) -> NDArray[np.float64]:
    """Decibels of full scale of what is not below DEEPEST_HZ, a number for each FRAME_S."""
    smooth = np.hanning(2 * audio.rate // DEEPEST_HZ + 1)
    rest = audio.samples
    for _ in range(2):  # takes 20 dB from 30 Hz and nothing from 80
        rest = rest - np.convolve(rest, smooth / smooth.sum(), "same")[: len(rest)]
    # Both: without what is deep, a beginning that has nothing deep would be spread over 12 ms.
    return np.minimum(_decibels(audio.samples, audio.rate), _decibels(rest, audio.rate))


def _decibels(samples: NDArray[np.floating], rate: int) -> NDArray[np.float64]:
    size = round(FRAME_S * rate)
    count = len(samples) // size
    frames = samples[: count * size].reshape(count, size).astype(np.float64)
    level: NDArray[np.float64] = 20 * np.log10(np.sqrt((frames**2).mean(1)) + 1e-6)
    return level


def speech(audio: Audio) -> list[tuple[float, float]]:
    """Where each stretch of speech begins and ends, in seconds, by loudness alone.

    Speech is what is at most BELOW_DB quieter than the loudest twentieth of the recording, at
    least ABOVE_DB louder than its quietest tenth, not deeper than a voice, and longer than a
    click. Pauses of less than PAUSE_S are within a stretch. No voice detector is asked: it is
    among what is measured.
    """
    level = _levels(audio)
    if not len(level):
        return []
    quiet, loud = np.percentile(level, [10, 95])
    if loud < SILENT_DB:
        return []
    # Where there is no silence at all to be 6 dB above, all of it is speech.
    threshold = min(max(loud - BELOW_DB, quiet + ABOVE_DB), loud - ABOVE_DB)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], level > threshold, [0]))))
    stretches: list[tuple[float, float]] = []
    for first, after in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if after - first < SHORTEST_FRAMES:
            continue
        start, end = first * FRAME_S, after * FRAME_S
        if stretches and start - stretches[-1][1] < PAUSE_S:
            start = stretches.pop()[0]
        stretches.append((start, end))
    return [(start, end) for start, end in stretches if end - start >= SHORTEST_S - 1e-9]
