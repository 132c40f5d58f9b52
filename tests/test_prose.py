"""Text is cut into sentences and words the same way wherever it is read."""

import pytest

from voicebot import prose


@pytest.mark.parametrize(
    "sentences",
    [
        ["It is small.", "It is warm!", "Is it yours?", "Yes…"],
        ["Dr. Hill came at 8.", "On Sunday he rests."],
        ["J. K. Rowling, e.g. in the U.S. Army, paid $3.50 for version 2.1.", "No more."],
        ['He said "Stop." and left.', '"Why?"', "(Nobody knew.)", "So."],
        ["Am 3. Oktober ist frei.", "Am 4. wird z. B. gearbeitet.", "Gut."],
        ["今天天气很好。", "“你好！”", "明天呢？"],
        ["¿Dónde está?", "¡Aquí!"],
        ["No full stop at the end"],
        [],
    ],
)
def test_sentences_end_where_a_reader_would_pause(sentences):
    between = "" if sentences and "。" in sentences[0] else " "
    assert prose.sentences(between.join(sentences)) == sentences


def test_line_breaks_within_a_sentence_are_spaces():
    assert prose.sentences("One\nsentence.\n  Another\tone.") == ["One sentence.", "Another one."]


@pytest.mark.parametrize(
    "relatives",
    [
        "boiler boilers Boiler's",
        "tomato tomatoes",
        "berry berries",
        "run running",
        "stop stopped stops",
        "pipe pipes",
        "bleed bleeding",
        "spring springs",
        "glass glasses",
        "collected collection collects",
        "Schlüssel Schlussel SCHLÜSSEL",
        "Straße strasse",
        "château chateau",
    ],
)
def test_inflections_and_accents_make_no_other_word(relatives):
    first, *others = (prose.subject(word)[0] for word in relatives.split())
    assert others == [first] * len(others)


@pytest.mark.parametrize("strangers", ["bed bleed", "lamp lap", "house horse", "wing win"])
def test_different_words_stay_different(strangers):
    one, other = strangers.split()
    assert prose.subject(one) != prose.subject(other)


def test_a_question_is_about_what_is_left_without_its_little_words():
    assert prose.subject("Um, could you please tell me where the boiler is?") == ["boiler"]
    assert prose.subject("Wo ist denn der Ofen?") == ["ofen"]
    assert prose.subject("And how much is it?") == []


def test_a_question_without_a_subject_leans_on_the_one_before():
    assert prose.asked(["Where is it?", "Who has the key?", "And why?"]) == (
        "Who has the key? And why?"
    )
    assert prose.asked(["Who has the key?", "Where is the lamp?"]) == "Where is the lamp?"
    assert prose.asked(["And why?"]) == "And why?"
    assert prose.asked([]) == ""


def test_a_short_question_with_a_pronoun_points_back():
    assert prose.points_back("When does it open?")
    assert not prose.points_back("When does the shop open?")
    assert not prose.points_back("Where does the old doctor keep her yellow boat in winter?")
