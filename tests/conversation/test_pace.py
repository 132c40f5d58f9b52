"""How fast a voice is, learnt while it speaks."""

import pytest

from voicebot.conversation.pace import MARGIN_S, SAFETY, Pace, Paces
from voicebot.engines.call_options import BoundSynthesizer


def shown(work, letter=0.07, pieces=6):
    pace = Pace()
    for seconds in range(1, 1 + pieces):
        pace.learn("x" * round(seconds / letter), seconds, work * seconds)
    return pace


@pytest.mark.parametrize("work", [0.03, 0.3, 0.8, 1.2])
def test_after_a_few_pieces_its_work_is_known(work):
    assert shown(work).work == pytest.approx(work, rel=0.05, abs=0.01)


def test_how_long_a_text_sounds_is_learnt_and_digits_are_words():
    pace = shown(0.3, letter=0.09)
    assert pace.seconds("x" * 50) == pytest.approx(4.5, rel=0.02)
    assert pace.seconds("1931") == 4 * pace.seconds("year")


def test_what_is_reckoned_with_is_a_little_more_than_what_it_takes():
    pace = shown(0.5)
    text = "x" * 50
    assert pace.head_start(text) == pytest.approx(
        MARGIN_S + SAFETY * pace.work * pace.seconds(text)
    )


def test_a_voice_that_gets_slower_is_noticed_within_two_pieces():
    pace = shown(0.05)
    for _ in range(2):
        pace.learn("x" * 50, 3.5, 0.9 * 3.5)
    assert pace.work > 0.3


def test_voices_of_one_engine_share_what_they_have_shown():
    paces, tts = Paces(), object()
    paces.of(BoundSynthesizer(tts, {"voice": "ben"})).learn("x" * 50, 3.0, 0.1)
    assert paces.of(tts) is paces.of(BoundSynthesizer(tts, {"voice": "ben"}))
    assert paces.of(object()) is not paces.of(tts)


def test_a_pace_is_made_again_from_what_it_has_shown():
    pace = shown(0.4)
    assert Pace(*pace.shown) == pace


def test_a_piece_without_sound_shows_nothing():
    pace = shown(0.3)
    before = pace.shown
    pace.learn("...", 0.0, 0.2)
    assert pace.shown == before
