"""The silence around a voice's words is cut, and nothing of the words."""

import numpy as np
import pytest
from room import live

from voicebot.audio import Audio
from voicebot.conversation.trim import BEFORE_S, BEHIND_S, Trim, trimmed
from voicebot.engines import Speech, Word

RATE = 24000


def tone(seconds, level=0.3):
    return level * np.sin(np.arange(round(seconds * RATE)) * 0.1).astype(np.float32)


def quiet(seconds):
    return np.full(round(seconds * RATE), 1e-6, np.float32)


def cut(samples, words=(), size=None):
    """Feed it in chunks of `size` samples, each with the words that end in it."""
    size = size or max(1, len(samples))
    trim, given = Trim(), []
    for at in range(0, len(samples), size):
        ends = [w for w in words if at < w.end * RATE <= at + size]
        given += trim.feed(Speech(Audio(samples[at : at + size], RATE), tuple(ends)))
    return [*given, *trim.finish()]


def sound(given):
    return np.concatenate([np.zeros(0, np.float32), *[speech.audio.samples for speech in given]])


@pytest.mark.parametrize("size", [None, 7, 240, 2400, 9999])
def test_silence_before_and_behind_is_cut_and_silence_inside_is_kept(size):
    said = np.concatenate([tone(0.5), quiet(0.3), tone(0.2)])
    left = sound(cut(np.concatenate([quiet(0.31), said, quiet(0.47)]), size=size))
    assert len(left) / RATE == pytest.approx(1.0 + BEFORE_S + BEHIND_S, abs=0.011)
    at = int(np.argmax(np.abs(left) > 0.01))
    start = int(np.argmax(np.abs(said) > 0.01))
    assert np.array_equal(left[at : at + len(said) - start], said[start:])


def test_sound_without_silence_around_it_is_passed_on_as_it_is():
    said = tone(0.4)
    (only,) = cut(said)
    assert np.array_equal(only.audio.samples, said)


def test_what_sounds_is_passed_on_before_the_text_is_complete():
    trim = Trim()
    (first,) = trim.feed(Speech(Audio(np.concatenate([quiet(0.3), tone(0.1)]), RATE)))
    assert first.audio.seconds == pytest.approx(0.1 + BEFORE_S, abs=0.006)


def test_a_soft_consonant_before_a_vowel_is_kept():
    breath = np.random.default_rng(1).normal(0, 10 ** (-55 / 20), round(0.08 * RATE))
    left = sound(cut(np.concatenate([quiet(0.3), breath.astype(np.float32), tone(0.3)])))
    assert len(left) / RATE == pytest.approx(0.38 + BEFORE_S, abs=0.006)


def test_the_edges_do_not_click():
    hum = np.full(round(0.3 * RATE), 9e-4, np.float32)  # silence, by a hair
    left = sound(cut(np.concatenate([hum, tone(0.2), hum])))
    assert abs(left[0]) < 1e-5
    assert abs(left[-1]) < 1e-5


@pytest.mark.parametrize("size", [None, 7, 240, 2400])
def test_words_are_told_where_they_sound_now(size):
    words = (Word("one", 0.3, 0.5), Word("two", 0.8, 1.05))
    said = np.concatenate([quiet(0.3), tone(0.2), quiet(0.3), tone(0.2), quiet(0.5)])
    given = cut(said, words, size=size)
    told = [word for speech in given for word in speech.words]
    assert [word.text for word in told] == ["one", "two"]
    shift = 0.3 - BEFORE_S
    assert [word.end for word in told] == pytest.approx([0.5 - shift, 0.748], abs=0.006)
    assert told[0].start == pytest.approx(0.3 - shift, abs=0.006)
    assert told[-1].end <= sum(speech.audio.seconds for speech in given) + 1e-9
    at = 0.0
    for speech in given:  # each with the chunk it ends in
        assert all(at - 1e-9 <= word.end for word in speech.words)
        at += speech.audio.seconds


def test_words_without_sound_of_their_own_are_told_too():
    words = (Word("-", 0.1, 0.1), Word("one", 0.3, 0.4), Word("-", 0.6, 0.6))
    said = np.concatenate([quiet(0.3), tone(0.1), quiet(0.5)])
    told = [word for speech in cut(said, words, size=240) for word in speech.words]
    assert [word.text for word in told] == ["-", "one", "-"]


@pytest.mark.parametrize("samples", [np.zeros(0, np.float32), quiet(2.0)])
def test_of_silence_nothing_is_left(samples):
    assert cut(samples, size=1000) == []


def test_a_stream_is_trimmed_while_it_is_made():
    async def made():
        for part in (quiet(0.3), tone(0.2), quiet(0.5)):
            yield Speech(Audio(part, RATE))

    async def heard():
        return [chunk.audio.seconds async for chunk in trimmed(made())]

    assert live(heard()) == pytest.approx([0.2 + BEFORE_S, BEHIND_S], abs=0.006)


def test_a_chunk_without_a_sample_is_no_sound():
    trim, nothing = Trim(), Speech(Audio(np.zeros(0, np.float32), RATE))
    assert [*trim.feed(nothing), *trim.finish()] == []
