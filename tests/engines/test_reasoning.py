"""What a reasoning model thinks is not spoken, however its reply is cut into pieces."""

import pytest

from voicebot.engines.chat.reasoning import ReasoningFilter

SIZES = [1, 2, 3, 5, 1000]


def shown(reply, size=1000, *, cut=False, **begins):
    thoughts = ReasoningFilter(**begins)
    given = [thoughts.without(reply[i : i + size]) for i in range(0, len(reply), size)]
    return "".join(given) + thoughts.rest(cut=cut)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "reply",
    [
        "<think>a < b</think>\n\nYes, 1 < 2.",
        "<thinking>Hmm.</thinking>Yes, 1 < 2.",
        "<Think>Hmm.</ Think >\nYes, 1 < 2.",
        "[THINK]Hmm.[/THINK]Yes, 1 < 2.",
        "<think></think>Yes, 1 < 2.",
        "<think>Hm.</think><think>Once more.</think>Yes, 1 < 2.",
        "<think>a<think>b</think>c</think>Yes, 1 < 2.",
        "<think>They ask about the <think> tag.</think>Yes, 1 < 2.",
        "Okay, the user asks whether 1 < 2. Easy.</think>\n\nYes, 1 < 2.",
        "Okay, so I need to figure out whether it is.\n</think>Yes, 1 < 2.",
        "<|channel|>analysis<|message|>Easy.<|end|><|start|>assistant<|channel|>final<|message|>"
        "Yes, 1 < 2.<|return|>",
        "<|channel|>final<|message|>Yes, 1 < 2.",
    ],
)
def test_a_thought_is_kept_back_however_it_is_cut(size, reply):
    assert shown(reply, size) == "Yes, 1 < 2."


@pytest.mark.parametrize("size", SIZES)
def test_what_stands_before_a_lone_closing_tag_is_a_thought(size):
    assert shown("Rent. Hm.</think>900 euros.", size, perhaps=True) == "900 euros."
    assert shown("Rent. Hm.</think>900 euros.", size, thinking=True) == "900 euros."
    assert shown("900 euros.", size, perhaps=True) == "900 euros."


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "reply",
    [
        "Okay, here is what I found.",
        "Okay.",
        "The user manual says that it is in the drawer.",
        "First, let me know your name.",
        "I need to know where you are.",
        "Use the <thin> brush, then </stroke> [THIS] one.",
        "1 <th",
        "Well, well, well.",
    ],
)
def test_what_only_looks_like_a_thought_is_spoken(size, reply):
    assert shown(reply, size) == reply
    assert shown(reply, size, cut=True) == reply


def test_an_ordinary_answer_is_held_back_for_no_more_than_a_few_letters():
    for reply in (
        "The rent is due.",
        "Yes.",
        "I think so.",
        "Okay, here it is.",
        "So far, so good",
    ):
        thoughts, late = ReasoningFilter(), 0
        for i, letter in enumerate(reply):
            if thoughts.without(letter):
                late = i
                break
        assert late <= 8, reply


def test_a_thought_that_is_never_closed_is_not_spoken():
    assert shown("<think>Let me see. Once more.") == ""
    assert shown("<think>Let me see.", cut=True) == ""
    assert shown("Okay, the user wants to know", cut=True) == ""
    assert shown("900 euros, as the", cut=True, perhaps=True) == ""


def test_a_reply_that_begins_inside_a_thought_says_so_once_it_is_closed():
    lone, opened = ReasoningFilter(), ReasoningFilter()
    lone.without("Rent.</think>900")
    opened.without("<think>Rent.</think>900")
    assert (lone.began_inside, opened.began_inside) == (True, False)


def test_what_only_began_like_a_tag_is_spoken_in_the_end():
    thoughts = ReasoningFilter()

    assert thoughts.without("1 <th") == "1 "
    assert thoughts.rest() == "<th"
