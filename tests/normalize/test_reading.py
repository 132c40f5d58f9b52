"""A reading is bounded, traceable, and made in time that grows no faster than the text."""

import random
import time

import pytest

from voicebot.normalize import guessed, readings

LANGUAGES = ["en", "de", "fr", "es", "ja"]


def said(text, language="en"):
    return " ".join(reading.spoken for reading in readings(text, language) if reading.spoken)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "text",
    [
        *(sign * 20_000 for sign in "x$-([é*`🎉"),
        *(some * 6_000 for some in ("9,", "a1", "1/", "1-", "A.", "1:", "<a ", "a@", "IV ")),
        *(some * 4_000 for some in ("1 ", "Dec. ", "\x1b[", "[a](", "5 €", "3 x ", "1,000 ")),
        "9" * 10_000,
        "http://" + "a." * 50_000,
        "`" * 100_000 + " x",
    ],
    ids=lambda text: repr(text[:6]),
)
def test_a_hostile_text_is_read_in_time_and_one_word_for_one(text, language):
    begun = time.process_time()
    read = readings(text, language)
    assert (
        time.process_time() - begun < 10
    )  # 0.5 s and less; time that grows with the square would be minutes
    assert [reading.written for reading in read] == text.split()
    for reading in read:
        assert len(reading.spoken) <= 2000


def test_a_number_that_nobody_follows_is_told_by_its_length():
    assert said("9" * 10_000) == "a number of ten thousand digits"


def test_encoded_data_is_named_instead_of_read():
    data = "iVBORw0KGgo" * 1000
    assert said(f"Here: {data} end") == "Here: a long string of characters end"


@pytest.mark.soak
@pytest.mark.parametrize("language", LANGUAGES)
def test_any_mixture_of_signs_keeps_its_words(language):
    alphabet = "aZ059 .,:;-–/\\$€%°'\"()[]<>*_`#@&+=~^|²½\n\t\u200b\u202e🎉éßñ中x"
    for seed in range(300):
        draw = random.Random(seed)
        text = "".join(draw.choice(alphabet) for _ in range(80))
        assert [reading.written for reading in readings(text, language)] == text.split()


def test_a_language_without_rules_loses_only_what_makes_no_sound():
    assert said("今日は \u200b5 度 🎉 です", "ja") == "今日は 5 度 です"


def test_a_block_of_code_is_announced():
    assert said("```python\nprint(1)\n```") == "There is a code example on the screen."
    assert said("```python\nprint(1)\n```", "ja") == ""


def test_british_voices_write_the_day_first():
    assert said("3/4/2025", "en-us") == "March fourth, twenty twenty-five"
    assert said("3/4/2025", "en-gb") == "April third, twenty twenty-five"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("It costs 5 euros.", "en"),
        ("Das kostet 5 Euro und ist nicht viel.", "de"),
        ("Il est 5 heures dans la ville.", "fr"),
        ("La hora es buena para el tren.", "es"),
        ("5 km", ""),
        ("今日は良い天気です", ""),
    ],
)
def test_a_language_is_guessed_where_its_words_show_it(text, language):
    assert guessed(text) == language
