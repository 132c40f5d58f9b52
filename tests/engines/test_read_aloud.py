"""Any voice is given words as they are said, and its times are of those that were written."""

import asyncio
import weakref
from itertools import pairwise

import numpy as np
import pytest

from voicebot import engines
from voicebot.audio import Audio
from voicebot.engines import Speech, Word
from voicebot.engines.call_options import taken
from voicebot.engines.read_aloud import ReadAloud


class Metronome:
    """A voice of one second a word."""

    rate = 8000

    def __init__(self, language="en", chunk=1, times=True):
        self.given, self.language, self.chunk, self.times = [], language, chunk, times
        self.closed = False

    def language_of(self, voice):
        return voice or self.language

    async def synthesize(self, text, *, voice=None, speed=None):
        self.given.append((text, voice, speed))
        words = text.split()
        for first in range(0, len(words), self.chunk):
            some = words[first : first + self.chunk]
            timed = [Word(w, first + i, first + i + 1) for i, w in enumerate(some)]
            sound = Audio(np.zeros(self.rate * len(some), np.float32), self.rate)
            yield Speech(sound, tuple(timed) if self.times else ())

    def close(self):
        self.closed = True


def speak(engine, text, **options):
    async def collect():
        return [speech async for speech in ReadAloud(engine).synthesize(text, **options)]

    return asyncio.run(collect())


def words(speeches):
    return [(w.text, w.start, w.end) for speech in speeches for w in speech.words]


def test_a_voice_is_given_words_as_they_are_said():
    voice = Metronome()
    speak(voice, "It costs 5 EUR.")
    assert voice.given == [("It costs five euros.", None, None)]


def test_the_times_are_of_the_written_words():
    speech = speak(Metronome(), "It costs $12 now.")  # "twelve dollars"
    assert words(speech) == [("It", 0, 1), ("costs", 1, 2), ("$12", 2, 4), ("now.", 4, 5)]


def test_a_word_that_another_says_too_ends_with_it():
    speech = speak(Metronome(), "5 EUR now")
    assert words(speech) == [("5", 0, 2), ("EUR", 2, 2), ("now", 2, 3)]


def test_a_word_without_sound_takes_no_time():
    speech = speak(Metronome(), "🎉 Yes 🎉 indeed 🎉")
    assert words(speech) == [
        ("🎉", 0, 0), ("Yes", 0, 1), ("🎉", 1, 1), ("indeed", 1, 2), ("🎉", 2, 2),
    ]  # fmt: skip


@pytest.mark.parametrize("chunk", [1, 2, 3, 50])
@pytest.mark.parametrize(
    "text", ["On Dec. 31, 2025, at 6:30 pm, $1.2 million, ok?", "A 10-km run — 5 km/h 🎉", "Yes."]
)
def test_each_written_word_is_told_once_and_in_order(text, chunk):
    told = words(speak(Metronome(chunk=chunk), text))
    assert [word for word, _, _ in told] == text.split()
    assert all(a[2] <= b[2] for a, b in pairwise(told))


def test_a_voice_that_tells_no_times_stays_that_way():
    assert words(speak(Metronome(times=False), "It costs $12.")) == []


def test_the_language_is_that_of_the_chosen_voice():
    voice = Metronome()
    speak(voice, "Room 5", voice="ja")
    assert voice.given == [("Room 5", "ja", None)]


def test_a_voice_of_unknown_language_is_given_what_the_text_seems_to_be():
    class Quiet(Metronome):
        language_of = None

    voice = Quiet()
    speak(voice, "It costs 5 €.")
    speak(voice, "5 €")
    assert [given for given, *_ in voice.given] == ["It costs five euros.", "5 €"]


def test_options_and_all_else_of_the_engine_are_as_they_were():
    voice = Metronome()
    wrapped = ReadAloud(voice)
    assert taken(wrapped.synthesize) == {"voice", "speed"}
    assert wrapped.rate == 8000
    wrapped.close()
    assert voice.closed
    speak(voice, "Yes.", speed=1.5)
    assert voice.given == [("Yes.", None, 1.5)]


def test_nothing_to_say_is_nothing_said():
    voice = Metronome()
    assert speak(voice, "🎉 :-)") == []
    assert voice.given == []


def test_every_synthesizer_that_is_loaded_reads_this_way():
    voice = engines.load("tts", f"{__name__}:Metronome")

    async def speaks():
        async for _ in voice.synthesize("3 x 4"):
            pass

    asyncio.run(speaks())
    assert voice.given == [("three times four", None, None)]


def test_an_engine_ends_with_its_last_user():
    engine = engines.load("tts", "openai", url="http://127.0.0.1:1/v1", model="m", voice="v")
    inner = weakref.ref(engine.engine)
    del engine
    assert inner() is None
