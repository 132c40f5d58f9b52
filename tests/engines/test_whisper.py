"""Whisper hears what was said and nothing else: the real library on miniatures with a script."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
from contextlib import aclosing
from itertools import pairwise

import numpy as np
import pytest
import recordings

from voicebot.audio import Audio, join, silence
from voicebot.engines.call_options import active_degradations
from voicebot.engines.whisper.decoding import Hypothesis, recognise, says_again
from voicebot.engines.whisper.engine import Whisper
from voicebot.errors import ConfigError, EngineError, MissingDependency

pytest.importorskip("faster_whisper")
from miniatures.whisper import build

QUESTION = "What time is it in Paris?"


@pytest.fixture(scope="module")
def paris(tmp_path_factory):
    """A model that hears QUESTION whenever somebody speaks."""
    return build(tmp_path_factory.mktemp("paris"), QUESTION)


def hear(model, audio, recorded=False, **settings):
    async def listen():
        whisper = Whisper(str(model), device="cpu", threads=1, **settings)
        async with aclosing(whisper.transcribe(audio, recorded=recorded)) as segments:
            heard = [segment async for segment in segments]
        whisper.close()
        return heard

    return asyncio.run(listen())


def text(segments):
    return " ".join(segment.text for segment in segments)


def test_it_hears_what_was_said(paris):
    assert text(hear(paris, recordings.voice(2.5))) == QUESTION


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_it_takes_sound_at_any_rate(paris, rate):
    assert text(hear(paris, recordings.voice(2.5, rate))) == QUESTION


def test_a_short_window_hears_what_a_full_one_hears(paris):
    short, full = (hear(paris, recordings.voice(2.5), short_windows=on) for on in (True, False))
    assert [word.text for word in short[0].words] == [word.text for word in full[0].words]
    assert [word.start for word in short[0].words] == [word.start for word in full[0].words]


@pytest.mark.parametrize(
    "trouble",
    [
        {"short_text": "What time? What time?"},
        {"short_text": "what what what what what what"},
        {"short_text": "On and on and never at an end, until the time is up"},
        {"short_text": ""},
    ],
    ids=["doubled", "looping", "endless", "speechless"],
)
def test_a_short_window_that_goes_wrong_is_heard_again_in_full(tmp_path, trouble):
    model = build(tmp_path, QUESTION, **trouble)
    assert text(hear(model, recordings.voice(2.5))) == QUESTION


def test_what_is_heard_again_is_counted(tmp_path):
    model = build(tmp_path, QUESTION, short_text="What time? What time?")

    async def listen():
        whisper = Whisper(str(model), device="cpu", threads=1)
        for seconds in (2.5, 25):
            async with aclosing(whisper.transcribe(recordings.voice(seconds))) as segments:
                [_ async for _ in segments]
        whisper.close()
        return whisper.recognised, whisper.again

    assert asyncio.run(listen()) == (2, 1)


def test_a_short_window_is_what_is_encoded_first(tmp_path):
    model = build(tmp_path, "The long way.", short_text="The short way.")
    assert text(hear(model, recordings.voice(2.5))) == "The short way."
    assert text(hear(model, recordings.voice(2.5), short_windows=False)) == "The long way."
    assert text(hear(model, recordings.voice(25))) == "The long way."


def test_more_silence_is_kept_around_speech_in_a_recording_but_not_counted_to_words(paris):
    say, wait = recordings.voice(2.5), silence(6, 16000)
    segments = hear(paris, join([wait, say, wait, say, wait]), recorded=True)
    for segment, spoken in zip(segments, (6.0, 14.5), strict=True):
        assert spoken - 0.4 < segment.start < segment.end < spoken + 2.5 + 0.4
        assert all(segment.start <= w.start <= w.end <= segment.end for w in segment.words)


def test_when_both_windows_say_it_twice_the_surer_one_counts(tmp_path):
    model = build(tmp_path, "Bye bye.", sure=0.5, short_text="By by.", short_sure=0.3)
    (segment,) = hear(model, recordings.voice(2.5))
    assert segment.text == "Bye bye."
    assert segment.confidence == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    "said",
    ["Two people Two people", "Yes. Yes.", "And now, and now they come.", "砸自己的脚砸自己的脚"],
)
def test_words_said_again_are_noticed(said):
    assert says_again(said)


@pytest.mark.parametrize(
    "said", ["No, no, that is all.", "What is what?", "", "5", "いろいろあります"]
)
def test_words_that_people_repeat_are_not_taken_for_said_again(said):
    assert not says_again(said)


def test_a_turn_short_of_time_follows_one_hypothesis_instead_of_five(paris, monkeypatch):
    beams = []

    def watched(model, samples, length, language, task, beam):
        beams.append(beam)
        return recognise(model, samples, length, language, task, beam)

    monkeypatch.setattr("voicebot.engines.whisper.engine.recognise", watched)
    assert text(hear(paris, recordings.voice(2.5))) == QUESTION
    before = active_degradations.set(frozenset({"single_decode"}))
    try:
        assert text(hear(paris, recordings.voice(2.5))) == QUESTION
    finally:
        active_degradations.reset(before)
    assert beams == [5, 1]


def test_where_time_is_short_words_said_twice_count(tmp_path):
    model = build(tmp_path, QUESTION, short_text="Bye bye.")
    before = active_degradations.set(frozenset({"single_decode"}))
    heard = text(hear(model, recordings.voice(2.5)))
    active_degradations.reset(before)
    assert heard == "Bye bye."


@pytest.mark.parametrize("nonsense", ["what what what what what what", ""])
def test_also_where_time_is_short_nonsense_does_not_count(tmp_path, nonsense):
    model = build(tmp_path, QUESTION, short_text=nonsense)
    before = active_degradations.set(frozenset({"single_decode"}))
    heard = text(hear(model, recordings.voice(2.5)))
    active_degradations.reset(before)
    assert heard == QUESTION


def test_words_come_with_times_and_confidence(paris):
    (segment,) = hear(paris, join([silence(3, 16000), recordings.voice(2.5)]))
    assert [word.text for word in segment.words] == QUESTION.split()
    # The miniature says a letter, or the space before a word, every 80 ms.
    expected, at = [], 2.7
    for word in QUESTION.split():
        expected.append(pytest.approx(at, abs=0.15))
        at += 0.08 * (len(word) + 1)
    assert [word.start for word in segment.words] == expected
    assert all(word.start < word.end and word.confidence > 0.99 for word in segment.words)
    assert (segment.start, segment.end) == (segment.words[0].start, segment.words[-1].end)
    assert segment.confidence > 0.99


def test_a_model_without_attention_still_gives_every_word_a_time(tmp_path):
    model = build(tmp_path, QUESTION, aligned=False)
    (segment,) = hear(model, recordings.voice(2.5))
    starts = [word.start for word in segment.words]
    assert [word.text for word in segment.words] == QUESTION.split()
    assert starts == sorted(set(starts))
    assert segment.words[-1].end <= 2.6


def test_all_its_numbers_are_plain(paris):
    (segment,) = hear(paris, recordings.voice(2.5))
    numbers = [segment.start, segment.end, segment.confidence]
    numbers += [n for word in segment.words for n in (word.start, word.end, word.confidence)]
    assert {type(number) for number in numbers} == {float}


@pytest.mark.parametrize(
    "sound",
    [
        silence(3, 16000),
        silence(0, 16000),
        silence(0.01, 48000),
        Audio(np.random.default_rng(0).normal(0, 0.1, 48000).astype(np.float32), 16000),
        Audio(np.sin(np.arange(48000) / 6).astype(np.float32) / 2, 16000),
    ],
    ids=["silence", "no sound at all", "a click", "noise", "a tone"],
)
def test_where_nobody_speaks_there_is_no_text(paris, sound):
    assert hear(paris, sound) == []


@recordings.needed
def test_dishes_and_taps_and_trumpets_and_birds_say_nothing(paris):
    noises = {name: recordings.read(name) for name in recordings.names("nonspeech")}
    assert [name for name, noise in noises.items() if hear(paris, noise)] == []


def test_what_the_model_takes_for_silence_gives_no_text(tmp_path):
    model = build(tmp_path, "Thank you.", sure=0.3, hears_speech=False)
    assert hear(model, recordings.voice(2.5)) == []


@pytest.mark.parametrize("dots", [". . .", "...", "-"])
def test_text_without_a_letter_or_a_figure_is_none(tmp_path, dots):
    assert hear(build(tmp_path, dots), recordings.voice(2.5)) == []


@pytest.mark.parametrize(
    ("log_prob", "no_speech", "certainty", "is_silence"),
    [
        (-0.9, 0.7, 0.70, True),
        (-0.9, 0.7, 0.95, False),
        (-0.7, 0.7, 0.70, False),
        (-1.1, 0.7, 0.95, True),
        (-1.1, 0.4, 0.70, False),
        (-1.6, 0.4, 0.70, True),
        (-1.6, 0.4, 0.95, False),
    ],
)
def test_the_less_sure_the_voice_detector_the_surer_must_the_model_be(
    log_prob, no_speech, certainty, is_silence
):
    heard = Hypothesis("you", [345], log_prob, no_speech, True, "en", None, None)
    assert heard.is_silence(certainty) == is_silence


def test_a_sure_hypothesis_outweighs_the_models_doubt_that_anybody_speaks(tmp_path):
    model = build(tmp_path, "Thank you.", sure=0.9, hears_speech=False)
    assert text(hear(model, recordings.voice(2.5))) == "Thank you."


def test_of_more_than_thirty_seconds_nothing_is_lost(paris):
    segments = hear(paris, recordings.voice(70))
    assert [segment.text for segment in segments] == [QUESTION] * 3
    ends = [0.0, *(segment.start for segment in segments), 70.0]
    assert max(b - a for a, b in pairwise(ends)) < 29


def test_sentences_far_apart_are_segments_of_their_own(paris):
    say, wait = recordings.voice(2.5), silence(4, 16000)
    first, second = hear(paris, join([wait, say, wait, say, wait]))
    assert (first.start, second.start) == pytest.approx((3.7, 10.2), abs=0.15)


@pytest.mark.parametrize(("setting", "heard"), [("", "fr"), ("de", "de")])
def test_the_language_is_the_one_given_or_else_detected(tmp_path, setting, heard):
    model = build(tmp_path, "Quelle heure est-il?", language="fr")
    (segment,) = hear(model, recordings.voice(2.5), language=setting)
    assert segment.language == heard


def test_a_recording_is_in_the_language_it_begins_in(tmp_path):
    model = build(tmp_path, "Bien.", language="fr", short_language="de")
    sound = join([recordings.voice(25), silence(3, 16000), recordings.voice(2.5)])
    assert [segment.language for segment in hear(model, sound)] == ["fr", "fr"]


def test_it_stops_midway_and_is_ready_for_the_next(paris):
    async def listen():
        whisper = Whisper(str(paris), device="cpu", threads=1)
        async with aclosing(whisper.transcribe(join([recordings.voice(30)] * 20))) as segments:
            await anext(segments)
        async with aclosing(whisper.transcribe(recordings.voice(2.5))) as segments:
            return await asyncio.wait_for(anext(segments), 100)

    assert asyncio.run(listen()).text == QUESTION


@pytest.fixture
def copy(paris, tmp_path):
    return shutil.copytree(paris, tmp_path / "copy")


def test_a_model_that_fails_fails_the_turn_and_says_which_stage(copy):
    tokens = (copy / "tokenizer.json").read_text()
    (copy / "tokenizer.json").write_text(tokens.replace("<|notimestamps|>", "<|of_another_model|>"))
    with pytest.raises(EngineError, match="stt: whisper"):
        hear(copy, recordings.voice(2.5))


@pytest.mark.parametrize("name", ["model.bin", "config.json", "tokenizer.json", "vocabulary.json"])
def test_a_missing_file_is_named_and_not_fetched(copy, name, monkeypatch):
    def no_network(*_):
        raise AssertionError("it went to the network")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    os.remove(copy / name)
    with pytest.raises(MissingDependency, match=name):
        Whisper(str(copy))


def test_a_name_from_the_hub_is_not_fetched(monkeypatch):
    monkeypatch.delattr(socket, "getaddrinfo")
    with pytest.raises(MissingDependency, match=r"no folder base\.en"):
        Whisper("base.en")


@pytest.mark.parametrize("name", ["model.bin", "tokenizer.json", "config.json"])
def test_a_file_that_is_not_what_it_should_be_is_an_error_at_the_start(copy, name):
    (copy / name).write_bytes(b"<html>Not found</html>")
    with pytest.raises(ConfigError, match="cannot load"):
        Whisper(str(copy), device="cpu")


def test_features_of_another_model_are_refused(copy):
    (copy / "preprocessor_config.json").write_text(json.dumps({"feature_size": 128}))
    with pytest.raises(ConfigError, match=r"preprocessor_config\.json asks for 128"):
        Whisper(str(copy), device="cpu")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"language": "klingon"}, "'klingon'; af, am"),
        ({"device": "gpu"}, "'gpu'; auto, cpu, cuda"),
        ({"compute_type": "int3"}, "int3"),
        ({"threads": -1}, "not -1"),
        ({"beam_size": 0}, "beam_size should be 1 or more, not 0"),
    ],
)
def test_a_wrong_setting_is_named_with_the_choices(paris, settings, says):
    with pytest.raises(ConfigError, match=says):
        Whisper(str(paris), **({"device": "cpu"} | settings))


def test_the_module_loads_no_library():
    code = (
        "import sys, voicebot.engines.whisper.engine\n"
        "assert not {'faster_whisper', 'ctranslate2', 'onnxruntime', 'torch'} & sys.modules.keys()"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
