"""`voicebot bench stt --accuracy`: how many words a recogniser gets wrong, set by set.

A set is a folder of recordings with what is said in them: `manifest.jsonl` (`audio`, `text`, and
`lang`, a two-letter code), or `name.txt` beside `name.wav`. Where the text is empty nobody speaks,
and each word that is heard is one too many.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..assistant.assembly import SpeechInput
from ..audio import Audio, join
from ..audio.recordings import decode
from ..concurrency.worker import Stream
from ..conversation.endpointing import Endpointer
from ..engines import Segment
from ..engines.call_options import OptionError, taken
from ..engines.whisper.decoding import says_again
from ..errors import ConfigError, InputError, MissingDependency
from ..events import SpeechEnded
from ..transcription.transcribe import RATE, segments

ENDINGS = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a")
Normal = Callable[[str, str], list[str]]
"""The words of a text in a language, as they are compared."""


@dataclass(slots=True)
class Score:
    """What was heard in a set of recordings."""

    words: int = 0
    """Said."""
    wrong: int = 0
    """Words that are others, missing, or too many."""
    added: int = 0
    """Of those, the ones too many."""
    doubled: int = 0
    """Recordings in which words follow that were heard just before, and were not said twice."""
    unsaid: int = 0
    """Words heard where nobody speaks."""
    quiet_s: float = 0.0
    """Seconds of recordings in which nobody speaks."""
    sound_s: float = 0.0
    cpu_s: float = 0.0
    """Of this process: an engine that has one of its own takes more."""
    stretches: int = 0
    """Of speech, as the recogniser parts it; 0 if it does not count them, as Whisper does."""
    again: int = 0
    """Of those, the ones that took it a second window."""
    left_out: int = 0
    """Recordings in a language that the recogniser does not know."""
    heard: list[dict[str, str]] = field(default_factory=list)
    """What was said and what was heard, of each recording."""

    @property
    def error_rate(self) -> float | None:
        return self.wrong / self.words if self.words else None

    @property
    def unsaid_per_hour(self) -> float | None:
        return self.unsaid * 3600 / self.quiet_s if self.quiet_s else None

    def plus(self, other: Score) -> Score:
        return Score(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    def as_plain(self) -> dict[str, Any]:
        return {
            **{name: getattr(self, name) for name in self.__slots__},
            "error_rate": self.error_rate,
            "unsaid_per_hour": self.unsaid_per_hour,
        }


@dataclass(frozen=True, slots=True)
class Known:
    """A recording, and what is said in it."""

    path: Path
    text: str
    language: str
    """Two-letter code; empty if nothing says which."""


def measure(
    listening: SpeechInput, folders: Sequence[str], *, whole: bool, tell: Callable[[str], None]
) -> dict[str, Score]:
    """The score of each set; its name is the folder's.

    whole: as `voicebot transcribe` hears recordings, not utterance by utterance as in talking.

    Raises:
        ConfigError: there are no recordings with texts there.
        InputError: one of them, or a manifest, cannot be read.
        MissingDependency: what compares the words is not installed.
        EngineError: the recogniser failed.
    """
    normal = normaliser()
    scores: dict[str, Score] = {}
    for folder in [inner for outer in folders for inner in _sets(Path(outer))]:
        tell(f"{folder.name} ...")
        found = asyncio.run(_score(listening, known(folder), normal, whole))
        scores[folder.name] = scores.get(folder.name, Score()).plus(found)
    return scores


def _sets(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ConfigError(f"--accuracy {folder}: no such folder")
    within = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    if found := [path for path in within if next(known(path), None)]:
        return found
    raise ConfigError(
        f"--accuracy {folder}: there are no recordings with what is said in them: "
        "a manifest.jsonl, or a name.txt beside each name.wav"
    )


def known(folder: Path) -> Iterator[Known]:
    """The recordings of a folder whose text is known.

    Raises:
        InputError: its manifest or a text makes no sense.
    """
    manifest, place = folder / "manifest.jsonl", str(folder)
    try:
        if manifest.is_file():
            for number, line in enumerate(manifest.read_text("utf-8").splitlines(), 1):
                place = f"{manifest}: line {number}"
                entry: dict[str, Any] = json.loads(line) if line.strip() else {}
                if entry.get("text") is not None:
                    yield Known(folder / entry["audio"], entry["text"], entry.get("lang") or "")
            return
        for path in sorted(folder.iterdir()):
            place = str(path.with_suffix(".txt"))
            if path.suffix.lower() in ENDINGS and path.with_suffix(".txt").is_file():
                yield Known(path, path.with_suffix(".txt").read_text("utf-8").strip(), "")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{place}: it does not say what is said ({error!r})") from error


def normaliser() -> Normal:
    """Compares English by its sound as Whisper's authors do: "10 $" is "ten dollars", "uh" nothing.

    Other languages without case and punctuation, and letter by letter where they have no spaces.

    Raises:
        MissingDependency: the packages for it are not there.
    """
    try:
        import jiwer  # noqa: F401 - only to see that it is there
        from whisper_normalizer.english import EnglishTextNormalizer  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingDependency(
            f"--accuracy needs {error.name}; voicebot install accuracy"
        ) from error
    english = EnglishTextNormalizer()

    def normal(text: str, language: str) -> list[str]:
        if language in ("", "en"):
            return str(english(text)).split()
        unspaced = re.sub(r"([\u0e00-\u0eff\u3040-\u9fff])", r" \1 ", text.casefold())
        return re.findall(r"[^\W_]+", unspaced)

    return normal


async def _score(
    listening: SpeechInput, recordings: Iterator[Known], normal: Normal, whole: bool
) -> Score:
    from jiwer import process_words

    score = Score()
    for recording in recordings:
        audio = join(list(decode(str(recording.path), RATE)))
        began, before = time.process_time(), _counts(listening)
        try:
            text = " ".join(
                [s.text.strip() async for s in _heard(listening, recording, audio, whole)]
            )
        except OptionError:
            score.left_out += 1
            continue
        score.cpu_s += time.process_time() - began
        score.sound_s += audio.seconds
        stretches, again = _counts(listening)
        score.stretches += stretches - before[0]
        score.again += again - before[1]
        said, heard = (normal(t, recording.language) for t in (recording.text, text))
        score.heard.append({"audio": recording.path.name, "said": recording.text, "heard": text})
        if not said:
            score.unsaid += len(heard)
            score.quiet_s += audio.seconds
            continue
        edits = process_words(" ".join(said), " ".join(heard))
        score.words += len(said)
        score.wrong += edits.substitutions + edits.deletions + edits.insertions
        score.added += edits.insertions
        score.doubled += says_again(text) and not says_again(recording.text)
    return score


def _counts(listening: SpeechInput) -> tuple[int, int]:
    engine: Any = listening.stt
    return getattr(engine, "recognised", 0), getattr(engine, "again", 0)


async def _heard(
    listening: SpeechInput, recording: Known, audio: Audio, whole: bool
) -> Stream[Segment]:
    transcribe: Any = listening.stt.transcribe
    asked: dict[str, Any] = {}
    if recording.language and "language" in taken(transcribe):
        asked["language"] = recording.language
    if whole:
        async with aclosing(segments(listening, _blocks(audio), **asked)) as found:
            async for segment in found:
                yield segment
        return
    async for utterance in _utterances(listening, audio):
        async with aclosing(transcribe(utterance, **asked)) as found:
            async for segment in found:
                yield segment


async def _utterances(listening: SpeechInput, audio: Audio) -> Stream[Audio]:
    """What a conversation would give the recogniser."""
    vad = listening.vad()
    listener = Endpointer(vad.rate, vad.window, listening.settings)
    for at in range(0, len(audio.samples) - vad.window + 1, vad.window):
        window = audio.samples[at : at + vad.window]
        event = listener.feed(window, await vad.probability(window))
        if isinstance(event, SpeechEnded):
            yield event.utterance.audio
    if last := listener.finish():
        yield last.utterance.audio


async def _blocks(audio: Audio) -> Stream[Audio]:
    for at in range(0, len(audio.samples), audio.rate):
        yield Audio(audio.samples[at : at + audio.rate], audio.rate)


def table(scores: dict[str, Score]) -> list[str]:
    """The scores as lines of Markdown."""
    lines = [
        "| set | words | wrong | too many | said twice | second window "
        "| words an hour where nobody speaks | CPU s | sound s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    total = Score()
    for score in scores.values():
        total = total.plus(score)
    for name, score in {**scores, "all": total}.items():
        rate, unsaid = score.error_rate, score.unsaid_per_hour
        cells = [
            name,
            score.words,
            "" if rate is None else f"{rate:.3f}",
            score.added,
            score.doubled,
            f"{score.again} of {score.stretches}" if score.stretches else "",
            "" if unsaid is None else f"{unsaid:.1f}",
            f"{score.cpu_s:.1f}",
            f"{score.sound_s:.0f}",
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    if total.left_out:
        lines.append(f"left out: {total.left_out} in languages the recogniser does not know")
    return lines
