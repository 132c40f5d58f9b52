"""espeak-ng speaks what it is given, tells when each word is heard, and may die at any moment."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from contextlib import aclosing, closing
from itertools import pairwise

import numpy as np
import pytest

from voicebot.audio import Audio as Sound
from voicebot.audio import join, to_pcm16
from voicebot.audio.resample import Resampler
from voicebot.engines.espeak.engine import Espeak
from voicebot.engines.espeak.process import EspeakProcess
from voicebot.engines.silero import probabilities
from voicebot.errors import ConfigError, EngineError, MissingDependency

pytest.importorskip("espeakng_loader")

A_LONG_STORY = "And then they walked on for another mile. " * 250  # 10 500 characters


@pytest.fixture
def process():
    with closing(EspeakProcess()) as process:
        yield process


@pytest.fixture
def espeak():
    with closing(Espeak()) as espeak:
        yield espeak


def say(espeak, text):
    async def listen():
        return [speech async for speech in espeak.synthesize(text)]

    return asyncio.run(listen())


def words(speech):
    return [word for chunk in speech for word in chunk.words]


def at_16k(speech):
    resampler = Resampler(16000)
    return np.concatenate([resampler.feed(join([s.audio for s in speech])), resampler.finish()])


def gone(pid):
    """Whether the process has ended, or does within some seconds."""
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watch], [], [], 10)[0])
    finally:
        os.close(watch)


# What is said


def test_what_it_says_is_speech(espeak):
    speech = at_16k(say(espeak, "The quick brown fox jumps over the lazy dog."))
    assert np.mean(probabilities(speech) > 0.5) > 0.8


def test_another_machine_understands_it():
    with closing(Espeak(speed=0.8)) as espeak:
        speech = at_16k(say(espeak, "one two three four five"))
    decoder = pytest.importorskip("pocketsphinx").Decoder(samprate=16000, loglevel="FATAL")
    decoder.start_utt()
    decoder.process_raw(to_pcm16(Sound(speech, 16000)), full_utt=True)
    decoder.end_utt()
    assert len({"one", "two", "three", "four", "five"} & set(decoder.hyp().hypstr.split())) >= 4


def test_twice_the_speed_is_half_the_time():
    def seconds(speed):
        with closing(Espeak(speed=speed)) as espeak:
            return words(say(espeak, "one two three four five six seven eight"))[-1].end

    assert seconds(2.0) == pytest.approx(seconds(1.0) / 2, rel=0.15)


def test_a_high_pitch_and_another_voice_are_heard(espeak):
    plain = join([s.audio for s in say(espeak, "Good morning.")])
    for other in (Espeak(pitch=90), Espeak("en-us+f3"), Espeak("de")):
        with closing(other):
            different = join([s.audio for s in say(other, "Good morning.")])
        n = min(len(plain.samples), len(different.samples))
        assert np.abs(plain.samples[:n] - different.samples[:n]).max() > 0.1


@pytest.mark.parametrize("text", ["", "  \n\t ", "...", "\0", "\u200b", "-"])
def test_nothing_to_say_is_no_sound(espeak, text):
    assert say(espeak, text) == []


@pytest.mark.parametrize(
    "text",
    [
        "Great 😀 news",
        "one\ntwo\r\n\r\nthree\tfour",
        "before\0after the zero",
        "the end </speak> is not <break time='9s'/> the end",
        "fish &amp; chips &lt; &#65;",
        "你好 世界 hello",
        "lone \ud800 surrogate",
        "[[h@l'oU]] is not phonemes",
        "big - yes -- no — maybe ...",
        "$3.50, 12:30, 1,000,000 and state-of-the-art",
        "- first\n- second\n",
    ],
)
def test_every_word_of_an_odd_text_has_its_time(espeak, text):
    speech = say(espeak, text)
    assert [word.text for word in words(speech)] == text.split()
    spoken = join([s.audio for s in speech])
    assert np.abs(spoken.samples).max() > 0.1
    assert words(speech)[-1].end <= spoken.seconds


def test_word_times_follow_each_other_and_lie_in_their_chunk(espeak):
    at = 0.0
    speech = say(espeak, "Well, Dr. Smith -- if that's you - come in! It costs $3.50.")
    for earlier, later in pairwise(words(speech)):
        assert 0 <= earlier.start <= earlier.end <= later.start <= later.end
    for chunk in speech:
        until = at + chunk.audio.seconds
        assert all(at <= word.end <= until + 1e-9 for word in chunk.words)
        at = until


def test_a_word_is_heard_where_its_time_says(espeak):
    speech = say(espeak, "Yes. Nobody.")
    spoken = join([s.audio for s in speech])
    yes, nobody = words(speech)
    assert nobody.start - yes.end > 0.2  # a full stop is a pause, and the pause is no word's
    pause = spoken.samples[round(yes.end * spoken.rate) : round(nobody.start * spoken.rate)]
    assert np.abs(pause).max() < 0.01


def test_the_sign_of_a_smile_takes_its_own_time_not_the_next_word_s(espeak):
    smile, hello = words(say(espeak, "😂 hello"))
    assert smile.end - smile.start > 2 * (hello.end - hello.start)


def test_a_dash_between_words_takes_no_word_s_time(espeak):
    big, dash, yes = words(say(espeak, "big - yes"))
    assert big.end <= dash.start == dash.end <= yes.start
    assert yes.end - yes.start > 0.2


def test_tags_are_read_out_not_obeyed(espeak):
    with_tags = join([s.audio for s in say(espeak, "one <break time='5s'/> two")])
    assert np.mean(np.abs(with_tags.samples) > 0.003) > 0.5


def test_a_text_cannot_change_the_voice(espeak):
    # U+0001 begins espeak-ng's own commands; this one would set the speed to 400.
    commanded = words(say(espeak, "\x01400S one two three four five"))[-5:]
    asked = words(say(espeak, "one two three four five"))
    assert commanded[-1].end - commanded[0].start == pytest.approx(asked[-1].end, rel=0.1)


def test_ten_thousand_characters_are_all_said(espeak):
    speech = say(espeak, A_LONG_STORY)
    assert [word.text for word in words(speech)] == A_LONG_STORY.split()
    assert sum(s.audio.seconds for s in speech) > 400


def test_sound_comes_before_the_text_is_all_spoken(espeak):
    async def first():
        async with aclosing(espeak.synthesize(A_LONG_STORY)) as speech:
            return await anext(speech)

    assert asyncio.run(first()).words[0].text == "And"


# Stopping, dying, ending


def test_after_stopping_midway_the_next_text_is_spoken_alone(espeak):
    async def interrupt():
        async with aclosing(espeak.synthesize(A_LONG_STORY)) as speech:
            await anext(speech)
        return [s async for s in espeak.synthesize("Sorry.")]

    fresh = join([s.audio for s in say(espeak, "Sorry.")])
    assert join([s.audio for s in asyncio.run(interrupt())]).samples.tolist() == (
        fresh.samples.tolist()
    )


def test_stopping_leaves_nothing_of_the_text_behind(process):
    for _ in range(3):
        with closing(process.synthesize(A_LONG_STORY, "en-us", 175)) as pieces:
            next(pieces)
        assert process.phonemes("yes") == "jˈɛs"


def test_killed_mid_sentence_it_says_so_and_speaks_again(process):
    with closing(process.synthesize(A_LONG_STORY, "en-us", 175)) as pieces:
        next(pieces)
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(EngineError, match="tts: espeak-ng was ended by SIGKILL"):
            list(pieces)
    assert sum(len(piece.pcm) for piece in process.synthesize("Still here.", "en-us", 175)) > 20000


def test_killed_between_sentences_nobody_notices(process):
    process.voices()
    killed = process.pid
    os.kill(killed, signal.SIGKILL)
    assert gone(killed)
    assert process.phonemes("yes") == "jˈɛs"


def test_a_child_that_hangs_is_replaced(process):
    pieces = process.synthesize(A_LONG_STORY, "en-us", 175)
    next(pieces)
    hung = process.pid
    os.kill(hung, signal.SIGSTOP)
    pieces.close()
    assert gone(hung)
    assert process.phonemes("yes") == "jˈɛs"


def test_control_c_is_not_the_child_s_business(process):
    process.voices()
    os.kill(process.pid, signal.SIGINT)
    assert process.phonemes("yes") == "jˈɛs"


@pytest.mark.parametrize("death", ["os.kill(os.getpid(), 9)", "os._exit(1)", "pass"])
@pytest.mark.parametrize("busy", [True, False])
def test_no_child_outlives_us(death, busy):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(death=death, busy=busy)], stdout=subprocess.PIPE
    )
    with parent:
        child = int(parent.stdout.readline())
    assert gone(child)


PARENT = f"""
import os, sys
from voicebot.engines.espeak.process import EspeakProcess
process = EspeakProcess()
process.voices()
if {{busy}}:
    pieces = process.synthesize({A_LONG_STORY!r}, "en-us", 175)
    next(pieces)
print(process.pid, flush=True)
{{death}}
"""


def test_closing_ends_the_child_and_further_calls(process):
    process.voices()
    child = process.pid
    process.close()
    assert gone(child)
    with pytest.raises(EngineError, match="closed"):
        process.phonemes("yes")


def test_two_engines_speak_at_once():
    async def both():
        async def speak(espeak, text):
            return [s async for s in espeak.synthesize(text)]

        return await asyncio.gather(speak(one, A_LONG_STORY), speak(other, "Only this."))

    with closing(Espeak()) as one, closing(Espeak("en-gb")) as other:
        story, short = asyncio.run(both())
    assert len(words(story)) == len(A_LONG_STORY.split())
    assert [word.text for word in words(short)] == ["Only", "this."]


def test_espeak_ng_is_never_loaded_into_our_process():
    look = (
        "from voicebot.engines.espeak.engine import Espeak\n"
        "Espeak().close()\n"
        "print('libespeak' in open('/proc/self/maps').read())"
    )
    told = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


# Settings


@pytest.mark.parametrize(
    ("voice", "near"),
    [
        ("en-uk", "'en-uk'; near it: .*en-gb"),
        ("en_US", "'en_US'; near it: .*en-us"),
        ("", "''"),
        ("+f3", "'\\+f3'"),
        ("en-us+fem", "'en-us\\+fem'; near it: .*\\+m"),
    ],
)
def test_an_unknown_voice_is_refused_with_its_neighbours(voice, near):
    with pytest.raises(ConfigError, match=f"espeak has no voice {near}"):
        Espeak(voice)


@pytest.mark.parametrize(
    ("setting", "value"), [("speed", 0.0), ("speed", 9.0), ("pitch", -1), ("pitch", 100)]
)
def test_a_setting_out_of_range_is_refused(setting, value):
    with pytest.raises(ConfigError, match=f"{setting} = {value} is not between"):
        Espeak(**{setting: value})


def test_a_library_that_cannot_be_loaded_is_missing(monkeypatch, tmp_path):
    import espeakng_loader

    broken = tmp_path / "libespeak-ng.so"
    broken.write_bytes(b"not a library")
    monkeypatch.setattr(espeakng_loader, "get_library_path", lambda: str(broken))
    with pytest.raises(MissingDependency, match=r"libespeak-ng\.so"):
        Espeak()
    broken.unlink()
    with pytest.raises(MissingDependency, match=r"libespeak-ng\.so is not there"):
        Espeak()


# Phonemes


def test_phonemes_of_all_clauses_without_their_punctuation(process):
    assert process.phonemes("Hello, world! Yes.") == "həlˈoʊ wˈɜːld jˈɛs"


def test_phonemes_with_tied_letters(process):
    assert process.phonemes("church", tie="^") == "t^ʃˈɜːt^ʃ"


def test_phonemes_in_another_language_without_its_switches(process):
    assert process.phonemes("le weekend", "fr-fr") == process.phonemes("le weekend", "fr")
    assert "(" not in process.phonemes("Das ist ein Meeting about Software", "de")


def test_an_unknown_voice_has_no_phonemes(process):
    with pytest.raises(EngineError, match="no voice 'xx'"):
        process.phonemes("yes", "xx")


def test_a_word_that_no_person_wrote_is_heard_before_its_end_is_known(espeak):
    long = "rhubarb" * 100
    speech = say(espeak, f"Look: {long} there.")
    assert max(chunk.audio.seconds for chunk in speech) < 3
    look, rhubarb, there = words(speech)
    assert (look.text, rhubarb.text, there.text) == ("Look:", long, "there.")
    assert look.end < rhubarb.start < rhubarb.end <= there.start
    assert rhubarb.end - rhubarb.start > 5
    assert there.end == pytest.approx(join([chunk.audio for chunk in speech]).seconds, abs=0.5)
