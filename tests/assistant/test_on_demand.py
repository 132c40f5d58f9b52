"""Engines beside the usual ones: what a start says of them, and what a reload keeps."""

import asyncio
from dataclasses import replace
from typing import ClassVar

import pytest

from voicebot.assistant.assembly import build
from voicebot.config import Config, DocumentSettings, EngineChoice
from voicebot.errors import ConfigError
from voicebot.knowledge import RetrievalChatModel

USUAL = {
    "vad": EngineChoice("room:LoudnessVad"),
    "stt": EngineChoice(f"{__name__}:Deaf"),
    "llm": EngineChoice("extractive"),
    "tts": EngineChoice(f"{__name__}:Mute"),
}


class Deaf:
    async def transcribe(self, audio):
        return
        yield


class Mute:
    async def synthesize(self, text):
        return
        yield


class Ears:
    """Counts how many of it there are, and which were closed."""

    made: ClassVar = []

    def __init__(self, word: str = ""):
        self.word, self.closed = word, False
        self.made.append(self)

    async def transcribe(self, audio):
        yield self.word

    def close(self):
        self.closed = True


def with_ears(**choices):
    return Config(**{**USUAL, "stt": replace(USUAL["stt"], models=choices)})


def ears(word):
    return EngineChoice(f"{__name__}:Ears", {"word": word})


@pytest.fixture(autouse=True)
def trusted(monkeypatch):
    monkeypatch.setattr("voicebot.assistant.probe.KnownEngines.has", lambda self, chosen: True)
    Ears.made = []


def loaded(parts, name):
    return asyncio.run(parts.further.named("stt", name).get())


def test_a_start_loads_none_of_them_and_says_what_there_is(tmp_path):
    parts = build(with_ears(a=ears("one")), tmp_path)
    assert not Ears.made
    assert f"a: {__name__}:Ears listens, loaded once it is asked for" in parts.describe()
    parts.close()


def test_a_reload_keeps_what_is_the_same_and_loads_the_others_anew(tmp_path):
    before = build(with_ears(a=ears("one"), b=ears("two")), tmp_path)
    one, two = loaded(before, "a"), loaded(before, "b")
    after = build(with_ears(a=ears("one"), b=ears("three")), tmp_path, before)
    before.close(but=[after])
    assert (one.closed, two.closed) == (False, True)
    assert loaded(after, "a") is one
    assert loaded(after, "b").word == "three"
    after.close()
    assert all(each.closed for each in Ears.made)


def test_what_took_a_place_is_told_in_the_record_of_a_turn(tmp_path):
    parts = build(with_ears(a=ears("one")), tmp_path)
    engine = loaded(parts, "a")
    with_it = parts.having(parts.further.named("stt", "a"))
    assert with_it.stt is engine
    assert with_it.llm is parts.llm
    assert with_it is parts.having(parts.further.named("stt", "a"))
    assert with_it.identity.as_json()["engines"]["stt"]["engine"] == f"{__name__}:Ears"
    assert parts.identity.as_json()["engines"]["stt"]["engine"] == f"{__name__}:Deaf"
    parts.close()


def test_another_chat_model_has_the_same_documents_in_view(tmp_path):
    (tmp_path / "a.md").write_text("The kettle is on the stove.")
    llm = replace(USUAL["llm"], models={"other": EngineChoice("extractive")})
    config = Config(**{**USUAL, "llm": llm}, documents=DocumentSettings(str(tmp_path)))
    parts = build(config, tmp_path)
    model = parts.further.named("llm", "OTHER")
    asyncio.run(model.get())
    with_it = parts.having(model)
    assert isinstance(with_it.llm, RetrievalChatModel)
    assert with_it.plain is model.loaded
    assert with_it.llm.settings == parts.llm.settings
    assert parts.having(model, informed=False).llm is model.loaded
    parts.close()


@pytest.mark.parametrize(
    ("kind", "name", "choice", "says"),
    [
        ("llm", "a", EngineChoice("openai"), r"\[llm.models.a\] openai needs the setting 'url'"),
        (
            "stt",
            "a",
            EngineChoice("whisper", {"model": "whisper-bas"}),
            r"\[stt.models.a\] no model 'whisper-bas'; .*did you mean whisper-base",
        ),
        ("stt", f"{__name__}:deaf", ears(""), r"has the name of what \[stt\] has already"),
    ],
)
def test_a_mistake_ends_the_start_in_one_line(tmp_path, kind, name, choice, says):
    usual = replace(USUAL[kind], models={name: choice})
    with pytest.raises(ConfigError, match=says) as error:
        build(Config(**{**USUAL, kind: usual}), tmp_path)
    assert "\n" not in str(error.value)
