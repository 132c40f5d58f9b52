"""A reply drawn at random, held again with the live model that drew it: the real library."""

import asyncio
from dataclasses import replace

import pytest
from recorded_room import AS_IN_THE_ROOM
from room import Room, user
from server.serving import parts

pytest.importorskip("llama_cpp")
pytest.importorskip("gguf")

from miniatures import gguf

from voicebot.config import AssistantSettings, RecordSettings
from voicebot.conversation import Typed
from voicebot.engines import load
from voicebot.recording.recorder import Recorder
from voicebot.replay.read import found, read
from voicebot.replay.run import replay

UNINSTRUCTED = replace(AS_IN_THE_ROOM, assistant=AssistantSettings(instructions=""))
WORDS = 'root ::= word word word word\nword ::= "red " | "green " | "blue " | "grey " | "pink "'


@pytest.fixture
def llama(tmp_path):
    """Makes one more of the same model, that has said nothing yet."""
    model, made = str(gguf.build(tmp_path / "tiny.gguf")), []

    def make():
        made.append(load("llm", "llama", model=model, grammar=WORDS, temperature=0.8, threads=1))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


def record(folder, llm):
    recorder = Recorder(RecordSettings(str(folder)))
    conversation = Room(llm=llm).conversation
    recorder.record(conversation)
    asyncio.run(conversation.run(user(Typed("Which colours?"), ("wait", 0.1))))
    recorder.close()
    return read(*found(folder))


def said(story):
    return [told["text"] for _, told in story if told["event"] == "clause_spoken"]


def test_the_words_are_the_same_again(tmp_path, llama):
    sessions = [record(tmp_path / name, llama()) for name in "abc"]
    again = [replay(session, UNINSTRUCTED, parts(llm=llama())) for session in sessions]
    assert [*map(said, again)] == [said(session.events) for session in sessions]
    assert len({*map(str, map(said, again))}) > 1


def test_a_model_that_draws_nothing_is_asked_for_nothing(tmp_path, llama):
    session = record(tmp_path / "a", llama())
    assert said(replay(session, UNINSTRUCTED, parts())) == ["It is noon."]
