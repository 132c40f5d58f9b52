"""What a Realtime client experiences, on a clock that skips waiting."""

import base64
from contextlib import aclosing
from dataclasses import replace

import numpy as np
import pytest
import room
from realtime_client import ASK, COMPLETED, Client, item

from voicebot.audio import Audio, from_pcm16, g711, to_pcm16
from voicebot.engines import Delta
from voicebot.errors import EngineError
from voicebot.server.auth.rate_limits import Limits

STORY = " ".join(f"One two three. Four five six. Seven eight {n}." for n in range(9)).split()


def manual(**session):
    return {"audio": {"input": {"turn_detection": None}}, **session}


def test_the_answer_is_made_while_the_silence_is_still_being_proved():
    client = Client("Yes.").does(*ASK)
    # Recognition takes 0.2 s from the first 0.192 s of silence; 0.48 s prove the end.
    assert client.when("response.created") == pytest.approx(1.5, abs=0.07)
    assert client.when("response.output_audio.delta") == pytest.approx(1.5, abs=0.1)
    assert client.all(COMPLETED)[0]["transcript"] == "hello there"


def test_nobody_hears_of_an_answer_to_half_a_sentence():
    client = Client("Yes.").does(("speak", 1.0), ("wait", 0.35), ("speak", 1.0), ("wait", 1.5))
    assert len(client.all("response.created")) == 1
    assert len(client.all("input_audio_buffer.committed")) == 1
    assert client.stt.given[-1] > 2.2


def test_what_was_said_before_is_known():
    client = Client("Yes.").does(*ASK, ("wait", 1.0), *ASK)
    assert client.asked == [
        ("system", "Be brief."), ("user", "hello there"), ("assistant", "Yes."),
        ("user", "hello there"),
    ]  # fmt: skip


def test_a_question_interrupted_before_it_is_recognised_is_not_lost():
    stt = room.Transcriber("the first", "the second", takes=2.0)
    client = Client("Yes.", stt=stt).does(*ASK, *ASK, ("wait", 6.0))
    assert [e["response"]["status"] for e in client.all("response.done")] == [
        "cancelled", "completed",
    ]  # fmt: skip
    users = [text for role, text in client.asked if role == "user"]
    assert len(users) == 2
    assert len(client.all(COMPLETED)) == 2


def test_a_mere_noise_is_answered_with_nothing():
    client = Client("Yes.", stt=room.Transcriber("")).does(*ASK)
    (done,) = client.all("response.done")
    assert (done["response"]["status"], done["response"]["output"]) == ("completed", [])
    assert client.llm.given == []


def test_speaking_over_the_answer_cuts_it_where_it_was():
    client = Client(*STORY, llm=room.ChatModel(*STORY, takes=0))
    client.does(*ASK, ("wait", 1.0), *ASK)
    done = client.all("response.done")[0]["response"]
    assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    started = client.when("input_audio_buffer.speech_started", 1)
    assert client.when("response.done") - started < 0.05
    heard = started - client.when("response.output_audio.delta")
    said = done["output"][0]["content"][0]["transcript"].split()
    # A word takes 0.3 s, of which it sounds in the first third.
    assert len(said) == pytest.approx(heard / 0.3, abs=1.1)
    assert said == STORY[: len(said)]


def test_what_was_heard_is_not_forgotten_when_something_else_is_taken_back():
    client = Client("Yes.").does(
        *ASK, ("wait", 2.0),
        ("speak", 1.0), ("wait", 0.35), ("input_audio_buffer.clear", {}), ("wait", 1.0),
        *ASK,
    )  # fmt: skip
    assert ("assistant", "Yes.") in client.asked


def test_a_short_answer_that_is_over_for_us_may_still_be_interrupted():
    words = "one two three four five six seven eight nine ten".split()  # noqa: SIM905 - as said
    client = Client(*words).does(*ASK, ("wait", 0.5), *ASK)
    assert client.all("response.done")[0]["response"]["status"] == "completed"
    (answer,) = [text for role, text in client.asked if role == "assistant"]
    assert 1 <= len(answer.split()) <= 7


def test_sound_is_sent_ahead_of_time_but_not_all_at_once():
    client = Client(llm=room.ChatModel(*STORY, takes=0)).does(*ASK, ("wait", 3.0))
    sent = len(client.sound) / 48000
    passed = client.events[-1][0] - client.when("response.output_audio.delta")
    assert 5.0 <= sent - passed <= 5.5


def test_interruption_can_be_forbidden():
    detection = {"interrupt_response": False}
    client = Client("Good", "morning.", audio={"input": {"turn_detection": detection}})
    client.does(*ASK, *ASK, ("wait", 1.0))
    assert {e["response"]["status"] for e in client.all("response.done")} == {"completed"}


def test_answers_can_be_left_to_the_client():
    detection = {"create_response": False}
    client = Client("Yes.", audio={"input": {"turn_detection": detection}})
    client.does(*ASK, ("wait", 1.0))
    assert client.all("response.created") == []
    assert [e["transcript"] for e in client.all(COMPLETED)] == ["hello there"]
    asked = Client("Yes.", audio={"input": {"turn_detection": detection}})
    asked.does(*ASK, ("response.create", {}), ("wait", 1.0))
    assert len(asked.all("response.done")) == 1
    assert asked.asked[-1] == ("user", "hello there")


def test_push_to_talk():
    client = Client("Yes.", **manual()).does(
        ("speak", 1.0), ("input_audio_buffer.commit", {}), ("response.create", {}), ("wait", 1.0)
    )
    assert client.all("input_audio_buffer.speech_started") == []
    assert len(client.all("response.done")) == 1
    assert client.stt.given == [pytest.approx(1.0, abs=0.002)]


def test_nothing_cannot_be_committed():
    client = Client("Yes.", **manual()).does(("input_audio_buffer.commit", {"event_id": "c"}))
    (error,) = client.all("error")
    assert (error["error"]["code"], error["error"]["event_id"]) == (
        "input_audio_buffer_commit_empty",
        "c",
    )
    detected = Client("Yes.").does(("wait", 1.0), ("input_audio_buffer.commit", {}))
    assert detected.all("error")


def test_what_is_being_said_can_be_committed_early():
    client = Client("Yes.").does(("speak", 1.0), ("input_audio_buffer.commit", {}), ("wait", 1.5))
    assert client.when("input_audio_buffer.committed") == pytest.approx(1.0, abs=0.06)
    assert len(client.all("response.done")) == 1


def test_what_was_cleared_was_never_said():
    client = Client("Yes.", **manual()).does(
        ("speak", 1.0), ("input_audio_buffer.clear", {}), ("input_audio_buffer.commit", {})
    )
    assert len(client.all("input_audio_buffer.cleared")) == 1
    assert len(client.all("error")) == 1
    spoken = Client("Yes.").does(("speak", 1.0), ("input_audio_buffer.clear", {}), ("wait", 1.0))
    assert spoken.all("input_audio_buffer.committed") == []


def test_more_than_can_be_kept_is_refused():
    client = Client(**manual()).does(("speak", 301.0))
    errors = {e["error"]["code"] for e in client.all("error")}
    assert errors == {"input_audio_buffer_full"}


def test_a_telephone_is_understood_and_answered():
    client = Client(
        "Yes.",
        audio={
            "input": {"format": {"type": "audio/pcmu"}},
            "output": {"format": {"type": "audio/pcmu"}},
        },
    ).does(*ASK)
    assert len(client.sound) / 8000 == pytest.approx(0.3, abs=0.01)
    assert client.all(COMPLETED)


def test_the_sound_is_what_the_voice_said():
    client = Client("Yes.").does(*ASK)
    assert from_pcm16(client.sound, 24000).seconds == pytest.approx(0.3, abs=0.001)


def test_a_client_may_cut_while_we_go_on_speaking():
    client = Client(llm=room.ChatModel(*STORY, takes=0)).does(
        *ASK, ("wait", 0.6),
        ("response.cancel", {}),
        ("conversation.item.truncate", {"item_id": "", "content_index": 0, "audio_end_ms": 650}),
        ("conversation.item.retrieve", {"item_id": ""}),
    )  # fmt: skip
    (retrieved,) = client.all("conversation.item.retrieved")
    # The third word sounds from 0.6 to 0.7 s.
    assert retrieved["item"]["content"][0]["transcript"] == "One two"
    assert client.all("response.done")[0]["response"]["status_details"]["reason"] == (
        "client_cancelled"
    )


def test_an_answer_to_nothing_carries_out_its_instructions():
    client = Client("Hello!").does(
        ("response.create", {"response": {"instructions": "Greet the user."}}), ("wait", 1.0)
    )
    assert client.asked == [("system", "Greet the user."), ("user", "Greet the user.")]


def test_a_voice_that_fails_fails_one_response():
    client = Client("Yes.", tts=room.Synthesizer(fails=True)).does(*ASK, *ASK)
    done = [e["response"] for e in client.all("response.done")]
    assert [d["status"] for d in done] == ["failed", "failed"]
    assert done[0]["status_details"]["error"]["message"] == "tts: no voice"


def test_an_ear_that_fails_is_told():
    class Deaf:
        async def transcribe(self, audio):
            raise EngineError("stt", "deaf")
            yield

    client = Client("Yes.", stt=Deaf()).does(*ASK)
    (failed,) = client.all("conversation.item.input_audio_transcription.failed")
    assert failed["error"]["message"] == "stt: deaf"
    assert client.all("response.done")[0]["response"]["status"] == "failed"
    silent = Client("Yes.", stt=Deaf(), **manual()).does(
        ("speak", 1.0), ("input_audio_buffer.commit", {}), ("wait", 0.5)
    )
    assert silent.all("conversation.item.input_audio_transcription.failed")


def test_a_transcription_session_answers_nothing():
    client = Client("Yes.", type="transcription").does(*ASK, ("wait", 0.5))
    assert [e["transcript"] for e in client.all(COMPLETED)] == ["hello there"]
    assert client.all("response.created") == []


def test_a_change_of_settings_forgets_what_was_half_said():
    detection = {"audio": {"input": {"turn_detection": {"silence_duration_ms": 900}}}}
    client = Client("Yes.").does(
        ("speak", 1.0), ("session.update", {"session": detection}), ("wait", 1.0), *ASK
    )
    assert len(client.all("input_audio_buffer.committed")) == 1
    # Times go on from where they were.
    assert client.all("input_audio_buffer.speech_started")[-1]["audio_start_ms"] > 2000


def test_who_has_used_up_its_requests_is_told_so():
    client = Client("Yes.", limits=Limits(requests_per_minute=1)).does(*ASK, *ASK, ("wait", 1.0))
    done = [e["response"] for e in client.all("response.done")]
    assert [d["status"] for d in done] == ["completed", "failed"]
    assert done[1]["status_details"]["error"]["code"] == "rate_limit_exceeded"
    assert [e["rate_limits"][0]["remaining"] for e in client.all("rate_limits.updated")] == [0, 0]
    assert len(client.all(COMPLETED)) == 2


def test_who_has_used_up_its_sound_is_not_heard():
    client = Client("Yes.", limits=Limits(audio_s_per_day=1)).does(*ASK)
    assert {e["error"]["code"] for e in client.all("error")} == {"rate_limit_exceeded"}
    assert client.all("input_audio_buffer.committed") == []


def test_who_may_say_little_at_once_is_cut_off_there():
    client = Client("Yes.", limits=Limits(utterance_s=1)).does(("speak", 2.5))
    assert len(client.all("input_audio_buffer.committed")) == 2


def test_who_commits_by_hand_may_not_keep_more_than_an_utterance_either():
    client = Client(limits=Limits(utterance_s=1), **manual()).does(
        ("speak", 2.0), ("input_audio_buffer.commit", {}), ("wait", 0.5)
    )
    assert {e["error"]["code"] for e in client.all("error")} == {"input_audio_buffer_full"}
    assert len(client.all("input_audio_buffer.committed")) == 1


def test_all_that_was_appended_is_committed_in_its_order():
    class Ears(room.Transcriber):
        async def transcribe(self, audio):
            self.audio = audio
            async with aclosing(super().transcribe(audio)) as segments:
                async for segment in segments:
                    yield segment

    ears = Ears()
    Client(stt=ears, **manual()).does(
        ("speak", 6.0), ("wait", 1.0), ("speak", 5.0), ("input_audio_buffer.commit", {}),
        ("wait", 1.0),
    )  # fmt: skip
    assert ears.audio.seconds == pytest.approx(12.0, abs=0.01)
    loud = np.abs(ears.audio.samples) > 0.25
    changes = np.flatnonzero(np.diff(loud.astype(int))) / ears.audio.rate
    assert changes == pytest.approx([6.0, 7.0], abs=0.01)


def spoken_item(seconds=1.0):
    data = to_pcm16(Audio(np.full(round(24000 * seconds), 0.5, np.float32), 24000))
    content = [{"type": "input_audio", "audio": base64.b64encode(data).decode()}]
    return {"type": "message", "role": "user", "content": content}


def test_a_recording_can_be_asked_as_an_item():
    client = Client("Yes.").does(
        ("conversation.item.create", {"item": spoken_item(2.0)}),
        ("response.create", {}),
        ("wait", 1.0),
    )
    assert client.stt.given == [2.0]
    assert client.asked[-1] == ("user", "hello there")
    assert client.all(COMPLETED)[0]["usage"]["seconds"] == 2.0


@pytest.mark.parametrize("where", ["conversation.item.create", "response.create"])
def test_a_recording_that_is_longer_than_its_key_may_speak_is_refused(where):
    """In both places that take one; in one of two pieces, of which each alone is short enough."""
    one, two = spoken_item(0.6), spoken_item(0.6)
    one["content"] += two["content"]
    about = {"item": one} if where.startswith("conv") else {"response": {"input": [one]}}
    client = Client("Yes.", limits=Limits(utterance_s=1)).does(
        (where, {"event_id": "mine", **about}), ("wait", 0.5),
        ("conversation.item.create", {"item": spoken_item(1.0)}), ("wait", 0.5),
    )  # fmt: skip
    (refused,) = client.all("error")
    assert refused["error"]["code"] == "utterance_too_long"
    assert refused["error"]["event_id"] == "mine"
    assert refused["error"]["param"].endswith("content[0].audio")
    assert "1.2 s" in refused["error"]["message"]
    assert "utterance_s is 1" in refused["error"]["message"]
    assert len(client.all("conversation.item.added")) == 1
    assert client.all("response.created") == []


def test_a_recording_longer_than_anybody_may_speak_is_refused_too():
    client = Client().does(("conversation.item.create", {"item": spoken_item(301.0)}))
    assert "the 300 s of one utterance" in client.all("error")[0]["error"]["message"]


def test_a_recording_costs_what_saying_it_would():
    client = Client(limits=Limits(audio_s_per_day=2)).does(
        ("conversation.item.create", {"item": spoken_item(2.0)}),
        ("conversation.item.create", {"item": spoken_item(0.1)}),
    )
    assert [e["error"]["code"] for e in client.all("error")] == ["rate_limit_exceeded"]
    assert len(client.all("conversation.item.added")) == 1


def test_one_response_may_answer_what_the_conversation_never_hears_of():
    wish = {"conversation": "none", "input": [spoken_item()], "output_modalities": ["text"]}
    client = Client("Good", "morning.").does(
        ("conversation.item.create", {"item": item("user", "Who?")}),
        ("response.create", {"response": wish}),
        ("wait", 1.0),
        ("response.create", {}),
        ("wait", 1.0),
    )
    first, second = client.llm.given
    assert [m.text for m in first] == ["Be brief.", "hello there"]
    assert [m.text for m in second] == ["Be brief.", "Who?"]
    assert client.all("response.output_text.done")[0]["text"] == "Good morning. "
    assert client.all(COMPLETED) == []


def test_a_conversation_can_be_handed_over():
    heard = {"type": "message", "role": "assistant",
             "content": [{"type": "output_audio", "transcript": "Then what?"}]}  # fmt: skip
    known = {"type": "message", "role": "user",
             "content": [{"type": "input_audio", "transcript": "Because."}]}  # fmt: skip
    items = [item("user", "Why?"), item("assistant", "Why not?"), heard, known]
    created = [("conversation.item.create", {"item": each}) for each in items]
    client = Client("Yes.").does(*created, ("response.create", {}), ("wait", 1.0))
    assert [text for _, text in client.asked[1:]] == ["Why?", "Why not?", "Then what?", "Because."]


def test_an_answer_that_runs_into_its_limit_is_incomplete():
    class Limited(room.ChatModel):
        async def reply(self, messages, *, max_tokens=None):
            for word in self.words[:max_tokens]:
                yield Delta(word + " ")
            yield Delta(finish="length", tokens=(7, max_tokens), kept=5)

    client = Client(llm=Limited("one", "two", "three")).does(
        ("conversation.item.create", {"item": item("user", "Count.")}),
        ("response.create", {"response": {"max_output_tokens": 2}}),
        ("wait", 1.0),
    )
    (done,) = client.all("response.done")
    assert done["response"]["status_details"] == {
        "type": "incomplete",
        "reason": "max_output_tokens",
    }
    assert done["response"]["output"][0]["content"][0]["transcript"] == "one two"
    usage = done["response"]["usage"]
    assert usage["input_tokens"] == 7
    assert usage["input_token_details"]["cached_tokens"] == 5
    assert usage["output_token_details"]["text_tokens"] == 2


def test_an_answer_that_is_cancelled_has_cost_what_was_read_and_written_for_it():
    class Counting(room.ChatModel):
        async def reply(self, messages):
            written = 0
            async for delta in super().reply(messages):
                written += bool(delta.text)
                yield replace(delta, tokens=(40, written), kept=30)

    asks = {"item": item("user", "Count.")}
    client = Client(llm=Counting("one", "two", "three", takes=1.0), output_modalities=["text"])
    client.does(("conversation.item.create", asks), ("response.create", {}), ("wait", 2.5),
                ("response.cancel", {}), ("wait", 1.0))  # fmt: skip
    (done,) = client.all("response.done")
    assert done["response"]["status"] == "cancelled"
    usage = done["response"]["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (40, 2)
    assert usage["input_token_details"]["cached_tokens"] == 30


def test_what_engines_take_they_are_given():
    class Voice(room.Synthesizer):
        voices = ("anna", "bert")

        async def synthesize(self, text, *, voice=None, speed=None):
            asked.append((voice, speed))
            async for chunk in super().synthesize(text):
                yield chunk

    class Ear(room.Transcriber):
        async def transcribe(self, audio, *, language=None):
            asked.append(language)
            async for segment in super().transcribe(audio):
                yield segment

    asked = []
    hears = {"transcription": {"language": "de"}}
    sound = {"output": {"voice": "bert", "speed": 1.2}, "input": hears}
    Client("Yes.", stt=Ear(), tts=Voice(), audio=sound).does(*ASK)
    # What excuses a late answer is spoken in the same voice.
    assert set(asked) == {"de", ("bert", 1.2)}
    asked.clear()
    Client("Yes.", tts=Voice(), audio={"output": {"voice": "nobody"}}).does(*ASK)
    assert set(asked) == {(None, None)}


def test_a_user_who_says_nothing_after_an_answer_is_spoken_to():
    detection = {"idle_timeout_ms": 5000}
    client = Client("Yes.", audio={"input": {"turn_detection": detection}})
    client.does(("wait", 8.0), *ASK, ("wait", 7.0))
    (triggered,) = client.all("input_audio_buffer.timeout_triggered")
    second = client.all("response.done")[1]
    # The answer, a word of 0.3 s, was sent at once and is heard to its end.
    heard = client.when("response.output_audio.delta") + 0.3
    at = client.when("input_audio_buffer.timeout_triggered")
    assert at == pytest.approx(heard + 5.0, abs=0.15)
    silent = triggered["audio_end_ms"] - triggered["audio_start_ms"]
    assert silent == pytest.approx(5000, abs=50)
    assert client.asked[-1] == ("user", "(The user has been silent for a while.)")
    assert second["response"]["output"][0]["content"][0]["transcript"] == "Yes."
    assert len(client.stt.given) == 1


def test_the_silence_of_who_speaks_or_is_answered_is_not_counted():
    detection = {"idle_timeout_ms": 5000}
    long = Client(
        llm=room.ChatModel(*STORY, takes=0), audio={"input": {"turn_detection": detection}}
    )
    long.does(*ASK, ("wait", 8.0))
    assert long.all("input_audio_buffer.timeout_triggered") == []
    often = Client("Yes.", audio={"input": {"turn_detection": detection}})
    often.does(*ASK, ("wait", 3.0), ("speak", 6.0), ("wait", 4.0), *ASK)
    assert often.all("input_audio_buffer.timeout_triggered") == []


def test_who_is_left_to_themselves_is_not_spoken_to():
    detection = {"idle_timeout_ms": 5000, "create_response": False}
    client = Client("Yes.", audio={"input": {"turn_detection": detection}})
    client.does(*ASK, ("response.create", {}), ("wait", 8.0))
    assert client.all("input_audio_buffer.timeout_triggered") == []


RETRIEVE = ("conversation.item.retrieve", {"item_id": "the user's"})


@pytest.mark.parametrize("form", ["audio/pcm", "audio/pcmu"])
def test_what_the_user_said_can_be_had_for_a_while(form):
    sound = {"format": {"type": form}}
    client = Client("Yes.", audio={"input": sound})
    client.does(*ASK, ("wait", 1.0), RETRIEVE, ("wait", 10.0), RETRIEVE)
    soon, late = [
        event["item"]["content"][0] for event in client.all("conversation.item.retrieved")
    ]
    data = base64.b64decode(soon["audio"])
    said = g711.decode(data, "ulaw") if form == "audio/pcmu" else from_pcm16(data, 24000)
    # With the silence that proved its end.
    assert said.seconds == pytest.approx(1.5, abs=0.02)
    assert np.abs(said.samples).max() == pytest.approx(0.5, abs=0.1)
    assert soon["transcript"] == late["transcript"] == "hello there"
    assert "audio" not in late
