"""Which engines a benchmark runs on, and what they say."""

import asyncio
from pathlib import Path

import pytest
from room import ChatModel, InstantLoop, Transcriber
from test_trial import parts

from voicebot.audio import silence
from voicebot.bench.chosen import answering, choose, scripted
from voicebot.bench.simulated import QUESTION, Costs
from voicebot.config import Config, DocumentSettings, EngineChoice
from voicebot.engines import Message

NOWHERE = Path("no-weights")


async def all_of(stream):
    return [item async for item in stream]


def run(life):
    with asyncio.Runner(loop_factory=InstantLoop) as runner:
        return runner.run(life)


def test_configured_engines_are_left_as_they_are():
    config = Config(stt=EngineChoice("pocketsphinx"))
    assert choose(config, "configured", Costs(), NOWHERE) == (config, [])


def test_simulated_engines_have_the_costs_they_are_given():
    config, missing = choose(Config(), "simulated", Costs(recognition_s=0.1), NOWHERE)
    assert missing == []
    assert config.stt == EngineChoice("voicebot.bench.simulated:Recogniser", {"seconds": 0.1})
    assert config.vad == Config().vad


def test_an_engine_without_weights_is_simulated_and_the_line_says_what_makes_them():
    pytest.importorskip("faster_whisper")  # where it is absent the line says how to install it
    config, missing = choose(Config(), "random", Costs(), NOWHERE)
    assert config.llm.engine == "voicebot.bench.simulated:Writer"
    assert len(missing) == 3
    assert all("simulated instead" in line for line in missing)
    assert any("scripts/bench-weights random" in line for line in missing)


def test_nothing_is_measured_but_the_answer():
    config = Config(documents=DocumentSettings("notes"))
    assert "filler" in config.latency.degradations
    measured = answering(config)
    assert (
        measured.latency.degradations == "fewer_passages short_clause single_decode fallback_voice"
    )
    assert not measured.documents.folder
    assert answering(config, documents=True).documents == config.documents


def test_weights_that_are_there_are_used(tmp_path):
    place = tmp_path / "bench-miniature" / "llama.gguf"
    place.parent.mkdir()
    place.touch()
    config, missing = choose(Config(), "miniature", Costs(), tmp_path)
    if len(missing) == 2:
        assert config.llm == EngineChoice("llama", {"model": str(place)})
    else:  # llama.cpp is not installed
        assert "llm: llama needs llama_cpp" in missing[1]


def test_what_a_model_of_random_weights_hears_is_our_question():
    heard = scripted(parts(stt=Transcriber("gibberish", takes=0.3)), Costs()).stt
    (segment,) = run(all_of(heard.transcribe(silence(1.0, 16000))))
    assert segment.text == QUESTION


def test_it_writes_our_reply_a_word_for_each_of_its_tokens():
    babble = ChatModel(*"abcdef", takes=0.1)
    writer = scripted(parts(llm=babble), Costs(reply="One two three.")).llm
    deltas = run(all_of(writer.reply([Message("user", "?")])))
    assert [delta.text for delta in deltas] == ["One ", "two ", "three. ", ""]
    assert babble.closed


def test_if_it_stops_early_the_rest_comes_at_once():
    writer = scripted(parts(llm=ChatModel("a")), Costs(reply="One two three.")).llm
    deltas = run(all_of(writer.reply([Message("user", "?")])))
    assert "".join(delta.text for delta in deltas) == "One two three. "
    assert deltas[-1].finish == "stop"
