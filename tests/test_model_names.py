"""What a model may be called, and which names are one."""

import re

import pytest

from voicebot.model_names import fault, plain, usual


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("whisper-1", "stt"), ("gpt-4o-mini-transcribe", "stt"), ("large-v3", "stt"),
        ("Systran/faster-whisper-base", "stt"), ("tts-1-hd", "tts"), ("gpt-4o-mini-tts", "tts"),
        ("hexgrad/Kokoro-82M", "tts"), ("gpt-4o", "llm"), ("llama3.2:3b", "llm"),
        ("accurate", None), ("", None),
    ],
)  # fmt: skip
def test_other_servers_names_tell_the_kind(name, kind):
    assert usual(name) == kind


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Systran/faster-whisper-base.en", "base.en"),
        ("openai/whisper-base", "whisper-base-wheel"),
        ("llama3.2:3b", "Llama3.2-3B.gguf"),
        ("bartowski/SmolLM2_135M", "smollm2-135m"),
    ],
)
def test_two_spellings_are_one_name(one, other):
    assert plain(one) == plain(other)


def test_a_name_of_a_megabyte_is_nobodys_at_once():
    assert usual("gpt-" + "transcribe" * 100_000 + "!") is None
    assert usual("a/" * 500_000) is None


def test_two_sizes_are_two_names():
    assert len({*map(plain, ["base", "base.en", "whisper-large-v3", "large-v3-turbo"])}) == 4


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("accurate", "stt", ""), ("whisper-large", "stt", ""), ("org/model:7b", "llm", ""),
        ("a" * 65, "llm", "at most 64"), ("", "llm", "at most"), ("-a", "llm", "the first no sign"),
        ("späße", "llm", "letters"), ("a\nb", "llm", "letters"),
        ("x:no-documents", "llm", "leaves the documents out"), ("tts-1", "llm", r"\[tts\]"),
    ],
)  # fmt: skip
def test_a_name_that_cannot_be_given_is_told_why(name, kind, says):
    assert re.search(says, fault(name, kind)) if says else not fault(name, kind)
