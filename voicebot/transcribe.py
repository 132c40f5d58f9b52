"""`voicebot transcribe`: what was said in recordings, as text, subtitles or JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from .assembly import Ears, ears
from .audio import Audio
from .config import Config
from .conversation.listen import Listener
from .engines import Segment, Word
from .errors import ConfigError, EngineError, InputError
from .events import SpeechEnded, Utterance
from .flow import Stream
from .recordings import recording
from .resample import Windows

RATE = 16000
"""Samples per second a recording is read at: what every voice detector and recogniser hears."""


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
                text = FORMATS[form](file, asyncio.run(_segments(listening, file)))
            except (InputError, EngineError) as error:
                print(f"voicebot: {_named(file, error)}", file=sys.stderr)
                code = error.exit_code
                continue
            if output:
                places[file].write_text(text, "utf-8")
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


async def _segments(listening: Ears, file: str) -> list[Segment]:
    async with aclosing(segments(listening, recording(file, RATE))) as heard:
        return [segment async for segment in heard]


async def segments(listening: Ears, sound: Stream[Audio], **options: Any) -> Stream[Segment]:
    """Yield what was said as it is recognised, with seconds from the start of the sound.

    options: as the engine takes them for one call.

    Raises:
        EngineError: the engine failed on it.
    """
    transcribe: Callable[..., Stream[Segment]] = listening.stt.transcribe
    async with aclosing(_utterances(listening, sound)) as utterances:
        async for utterance in utterances:
            async with aclosing(transcribe(utterance.audio, **options)) as heard:
                async for segment in heard:
                    yield _later(segment, utterance.start)


async def _utterances(listening: Ears, sound: Stream[Audio]) -> Stream[Utterance]:
    """The stretches of the sound that hold speech: silence is not recognised, nor costs."""
    vad = listening.vad()
    listener = Listener(vad.rate, vad.window, listening.settings)
    windows = Windows(vad.rate, vad.window)
    async with aclosing(sound) as blocks:
        async for block in blocks:
            for window in windows.feed(block):
                event = listener.feed(window, await vad.probability(window))
                if isinstance(event, SpeechEnded):
                    yield event.utterance
    if last := listener.finish():
        yield last.utterance


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
