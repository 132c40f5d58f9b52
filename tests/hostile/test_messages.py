"""No message of a Realtime client's holds the event loop up, however many things are in it."""

import json
import time

import pytest

from voicebot.conversation import EndpointingSettings
from voicebot.server.realtime.fields import PARTS, VALUES
from voicebot.server.realtime.incremental import SOUNDS, message
from voicebot.server.realtime.items import MAX_ITEMS, WRITTEN
from voicebot.server.realtime.protocol import Protocol, as_text
from voicebot.server.realtime.settings import initial


@pytest.fixture
def protocol():
    protocol = Protocol(initial("a model", "a voice", EndpointingSettings(), ""))
    protocol.take()
    return protocol


def error(protocol):
    (event,) = protocol.take()
    return event["error"]


def update(**session):
    return {"type": "session.update", "session": session}


def function(parameters):
    return update(tools=[{"type": "function", "name": "f", "parameters": parameters}])


def written(parts, text="x"):
    content = [{"type": "input_text", "text": text}] * parts
    return {"type": "message", "role": "user", "content": content}


def create(item):
    return {"type": "conversation.item.create", "item": item}


def respond(*items):
    return {"type": "response.create", "response": {"conversation": "none", "input": [*items]}}


MANY = {
    "lists": function({"a": [[]] * (PARTS + 1)}),
    "objects": function({"a": [{"b": {}}] * PARTS}),
    "numbers": function({"a": [1] * (VALUES + 2)}),
    "keys": update(**{f"{key:x}": None for key in range(VALUES + 2)}),
    "deep": "[" * 900_000,
}


@pytest.mark.parametrize("sent", MANY.values(), ids=MANY.keys())
def test_more_values_than_any_session_has_are_refused_unread(protocol, sent, figure):
    text = sent if isinstance(sent, str) else json.dumps(sent, separators=(",", ":"))
    with figure.cpu(f"a Realtime message of {len(text)} bytes refused"):
        protocol.receive(text)
    assert error(protocol)["code"] == "message_too_long"


MUCH = {
    "keys": update(prompt={str(key): 1 for key in range(VALUES - 1)}),
    "nothing": update(**{f"k{key}": None for key in range(VALUES - 1)}),
    "numbers": function({"a": [1.5] * (VALUES - 10)}),
    "objects": function({"a": [{}] * (PARTS - 100)}),
    "instructions": update(instructions="x" * 990_000),
    "commas": update(instructions="{}, " * 240_000),
    "escapes": update(instructions="\N{GRINNING FACE}" * 80_000),
    "item": create(written(MAX_ITEMS, "x" * 450)),
    "aside": respond(written(MAX_ITEMS, "x" * 450)),
}


@pytest.mark.parametrize("sent", MUCH.items(), ids=MUCH.keys())
def test_what_is_as_large_as_it_may_be_is_done(protocol, sent, figure):
    name, told = sent
    text = json.dumps(told, separators=(",", ":"))
    with figure.cpu(f"a Realtime message of {len(text)} bytes, {name}: read"):
        action = protocol.receive(text)
    with figure.cpu(f"a Realtime message of {len(text)} bytes, {name}: answered"):
        events = [as_text(event) for event in protocol.take()]
    assert "error" not in [json.loads(event)["type"] for event in events]
    assert events or action


def test_the_input_of_a_response_has_so_many_parts_and_no_more(protocol):
    protocol.receive(json.dumps(respond(*[written(MAX_ITEMS // 2)] * 3)))
    assert error(protocol)["code"] == "too_many_items"


def test_an_item_that_is_referred_to_again_and_again_counts_each_time(protocol):
    protocol.receive(json.dumps(create(written(1, "x" * 200_000) | {"id": "long"})))
    protocol.take()
    references = [{"type": "item_reference", "id": "long"}] * (WRITTEN // 200_000 + 1)
    protocol.receive(json.dumps(respond(*references)))
    assert error(protocol)["code"] == "too_many_items"


def sounds(many, before=""):
    parts = [{"type": "input_audio", "audio": "AAAA"}] * many
    return json.dumps({"a": before, "item": {"content": parts}})


def test_many_sounds_behind_a_long_text_are_cut_out_without_copying_it_for_each(figure):
    text = sounds(SOUNDS, "x" * 900_000)
    before = time.process_time()
    assert len(message(text)["item"]["content"]) == SOUNDS
    took = time.process_time() - before
    figure(f"{SOUNDS} sounds behind 900 kB of text: {1000 * took:.0f} ms of CPU, once 2000")
    assert took < 1


def test_more_sounds_than_an_item_may_have_are_refused(protocol):
    protocol.receive(sounds(SOUNDS + 10))
    assert error(protocol)["code"] == "message_too_long"
