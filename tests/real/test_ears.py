"""Whisper hears what people said: error rates on recordings, with its published weights."""

import asyncio
from contextlib import aclosing

import jiwer
import pytest
import recordings
from whisper_normalizer.english import EnglishTextNormalizer

from voicebot.engines.whisper import Whisper
from voicebot.engines.windows import says_again

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
