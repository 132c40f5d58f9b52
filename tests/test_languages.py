"""What people call a language, and which one they mean."""

import pytest

from voicebot.languages import code

WHISPER = ("en", "de", "zh", "yue", "pt", "no", "nn", "jw", "he", "tl", "haw")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("en", "en"), ("EN", "en"), (" en ", "en"), ("en-US", "en"), ("en_GB.UTF-8", "en"),
        ("english", "en"), ("English (United States)", "en"), ("eng", "en"),
        ("deutsch", "de"), ("German", "de"), ("ger", "de"), ("deu", "de"), ("de-AT", "de"),
        ("zh-Hans", "zh"), ("zh_TW", "zh"), ("cmn-Hans-CN", "zh"), ("Mandarin", "zh"),
        ("中文", "zh"), ("yue", "yue"), ("zh-HK", "zh"), ("Cantonese", "yue"),
        ("pt-BR", "pt"), ("Português", "pt"), ("nb-NO", "no"), ("iw", "he"), ("fil", "tl"),
        ("Haitian Creole", "ht"), ("jv", "jw"),
    ],
)  # fmt: skip
def test_a_language_is_known_by_many_names(name, meant):
    assert code(name) == meant
    assert code(name, WHISPER) == meant


@pytest.mark.parametrize("name", ["", " ", "auto", "AUTO", "detect", "und"])
def test_no_language_is_to_be_found_out(name):
    assert code(name) == ""


def test_a_code_of_the_engines_means_itself():
    assert code("en-GB", ["en-us", "en-gb"]) == "en-gb"
    assert code("pt-br", ["pt-br"]) == "pt-br"


@pytest.mark.parametrize("name", ["zz", "klingon", "42", "!", "-"])
def test_what_is_no_language_is_left_to_the_engine(name):
    assert code(name) == name
