"""The record of each turn, made of a conversation's events."""

import logging

import pytest
from room import ChatModel, Drawing, Room, Synthesizer, Transcriber, user

from voicebot import context
from voicebot.assistant.assembly import EngineSpec
from voicebot.conversation import Typed
from voicebot.conversation.degradation import DegradationPolicy
from voicebot.conversation.fallbacks import Fallbacks
from voicebot.conversation.latency_budget import LatencySettings
from voicebot.conversation.prerendered import PrerenderedSpeech
from voicebot.engines.call_options import BoundSynthesizer
from voicebot.events import Passage, Transcript, TurnEnded
from voicebot.observability.provenance import Provenance
from voicebot.observability.turn_log import TurnLogger

ASK = ("speak", 1.0)
STORY = "One two three. Four five six. Seven eight nine.".split()  # noqa: SIM905 - it is a story
IDENTITY = Provenance([EngineSpec("tts", "room:Synthesizer", {"voice": "anna"})])


@pytest.fixture
def told(caplog):
    """Records of turns, from a conversation in the pretend room."""

    def tell(*script, mouth=None, **room):
        caplog.clear()
        caplog.set_level(logging.INFO, "voicebot")
        context.begin("abc")
        pretend = Room(**room)
        account = TurnLogger(IDENTITY, pretend.note, lambda: mouth)
        pretend.conversation.emit = account.note
        pretend.live(pretend.conversation.run(user(*script)))
        context.begin("")
        lines = [record for record in caplog.records if hasattr(record, "turn")]
        assert [line.request for line in lines] == [f"abc.{n + 1}" for n in range(len(lines))]
        ended = pretend.all(TurnEnded)
        assert [e.spoke for e in ended] == [line.turn["spoke"] for line in lines]
        assert [e.outcome for e in ended] == [line.turn["outcome"] for line in lines]
        return [line.turn for line in lines]

    return tell


def test_an_answered_turn_has_its_words_times_and_engines(told):
    llm = ChatModel("Good", "morning.", passages=(Passage("lease.md#3", "text"),))
    (turn,) = told(ASK, ("wait", 3.0), llm=llm)
    assert (turn["session"], turn["number"], turn["outcome"]) == ("abc", 1, "answered")
    assert (turn["heard"], turn["said"]) == ("hello there", "Good morning.")
    assert turn["speech_s"] == pytest.approx(1.0, abs=0.1)
    assert turn["passages"] == ["lease.md#3"]
    assert {"gate", "speaker.first"} < set(turn["marks"])
    assert list(turn["marks"])[-1] == "end"
    assert turn["spoke"]["voice"] == "anna"
    assert "reached" not in turn
    assert "reason" not in turn


def test_an_interrupted_turn_tells_what_reached_the_user(told):
    llm = ChatModel(*STORY)
    first, second = told(ASK, ("wait", 2.0), ASK, ("wait", 9.0), llm=llm)
    assert first["outcome"] == "interrupted"
    assert 0 < len(first["reached"]) < len(" ".join(STORY))
    assert (second["number"], second["outcome"]) == (2, "answered")


def test_a_failed_turn_tells_where_and_why(told):
    (turn,) = told(ASK, ("wait", 3.0), llm=ChatModel("Yes."), tts=Synthesizer(fails=True))
    assert (turn["outcome"], turn["stage"], turn["reason"]) == ("failed", "tts", "no voice")


def test_what_a_turn_gave_up_is_on_its_record(told):
    fallbacks = Fallbacks(DegradationPolicy(LatencySettings()), PrerenderedSpeech([]))
    (turn,) = told(
        ASK, ("wait", 6.0), llm=ChatModel("Yes."), stt=Transcriber(takes=0.5), fallbacks=fallbacks
    )
    assert turn["degradations"] == ["fewer_passages", "short_clause"]


def test_a_noise_is_a_turn_in_which_nothing_was_heard(told):
    (turn,) = told(ASK, ("wait", 3.0), stt=Transcriber(""))
    assert turn["outcome"] == "nothing heard"


def test_a_question_that_is_answered_without_a_word_is_a_failed_turn(told):
    (turn,) = told(ASK, ("wait", 3.0), llm=ChatModel())
    assert (turn["outcome"], turn["stage"]) == ("failed", "llm")
    assert turn["reason"] == "the reply holds nothing that can be said"


def test_a_question_that_only_calls_a_function_is_unanswered():
    events = []
    account = TurnLogger(IDENTITY, events.append)
    for event in (Transcript("Is it raining?"), TurnEnded({"end": 1.0})):
        account.note(event)
    assert events[-1].outcome == "unanswered"


def test_a_turn_that_the_user_goes_on_in_before_a_sound_is_overtaken(told):
    llm = ChatModel("Yes.", takes=1.0)
    first, second = told(ASK, ("wait", 0.8), ASK, ("wait", 4.0), llm=llm)
    assert (first["outcome"], second["outcome"]) == ("overtaken", "answered")
    assert second["heard"] == "hello there hello there"


def test_a_typed_question_has_no_speech(told):
    (turn,) = told(Typed("what time is it"), ("wait", 3.0), llm=ChatModel("Noon."))
    assert (turn["heard"], turn["speech_s"]) == ("what time is it", 0.0)


def test_a_voice_chosen_for_the_conversation_is_the_one_that_spoke(told):
    mouth = BoundSynthesizer(Synthesizer(), {"voice": "bert"})
    (turn,) = told(ASK, ("wait", 3.0), llm=ChatModel("Yes."), mouth=mouth)
    assert turn["spoke"]["voice"] == "bert"


def test_what_an_engine_logs_in_a_turn_names_the_turn():
    class Chatty(ChatModel):
        async def reply(self, messages):
            labels.append(context.label())
            async for delta in super().reply(messages):
                yield delta

    labels = []
    context.begin("abc")
    Room(llm=Chatty("Yes.")).hear(ASK, ("wait", 3.0), ASK, ("wait", 3.0))
    context.begin("")
    assert labels == ["abc.1", "abc.2"]


def test_what_a_reply_was_drawn_with_is_part_of_what_spoke(told):
    (turn,) = told(ASK, ("wait", 3.0), llm=Drawing("Yes."))
    assert (turn["spoke"]["seed"], turn["spoke"]["voice"]) == (1, "anna")


def test_what_was_not_drawn_has_no_seed(told):
    (turn,) = told(ASK, ("wait", 3.0), llm=ChatModel("Yes."))
    assert "seed" not in turn["spoke"]
