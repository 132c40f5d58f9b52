"""Kokoro-82M: natural speech on a CPU, with times for each word."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path

from ...audio import Samples
from ...concurrency.worker import Stream, Worker
from ...errors import ConfigError, EngineError, MissingDependency
from .. import Speech, phonemes
from ..call_options import OptionError
from ..english import English, english
from ..espeak.process import EspeakProcess
from ..onnx_graph import brief
from ..phonemes import RATE, SpokenWords
from . import espeak_phonemes
from . import voices as kokoro_voices
from .espeak_phonemes import EspeakPhonemizer
from .networks import PULL, open_network, vocabulary


class Kokoro:
    """Speaks a text sentence by sentence, in parts of up to 510 phonemes.

    `model` is a folder with an .onnx or .pth file and voices/ or voices-v1.0.bin, or its .onnx
    file. `voice` may be a blend, "af_heart*0.7+am_adam*0.3"; its first letter says what it speaks
    unless `language` does. `backend` is onnx, torch or auto; `threads` 0 leaves their number to it.

    Raises:
        ConfigError: a setting it does not know, or a file that is not what its name says.
        MissingDependency: a file or a package is not there.
    """

    rate = RATE
    """Samples per second of its sound."""

    def __init__(
        self,
        model: str,
        voice: str = "af_heart",
        speed: float = 1.0,
        language: str = "",
        backend: str = "auto",
        threads: int = 0,
    ) -> None:
        path = Path(model).expanduser()
        if not path.exists():
            raise MissingDependency(f"[tts] kokoro: there is no {path}; {PULL}")
        folder = path if path.is_dir() else path.parent
        self._folder, self._speed, self._language = folder, speed, language
        self._voice = voice
        self.voices = kokoro_voices.present(folder)
        """Their names; any of them may be blended."""
        self._vocabulary = vocabulary(folder)
        self._espeak: EspeakProcess | None = None
        self._readers: dict[str, EspeakPhonemizer | English] = {}
        self._styles, self._reader = self._manner(voice)
        self._network = open_network(path, backend, threads)
        if wrong := self._wrong_speed(speed):
            raise ConfigError(f"[tts] {wrong}")
        self.worker = Worker("kokoro", parks=True)

    @property
    def speeds(self) -> tuple[float, float]:
        """The lowest and the highest: beyond them the network slurs, or it knows only one."""
        return (1.0, 1.0) if self._network.whole_speeds else (0.5, 2.0)

    async def synthesize(
        self, text: str, *, voice: str | None = None, speed: float | None = None
    ) -> Stream[Speech]:
        """Yield the text spoken, part by part; nothing if there is nothing in it to say.

        Raises:
            OptionError: no such voice, or a speed out of range.
            EngineError: the network or espeak-ng failed on this text.
        """
        if speed is not None and (wrong := self._wrong_speed(speed)):
            raise OptionError("speed", wrong)
        work = self.worker.stream(self._speak, text, voice, speed or self._speed)
        async with aclosing(work) as parts:
            async for speech in parts:
                yield speech

    def language_of(self, voice: str | None) -> str:
        """The code of the language that a voice, or that of the settings, speaks: "en-us"."""
        try:
            first = next(iter(kokoro_voices.shares(voice or self._voice)))
            return espeak_phonemes.language(self._language, first)
        except ConfigError:
            return ""  # `synthesize` says what is wrong

    def close(self) -> None:
        self.worker.close()
        if self._espeak:
            self._espeak.close()

    def _wrong_speed(self, speed: float) -> str:
        low, high = self.speeds
        if low <= speed <= high:
            return ""
        if low == high:
            return f"kokoro: this export knows no speed {speed}; set speed to 1"
        return f"kokoro speaks at speed {low:g} to {high:g}, not {speed}"

    def _manner(self, voice: str) -> tuple[Samples, EspeakPhonemizer | English]:
        """How a voice, or a blend, sounds and reads."""
        code = espeak_phonemes.language(self._language, next(iter(kokoro_voices.shares(voice))))
        styles = kokoro_voices.load(self._folder, voice)
        if code not in self._readers:
            self._readers[code] = self._reader_of(code)
        return styles, self._readers[code]

    def _reader_of(self, code: str) -> EspeakPhonemizer | English:
        if code.startswith("en"):
            return english(code == "en-gb")
        self._espeak = self._espeak or EspeakProcess()
        return EspeakPhonemizer(code, self._espeak)

    def _speak(self, text: str, voice: str | None, speed: float) -> Generator[Speech]:
        try:
            styles, reader = self._manner(voice) if voice else (self._styles, self._reader)
        except ConfigError as error:
            raise OptionError("voice", str(error).removeprefix("[tts] ")) from error
        read: Iterator[list[SpokenWords]]
        if isinstance(reader, English):
            read = (phonemes.known(words, self._vocabulary) for words in reader.sentences(text))
        else:
            read = phonemes.sentences(phonemes.known(reader.read(text), self._vocabulary))

        def render(words: list[SpokenWords]) -> tuple[Samples, Sequence[float] | None]:
            return self._render(words, styles, speed)

        yield from phonemes.speak(read, kokoro_voices.LENGTHS, render)

    def _render(
        self, words: list[SpokenWords], styles: Samples, speed: float
    ) -> tuple[Samples, Sequence[float] | None]:
        ids = phonemes.numbers(words, self._vocabulary)
        style = styles[len(ids) - 1][None]
        try:
            sound, frames = self._network.render(ids, style, speed)
        except Exception as error:  # of onnxruntime and torch, which share no base
            raise EngineError("tts", f"kokoro: {brief(error)}") from error
        # An export that tells durations of anything else cannot be used for times.
        return sound, frames if frames and len(frames) == len(ids) + 2 else None
