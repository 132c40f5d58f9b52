"""The Realtime protocol from both sides of a table, with no socket and no engine between."""

import base64
import itertools
import json

import numpy as np
import pytest
from openai.types.beta.realtime import RealtimeServerEvent as BetaEvent
from openai.types.realtime import RealtimeServerEvent as Event
from pydantic import TypeAdapter

from voicebot.audio import silence, to_pcm16
from voicebot.conversation import EndpointingSettings
from voicebot.conversation.spoken import Spoken
from voicebot.engines import Message, Speech, ToolCall, Word
from voicebot.server.realtime.actions import (
    Append,
    Cancel,
    Clear,
    Commit,
    Configure,
    Respond,
    Retrieve,
)
from voicebot.server.realtime.items import PENDING, messages
from voicebot.server.realtime.protocol import Protocol, as_text
from voicebot.server.realtime.response import Tokens
from voicebot.server.realtime.settings import initial

HALF_SECOND = base64.b64encode(to_pcm16(silence(0.5, 24000))).decode()
PIECE = to_pcm16(silence(0.1, 24000))


class Table:
    """A client and a server that understand each other at once, by OpenAI's own schema."""

    def __init__(self, schema=Event, **settings):
        count = itertools.count(1)
        self.protocol = Protocol(
            initial("gpt-realtime", "our-voice", EndpointingSettings(), "Be brief."),
            new_id=lambda kind: f"{kind}_{next(count)}",
            **settings,
        )
        self.events = []
        self.known = TypeAdapter(schema)
        self.created = self.on_change()

    def on_change(self):
        """What the client has been told since it last asked."""
        on_change = [json.loads(as_text(event)) for event in self.protocol.take()]
        for event in on_change:
            self.known.validate_python(event)
        self.events += on_change
        return on_change

    def says(self, type, **fields):
        """The client sends a message; what the server is to do about it is kept."""
        self.action = self.protocol.receive(json.dumps({"type": type, **fields}))
        return self.on_change()

    def update(self, **session):
        return self.says("session.update", session=session)

    def asks(self, text):
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        *_, done = self.says("conversation.item.create", item=item)
        return done["item"]["id"]

    def speaks(self, *words, each=0.5):
        """The server answers aloud, a word in each half second."""
        response = self.protocol.begin(self.protocol.wish(), [])
        spoken = Spoken()
        spoken.begin(" ".join(words))
        response.say(" ".join(words), spoken)
        for i, word in enumerate(words):
            spoken.add(Speech(silence(each, 24000), (Word(word, i * each, i * each + each),)))
            response.sound(to_pcm16(silence(each, 24000)))
        spoken.end()
        return response

    def error(self, on_change):
        (event,) = on_change
        assert event["type"] == "error"
        return event["error"]

    @property
    def told(self):
        return [(m.role, m.text) for m in messages(list(self.protocol.items))]


def kinds(on_change):
    return [event["type"] for event in on_change]


# The session


def test_a_session_begins_with_all_its_settings():
    (created,) = Table().created
    session = created["session"]
    assert created["type"] == "session.created"
    assert session["type"] == "realtime"
    assert session["instructions"] == "Be brief."
    assert session["output_modalities"] == ["audio"]
    assert session["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
    assert session["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.3,
        "prefix_padding_ms": 320,
        "silence_duration_ms": 480,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    }


def test_an_update_changes_what_it_names_and_tells_the_whole():
    table = Table()
    (updated,) = table.update(instructions="Rhyme.")
    (updated,) = table.update(audio={"input": {"turn_detection": {"threshold": 0.7}}})
    session = updated["session"]
    assert updated["type"] == "session.updated"
    assert session["instructions"] == "Rhyme."
    assert session["audio"]["input"]["turn_detection"]["threshold"] == 0.7
    assert session["audio"]["input"]["turn_detection"]["interrupt_response"] is True


def test_empty_values_clear():
    table = Table()
    tool = {"type": "function", "name": "weather", "parameters": {}}
    table.update(tools=[tool])
    (updated,) = table.update(instructions="", tools=[], audio={"input": {"turn_detection": None}})
    session = updated["session"]
    assert session["instructions"] == ""
    assert session["tools"] == []
    assert session["audio"]["input"]["turn_detection"] is None


def test_each_update_has_one_answer_and_a_wrong_one_changes_nothing():
    table = Table()
    (updated,) = table.update(tracing="auto")
    assert updated["session"]["tracing"] == "auto"
    error = table.error(
        table.says(
            "session.update",
            event_id="mine",
            session={"instructions": "No.", "output_modalities": ["smell"]},
        )
    )
    assert error["event_id"] == "mine"
    assert error["param"] == "session.output_modalities"
    assert table.protocol.settings.instructions == "Be brief."


def test_any_model_and_any_voice_can_be_asked_for():
    # Told back as they were asked for: strict clients know no others.
    table = Table()
    (updated,) = table.update(model="gpt-5000", audio={"output": {"voice": "alloy", "speed": 1.2}})
    assert updated["session"]["model"] == "gpt-5000"
    assert updated["session"]["audio"]["output"]["voice"] == "alloy"
    assert updated["session"]["audio"]["output"]["speed"] == 1.2


def test_patience_with_slow_speakers_can_be_chosen():
    def silence_ms(**detection):
        table = Table()
        table.update(audio={"input": {"turn_detection": detection}})
        return table.protocol.settings.turn_detection.endpointing_settings(
            EndpointingSettings()
        ).silence_duration_ms

    assert silence_ms(type="server_vad", silence_duration_ms=900) == 900
    assert silence_ms(type="semantic_vad", eagerness="low") == 960
    assert silence_ms(type="semantic_vad", eagerness="high") == 336
    assert silence_ms(type="server_vad", silence_duration_ms=0) == 1


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"audio": 3}, "session.audio"),
        (
            {"audio": {"input": {"format": {"type": "audio/mp3"}}}},
            "session.audio.input.format.type",
        ),
        (
            {"audio": {"output": {"format": {"type": "audio/pcm", "rate": 16000}}}},
            "session.audio.output.format.rate",
        ),
        (
            {"audio": {"input": {"turn_detection": {"threshold": True}}}},
            "session.audio.input.turn_detection.threshold",
        ),
        (
            {"audio": {"input": {"turn_detection": {"silence_duration_ms": 1e9}}}},
            "session.audio.input.turn_detection.silence_duration_ms",
        ),
        ({"tools": [{"type": "mcp"}]}, "session.tools[0].type"),
        ({"tool_choice": "perhaps"}, "session.tool_choice"),
        (
            {"tools": [{"type": "function", "name": "f", "description": 1}]},
            "session.tools[0].description",
        ),
        (
            {"tools": [{"type": "function", "name": "f", "parameters": []}]},
            "session.tools[0].parameters",
        ),
        ({"parallel_tool_calls": "no"}, "session.parallel_tool_calls"),
        (
            {"audio": {"input": {"turn_detection": {"idle_timeout_ms": 4999}}}},
            "session.audio.input.turn_detection.idle_timeout_ms",
        ),
        ({"max_output_tokens": 0}, "session.max_output_tokens"),
        ({"instructions": None}, "session.instructions"),
        ({"audio": {"output": {"voice": 7}}}, "session.audio.output.voice"),
    ],
)
def test_a_wrong_setting_is_named(session, param):
    table = Table()
    assert table.error(table.update(**session))["param"] == param
    assert table.action is None


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"type": "realtime", "temprature": 0.5}, "session.temprature"),
        ({"audio": {"inputs": {}}}, "session.audio.inputs"),
        ({"audio": {"input": {"vad": "on"}}}, "session.audio.input.vad"),
        ({"audio": {"output": {"pitch": 2}}}, "session.audio.output.pitch"),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "silence_ms": 5}}}},
            "session.audio.input.turn_detection.silence_ms",
        ),
    ],
)
def test_a_setting_that_nobody_knows_is_named_and_none_beside_it_is_set(session, param):
    table = Table()
    error = table.error(table.update(instructions="New.", **session))
    assert (error["code"], error["param"]) == ("unknown_parameter", param)
    assert param in error["message"]
    assert table.protocol.settings.instructions == "Be brief."


def test_what_is_unknown_and_null_is_not_there():
    table = Table()
    assert table.update(temprature=None)[0]["type"] == "session.updated"


def test_a_response_that_is_asked_for_by_unknown_names_is_refused():
    table = Table()
    error = table.error(table.says("response.create", response={"voise": "x"}))
    assert (error["code"], error["param"]) == ("unknown_parameter", "response.voise")


def test_a_half_migrated_session_is_understood():
    """The type and the events of the present dialect, with names of the first."""
    table = Table()
    (updated,) = table.update(
        type="realtime", turn_detection=None, voice="alloy", modalities=["text"], temperature=0.8,
        input_audio_format="g711_ulaw", input_audio_transcription={"model": "whisper-1"},
        max_response_output_tokens=50, audio={"output": {"speed": 1.2}},
    )  # fmt: skip
    session = updated["session"]
    assert session["audio"]["input"]["turn_detection"] is None
    assert session["audio"]["input"]["format"] == {"type": "audio/pcmu"}
    assert session["audio"]["input"]["transcription"] == {"model": "whisper-1"}
    assert (session["audio"]["output"]["voice"], session["audio"]["output"]["speed"]) == (
        "alloy", 1.2,
    )  # fmt: skip
    assert (session["output_modalities"], session["max_output_tokens"]) == (["text"], 50)


def test_of_a_setting_under_both_names_the_present_one_counts():
    table = Table()
    (updated,) = table.update(type="realtime", voice="ash", audio={"output": {"voice": "alloy"}})
    assert updated["session"]["audio"]["output"]["voice"] == "alloy"


def test_content_by_its_first_names_is_understood_too():
    table = Table()
    for role, kind in (("user", "text"), ("assistant", "text"), ("system", "text")):
        content = [{"type": kind, "text": role}]
        table.says(
            "conversation.item.create", item={"type": "message", "role": role, "content": content}
        )
    assert table.told == [("user", "user"), ("assistant", "assistant"), ("system", "system")]


# What the user says


def test_sound_comes_in_the_format_that_was_set():
    table = Table()
    table.says("input_audio_buffer.append", audio=HALF_SECOND)
    assert isinstance(table.action, Append)
    (audio,) = table.action.audio
    assert (audio.seconds, audio.rate) == (0.5, 24000)
    for law in ("audio/pcmu", "audio/pcma"):
        table.update(audio={"input": {"format": {"type": law}}})
        assert isinstance(table.action, Configure)
        table.says("input_audio_buffer.append", audio=base64.b64encode(bytes(4000)).decode())
        (audio,) = table.action.audio
        assert (audio.seconds, audio.rate) == (0.5, 8000)


def test_minutes_of_sound_are_whole_however_they_are_cut():
    values = np.arange(-32768, 32768, dtype="<i2").repeat(3).tobytes()
    table = Table()
    table.says("input_audio_buffer.append", audio=base64.b64encode(values).decode())
    pieces = list(table.action.audio)
    assert len(pieces) > 3
    whole = np.concatenate([piece.samples for piece in pieces]) * 32768
    assert whole.astype("<i2").tobytes() == values


@pytest.mark.parametrize(
    "audio", ["not base64!", base64.b64encode(b"odd").decode(), "ü" * 10, None, 3, ["a"]]
)
def test_rubbish_instead_of_sound_is_refused(audio):
    table = Table()
    error = table.error(table.says("input_audio_buffer.append", audio=audio, event_id="e7"))
    assert (error["param"], error["event_id"]) == ("audio", "e7")


def test_speech_is_told_and_becomes_an_item():
    table = Table()
    table.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
    before = table.asks("First.")
    table.protocol.hearing.started(1.0)
    table.protocol.hearing.stopped(2.5)
    item = table.protocol.hearing.committed(silence(1.5, 16000))
    table.protocol.hearing.transcribed(item, item.content[0], "hello there")
    started, stopped, committed, added, done, delta, completed = table.on_change()
    assert (started["audio_start_ms"], stopped["audio_end_ms"]) == (1000, 2500)
    assert {started["item_id"], stopped["item_id"], committed["item_id"]} == {item.id}
    assert committed["previous_item_id"] == added["previous_item_id"] == before
    assert added["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    assert kinds([added, done]) == ["conversation.item.added", "conversation.item.done"]
    assert (delta["delta"], completed["transcript"]) == ("hello there", "hello there")
    assert completed["usage"] == {"type": "duration", "seconds": 1.5}
    assert table.told == [("user", "First."), ("user", "hello there")]


def test_a_transcript_nobody_asked_for_is_not_sent_but_can_be_retrieved():
    table = Table()
    item = table.protocol.hearing.committed(silence(1.5, 16000))
    table.protocol.hearing.transcribed(item, item.content[0], "hello there")
    assert kinds(table.on_change())[-1] == "conversation.item.done"
    assert table.says("conversation.item.retrieve", item_id=item.id) == []
    assert table.action == Retrieve(item)
    table.protocol.retrieved(item, {0: "AAAA"})
    (retrieved,) = table.on_change()
    heard = {"type": "input_audio", "transcript": "hello there"}
    assert retrieved["item"]["content"] == [{**heard, "audio": "AAAA"}]
    table.protocol.items.forget(item, item.content[0])
    (retrieved,) = table.says("conversation.item.retrieve", item_id=item.id)
    assert retrieved["item"]["content"] == [heard]


def test_a_silence_that_lasts_becomes_an_item():
    table = Table()
    table.update(audio={"input": {"transcription": {}}})
    table.protocol.hearing.timed_out(2.0, 7.0)
    triggered, committed, added, _, completed = table.on_change()
    assert triggered["type"] == "input_audio_buffer.timeout_triggered"
    assert (triggered["audio_start_ms"], triggered["audio_end_ms"]) == (2000, 7000)
    ids = {triggered["item_id"], committed["item_id"], added["item"]["id"], completed["item_id"]}
    assert len(ids) == 1
    assert table.told == []


def test_only_server_vad_minds_silence():
    table = Table()

    def detection(**settings):
        (updated,) = table.update(audio={"input": {"turn_detection": settings}})
        return updated["session"]["audio"]["input"]["turn_detection"]

    assert detection(idle_timeout_ms=6000)["idle_timeout_ms"] == 6000
    assert detection(threshold=0.6)["idle_timeout_ms"] == 6000
    assert detection(idle_timeout_ms=None)["idle_timeout_ms"] is None
    detection(idle_timeout_ms=6000)
    assert "idle_timeout_ms" not in detection(type="semantic_vad")
    assert detection(type="server_vad")["idle_timeout_ms"] is None


@pytest.mark.parametrize("schema", [Event, BetaEvent])
def test_what_changes_nothing_here_is_told_back(schema):
    table = Table(schema, speaks_beta=schema is BetaEvent)
    common = {"tracing": "auto", "include": ["item.input_audio_transcription.logprobs"]}
    near = {"type": "near_field"}
    if schema is BetaEvent:
        (updated,) = table.update(input_audio_noise_reduction=near, speed=1.2, **common)
        session = updated["session"]
        assert session["input_audio_noise_reduction"] == near
        assert session["speed"] == 1.2
    else:
        more = {"truncation": "disabled", "prompt": {"id": "p"}, "reasoning": {"effort": "low"}}
        noise = {"audio": {"input": {"noise_reduction": near}}}
        (updated,) = table.update(**noise, **common, **more)
        session = updated["session"]
        assert session["audio"]["input"]["noise_reduction"] == near
        assert more.items() <= session.items()
    assert common.items() <= session.items()


def test_what_cannot_be_recognised_is_told():
    table = Table()
    table.update(audio={"input": {"transcription": {}}})
    item = table.protocol.hearing.committed(silence(1.5, 16000))
    table.protocol.hearing.not_transcribed(item, item.content[0], "stt: deaf")
    assert table.on_change()[-1]["error"]["message"] == "stt: deaf"


def test_committing_and_clearing_are_left_to_the_server():
    table = Table()
    table.says("input_audio_buffer.commit", event_id="c1")
    assert table.action == Commit("c1")
    table.says("input_audio_buffer.clear")
    assert table.action == Clear()
    table.protocol.hearing.cleared()
    assert kinds(table.on_change()) == ["input_audio_buffer.cleared"]


# Items


def test_items_are_put_where_the_client_wants_them():
    table = Table()
    first = table.asks("one")
    table.says(
        "conversation.item.create",
        previous_item_id="root",
        item={"type": "message", "role": "system", "id": "rules",
              "content": [{"type": "input_text", "text": "Be kind."}]},
    )  # fmt: skip
    added, _ = table.says(
        "conversation.item.create",
        previous_item_id="rules",
        item={"type": "message", "role": "assistant",
              "content": [{"type": "output_text", "text": "zero"}]},
    )  # fmt: skip
    assert added["previous_item_id"] == "rules"
    assert table.told == [("system", "Be kind."), ("assistant", "zero"), ("user", "one")]
    table.says("conversation.item.delete", item_id=first)
    assert table.told == [("system", "Be kind."), ("assistant", "zero")]
    assert table.error(table.says("conversation.item.retrieve", item_id=first))


@pytest.mark.parametrize(
    ("item", "param"),
    [
        (None, "item"),
        ({"type": "song"}, "item.type"),
        ({"type": "message", "role": "boss"}, "item.role"),
        ({"type": "message", "role": "user", "content": []}, "item.content"),
        (
            {"type": "message", "role": "user", "content": [{"type": "output_text"}]},
            "item.content[0].type",
        ),
        (
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": 1}]},
            "item.content[0].text",
        ),
        (
            {"type": "message", "role": "user", "content": [{"type": "input_image"}]},
            "item.content[0].type",
        ),
        ({"type": "function_call_output", "call_id": "c"}, "item.output"),
        ({"type": "message", "id": "x" * 65}, "item.id"),
    ],
)
def test_a_wrong_item_is_refused(item, param):
    table = Table()
    error = table.error(table.says("conversation.item.create", item=item))
    assert error["param"] == param


def test_an_item_after_one_that_is_not_there_is_refused():
    table = Table()
    item = {"type": "function_call_output", "call_id": "c", "output": ""}
    says = table.says("conversation.item.create", item=item, previous_item_id="nobody")
    assert table.error(says)["code"] == "item_not_found"
    says = table.says("conversation.item.create", item=item | {"id": "a"})
    says = table.says("conversation.item.create", item=item | {"id": "a"})
    assert table.error(says)["code"] == "item_exists"


def test_what_was_called_and_returned_is_told_with_what_was_said():
    table = Table()
    table.asks("Will it rain?")
    response = table.speaks("Let", "me", "look.")
    calls = [ToolCall("c1", "weather", '{"city": "Rome"}'), ToolCall("c2", "weather", "{}")]
    for call in calls:
        response.call(call)
    table.protocol.end("completed")
    output = {"type": "function_call_output", "call_id": "c1", "output": "Rain."}
    table.says("conversation.item.create", item=output)
    assert messages(list(table.protocol.items)) == [
        Message("user", "Will it rain?"),
        Message("assistant", "Let me look.", calls=tuple(calls)),
        Message("tool", "Rain.", call_id="c1"),
        Message("tool", PENDING, call_id="c2"),
    ]
    # What comes later is told after its call, which servers insist on.
    table.asks("Hurry.")
    table.says("conversation.item.create", item=output | {"call_id": "c2", "output": "Noon."})
    assert messages(list(table.protocol.items)) == [
        Message("user", "Will it rain?"),
        Message("assistant", "Let me look.", calls=tuple(calls[:1])),
        Message("tool", "Rain.", call_id="c1"),
        Message("user", "Hurry."),
        Message("assistant", "", calls=tuple(calls[1:])),
        Message("tool", "Noon.", call_id="c2"),
    ]


# Responses

SPOKEN = [
    "response.created", "rate_limits.updated", "response.output_item.added",
    "conversation.item.added", "response.content_part.added",
    "response.output_audio_transcript.delta", "response.output_audio.delta",
    "response.output_audio.delta", "response.output_audio.done",
    "response.output_audio_transcript.done", "response.content_part.done",
    "response.output_item.done", "conversation.item.done", "response.done",
]  # fmt: skip


def test_a_spoken_answer_is_told_in_the_order_clients_rely_on():
    table = Table()
    question = table.asks("Who?")
    table.says("response.create")
    assert isinstance(table.action, Respond)
    table.speaks("Good", "morning.")
    table.protocol.end("completed", tokens=Tokens(read=10, kept=6))
    on_change = table.on_change()
    assert kinds(on_change) == SPOKEN
    done = on_change[-1]["response"]
    assert done["status"] == "completed"
    assert done["output"][0]["content"] == [{"type": "output_audio", "transcript": "Good morning."}]
    assert done["usage"]["output_token_details"] == {"text_tokens": 4, "audio_tokens": 20}
    assert done["usage"]["total_tokens"] == 34
    assert done["usage"]["input_token_details"]["cached_tokens"] == 6
    assert on_change[3]["previous_item_id"] == question
    assert base64.b64decode(on_change[6]["delta"]) == to_pcm16(silence(0.5, 24000))


def test_a_written_answer_has_no_sound():
    table = Table()
    table.says("response.create", response={"output_modalities": ["text"]})
    response = table.protocol.begin(table.action.wish, [])
    response.write("Good ")
    response.write("morning.\n")
    table.protocol.end("completed")
    on_change = table.on_change()
    assert kinds(on_change)[5:8] == [
        "response.output_text.delta", "response.output_text.delta", "response.output_text.done",
    ]  # fmt: skip
    assert on_change[7]["text"] == "Good morning.\n"
    assert table.told == [("assistant", "Good morning.\n")]


def test_one_response_may_differ_from_the_session():
    table = Table()
    kept = table.asks("Kept.")
    about = {"topic": "weather"}
    context = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "X"}]}
    ]
    table.says(
        "response.create",
        response={"conversation": "none", "instructions": "Classify.", "metadata": about,
                  "input": [*context, {"type": "item_reference", "id": kept}],
                  "output_modalities": ["text"], "max_output_tokens": 5},
    )  # fmt: skip
    wish = table.action.wish
    assert [(m.role, m.text) for m in messages(wish.context)] == [("user", "X"), ("user", "Kept.")]
    assert (wish.instructions, wish.max_output_tokens) == ("Classify.", 5)
    response = table.protocol.begin(wish, [])
    response.write("Weather.")
    table.protocol.end("completed")
    on_change = table.on_change()
    assert "conversation.item.added" not in kinds(on_change)
    assert on_change[-1]["response"]["metadata"] == about
    assert on_change[-1]["response"]["conversation_id"] is None
    assert table.told == [("user", "Kept.")]


def test_a_function_call_is_told():
    table = Table()
    response = table.protocol.begin(table.protocol.wish(), [])
    response.call(ToolCall("c", "weather", '{"city": "Paris"}'))
    table.protocol.end("completed")
    on_change = table.on_change()
    assert kinds(on_change)[2:8] == [
        "response.output_item.added", "conversation.item.added",
        "response.function_call_arguments.delta", "response.function_call_arguments.done",
        "response.output_item.done", "conversation.item.done",
    ]  # fmt: skip
    done = on_change[6]["item"]
    assert (done["type"], done["status"], done["name"]) == ("function_call", "completed", "weather")
    assert on_change[5]["arguments"] == '{"city": "Paris"}'


def test_a_second_response_at_once_is_refused():
    table = Table()
    table.speaks("Well.")
    table.on_change()
    error = table.error(table.says("response.create"))
    assert error["code"] == "conversation_already_has_active_response"


def test_cancelling_nothing_is_a_soft_error():
    table = Table()
    assert table.error(table.says("response.cancel"))["code"] == "response_cancel_not_active"
    response = table.speaks("Well.")
    table.on_change()
    assert table.error(table.says("response.cancel", response_id="resp_0"))
    table.says("response.cancel", response_id=response.id)
    assert table.action == Cancel()


def test_a_cancelled_answer_keeps_only_what_was_heard():
    table = Table()
    table.speaks("one", "two", "three").cut(1.1)
    table.protocol.end("cancelled", "turn_detected")
    response = table.on_change()[-1]["response"]
    assert response["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    (item,) = response["output"]
    assert item["status"] == "incomplete"
    assert item["content"][0]["transcript"] == "one two"
    assert table.told == [("assistant", "one two")]


def test_a_failed_answer_says_why():
    table = Table()
    table.protocol.begin(table.protocol.wish(), [])
    table.protocol.end("failed", error="tts: no voice")
    details = table.on_change()[-1]["response"]["status_details"]
    assert details["error"]["message"] == "tts: no voice"


# Truncation


def spoken(table, *words):
    table.speaks(*words)
    table.protocol.end("completed")
    return table.on_change()[-1]["response"]["output"][0]["id"]


def truncate(table, item, ms, index=0):
    return table.says(
        "conversation.item.truncate", item_id=item, content_index=index, audio_end_ms=ms
    )


def test_truncation_keeps_the_words_that_were_heard_and_no_other():
    table = Table()
    item = spoken(table, "one", "two", "three")
    (truncated,) = truncate(table, item, 1200)
    assert (truncated["type"], truncated["audio_end_ms"]) == ("conversation.item.truncated", 1200)
    (retrieved,) = table.says("conversation.item.retrieve", item_id=item)
    assert retrieved["item"]["content"] == [{"type": "output_audio", "transcript": "one two"}]
    assert table.told == [("assistant", "one two")]


@pytest.mark.parametrize(
    ("ms", "kept", "text"),
    [
        (0, 0, ""),
        (499, 499, ""),
        (500, 500, "one"),
        (10**9, 1500, "one two three"),
        (10**309, 1500, "one two three"),
    ],
)
def test_truncation_is_clamped_to_what_was_sent(ms, kept, text):
    table = Table()
    item = spoken(table, "one", "two", "three")
    (truncated,) = truncate(table, item, ms)
    assert truncated["audio_end_ms"] == kept
    (retrieved,) = table.says("conversation.item.retrieve", item_id=item)
    assert retrieved["item"]["content"][0]["transcript"] == text


def test_what_was_cut_does_not_come_back():
    table = Table()
    item = spoken(table, "one", "two", "three")
    truncate(table, item, 600)
    (truncated,) = truncate(table, item, 1500)
    assert truncated["audio_end_ms"] == 600


def test_the_client_knows_better_than_we_what_was_heard():
    table = Table()
    table.speaks("one", "two", "three").cut(0.6)
    table.protocol.end("cancelled", "turn_detected")
    item = table.on_change()[-1]["response"]["output"][0]["id"]
    truncate(table, item, 1000)
    assert table.told == [("assistant", "one two")]


def test_an_answer_can_be_truncated_while_it_is_made():
    table = Table()
    response = table.speaks("one", "two", "three")
    item = next(
        e["item"]["id"] for e in table.on_change() if e["type"] == "conversation.item.added"
    )
    truncate(table, item, 600)
    response.cut(1.5)
    table.protocol.end("cancelled", "turn_detected")
    assert table.told == [("assistant", "one")]


@pytest.mark.parametrize("wrong", [{"ms": -1}, {"ms": "all"}, {"ms": 5, "index": 1}])
def test_a_wrong_truncation_is_refused(wrong):
    table = Table()
    assert table.error(truncate(table, spoken(table, "one"), **wrong))
    assert table.error(truncate(table, table.asks("Who?"), 5))["code"] == "not_spoken"
    assert table.error(truncate(table, "nobody", 5))["code"] == "item_not_found"


# The first dialect


def test_the_first_dialect_is_spoken_to_those_who_ask_for_it():
    table = Table(BetaEvent, speaks_beta=True)
    created, conversation = table.created
    assert created["session"]["modalities"] == ["audio", "text"]
    assert created["session"]["input_audio_format"] == "pcm16"
    assert created["session"]["turn_detection"]["type"] == "server_vad"
    assert conversation["type"] == "conversation.created"
    (updated,) = table.update(
        modalities=["text"], input_audio_format="g711_ulaw", output_audio_format="g711_alaw",
        turn_detection=None, input_audio_transcription={"model": "whisper-1"}, voice="alloy",
        temperature=0.7, max_response_output_tokens=100,
    )  # fmt: skip
    session = updated["session"]
    assert session["modalities"] == ["text"]
    assert (session["input_audio_format"], session["output_audio_format"]) == (
        "g711_ulaw",
        "g711_alaw",
    )
    assert session["turn_detection"] is None
    assert session["input_audio_transcription"] == {"model": "whisper-1"}
    assert session["max_response_output_tokens"] == 100
    assert table.protocol.settings.input_format == "audio/pcmu"


def test_a_session_of_the_first_dialect_is_answered_in_it():
    table = Table(BetaEvent | Event)
    (updated,) = table.update(modalities=["text"], turn_detection=None)
    assert updated["session"]["modalities"] == ["text"]
    assert "output_modalities" not in updated["session"]


def test_an_answer_in_the_first_dialect():
    table = Table(BetaEvent, speaks_beta=True)
    content = [{"type": "text", "text": "I said so."}]
    table.says(
        "conversation.item.create",
        item={"type": "message", "role": "assistant", "content": content},
    )
    assert kinds(table.events)[-1] == "conversation.item.created"
    assert table.events[-1]["item"]["content"] == content
    table.says("response.create", response={"modalities": ["audio", "text"]})
    table.speaks("Good", "morning.")
    table.protocol.end("completed")
    on_change = table.on_change()
    renamed = {
        "conversation.item.added": "conversation.item.created",
        "response.output_audio.delta": "response.audio.delta",
        "response.output_audio.done": "response.audio.done",
        "response.output_audio_transcript.delta": "response.audio_transcript.delta",
        "response.output_audio_transcript.done": "response.audio_transcript.done",
    }
    expected = [renamed.get(k, k) for k in SPOKEN if k != "conversation.item.done"]
    assert kinds(on_change) == expected
    response = on_change[-1]["response"]
    assert response["modalities"] == ["audio", "text"]
    assert response["output"][0]["content"] == [{"type": "audio", "transcript": "Good morning."}]


def test_a_transcription_session_of_the_first_dialect():
    # The schema wants a secret in it, which only what is asked for over HTTP has.
    table = Table(dict, speaks_beta=True)
    (updated,) = table.says(
        "transcription_session.update",
        session={"input_audio_transcription": {"model": "whisper-1"}},
    )
    assert updated["type"] == "transcription_session.updated"
    assert updated["session"]["input_audio_transcription"] == {"model": "whisper-1"}
    assert "modalities" not in updated["session"]
    assert table.error(table.says("response.create"))["code"] == "unsupported"


# Anything at all


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "NaN", '{"type": NaN}', "[" * 100_000, '{"type": 3}', "{}",
             '{"type": "session.exploit"}', '{"type": "' + "x" * 99 + '"}', "9" * 5000,
             '{"type": "\\ud800"}',
             '{"type":"input_audio_buffer.append","audio":"' + "A" * 21_000_000]
)  # fmt: skip
def test_what_is_no_message_is_refused_and_nothing_ends(text):
    table = Table()
    assert table.protocol.receive(text) is None
    assert table.error(table.on_change())["type"] == "invalid_request_error"
    assert kinds(table.update(instructions="On.")) == ["session.updated"]
