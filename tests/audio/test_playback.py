"""What is given comes out, in order, and what is heard is counted to the sample."""

import numpy as np
import pytest

from voicebot.audio.playback import Playback

RATE = 1000


def sound(*values):
    return np.array(values, np.float32)


def tone(seconds):
    return np.ones(round(seconds * RATE), np.float32)


@pytest.fixture
def playback():
    return Playback(RATE)


def test_what_is_added_comes_out_in_order_whatever_the_blocks(playback):
    playback.add(sound(1, 2, 3))
    playback.add(sound(4, 5))
    taken = [playback.take(2, at=0.0).tolist() for _ in range(3)]
    assert taken == [[1, 2], [3, 4], [5, 0]]


def test_nothing_added_is_silence(playback):
    assert playback.take(3, at=0.0).tolist() == [0, 0, 0]
    assert playback.heard(now=9.0) == 0.0


def test_sound_is_heard_when_its_time_comes_not_when_it_is_taken(playback):
    playback.add(tone(0.2))
    playback.take(200, at=10.1)
    assert playback.heard(now=10.0) == 0.0
    assert playback.heard(now=10.15) == pytest.approx(0.05)
    assert playback.heard(now=10.3) == pytest.approx(0.2)
    assert playback.heard(now=99.0) == pytest.approx(0.2)


def test_silence_for_want_of_sound_is_not_counted(playback):
    playback.add(tone(0.1))
    playback.take(100, at=0.0)
    playback.take(100, at=0.1)
    playback.add(tone(0.1))
    playback.take(100, at=0.2)
    assert playback.heard(now=0.25) == pytest.approx(0.15)


def test_what_is_unheard_is_what_is_queued_and_what_is_under_way(playback):
    playback.add(tone(0.3))
    playback.take(100, at=0.05)
    assert playback.queued == pytest.approx(0.2)
    assert playback.unheard(now=0.0) == pytest.approx(0.35)
    playback.take(200, at=0.15)
    assert playback.queued == 0.0
    assert playback.unheard(now=0.25) == pytest.approx(0.1)
    assert playback.unheard(now=0.4) == 0.0


def test_dropping_tells_what_was_heard_and_starts_anew(playback):
    playback.add(tone(1.0))
    playback.take(300, at=0.1)
    assert playback.drop(now=0.2) == pytest.approx(0.1)
    assert playback.take(2, at=0.4).tolist() == [0, 0]
    assert playback.unheard(now=0.4) == 0.0
    playback.add(tone(0.1))
    playback.take(100, at=0.5)
    assert playback.drop(now=1.0) == pytest.approx(0.1)


def test_dropping_nothing_is_nothing_heard(playback):
    assert playback.drop(now=5.0) == 0.0


def test_a_long_turn_is_counted_whole(playback):
    for second in range(600):
        playback.add(tone(1.0))
        playback.take(1000, at=float(second))
    assert playback.heard(now=599.5) == pytest.approx(599.5)
