"""A reply that only repeats itself is noticed; a refrain, a list and a poem are let be."""

import pytest

from voicebot.conversation.repetition import Repetition

RENT = "The rent is due on the first of each month."
LOOPS = [
    (f"You asked about the rent. {RENT} {RENT} {RENT} {RENT}", f"You asked about the rent. {RENT}"),
    ("So. " + "You can go. I will stay here. " * 5, "So. You can go. I will stay here."),
    ("It is a very, " + "very nice and " * 12, "It is a very, very nice and"),
    ("Go to the store and then " + "to the store and then " * 8, "Go to the store and then"),
    ("I can help. " * 6, "I can help."),
    ("- Buy milk and bread today.\n" * 5, "- Buy milk and bread today."),
]
SOUND = [
    "one, one, two, one, one, two, three, one, two",
    "No. No. No. I do not think so. No.",
    "Ha ha ha ha ha! Very, very, very, very good.",
    "Row, row, row your boat, gently down the stream. Merrily, merrily, merrily, merrily, life is "
    "but a dream. Row, row, row your boat, gently down the stream. Merrily, merrily, merrily, "
    "merrily, life is but a dream.",
    "The woods are lovely, dark and deep, but I have promises to keep, and miles to go before I "
    "sleep. And miles to go before I sleep. And miles to go before I rest.",
    "We will rock you. We will rock you. We will rock you. Sing it out.",
    "10 green bottles hang on the wall. 9 green bottles hang on the wall. 8 green bottles hang on "
    "the wall. 7 green bottles hang on the wall. 6 green bottles hang on the wall.",
    "On Monday it opens at nine. On Tuesday it opens at nine. On Wednesday it opens at nine. On "
    "Thursday it opens at nine. On Friday it opens at nine.",
]


def cut(text, size):
    """What comes before the loop; None where there is none. And how much had to be written."""
    repetition = Repetition()
    for at in range(0, len(text), size):
        if (loop := repetition.feed(text[at : at + size])) is not None:
            return text[:loop].strip(), at
    return None, len(text)


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize(("text", "once"), LOOPS)
def test_a_loop_is_told_from_where_it_begins(text, once, size):
    said, _ = cut(text + "And", size)
    assert said == once


def test_it_is_noticed_before_the_model_runs_to_its_limit():
    text = f"{RENT} " * 20
    _, written = cut(text, 4)
    assert written < 3.2 * len(RENT)


@pytest.mark.parametrize("text", SOUND)
def test_other_repetition_is_let_be(text):
    assert cut(text + " And", 3)[0] is None
