"""Where a reply is cut while it is written."""

import asyncio

import pytest

from voicebot.conversation.clauses import Clauses, clauses


def taken(cutter):
    pieces = []
    while piece := cutter.take():
        pieces.append(piece)
    return pieces


def fed(cutter, text):
    """What can be taken once this is written, too."""
    cutter.feed(text)
    return taken(cutter)


def finished(cutter):
    cutter.finish()
    return taken(cutter)


def cut(text, size=1, *, at_once=True):
    """Feed `text` a few characters at a time."""
    cutter = Clauses(at_once=at_once)
    pieces = [piece for i in range(0, len(text), size) for piece in fed(cutter, text[i : i + size])]
    return [piece.text for piece in pieces + finished(cutter)]


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
    (first,) = fed(cutter, "The old apple tree was planted in 1931 by a ")
    assert first.text == "The old apple tree"
    assert first.spoken == "The old apple tree,"
    assert [piece.spoken for piece in finished(cutter)] == ["was planted in 1931 by a"]


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
    assert fed(cutter, "It is three.") == []  # "three.5"? "three..."?
    assert [piece.text for piece in fed(cutter, " Then")] == ["It is three."]


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
    (endless,) = fed(cutter, "word " * 41)
    assert endless.spoken == " ".join(["word"] * 40) + ","


@pytest.mark.parametrize("degraded", [False, True])
def test_a_line_ends_at_its_end_whatever_space_is_before(degraded):
    cutter = Clauses()
    cutter.degraded = degraded
    pieces = fed(cutter, "Monday \n and then \t\n ")
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
    cutter.degraded = True
    pieces = fed(cutter, "the quick brown fox jumps over it, and on")
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
    cutter.degraded = True
    assert fed(cutter, text)[0].text == first


def test_only_the_first_piece_is_cut_short():
    cutter = Clauses()
    cutter.degraded = True
    words = ["it", "is", "a", "very", "long", "sentence", "that", "goes", "on"]
    pieces = [piece for word in words for piece in fed(cutter, word + " ")]
    said = [piece.text for piece in pieces + finished(cutter)]
    assert said == ["it is", "a very long sentence that goes on"]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_code_is_announced_where_it_begins_and_is_seen_whole(size):
    text = "Try this:\n```python\nprint('Hi. You.')\n\nexit()\n```\nIt greets you."
    cutter = Clauses()
    pieces = [piece for i in range(0, len(text), size) for piece in fed(cutter, text[i : i + size])]
    pieces += finished(cutter)
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


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize(
    "pieces",
    [
        ["I don't.", "You should ask the nurse about that instead."],
        ["It is open until ten.", "I said no.", "You can go with plan B.", "Then we will see."],
        ["You asked St. Paul, not Dr. J. K. Rowling of the U.S. Army.", "It is true."],
        ["Wir sehen uns am 3. Mai.", "Bringen Sie z.B. Äpfel mit.", "Danke."],
        ["This is the first sentence.", "Second comes without a space.", "And file.name stays."],
    ],
)
def test_a_sentence_ends_where_people_end_it(pieces, size):
    text = " ".join(pieces).replace("sentence. Second", "sentence.Second")
    assert cut(text, size, at_once=False) == pieces


def cut_off(text, before=0):
    """What is spoken of a text that ran into its limit after so many pieces were taken."""
    cutter = Clauses()
    cutter.feed(text)
    pieces = [cutter.take() for _ in range(before)]
    cutter.finish()
    cutter.keep_whole()
    return [piece.text for piece in [*pieces, *taken(cutter)]]


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("It is red. It is gre", ["It is red."]),
        ("It is red. It is green.", ["It is red.", "It is green."]),
        ("It is red. It costs 3.", ["It is red."]),
        ("It is red, and it is gre", ["It is red,", "and it is gre"]),
        ("It is red! See Dr.", ["It is red!"]),
        ("It is red.\n\n- An apple\n- A pe", ["It is red.", "An apple"]),
        ("Look.\n```\nx\n```\nIt is red. It is gre", ["Look.", "```\n", "x\n```\n", "It is red."]),
        ("Look.\n```\nx\n```", ["Look.", "```\n", "x\n```\n"]),
    ],
)
def test_a_text_that_is_cut_off_ends_with_its_last_whole_sentence(text, spoken):
    assert cut_off(text) == spoken


def test_a_sentence_that_is_begun_is_spoken_as_far_as_it_goes():
    text = "It is red. When it is ripe, it is very gre"
    assert cut_off(text, before=1) == ["It is red."]
    assert cut_off(text.partition(" ")[2].partition(". ")[2], before=1) == [
        "When it is ripe,",
        "it is very gre",
    ]


def test_a_text_that_is_to_end_within_what_was_taken_ends_with_that_sentence():
    cutter = Clauses()
    cutter.feed("It is open, and so it will be for as long as anybody asks. More follows. And")
    assert cutter.take().text == "It is open,"
    cutter.keep(3)
    cutter.finish()
    assert [piece.text for piece in taken(cutter)] == [
        "and so it will be for as long as anybody asks."
    ]


def test_a_text_that_is_to_end_behind_a_block_of_code_keeps_the_block():
    cutter = Clauses()
    cutter.feed(text := "Look.\n```\nx\n```\nIt is red.")
    cutter.keep(len(text))
    cutter.finish()
    assert [piece.text for piece in taken(cutter)] == ["Look.", "```\n", "x\n```\n", "It is red."]


def test_a_loop_behind_a_block_of_code_that_is_still_to_be_shown_is_cut_off():
    cutter = Clauses()
    cutter.feed("Look.\n```\nx\n```\nIt is red. " + "It goes on and on like that. " * 5)
    assert cutter.loop is not None
    cutter.keep(cutter.loop)
    cutter.finish()
    assert [piece.text for piece in taken(cutter)] == [
        "Look.",
        "```\n",
        "x\n```\n",
        "It is red.",
        "It goes on and on like that.",
    ]


def test_a_block_of_code_behind_the_end_of_the_text_is_not_shown():
    cutter = Clauses()
    cutter.feed("Look. Or not.\n```\nx\n```\nIt is red.")
    cutter.keep(len("Look."))
    cutter.finish()
    assert [piece.text for piece in taken(cutter)] == ["Look."]
