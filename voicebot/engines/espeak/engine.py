"""Speech from espeak-ng, word by word: nobody's favourite voice, but ready at once anywhere."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Generator
from contextlib import aclosing, closing
from difflib import get_close_matches

import numpy as np

from ...audio import Samples, from_pcm16
from ...concurrency.worker import Stream, Worker
from ...errors import ConfigError, EngineError, MissingDependency
from .. import Speech, Word
from ..call_options import OptionError
from .process import RATE, EspeakProcess

_WORDS_PER_MINUTE = 175
"""espeak-ng's own idea of a normal speed."""

_AUDIBLE = 0.003
"""A word ends where its sound falls below this; the pause after it is nobody's word. espeak-ng's
pauses are all zeros and its quietest consonants above 0.01."""

_LONGEST = 4 * RATE
"""Bytes of a word's sound, two seconds, that are given before its end is known: nobody waits for
the end of a word that no person wrote."""


class Espeak:
    """A synthesizer that tells word times.

    voice: a language code, and a variant if you like: "en-us", "en-gb-scotland", "de+f3".
    speed: 1 is normal, 2 twice as fast; 0.5 to 2.5.
    pitch: 0 (low) to 99.

    Raises:
        ConfigError: no such voice, or a speed or a pitch out of range.
        MissingDependency: espeak-ng is not installed or cannot be started.
    """

    rate = RATE
    """Samples per second of its sound."""
    speeds = (0.5, 2.5)

    def __init__(self, voice: str = "en-us", speed: float = 1.0, pitch: int = 50) -> None:
        if wrong := _wrong_speed(speed):
            raise ConfigError(f"[tts] {wrong}")
        if not 0 <= pitch <= 99:
            raise ConfigError(f"[tts] espeak: pitch = {pitch} is not between 0 and 99")
        self._voice = voice
        self._speed = speed
        self._pitch = pitch
        self._process = EspeakProcess()
        try:
            self.voices = self._process.voices()
            """Language codes, and the variants that can follow one: "en-us", "+f3"."""
        except EngineError as error:
            self._process.close()
            raise MissingDependency(f"[tts] {error.reason}; reinstall espeakng-loader") from error
        if wrong := _unknown(voice, self.voices):
            self._process.close()
            raise ConfigError(f"[tts] {wrong}")
        self.worker = Worker("espeak")

    async def synthesize(
        self, text: str, *, voice: str | None = None, speed: float | None = None
    ) -> Stream[Speech]:
        """Yield the text spoken aloud, a word at a time; nothing if there is nothing to say.

        Raises:
            OptionError: no such voice, or a speed out of range.
            EngineError: espeak-ng ended or hung.
        """
        if voice is not None and (wrong := _unknown(voice, self.voices)):
            raise OptionError("voice", wrong)
        if speed is not None and (wrong := _wrong_speed(speed)):
            raise OptionError("speed", wrong)
        manner = (voice or self._voice, speed or self._speed)
        async with aclosing(self.worker.stream(self._speak, text, *manner)) as speech:
            async for word in speech:
                yield word

    def language_of(self, voice: str | None) -> str:
        """The code of the language that a voice, or that of the settings, speaks: "en-us"."""
        return (voice or self._voice).partition("+")[0]

    def close(self) -> None:
        self.worker.close()
        self._process.close()

    def _speak(self, text: str, voice: str, speed: float) -> Generator[Speech]:
        found = list(re.finditer(r"\S+", text))
        words, starts = [word.group() for word in found], [word.start() for word in found]
        said, speaking = 0, -1  # how many words are told; which one we are in the middle of
        sound, sound_at = bytearray(), 0
        begun = 0  # the sample at which the word we are in the middle of begins
        if not words:
            return
        words_per_minute = round(_WORDS_PER_MINUTE * speed)
        pieces = self._process.synthesize(text, voice, words_per_minute, self._pitch)
        with closing(pieces):
            for piece in pieces:
                if self.worker.abandoned:
                    return
                sound += piece.pcm
                for mark in piece.marks:
                    word = _word_at(mark.position, words, starts)
                    if word <= speaking:
                        continue
                    if mark.sample > begun:
                        cut = 2 * (mark.sample - sound_at)
                        span = (begun, sound_at)
                        yield _speech(bytes(sound[:cut]), span, words[said:word], speaking - said)
                        del sound[:cut]
                        begun, sound_at, said = mark.sample, sound_at + cut // 2, word
                    speaking = word
                if len(sound) > _LONGEST:
                    yield Speech(from_pcm16(bytes(sound), RATE))
                    sound_at += len(sound) // 2
                    sound.clear()
        if speaking >= 0:
            yield _speech(bytes(sound), (begun, sound_at), words[said:], speaking - said)


def _word_at(position: int, words: list[str], starts: list[int]) -> int:
    """The word that espeak-ng means by this character; its own words are often parts of one."""
    # What a sign is called ("grinning face") is placed at the sign and the character after it.
    word = max(bisect_right(starts, position) - 1, 0)
    # "one - two" is marked at "one" and at the dash, which makes no sound of its own.
    dash = not words[word].strip("-") and word + 1 < len(words)
    return word + dash


def _speech(pcm: bytes, span: tuple[int, int], words: list[str], spoken: int) -> Speech:
    """The sound of the word number `spoken`; those before and after it in `words` have none.

    span: the samples at which the word and this sound of it begin.
    """
    audio = from_pcm16(pcm, RATE)
    start, end = span[0] / RATE, (span[1] + _audible(audio.samples)) / RATE
    return Speech(
        audio,
        tuple(
            Word(text, end if index > spoken else start, start if index < spoken else end)
            for index, text in enumerate(words)
        ),
    )


def _audible(samples: Samples) -> int:
    """How many samples there are up to the last that can be heard."""
    heard = np.flatnonzero(np.abs(samples) > _AUDIBLE)
    return int(heard[-1]) + 1 if len(heard) else 0


def _wrong_speed(speed: float) -> str:
    low, high = Espeak.speeds
    if low <= speed <= high:
        return ""
    return f"espeak: speed = {speed} is not between {low} and {high}"


def _unknown(voice: str, voices: list[str]) -> str:
    """What is wrong with the voice's name; nothing if it is one of `voices`."""
    language, plus, variant = voice.lower().partition("+")
    for name in (language, plus + variant):
        if name and name in voices:
            continue
        if name or not language:
            kind = [known for known in voices if known.startswith("+") == name.startswith("+")]
            near = get_close_matches(name, kind, 5, 0.4) or kind[:5]
            return f"espeak has no voice {voice!r}; near it: {', '.join(near)}"
    return ""
