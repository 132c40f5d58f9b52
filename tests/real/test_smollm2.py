"""SmolLM2 on llama.cpp: several chats at once, weights that are not what they should be."""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing

import pytest

from voicebot.assistant.assembly import EngineSpec
from voicebot.assistant.probe import Probe
from voicebot.concurrency.worker import due
from voicebot.engines import Message, load
from voicebot.errors import ConfigError

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
THINGS = "an apple", "the moon", "a bicycle", "London"


@pytest.fixture(scope="module")
def file(real):
    return real("smollm2-135m") / GGUF


@pytest.fixture
def engine(file):
    engines = []

    def make(model=file, **settings):
        settings = {"threads": 1, "temperature": 0.0, "max_tokens": 16, **settings}
        engines.append(load("llm", "llama", model=str(model), **settings))
        return engines[-1]

    yield make
    for each in engines:
        each.close()


async def said(llm, *texts):
    roles = ("user",) if len(texts) == 1 else ("system", "user")
    messages = [Message(role, text) for role, text in zip(roles, texts, strict=True)]
    async with aclosing(llm.reply(messages)) as deltas:
        return "".join([delta.text async for delta in deltas])


def computed(caplog):
    """Tokens that were computed each time a reply took the model over."""
    found = re.findall(r"prompt of (\d+) tokens, (\d+) of them kept", caplog.text)
    caplog.clear()
    return [int(all_) - int(kept) for all_, kept in found]


def test_chats_that_take_turns_say_the_same_as_one_by_one_and_read_nothing_twice(engine, caplog):
    caplog.set_level("DEBUG", "voicebot.engines.llama.engine")
    questions = [f"What is {thing}?" for thing in THINGS]

    async def one_by_one():
        model = engine()
        return [await said(model, "Be brief.", question) for question in questions]

    async def at_once():
        model, written = engine(), dict.fromkeys(questions, 0)

        async def reply(question):
            due.set(lambda: float(written[question]))  # who has less is due sooner
            text = ""
            messages = [Message("system", "Be brief."), Message("user", question)]
            async with aclosing(model.reply(messages)) as deltas:
                async for delta in deltas:
                    text += delta.text
                    written[question] += 1
            return text

        return await asyncio.gather(*map(reply, questions))

    alone = asyncio.run(one_by_one())
    read_alone = computed(caplog)
    together = asyncio.run(at_once())
    read_together = computed(caplog)
    assert together == alone
    assert len(set(alone)) == len(THINGS)
    assert all(len(text.split()) >= 4 for text in alone)
    assert len(read_together) > len(read_alone), "they took turns"
    assert sorted(read_together, reverse=True)[: len(THINGS)] == sorted(read_alone, reverse=True)
    assert max(sorted(read_together)[: -len(THINGS)]) == 1


def test_without_its_template_it_goes_on_from_the_text_and_says_so(engine, file, tmp_path, caplog):
    key = b"tokenizer.chat_template"
    bare = tmp_path / "bare.gguf"
    bare.write_bytes(file.read_bytes().replace(key, b"tokenizer.chat_temploot", 1))
    text = asyncio.run(said(engine(bare), "The capital of France is"))
    assert "Paris" in text
    assert "bare.gguf has no chat template" in caplog.text


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda content: content[: len(content) // 2], r"not within the file bounds.*get it again"),
        (lambda content: content[:4000], r"its beginning cannot be read.*get it again"),
        (
            lambda content: content.replace(
                b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0qwen9", 1
            ),
            r"unknown model architecture: 'qwen9'; a newer llama-cpp-python",
        ),
        (
            lambda content: content.replace(
                b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0gemma", 1
            ),
            r"key not found in model: gemma\.",
        ),
    ],
    ids=["half", "its head", "of an architecture to come", "of another architecture"],
)
def test_weights_that_are_not_what_they_should_be_are_one_line(
    engine, file, tmp_path, capfd, change, told
):
    odd = tmp_path / "odd.gguf"
    odd.write_bytes(change(file.read_bytes()))
    with pytest.raises(ConfigError, match=rf"odd\.gguf cannot be loaded: .*{told}") as error:
        engine(odd)
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["stt", "llm"])
def test_real_engines_answer_their_first_request_in_a_child_process(real, file, kind):
    chosen = {
        "stt": lambda: EngineSpec("stt", "whisper", {"model": str(real("whisper-tiny.en"))}),
        "llm": lambda: EngineSpec("llm", "llama", {"model": str(file)}),
    }
    assert Probe(chosen[kind]()).failure() is None
