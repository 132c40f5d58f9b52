"""Recognition of a hundred languages by Whisper, on faster-whisper.

Set up for talking: one pass, nothing carried over from the sentence before, and an end to the
tokens. Sound in which nobody speaks never reaches the model, because it would invent words.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from ... import languages
from ...audio import Audio, silence
from ...concurrency.worker import Stream, Worker
from ...errors import ConfigError, EngineError, MissingDependency
from .. import Segment, Word
from ..call_options import OptionError, active_degradations
from ..cpu import usable_cores
from ..silero import RATE
from ..speech_segments import MARGIN, ROOM, SpeechSegment, stretches
from .decoding import Hypothesis, lengths, recognise, words

if TYPE_CHECKING:
    from faster_whisper import WhisperModel  # type: ignore[import-untyped]  # it has no stubs

DEVICES = ("auto", "cpu", "cuda")
FILES = ("model.bin", "config.json", "tokenizer.json")
VOCABULARIES = ("vocabulary.json", "vocabulary.txt")
MOST_THREADS = 8
"""More take turns rather than work: decoding is a chain of small steps."""


class Whisper:
    """Recognises what people say, and says nothing where nobody speaks."""

    def __init__(
        self,
        model: str,
        device: str = "auto",
        compute_type: str = "auto",
        language: str = "",
        threads: int = 0,
        short_windows: bool = True,
        beam_size: int = 5,
    ) -> None:
        """
        Args:
            model: a folder with a Whisper model in CTranslate2's form.
            compute_type: one of CTranslate2's; auto is int8 on a CPU and float16 on a GPU.
            language: a code or a name, "de" or "German"; empty to detect it in each recording.
            threads: on a CPU; 0 for as many as help.
            short_windows: encode what was said plus some silence instead of 30 s. Much faster on
                a CPU; where the result looks wrong, the 30 s are encoded after all.
            beam_size: hypotheses followed at once. With 5 one in ten of the words that 1 mishears
                is heard, for a tenth more time. A turn that is short of time follows 1.

        Raises:
            MissingDependency: a file of the model, or Silero, is not there.
            ConfigError: a file is not what it should be, or a setting has a wrong value.
        """
        self._model = _load(Path(model).expanduser(), device, compute_type, threads)
        language = languages.code(language, self.languages)
        if wrong := self._unknown(language):
            raise ConfigError(f"[stt] {wrong}")
        if beam_size < 1:
            raise ConfigError(f"[stt] whisper: beam_size should be 1 or more, not {beam_size}")
        self._language, self._short, self._beam = language, short_windows, beam_size
        stretches(silence(0.1, RATE))  # loads Silero: its absence should show at start-up
        self.recognised = self.again = 0
        """Stretches of speech so far, and of those the ones heard again in a full window."""
        self.worker = Worker("whisper", parks=True)

    def transcribe(
        self,
        audio: Audio,
        *,
        language: str | None = None,
        translate: bool = False,
        recorded: bool = False,
    ) -> Stream[Segment]:
        """Yield a segment for each stretch of speech; `translate` gives it in English.

        recorded: part of a recording, of which more of the sound around speech is heard.

        Raises:
            OptionError: the model does not know this language.
        """
        if wrong := self._unknown(language or ""):
            raise OptionError("language", wrong)
        task = "translate" if translate else "transcribe"
        return self.worker.stream(self._segments, audio, language or self._language, task, recorded)

    @property
    def languages(self) -> list[str]:
        """Two-letter codes."""
        return list(self._model.supported_languages)

    def close(self) -> None:
        self.worker.close()

    def _unknown(self, language: str) -> str:
        """What is wrong with the language; nothing if the model knows it, or is to detect it."""
        known = self._model.supported_languages
        if not language or language in known:
            return ""
        return f"whisper: the model knows no language {language!r}; {', '.join(known)}"

    def _segments(
        self, audio: Audio, language: str, task: str, recorded: bool
    ) -> Generator[Segment]:
        for stretch in stretches(audio, ROOM if recorded else MARGIN):
            try:
                heard = self._recognise(stretch, language, task)
                if heard is None or heard.is_silence(stretch.certainty):
                    continue
                said = words(self._model, heard, stretch.seconds)
            except Exception as error:  # CTranslate2 raises whatever comes to hand
                raise EngineError("stt", f"whisper: {error}") from error
            if self.worker.abandoned:
                return
            # One language for the whole recording: a stretch may be a single word.
            language = heard.language
            yield _segment(heard, said, stretch)

    def _recognise(self, stretch: SpeechSegment, language: str, task: str) -> Hypothesis | None:
        """The better of what a short and a full window give; None if nobody waits for it."""
        tried: list[Hypothesis] = []
        degraded = "single_decode" in active_degradations.get()
        beam = 1 if degraded else self._beam
        for length in lengths(stretch.seconds, self._short):
            if self.worker.abandoned:
                return None
            heard = recognise(self._model, stretch.samples, length, language, task, beam)
            self.recognised += not tried
            self.again += bool(tried)
            tried.append(heard)
            if not heard.is_doubtful or (degraded and heard.text and not heard.is_looping):
                return heard
        return min(tried, key=lambda each: (each.is_looping, -each.log_prob))


def _segment(heard: Hypothesis, said: list[Word], stretch: SpeechSegment) -> Segment:
    at, (first, last) = stretch.start, stretch.spoken

    def placed(seconds: float) -> float:
        """Whisper counts the silence around speech to its first and last word."""
        return at + min(max(seconds, first), last)

    return Segment(
        heard.text,
        placed(said[0].start),
        placed(said[-1].end),
        tuple(Word(w.text, placed(w.start), placed(w.end), w.confidence) for w in said),
        min(1.0, math.exp(heard.log_prob)),
        heard.language,
    )


def _load(folder: Path, device: str, compute_type: str, threads: int) -> WhisperModel:
    _check(folder)
    import ctranslate2  # type: ignore[import-untyped]
    from faster_whisper import WhisperModel

    if device not in DEVICES:
        raise ConfigError(f"[stt] whisper: no device {device!r}; {', '.join(DEVICES)}")
    if device == "auto":
        device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
    if compute_type == "auto":
        compute_type = "float16" if device == "cuda" else "int8"
    if threads < 0:
        raise ConfigError(f"[stt] whisper: threads should be 0 or more, not {threads}")
    try:
        model = WhisperModel(
            str(folder),
            device=device,
            compute_type=compute_type,
            cpu_threads=threads or min(usable_cores(), MOST_THREADS),
        )
    except Exception as error:  # a damaged file, an unknown type, a GPU without its libraries
        raise ConfigError(
            f"[stt] whisper cannot load {folder} on {device} as {compute_type}: {error}"
        ) from error
    made, needed = model.feature_extractor.mel_filters.shape[0], model.model.n_mels
    if made != needed:
        raise ConfigError(
            f"[stt] whisper: {folder / 'preprocessor_config.json'} asks for {made} features, "
            f"but the model takes {needed}; fetch the model again, with that file"
        )
    return model


def _check(folder: Path) -> None:
    """Make sure that all the files are there: for an absent one the library asks the network."""
    if not folder.is_dir():
        raise MissingDependency(f"[stt] whisper: no folder {folder}; voicebot models list")
    absent = [name for name in FILES if not (folder / name).is_file()]
    if not absent and not any((folder / name).is_file() for name in VOCABULARIES):
        absent = [VOCABULARIES[0]]
    if absent:
        raise MissingDependency(
            f"[stt] whisper: {folder} has no {', '.join(absent)}, so it is no Whisper model in "
            "CTranslate2's form; voicebot models list"
        )
