"""`voicebot transcribe`: what was said in recordings, as text, subtitles or JSON."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from ..assistant.assembly import SpeechInput, ears
from ..audio import Audio
from ..audio.recordings import recording
from ..audio.resample import Windows
from ..concurrency.worker import Stream
from ..config import Config
from ..engines import Segment, Word
from ..engines.call_options import taken, wanted
from ..errors import ConfigError, EngineError, InputError
from ..events import Utterance
from ..standard_streams import printable
from .cutting import Cutter

log = logging.getLogger(__name__)

RATE = 16000
"""Samples per second a recording is read at: what every voice detector and recogniser hears."""
TELLING_S = 5.0
"""In less sound a language is guessed rather than heard; it is then the one heard before."""
GAP_S = 0.6
"""Between two words: a pause that ends a subtitle."""
SHORT, LONG, LONG_S = 12, 80, 7.0
"""Letters of a sentence too short for a subtitle of its own; letters and seconds that are enough
for one: it ends at the next comma, or at twice the letters."""
STOPS, PAUSES = (".", "!", "?", "。", "！", "？", "…"), (",", ";", ":", "，", "、", "؛", "،")


def run(
    config: Config, models: Path, *, files: Sequence[str], form: str, output: str | None
) -> int:
    """Transcribe each of `files`, in order; return the exit code.

    form: a key of FORMATS.
    output: a folder that gets one file for each recording; None prints.

    A file that cannot be read is told of and passed over; the exit code is then its error's.
    """
    places = _places(files, form, Path(output)) if output else {}
    code = 0
    with ears(config, models) as listening:
        print(*listening.describe(), sep="\n", file=sys.stderr)
        for file in files:
            try:
                heard = asyncio.run(_segments(listening, file))
                text = printable(FORMATS[form](file, heard))
            except (InputError, EngineError) as error:
                print(f"voicebot: {printable(_named(file, error))}", file=sys.stderr)
                code = error.exit_code
                continue
            except Exception as error:  # ours, not the file's: the others are read all the same
                log.error("%s: our fault, please report it", file, exc_info=error)
                code = 1
                continue
            if output:
                try:
                    places[file].write_text(text, "utf-8")
                except OSError as error:
                    print(f"voicebot: {places[file]}: {error.strerror}", file=sys.stderr)
                    code = 1
            else:
                print(text, end="", flush=True)
    return code


def _places(files: Sequence[str], form: str, folder: Path) -> dict[str, Path]:
    """Where each transcript goes, told before hours are spent on what cannot be kept."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be made ({error.strerror})") from error
    owners: dict[Path, str] = {}
    for file in files:
        place = folder / f"{Path(file).stem}.{form}"
        if owners.setdefault(place, file) != file:
            raise ConfigError(f"{owners[place]} and {file} would both be written to {place}")
    return {file: place for place, file in owners.items()}


async def _segments(listening: SpeechInput, file: str) -> list[Segment]:
    async with aclosing(segments(listening, recording(file, RATE))) as heard:
        return [segment async for segment in heard]


async def segments(listening: SpeechInput, sound: Stream[Audio], **options: Any) -> Stream[Segment]:
    """Yield what was said as it is recognised, with seconds from the start of the sound.

    Each segment is about a sentence: as much as fits into a subtitle.
    options: as the engine takes them for one call.

    Raises:
        EngineError: the engine failed on it.
    """
    transcribe: Callable[..., Stream[Segment]] = listening.stt.transcribe
    takes_language = "language" in taken(transcribe)
    known = ""  # the language heard before
    async with aclosing(_pieces(listening, sound)) as pieces:
        async for piece in pieces:
            asked = wanted(transcribe, recorded=True) | options
            if known and takes_language and piece.audio.seconds < TELLING_S:
                asked.setdefault("language", known)
            async with aclosing(transcribe(piece.audio, **asked)) as heard:
                async for segment in heard:
                    known = segment.language or known
                    for part in parted(segment):
                        yield _later(part, piece.start)


async def _pieces(listening: SpeechInput, sound: Stream[Audio]) -> Stream[Utterance]:
    """The parts of the sound that hold speech: silence is not recognised, nor costs."""
    vad = listening.vad()
    cutter = Cutter(vad.rate, vad.window, listening.settings)
    windows = Windows(vad.rate, vad.window)
    async with aclosing(sound) as blocks:
        async for block in blocks:
            for window in windows.feed(block):
                if piece := cutter.feed(window, await vad.probability(window)):
                    yield piece
    if last := cutter.finish():
        yield last


def parted(segment: Segment) -> list[Segment]:
    """The segment sentence by sentence, and where people pause; whole if its words are unknown."""
    parts: list[list[Word]] = []
    for word in segment.words:
        if not parts or _ends(parts[-1], word):
            parts.append([])
        parts[-1].append(word)
    if len(parts) < 2:
        return [segment]
    return [
        replace(
            segment,
            text=text,
            start=part[0].start,
            end=part[-1].end,
            words=tuple(part),
            confidence=_mean(word.confidence for word in part),
        )
        for part, text in zip(parts, _texts(segment.text, parts), strict=True)
    ]


def _texts(whole: str, parts: list[list[Word]]) -> list[str]:
    """What each of the parts says; not all languages put spaces between words."""
    begins, at = [], 0
    for part in parts:
        begins.append(at)
        for word in part:
            found = whole.find(word.text, at)
            if found < 0:
                return [" ".join(word.text for word in part) for part in parts]
            at = found + len(word.text)
    return [whole[a:b].strip() for a, b in pairwise([*begins, len(whole)])]


def _ends(line: list[Word], following: Word) -> bool:
    """Whether a subtitle is over before this word."""
    last = line[-1]
    said = " ".join(word.text for word in line)
    if last.text.endswith(STOPS) and len(said) >= SHORT:
        return True
    if following.start - last.end >= GAP_S:
        return True
    too_long = len(said) + len(following.text) >= LONG or following.end - line[0].start > LONG_S
    return too_long and (last.text.endswith(PAUSES) or len(said) + len(following.text) >= 2 * LONG)


def _mean(chances: Iterable[float]) -> float:
    """Geometric."""
    return math.exp(fmean(math.log(max(chance, 1e-9)) for chance in chances))


def _later(segment: Segment, seconds: float) -> Segment:
    def moved(word: Word) -> Word:
        return replace(word, start=word.start + seconds, end=word.end + seconds)

    return replace(
        segment,
        start=segment.start + seconds,
        end=segment.end + seconds,
        words=tuple(moved(word) for word in segment.words),
    )


def _named(file: str, error: Exception) -> str:
    return str(error) if isinstance(error, InputError) else f"{file}: {error}"


def _txt(file: str, segments: Sequence[Segment]) -> str:
    return "".join(f"{segment.text.strip()}\n" for segment in segments)


def _srt(file: str, segments: Sequence[Segment]) -> str:
    return "".join(
        f"{number}\n{clock(s.start)} --> {clock(s.end)}\n{s.text.strip()}\n\n"
        for number, s in enumerate(segments, 1)
    )


def clock(seconds: float, point: str = ",") -> str:
    """The time as subtitles have it, 00:01:02,345."""
    ms = round(seconds * 1000)
    return f"{ms // 3600000:02}:{ms // 60000 % 60:02}:{ms // 1000 % 60:02}{point}{ms % 1000:03}"


def _json(file: str, segments: Sequence[Segment]) -> str:
    text = " ".join(segment.text.strip() for segment in segments)
    document = {"file": file, "text": text, "segments": [asdict(s) for s in segments]}
    return json.dumps(document, ensure_ascii=False) + "\n"


FORMATS: dict[str, Callable[[str, Sequence[Segment]], str]] = {
    "txt": _txt,
    "srt": _srt,
    "json": _json,
}
