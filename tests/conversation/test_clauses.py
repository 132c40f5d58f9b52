"""Where a reply is cut while it is written."""

import asyncio

import pytest

from voicebot.conversation.clauses import Clauses, clauses
from voicebot.engines.per_call import given_up


def cut(text, size=1):
    """Feed `text` a few characters at a time."""
    cutter = Clauses()
    pieces = [piece for i in range(0, len(text), size) for piece in cutter.feed(text[i : i + size])]
    return [piece.text for piece in pieces + cutter.flush()]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_the_pieces_do_not_depend_on_how_the_text_arrives(size):
    text = 'At noon, I think. "Really?" Yes. Dr. Smith paid $3.50, i.e. a lot.'
    assert cut(text, size) == [
        "At noon,", "I think.", '"Really?"', "Yes.", "Dr. Smith paid $3.50, i.e. a lot.",
    ]  # fmt: skip


def test_the_first_piece_may_be_a_clause_and_the_next_are_sentences():
    assert cut("In the morning, about nine, it opens. On Sunday, at ten, it does not.") == [
        "In the morning,",
        "about nine, it opens.",
        "On Sunday, at ten, it does not.",
    ]


def test_the_first_piece_may_be_a_phrase_whose_voice_stays_up():
    cutter = Clauses()
    (first,) = cutter.feed("The old apple tree was planted in 1931 by a ")
    assert first.text == "The old apple tree"
    assert first.spoken == "The old apple tree,"
    assert [piece.spoken for piece in cutter.flush()] == ["was planted in 1931 by a"]


@pytest.mark.parametrize(
    "whole",
    [
        "It is noon.",
        "My friend Tom and Jerry met.",
        "The number 3 and the number 4 are odd.",
        "I want to go to Spain.",
        "Das ist ein sehr langer Satz.",
    ],
)
def test_a_phrase_is_not_cut_from_what_holds_it_together(whole):
    assert cut(whole) == [whole]


def test_a_single_word_is_not_spoken_alone_while_the_rest_is_coming():
    assert cut("Yes, that is right.") == ["Yes, that is right."]


def test_a_piece_is_given_as_soon_as_its_end_is_certain():
    cutter = Clauses()
    assert cutter.feed("It is three.") == []  # "three.5"? "three..."?
    assert [piece.text for piece in cutter.feed(" Then")] == ["It is three."]


@pytest.mark.parametrize(
    "whole",
    [
        "It costs 1,000.50 dollars today.",
        "Ask Mr. Jones or Mrs. Smith at St. Mary's.",
        "J. R. R. Tolkien wrote it.",
        "It opens at 9 a.m. on weekdays.",
        "See no. 5 in vol. 2.",
        "The U.S. team won.",
    ],
)
def test_numbers_names_and_abbreviations_are_never_split(whole):
    assert cut("Listen well. " + whole) == ["Listen well.", whole]


def test_a_long_sentence_is_cut_at_a_comma():
    long = " ".join(["word"] * 30) + ", and " + " ".join(["more"] * 30) + "."
    assert cut("First of all. " + long) == [
        "First of all.",
        " ".join(["word"] * 30) + ",",
        "and " + " ".join(["more"] * 30) + ".",
    ]


def test_a_reply_without_any_stop_is_cut_where_a_voice_can_rest():
    written = " ".join(["word"] * 39) + " of the " + " ".join(["next"] * 39) + " 7 words follow"
    assert cut(written) == [
        " ".join(["word"] * 39) + " of the next",
        " ".join(["next"] * 38) + " 7 words",
        "follow",
    ]


def test_its_voice_stays_up_there():
    cutter = Clauses()
    (endless,) = cutter.feed("word " * 41)
    assert endless.spoken == " ".join(["word"] * 40) + ","


@pytest.mark.parametrize("hurried", [False, True])
def test_a_line_ends_at_its_end_whatever_space_is_before(hurried):
    cutter = Clauses()
    cutter.hurried = hurried
    pieces = cutter.feed("Monday \n and then \t\n ")
    assert [(piece.text, piece.goes_on) for piece in pieces] == [
        ("Monday", False),
        ("and then", False),
    ]


def test_languages_without_spaces_are_cut_too():
    assert cut("你好。今天天气很好。我们去公园吧") == ["你好。", "今天天气很好。", "我们去公园吧"]


def test_what_is_written_for_screens_is_not_spoken():
    text = "**Boil** the `egg`:\n- 6 minutes\n# Then\n1. See [the book](http://x.y/z).\n"
    assert cut(text) == ["Boil the egg:", "6 minutes", "Then", "1. See the book."]


def test_names_with_underscores_and_sums_survive():
    assert cut("Set max_size to 3 * 4.") == ["Set max_size to 3 * 4."]


def test_what_has_no_sound_is_left_out():
    assert cut("... — !\n\n") == []


def test_a_stream_is_cut_while_it_is_written():
    async def written():
        for piece in ("One two", " three. Fo", "ur five."):
            yield piece

    async def spoken():
        return [piece.text async for piece in clauses(written())]

    assert asyncio.run(spoken()) == ["One two three.", "Four five."]


def test_where_time_is_short_two_words_are_enough_to_begin_with():
    cutter = Clauses()
    cutter.hurried = True
    pieces = cutter.feed("the quick brown fox jumps over it, and on")
    assert [piece.text for piece in pieces] == ["the quick"]
    assert pieces[0].spoken == "the quick,"


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("by New York they mean it", "by New York they"),
        ("it is twenty five past nine", "it is"),
        ("at twenty five past nine", "at twenty five past"),
        ("you see the house there", "you see"),
        ("in the house there is", "in the house"),
        ("sleep is not a luxury", "sleep is"),
    ],
)
def test_also_where_time_is_short_a_voice_rests_where_it_can(text, first):
    cutter = Clauses()
    cutter.hurried = True
    assert cutter.feed(text)[0].text == first


def test_only_the_first_piece_is_cut_short():
    async def texts():
        async def written():
            for word in ["it", "is", "a", "very", "long", "sentence", "that", "goes", "on"]:
                yield word + " "

        return [clause.text async for clause in clauses(written())]

    before = given_up.set(frozenset({"short_clause"}))
    said = asyncio.run(texts())
    given_up.reset(before)
    assert said == ["it is", "a very long sentence that goes on"]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_code_is_announced_where_it_begins_and_is_seen_whole(size):
    text = "Try this:\n```python\nprint('Hi. You.')\n\nexit()\n```\nIt greets you."
    cutter = Clauses()
    pieces = [piece for i in range(0, len(text), size) for piece in cutter.feed(text[i : i + size])]
    pieces += cutter.flush()
    assert [(piece.text, piece.silent) for piece in pieces] == [
        ("Try this:", False),
        ("```python\n", False),  # what normalize makes an announcement of
        ("print('Hi. You.')\n\nexit()\n```\n", True),
        ("It greets you.", False),
    ]
    assert [piece.spoken for piece in pieces if piece.silent] == [""]


def test_a_table_is_read_row_by_row():
    text = "| Name | Age |\n|---|---|\n| Anna | 5 |\n\nThat is all."
    assert cut(text) == ["Name, Age.", "Anna, 5.", "That is all."]
