"""hibari: a natural English voice at a thirtieth of Kokoro's cost, with times for each word.

The package hibari-tts holds the voice, a small network that learnt from Kokoro's, and its
reading of English. The network gives parts of a spectrum; the package's `dsp` makes sound of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..audio import Samples
from ..concurrency.worker import Stream, Worker
from ..errors import ConfigError, EngineError, MissingDependency
from ..spelling import there_is
from . import Speech, phonemes
from .call_options import OptionError
from .english import English, english
from .onnx_graph import brief, session
from .phonemes import RATE, VOCABULARY, SpokenWords

PACKAGE = "hibari-tts 0.2.1"
"""The release whose files are pinned below."""

MAX_PHONEMES = 400
"""Phonemes the network takes at once, some 30 s of speech: its makers' limit."""

DURATIONS = "/Clip_output_0"
"""The value inside the pinned graphs that holds the frames of each phoneme."""


@dataclass(frozen=True, slots=True)
class Voice:
    """Where a voice is, and whose English it speaks."""

    file: str
    sha256: str
    """As released: the package is one person's work, and another file is not that work."""
    british: bool = False


VOICES = {
    "heart": Voice(
        "hibari.onnx", "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8"
    ),
    "emma": Voice(
        "bf_emma.int8.onnx",
        "f709f0488ee63b583a22189a955aaf4257b9806dd330be3490661e53af0a89c1",
        british=True,
    ),
    "fenrir": Voice(
        "am_fenrir_v2.int8.onnx",
        "f59fbd87908c91f827bc21b1b89443757b9a8580db9eee20aa948deb731321f4",
    ),
    "fable": Voice(
        "bm_fable.int8.onnx",
        "c28529302f2d27cd12f62625c24425888c4e3c2675583100ec530259136b8bc6",
        british=True,
    ),
    "kore": Voice(
        "af_kore.int8.onnx", "346885752673e45d42f9864c9e2432094bc4b6385df060d4b83273da764d2fa9"
    ),
}
"""The first is in the package; the others are files of their own."""


class Hibari:
    """Speaks English sentence by sentence.

    `voice` is heart, or a name in `model`, the folder of the files of other voices. `seed` draws
    the noise of breath and fricatives: with the same one the same text sounds the same, sample by
    sample. `threads` 0 is one per core; more than one hardly helps.

    Raises:
        ConfigError: a setting it does not know, or a file that is not the one released.
        MissingDependency: the package or a voice's file is not there.
    """

    rate = RATE
    """Samples per second of its sound."""
    speeds = (0.5, 2.0)

    def __init__(
        self,
        voice: str = "heart",
        speed: float = 1.0,
        seed: int = 0,
        threads: int = 1,
        model: str = "",
    ) -> None:
        if wrong := _wrong_speed(speed):
            raise ConfigError(f"[tts] {wrong}")
        if seed < 0:
            raise ConfigError(f"[tts] hibari: seed = {seed} is below 0")
        if threads < 0:
            raise ConfigError(f"[tts] hibari: threads = {threads} is below 0")
        try:
            from hibari import dsp, tts
        except ImportError as error:
            raise MissingDependency(
                f"[tts] hibari cannot import {PACKAGE}: {brief(error)}"
            ) from error
        self._synth: Any = dsp.synth
        assets = Path(tts.ASSETS)
        self._folders = [assets]
        if model:
            more = Path(model).expanduser()
            if not more.is_dir():
                raise MissingDependency(
                    f"[tts] hibari: no folder {more}; voicebot models pull hibari-voices"
                )
            self._folders += [more, more / "voices"]  # where its repository keeps them
        self._speed, self._seed, self._threads = speed, seed, threads
        self._name = voice
        self._loaded: dict[str, _Loaded] = {}
        self._voice = self._load(voice)
        self.worker = Worker("hibari", parks=True)

    @property
    def voices(self) -> list[str]:
        """The names of those whose files are here."""
        return [name for name in VOICES if self._path(name)]

    async def synthesize(
        self, text: str, *, voice: str | None = None, speed: float | None = None
    ) -> Stream[Speech]:
        """Yield the text spoken, sentence by sentence; nothing if there is nothing in it to say.

        Raises:
            OptionError: no such voice, or a speed out of range.
            EngineError: the network or the reading failed on this text.
        """
        if speed is not None and (wrong := _wrong_speed(speed)):
            raise OptionError("speed", wrong)
        work = self.worker.stream(self._speak, text, voice, speed or self._speed)
        async with aclosing(work) as sentences:
            async for speech in sentences:
                yield speech

    def language_of(self, voice: str | None) -> str:
        """The English that a voice speaks, or that of the settings: "en-us" or "en-gb"."""
        known = VOICES.get(voice or self._name)
        return "en-gb" if known and known.british else "en-us"

    def close(self) -> None:
        self.worker.close()

    def _speak(self, text: str, voice: str | None, speed: float) -> Generator[Speech]:
        try:
            loaded = self._load(voice) if voice else self._voice
        except ConfigError as error:
            raise OptionError("voice", str(error).removeprefix("[tts] ")) from error
        read = loaded.reader.sentences(text)
        sentences = (phonemes.known(sentence, VOCABULARY) for sentence in read)

        def render(words: list[SpokenWords]) -> tuple[Samples, list[float]]:
            return self._render(words, loaded, speed)

        yield from phonemes.speak(sentences, MAX_PHONEMES, render)

    def _render(
        self, words: list[SpokenWords], loaded: _Loaded, speed: float
    ) -> tuple[Samples, list[float]]:
        ids = np.array([[0, *phonemes.numbers(words, VOCABULARY), 0]])
        try:
            *parts, frames = loaded.network.run(
                None, {"ids": ids, "speed": np.array([speed], np.float32)}
            )
            noise = np.random.default_rng(self._seed)
            sound: Samples = self._synth(*(part[0] for part in parts), noise)
        except Exception as error:  # of onnxruntime, which share no base
            raise EngineError("tts", f"hibari: {brief(error)}") from error
        return sound, frames.tolist()

    def _load(self, name: str) -> _Loaded:
        """The voice ready to speak, kept from then on."""
        if name not in self._loaded:
            path = self._path(name) if name in VOICES else None
            if path is None:
                raise ConfigError(
                    f"[tts] hibari has no voice {name!r} here; {there_is(name, self.voices)}"
                )
            voice = VOICES[name]
            _check(path, voice)
            network = session(path, self._threads, DURATIONS)
            self._loaded[name] = _Loaded(network, english(voice.british))
        return self._loaded[name]

    def _path(self, name: str) -> Path | None:
        """Where the voice's file is, None where it is not here."""
        found = [folder / VOICES[name].file for folder in self._folders]
        return next((path for path in found if path.is_file()), None)


@dataclass(frozen=True, slots=True)
class _Loaded:
    network: Any
    reader: English


def _check(path: Path, voice: Voice) -> None:
    """See that the voice's file is the one released."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(f"[tts] hibari cannot read {path}: {error.strerror}") from error
    if digest != voice.sha256:
        raise ConfigError(
            f"[tts] hibari: {path} is not the file released with {PACKAGE}: its sha256 is "
            f"{digest[:8]}..., not {voice.sha256[:8]}...; "
            + (
                f"reinstall {PACKAGE}"
                if voice is VOICES["heart"]
                else "voicebot models pull hibari-voices"
            )
        )


def _wrong_speed(speed: float) -> str:
    low, high = Hibari.speeds
    if low <= speed <= high:
        return ""
    return f"hibari speaks at speed {low:g} to {high:g}, not {speed}"
