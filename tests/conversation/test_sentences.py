"""Where a sentence ends, and where a full stop only looks like it."""

import pytest

from voicebot.conversation.sentences import ends

END = [
    ("I can't.", "You should ask."), ("I don't.", "You should ask."), ("It isn't.", "So what?"),
    ("That is Hill's.", "The other is not."), ("I said no.", "You know why."),
    ("Go with plan B.", "Then we see."), ("In the U.S.", "The law is older."),
    ("It was 1931.", "The tree was small."), ("He has 3.", "She has four."),
    ("It opens at 9 a.m.", "Then it rains."), ("Cats, dogs, etc.", "They sleep."),
    ("So am I.", "You know."), ("(He said no.)", "You know."), ('He said "no."', "You know."),
    ("Vitamin C.", "It helps."), ("Take option b.", "Then go."), ("Really...", "Then go."),
    ("Er kam am Montag.", "Danach ging er."), ("I live in the St.", ""),
]  # fmt: skip
NO_END = [
    ("Ask Mr.", "Jones about it."), ("Fruit, e.g.", "apples and pears."), ("See No.", "5 there."),
    ("In St.", "Paul it rains."), ("The U.S.", "Army won."), ("J.", "K. Rowling wrote it."),
    ("By J. K.", "Rowling, in 1997."), ("John F.", "Kennedy was there."),
    ("Es gibt z.B.", "Äpfel und Birnen."), ("Am 3.", "Mai ist Ruhe."), ("See vol.", "2 of it."),
    ("Nach dem 2.", "Weltkrieg war es so."), ("It opens at 9 a.m.", "on weekdays."),
    ("Apple Inc.", "was founded in 1976."), ("Martin Luther King Jr.", "was there."),
    ("1.", "See the book."), ("Dr.", "Smith is here."), ("Approx.", "5 km."),
    ("We met on Dec.", "31, 2025."),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), END)
def test_it_ends(before, after):
    assert ends(before, f" {after}", complete=True)


@pytest.mark.parametrize(("before", "after"), NO_END)
def test_it_goes_on(before, after):
    assert not ends(before, f" {after}", complete=True)


@pytest.mark.parametrize(("before", "after"), [END[5], NO_END[6], NO_END[4]])
def test_where_the_next_word_decides_it_is_waited_for(before, after):
    assert ends(before, " ", complete=False) is None
    assert ends(before, f" {after[:1]}", complete=False) is None
    assert ends(before, f" {after}", complete=False) is not None


def test_a_line_ends_what_is_on_it():
    assert ends("See Dr.", "\nNext line", complete=False)
