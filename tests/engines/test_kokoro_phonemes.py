"""How Kokoro reads a text of other languages than English aloud: by espeak-ng, word by word."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("espeakng_loader")

from voicebot.engines.espeak.process import EspeakProcess
from voicebot.engines.kokoro.espeak_phonemes import LANGUAGES, EspeakPhonemizer, language
from voicebot.engines.phonemes import SpokenWords, parts
from voicebot.errors import ConfigError


@pytest.fixture(scope="module")
def espeak() -> Iterator[EspeakProcess]:
    process = EspeakProcess()
    yield process
    process.close()


@pytest.fixture(scope="module")
def readers(espeak: EspeakProcess) -> dict[str, EspeakPhonemizer]:
    return {code: EspeakPhonemizer(code, espeak) for code in LANGUAGES.values() if code[:2] != "en"}


def heard(words: list[SpokenWords]) -> str:
    return "".join(word.phonemes for word in words).strip()


@pytest.mark.parametrize(
    ("code", "text", "phonemes"),
    [
        ("es", "¿Qué tal, amigo?", "kˈe tˈal, amˈiɣo?"),
        ("fr", "Les amis, à l'école !", "lez amˈi, a lekˈɔl !"),
        ("it", "Ciao ragazzi (bella)", "ʧˈao raɡˈaʦːɪ (bˈɛlla)"),
        ("pt-br", "Não sei.", "nˌɐ̃ʊ̃ sˈA."),
        ("hi", "नमस्ते, आप", "nəmˈʌsteː, ˌaːp"),
    ],
)
def test_other_languages_are_read_by_espeak_in_kokoros_letters(
    readers: dict[str, EspeakPhonemizer], code: str, text: str, phonemes: str
) -> None:
    assert heard(readers[code].read(text)) == phonemes


@pytest.mark.parametrize("code", ["es", "fr", "hi", "it", "pt-br"])
@pytest.mark.parametrize(
    "text",
    [
        "One of the best of them, 3,50 or $3.50 - 🙂 e-mail me@example.com (now) ...",
        "  spaces\tand\nlines  ",
        "1999-2001 10:30 p.m. U.S.A. -5°C 1/2 #1 “quoted” 'single' C++ a&b x_y 👍🏽",
        "",
    ],
)
def test_every_written_word_keeps_its_place(
    readers: dict[str, EspeakPhonemizer], code: str, text: str
) -> None:
    assert [word.text for word in readers[code].read(text)] == text.split()


@pytest.mark.parametrize("text", ["🙂", "👍🏽 🙂"])
def test_emojis_are_not_said(readers: dict[str, EspeakPhonemizer], text: str) -> None:
    assert heard(readers["es"].read(text)) == ""


def test_a_long_text_is_cut_at_pauses_and_loses_nothing() -> None:
    words = [
        SpokenWords(f"w{n}", "abcdefghi, " if n % 7 == 6 else "abcdefghi ") for n in range(100)
    ]
    cut = list(parts(words, 100))
    assert [word for part in cut for word in part] == words
    assert all(len(heard(part)) <= 100 for part in cut)
    assert all(heard(part).endswith(",") for part in cut[:-1])


def test_a_word_longer_than_a_part_is_said_in_pieces() -> None:
    words = [SpokenWords("a", "a "), SpokenWords("long", "b" * 250 + " "), SpokenWords("🙂", "")]
    cut = list(parts(words, 100))
    assert "".join(heard(part) for part in cut) == "a" + "b" * 250
    assert [word.text for part in cut for word in part if word.text] == ["a", "long", "🙂"]


@pytest.mark.parametrize(
    ("asked", "voice", "code"),
    [("", "bf_emma", "en-gb"), ("", "pm_alex", "pt-br"), ("en", "ef_dora", "en-us")],
)
def test_the_voice_says_its_language_unless_told(asked: str, voice: str, code: str) -> None:
    assert language(asked, voice) == code


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (("", "jf_alpha"), "cannot read Japanese and Chinese"),
        (("zh", "af_heart"), "cannot read Japanese and Chinese"),
        (("de", "af_heart"), "no language 'de'; set language to en-us, en-gb, es"),
        (("", "xx_mine"), "what voice 'xx_mine' speaks; set language"),
    ],
)
def test_a_language_it_cannot_read_is_said_at_once(settings: Any, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        language(*settings)
