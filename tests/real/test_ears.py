"""Whisper hears what people said: error rates on recordings, with its published weights."""

import asyncio
from contextlib import aclosing

import jiwer
import pytest
import recordings
from whisper_normalizer.english import EnglishTextNormalizer

from voicebot.conversation.listen import ListenSettings
from voicebot.engines.silero import Silero
from voicebot.engines.whisper import Whisper
from voicebot.engines.windows import says_again
from voicebot.transcribe import segments

MODELS = ["whisper-tiny.en", "whisper-base"]
normal = EnglishTextNormalizer()


@pytest.fixture(scope="module", params=MODELS)
def whisper(request, real):
    engine = Whisper(str(real(request.param)), device="cpu", threads=1)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def heard(whisper, shared):
    """Gives what is heard in each English recording of a set, by what was said in it."""
    shared("audio")

    def listen(name: str, most: int = 100) -> dict[str, str]:
        known = list(recordings.transcripts(name))[:most]
        return {said: asyncio.run(hear(whisper, recordings.read(file))) for file, said in known}

    return listen


class Ears:
    """What `voicebot transcribe` listens with."""

    settings = ListenSettings()
    vad = Silero

    def __init__(self, stt):
        self.stt = stt


async def written(whisper, *files):
    """The segments of a recording of these files, one behind the other."""

    async def sound():
        for file in files:
            yield recordings.read(file)

    async with aclosing(segments(Ears(whisper), sound(), language="en")) as found:
        return [segment async for segment in found]


async def hear(whisper, audio):
    async with aclosing(whisper.transcribe(audio, language="en")) as segments:
        return " ".join([segment.text async for segment in segments])


def errors(heard: dict[str, str]) -> float:
    """Of the words said, the share that is wrong, missing or too much."""
    return jiwer.wer([normal(said) for said in heard], [normal(text) for text in heard.values()])


def test_what_one_asks_an_assistant_is_heard_and_heard_once(heard):
    queries = heard("assistant_queries")
    assert [text for text in queries.values() if says_again(text)] == []
    assert errors(queries) <= 0.15


def test_a_speech_with_long_pauses_is_written_down_as_it_was_given(whisper, shared):
    shared("audio")
    found = asyncio.run(written(whisper, "whisper_fixtures/jfk.flac"))
    text = " ".join(segment.text for segment in found)
    said = "ask not what your country can do for you, ask what you can do for your country"
    assert normal(text) == normal(f"And so, my fellow Americans, {said}.")
    times = [time for segment in found for word in segment.words for time in (word.start, word.end)]
    assert times == sorted(times)
    (country,) = [word for word in found[-1].words[-1:] if "country" in word.text]
    assert country.end == pytest.approx(10.4, abs=0.4)


def test_a_long_recording_is_written_down_as_well_as_in_its_parts(whisper, shared):
    shared("audio")
    known = [
        (file, said)
        for file, said in recordings.transcripts("librispeech_test_other")
        if "/2609-" in file
    ]
    found = asyncio.run(written(whisper, *(file for file, _ in known)))
    text = " ".join(segment.text for segment in found)
    assert errors({" ".join(said for _, said in known): text}) <= 0.25
    assert max(segment.end - segment.start for segment in found) < 15
