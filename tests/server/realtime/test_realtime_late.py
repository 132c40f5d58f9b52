"""Answers that are late or fail, as a Realtime client experiences them."""

import pytest
import room
from realtime_client import ASK, Client, item

from voicebot.conversation.latency_budget import LatencySettings
from voicebot.engines.chat.prompt import fitting, turns
from voicebot.engines.fault_injection import FaultSettings
from voicebot.errors import ContextExceeded

BUDGET = LatencySettings()
SPOKEN = "response.output_audio_transcript.done"
ENDED = 1.0
"""When the user of ASK stops speaking."""


def trouble(kind, **more):
    llm = FaultSettings(llm=kind).around("llm", room.ChatModel("Yes."))
    return Client(llm=llm, **more)


def first_sound(client):
    return client.when("response.output_audio.delta") - ENDED


def test_while_an_answer_is_late_the_client_hears_that_it_is_sought():
    late = trouble("delay 2", degradations="filler").does(*ASK, ("wait", 4.0))
    assert first_sound(late) == pytest.approx(BUDGET.first_audio_ms / 1000, abs=0.1)
    assert late.all(SPOKEN)[0]["transcript"] == f"{BUDGET.filler} Yes."
    assert late.all("response.done")[0]["response"]["status"] == "completed"


def test_a_session_that_waits_longer_for_its_user_is_given_that_time():
    waiting = {"audio": {"input": {"turn_detection": {
        "type": "server_vad", "silence_duration_ms": 1480}}}}  # fmt: skip
    late = trouble("delay 3", degradations="filler", **waiting).does(*ASK, ("wait", 6.0))
    assert first_sound(late) == pytest.approx(BUDGET.first_audio_ms / 1000 + 1.0, abs=0.1)


def test_an_answer_in_text_needs_no_filler():
    late = trouble("delay 2", degradations="filler", output_modalities=["text"])
    late.does(*ASK, ("wait", 4.0))
    assert late.all("response.output_text.done")[0]["text"].strip() == "Yes."


def test_a_response_that_fails_is_excused_and_fails():
    broken = trouble("raise", degradations="apology").does(*ASK, ("wait", 6.0), *ASK, ("wait", 6.0))
    assert [done["transcript"] for done in broken.all(SPOKEN)] == [BUDGET.apology] * 2
    assert [e["response"]["status"] for e in broken.all("response.done")] == ["failed"] * 2


class Small(room.ChatModel):
    """Can read no more than one question, and forgets what was before it unless told not to."""

    async def reply(self, messages, *, whole=False):
        asked = [message for message in messages if message.role == "user"]
        if (whole and len(asked) > 1) or "\n" in asked[-1].text:
            raise ContextExceeded("llm", "this model's maximum context length is 3 tokens")
        async for delta in super().reply(messages):
            yield delta


def asks(text):
    return ("conversation.item.create", {"item": item("user", text)}), ("response.create", {})


TEXT = {"output_modalities": ["text"]}


def test_a_question_longer_than_the_model_can_read_is_the_clients_error_and_the_session_goes_on():
    client = Client(llm=Small("Yes."), **TEXT)
    client.does(*asks("far\ntoo long"), ("wait", 1.0), *asks("short"), ("wait", 1.0))
    (error,) = [event["error"] for event in client.all("error")]
    assert (error["type"], error["code"]) == ("invalid_request_error", "context_length_exceeded")
    assert error["message"] == "this model's maximum context length is 3 tokens"
    failed, completed = [event["response"] for event in client.all("response.done")]
    assert failed["status_details"]["error"] == {
        "type": error["type"], "code": error["code"], "message": error["message"],
    }  # fmt: skip
    assert completed["status"] == "completed"


def test_a_conversation_is_forgotten_from_the_front_unless_the_client_forbids_it():
    for truncation, status in (("auto", "completed"), ("disabled", "failed")):
        client = Client(llm=Small("Yes."), truncation=truncation, **TEXT)
        client.does(*asks("one"), ("wait", 1.0), *asks("two"), ("wait", 1.0))
        assert client.all("response.done")[-1]["response"]["status"] == status


@pytest.mark.parametrize("words", [(), ("  ",), ("👍",)])
def test_a_spoken_response_with_nothing_to_say_is_excused_and_a_written_one_is_as_it_is(words):
    spoken = Client(*words, degradations="apology").does(*ASK, ("wait", 4.0))
    (done,) = [event["response"] for event in spoken.all("response.done")]
    assert done["status"] == "failed"
    assert "nothing that can be said" in done["status_details"]["error"]["message"]
    assert [part["transcript"] for part in spoken.all(SPOKEN)] == [BUDGET.apology]

    written = Client(*words, **TEXT).does(*asks("Well?"), ("wait", 2.0))
    assert written.all("response.done")[0]["response"]["status"] == "completed"


class Bounded(room.ChatModel):
    """Reads twenty characters, of a conversation that is cut as our own engines cut it."""

    async def reply(self, messages, *, whole=False):
        def ids(kept):
            return [0] * sum(len(message.text) for message in turns(kept))

        fitting(messages, ids, 24, 4, whole=whole)
        async for delta in super().reply(messages):
            yield delta


def test_a_question_that_was_too_long_does_not_spoil_those_that_follow():
    client = Client(llm=Bounded("Yes."), **TEXT)
    client.does(*asks("far too long " * 9), ("wait", 1.0), *asks("short"), ("wait", 1.0))
    statuses = [event["response"]["status"] for event in client.all("response.done")]
    assert statuses == ["failed", "completed"]
