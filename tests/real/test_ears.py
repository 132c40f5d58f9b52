"""Whisper hears what people said: error rates on recordings, with its published weights."""

import asyncio
from contextlib import aclosing

import numpy as np
import pytest
import recordings

from voicebot.audio import Audio
from voicebot.conversation.endpointing import EndpointingSettings
from voicebot.engines.silero import Silero
from voicebot.engines.speech_segments import stretches
from voicebot.engines.whisper.decoding import says_again
from voicebot.engines.whisper.engine import Whisper
from voicebot.transcription.transcribe import segments

jiwer = pytest.importorskip("jiwer")
EnglishTextNormalizer = pytest.importorskip("whisper_normalizer.english").EnglishTextNormalizer

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

    settings = EndpointingSettings()
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


@pytest.mark.parametrize(
    ("name", "most", "wrong"),
    [
        ("assistant_queries", 9, 0.2),
        ("librispeech_misc", 4, 0.06),
        ("pocketsphinx_tests", 5, 0.25),
        ("ljspeech_lj001", 4, 0.08),
    ],
)
def test_people_are_heard_and_heard_once(heard, name, most, wrong):
    texts = heard(name, most)
    twice = {said: text for said, text in texts.items() if says_again(text)}
    assert [said for said in twice if not says_again(said)] == []
    assert errors(texts) <= wrong


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


def test_where_nobody_speaks_nothing_is_heard(whisper, shared):
    shared("audio/nonspeech")
    noises = {name: recordings.read(name) for name in recordings.names("nonspeech")}
    heard = {name: asyncio.run(hear(whisper, noise)) for name, noise in noises.items()}
    assert {name: text for name, text in heard.items() if text} == {}


def test_music_that_passes_for_speech_says_nothing(whisper):
    tunes = [tune(seed) for seed in range(8)]
    bars = [tune[start : start + 16000] for tune in tunes for start in range(0, len(tune), 16000)]
    passing = [Audio(bar, 16000) for bar in bars if stretches(Audio(bar, 16000))]
    assert len(passing) > 5, "too few pass to tell"
    texts = [asyncio.run(hear(whisper, sound)) for sound in passing]
    assert [text for text in texts if text] == []


def tune(seed, seconds=30.0):
    """Chords and a melody with overtones and vibrato: Silero takes some for a short word."""
    random, rate = np.random.default_rng(seed), 16000
    sound, beat = np.zeros(round(seconds * rate)), random.uniform(0.25, 0.6)
    for nth in range(int(seconds / beat)):
        start = int(nth * beat * rate)
        at = np.arange(min(int(random.choice([1, 2, 4]) * beat * rate), len(sound) - start)) / rate
        for note in [random.choice([0, 2, 4, 5, 7, 9, 11, 12, 14]), *([0, 4, 7] * (nth % 4 == 0))]:
            pitch = random.choice([110, 220]) * 2 ** (note / 12)
            phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.006 * np.sin(11 * np.pi * at))) / rate
            softer = random.uniform(1, 2)
            tone = sum(np.sin(over * phase) / over**softer for over in range(1, 9))
            fading = np.exp(-at * random.uniform(0.5, 4)) * np.minimum(1, at / 0.02)
            sound[start : start + len(at)] += tone * fading
    return (sound / np.abs(sound).max() * 0.4).astype(np.float32)
