"""PocketSphinx understands most of what is said in English, and nothing where nobody speaks."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest
import recordings

from voicebot.audio import Audio, join, silence
from voicebot.engines.pocketsphinx.engine import PocketSphinx
from voicebot.errors import ConfigError, EngineError

jiwer = pytest.importorskip("jiwer")
pytest.importorskip("pocketsphinx")


@pytest.fixture(scope="module")
def sphinx():
    engine = PocketSphinx()
    yield engine
    engine.close()


def hear(sphinx, audio):
    async def listen():
        async with aclosing(sphinx.transcribe(audio)) as segments:
            return [segment async for segment in segments]

    return asyncio.run(listen())


def text(segments):
    return " ".join(segment.text for segment in segments)


def plain(text):
    return " ".join(re.sub(r"[^a-z']+", " ", text.lower()).split())


@recordings.needed
@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("assistant_queries", 0.35),
        ("pocketsphinx_tests", 0.22),
        ("whisper_fixtures", 0.25),
        ("librispeech_misc", 0.20),
    ],
)
def test_at_most_so_many_words_are_wrong(sphinx, kind, wrong):
    said, heard = [], []
    for name, words in recordings.transcripts(kind):
        said.append(plain(words))
        heard.append(plain(text(hear(sphinx, recordings.read(name)))))
    assert jiwer.wer(said, heard) <= wrong


@recordings.needed
def test_dishes_and_taps_and_trumpets_and_birds_say_nothing(sphinx):
    noises = {name: recordings.read(name) for name in recordings.names("nonspeech")}
    assert {name: text(hear(sphinx, noise)) for name, noise in noises.items()} == dict.fromkeys(
        noises, ""
    )


@pytest.mark.parametrize(
    "sound",
    [
        silence(2, 16000),
        silence(0, 16000),
        silence(0.001, 48000),
        Audio(np.random.default_rng(0).normal(0, 0.1, 32000).astype(np.float32), 16000),
    ],
    ids=["silence", "no sound at all", "a click", "noise"],
)
def test_where_nobody_speaks_there_is_no_text(sphinx, sound):
    assert hear(sphinx, sound) == []


def slam(seconds=1.0):
    """A door falls shut: noise that dies away."""
    noise = np.random.default_rng(0).normal(0, 0.3, round(seconds * 16000))
    return Audio((noise * np.exp(-np.arange(len(noise)) / 800)).astype(np.float32), 16000)


@recordings.needed
def test_a_door_that_slams_after_a_question_adds_no_word(sphinx):
    question = recordings.read("assistant_queries/gcp_audio.flac")
    heard = hear(sphinx, join([slam(), question, silence(0.5, 16000), slam()]))
    assert text(heard) == "how old is the brooklyn bridge"


@recordings.needed
@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_it_takes_sound_at_any_rate(sphinx, rate):
    heard = hear(sphinx, recordings.read("pocketsphinx_tests/003.flac", rate))
    assert "seven" in text(heard)


@recordings.needed
def test_words_come_with_times_and_confidence(sphinx):
    question = recordings.read("assistant_queries/gcp_audio.flac")
    (segment,) = hear(sphinx, join([silence(2, 16000), question]))
    assert segment.text == "how old is the brooklyn bridge"
    assert [word.text for word in segment.words] == segment.text.split()
    starts = [word.start for word in segment.words]
    assert starts == sorted(starts)
    assert 2.0 <= segment.start == starts[0] < segment.end == segment.words[-1].end <= 4.0
    numbers = [segment.confidence, *(word.confidence for word in segment.words)]
    assert all(type(number) is float and 0 <= number <= 1 for number in numbers)
    assert segment.language == "en"


@recordings.needed
def test_what_it_heard_before_does_not_matter(sphinx):
    question = recordings.read("assistant_queries/gcp_audio.flac")
    first = hear(sphinx, question)
    hear(sphinx, recordings.read("whisper_fixtures/jfk.flac"))
    assert hear(sphinx, question) == first


@recordings.needed
def test_it_stops_midway_and_is_ready_for_the_next(sphinx):
    question = recordings.read("pocketsphinx_tests/003.flac")
    speech = recordings.read("whisper_fixtures/jfk.flac")
    long = join([question, silence(2, 16000), speech, speech, speech])

    async def listen():
        async with aclosing(sphinx.transcribe(long)) as segments:
            await anext(segments)
        async with aclosing(sphinx.transcribe(question)) as segments:
            return await asyncio.wait_for(anext(segments), 100)

    assert asyncio.run(listen()).text == "seven of clubs"


@recordings.needed
@pytest.mark.skipif(sys.platform != "linux", reason="looks the child up in /proc")
def test_it_outlives_the_death_of_its_process(sphinx):
    question = recordings.read("pocketsphinx_tests/003.flac")
    jfk = recordings.read("whisper_fixtures/jfk.flac")

    async def listen():
        async with aclosing(sphinx.transcribe(join([question, silence(2, 16000), jfk]))) as heard:
            await anext(heard)
            for pid in children():
                os.kill(pid, signal.SIGKILL)
            await anext(heard)

    with pytest.raises(EngineError, match="stt: pocketsphinx was ended by SIGKILL"):
        asyncio.run(listen())
    assert text(hear(sphinx, question)) == "seven of clubs"


def children():
    """Process ids of the decoders that belong to this process."""
    for tasks in Path("/proc/self/task").glob("*/children"):
        for pid in tasks.read_text().split():
            if b"pocketsphinx/child.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
                yield int(pid)


def test_another_language_is_refused_with_the_way_out():
    with pytest.raises(ConfigError, match="only English, not language = 'de'"):
        PocketSphinx(language="de")


def test_the_module_loads_no_library():
    code = (
        "import sys, voicebot.engines.pocketsphinx.engine\n"
        "assert not {'pocketsphinx', 'onnxruntime', 'torch'} & sys.modules.keys()"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
