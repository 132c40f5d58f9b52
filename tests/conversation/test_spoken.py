"""Which words have reached the user."""

import pytest

from voicebot.audio import silence
from voicebot.conversation.spoken import Spoken
from voicebot.engines import Speech, Word


def spoken(*clauses):
    """Each clause: its text and the seconds its sound takes, in two chunks."""
    told = Spoken()
    for text, seconds in clauses:
        told.begin(text)
        for _ in range(2):
            told.add(Speech(silence(seconds / 2, 1000)))
        told.end()
    return told


@pytest.mark.parametrize(
    ("seconds", "heard"),
    [
        (0.0, ""),
        (0.7, ""),
        (1.1, "One"),
        (1.7, "One two"),
        (2.5, "One two"),
        (3.0, "One two three."),
        (4.0, "One two three. Four"),
        (99.0, "One two three. Four five six."),
    ],
)
def test_a_clause_without_word_times_is_cut_in_proportion(seconds, heard):
    assert spoken(("One two three.", 3.0), ("Four five six.", 3.0)).within(seconds) == heard


@pytest.mark.parametrize(("seconds", "heard"), [(1.0, "I"), (8.0, "I"), (8.4, "I misunderstood")])
def test_a_long_word_takes_longer_than_a_short_one(seconds, heard):
    assert spoken(("I misunderstood it.", 10.0)).within(seconds) == heard


def test_a_repeated_clause_is_two_clauses():
    assert spoken(("No.", 1.0), ("No.", 1.0)).within(9.0) == "No. No."


def test_word_times_decide_where_they_are_known():
    told = Spoken()
    told.begin("Wait for it")
    told.add(Speech(silence(2.0, 1000), (Word("Wait", 0.0, 0.2), Word("for", 0.2, 1.9))))
    told.add(Speech(silence(1.0, 1000), (Word("it", 2.0, 2.5),)))
    told.end()
    assert told.within(1.8) == "Wait"
    assert told.within(2.4) == "Wait for"
    assert told.within(2.6) == "Wait for it"


def test_a_clause_whose_sound_is_still_being_made_is_not_taken_for_whole():
    told = spoken(("One two three four.", 2.0))
    told.begin("Five six seven eight.")
    told.add(Speech(silence(0.4, 1000)))
    assert told.within(2.4) == "One two three four."
    told.add(Speech(silence(1.0, 1000)))
    assert told.within(3.5).startswith("One two three four. Five six")
    assert "eight" not in told.within(99.0)


def test_before_the_voice_has_shown_its_pace_a_usual_one_is_assumed():
    told = Spoken()
    told.begin("The quick brown fox jumps over the lazy dog")
    told.add(Speech(silence(1.0, 1000)))
    assert 2 <= len(told.within(1.0).split()) <= 5
