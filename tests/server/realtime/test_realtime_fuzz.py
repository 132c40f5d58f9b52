"""Ten thousand messages, most of them wrong: none ends a session, and no event is out of order."""

import base64
import json
import random
from contextlib import suppress

import numpy as np
import pytest
from realtime_order import Observer

from voicebot.audio import Audio, silence, to_pcm16
from voicebot.conversation import EndpointingSettings
from voicebot.conversation.spoken import Spoken
from voicebot.engines import Speech, ToolCall
from voicebot.server.realtime.actions import Cancel, Clear, Commit, Create, Respond, Returned
from voicebot.server.realtime.fields import ProtocolError
from voicebot.server.realtime.items import messages
from voicebot.server.realtime.protocol import Protocol, as_text
from voicebot.server.realtime.settings import initial

pytestmark = pytest.mark.soak

PIECE = to_pcm16(silence(0.1, 24000))
RUBBISH = [
    None, True, -1, 0, 1e300, 10**30, 10**309, "", "x", "\ud800", [], {}, [[]], {"type": 3}, "root",
]  # fmt: skip
SOUND = base64.b64encode(PIECE).decode()
SEMANTIC = {"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}
CLIENT = [
    {"type": "session.update", "session": {"type": "realtime", "instructions": "x"}},
    {"type": "session.update", "session": SEMANTIC},
    {"type": "session.update", "session": {
        "audio": {"output": {"format": {"type": "audio/pcmu"}}}}},
    {"type": "session.update", "session": {"tools": [{"type": "function", "name": "f"}]}},
    {"type": "input_audio_buffer.append", "audio": SOUND},
    {"type": "input_audio_buffer.commit"},
    {"type": "input_audio_buffer.clear"},
    {"type": "conversation.item.create", "previous_item_id": "root", "item": {
        "type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}},
    {"type": "conversation.item.create", "item": {
        "type": "message", "role": "user", "content": [{"type": "input_audio", "audio": SOUND}]}},
    {"type": "conversation.item.create", "item": {
        "type": "function_call_output", "call_id": "call_1", "output": "3"}},
    {"type": "conversation.item.retrieve", "item_id": "?"},
    {"type": "conversation.item.delete", "item_id": "?"},
    {"type": "conversation.item.truncate", "item_id": "?", "content_index": 0, "audio_end_ms": 50},
    {"type": "response.create"},
    {"type": "response.create", "response": {
        "conversation": "none", "output_modalities": ["text"]}},
    {"type": "response.cancel"},
]  # fmt: skip


def spoil(value, luck):
    """Something like `value`, wrong somewhere."""
    if luck.random() < 0.25 or not isinstance(value, dict | list) or not value:
        return luck.choice(RUBBISH)
    key = luck.choice(list(value) if isinstance(value, dict) else range(len(value)))
    spoilt = dict(value) if isinstance(value, dict) else list(value)
    if luck.random() < 0.3:
        del spoilt[key]
    else:
        spoilt[key] = spoil(value[key], luck)
    return spoilt


@pytest.mark.parametrize("seed", range(4))
def test_no_message_breaks_a_session_or_its_order(seed):
    luck, observer, waiting = random.Random(seed), Observer(), []
    protocol = Protocol(initial("model", "voice", EndpointingSettings(), ""))
    for _ in range(2500):
        message = json.loads(json.dumps(luck.choice(CLIENT)))
        if message.get("item_id") and observer.items:
            message["item_id"] = luck.choice(list(observer.items))
        if luck.random() < 0.4:
            message = spoil(message, luck)
        text = json.dumps(message)
        if luck.random() < 0.1:
            text = text[: luck.randrange(len(text) + 1)]
        action = protocol.receive(text)
        match action:
            case Commit():
                waiting.append(protocol.hearing.committed(Audio(np.zeros(160, np.float32), 16000)))
            case Create(item, after):
                with suppress(ProtocolError):
                    protocol.create(item, after)
            case Clear():
                protocol.hearing.cleared()
            case Respond(wish, aside=True):
                protocol.begin_aside(wish, [])
            case Respond(follows=True):
                pass
            case Respond(wish, is_answered=True):
                protocol.begin(wish, [])
                protocol.end("completed")
            case Returned() if luck.random() < 0.5:
                protocol.cover()
            case Respond(wish):
                protocol.begin(wish, [])
            case Cancel(aside) if aside:
                protocol.asides.pop(aside).end("cancelled", "client_cancelled")
            case Cancel():
                protocol.end("cancelled", "client_cancelled")
        engines(protocol, luck, waiting)
        for event in protocol.take():
            observer.see(json.loads(as_text(event)))
        messages(list(protocol.items))


def engines(protocol, luck, waiting):
    """Whatever engines may do next."""
    response = protocol.response
    if protocol.asides and luck.random() < 0.5:
        id, aside = protocol.asides.popitem()
        aside.write("word ")
        if luck.random() < 0.5:
            aside.end(luck.choice(["completed", "failed"]))
        else:
            protocol.asides[id] = aside
    match luck.randrange(6):
        case 0 if response and response.wish.modality == "text":
            response.write("word ")
        case 0 if response:
            spoken = Spoken()
            spoken.begin("a word")
            spoken.add(Speech(silence(0.1, 24000)))
            response.say("a word", spoken)
            response.sound(PIECE)
        case 1 if response:
            response.call(ToolCall(f"call_{luck.randrange(5)}", "f", "{}"))
        case 2 if response:
            protocol.end(luck.choice(["completed", "failed", "incomplete"]))
        case 3 if waiting:
            item = waiting.pop()
            protocol.hearing.transcribed(item, item.content[0], luck.choice(["", "hello"]))
        case 4:
            protocol.hearing.started(1.0)
            protocol.hearing.stopped(2.0)


FLAT = [
    {"type": "session.update", "session": {
        "modalities": ["text"], "voice": "alloy", "input_audio_format": "g711_ulaw",
        "turn_detection": {"type": "server_vad"}, "input_audio_transcription": {"model": "x"},
        "max_response_output_tokens": 10, "tools": [{"type": "function", "name": "f"}]}},
    {"type": "transcription_session.update", "session": {"input_audio_format": "pcm16"}},
    {"type": "conversation.item.create", "item": {
        "type": "message", "role": "assistant", "content": [{"type": "text", "text": "hi"}]}},
    {"type": "response.create", "response": {
        "modalities": ["audio", "text"], "output_audio_format": "pcm16", "conversation": "none",
        "input": [{"type": "message", "role": "user",
                   "content": [{"type": "input_text", "text": "hi"}]}]}},
]  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_no_message_breaks_a_session_of_the_first_dialect(seed):
    luck, waiting = random.Random(seed), []
    protocol = Protocol(initial("model", "voice", EndpointingSettings(), ""), speaks_beta=True)
    for _ in range(2500):
        message = luck.choice(FLAT + CLIENT)
        if luck.random() < 0.6:
            message = spoil(message, luck)
        match protocol.receive(json.dumps(message)):
            case Respond(wish, aside=True):
                protocol.begin_aside(wish, [])
            case Respond(follows=True):
                pass
            case Respond(wish, is_answered=True):
                protocol.begin(wish, [])
                protocol.end("completed")
            case Returned() if luck.random() < 0.5:
                protocol.cover()
            case Respond(wish):
                protocol.begin(wish, [])
            case Cancel(aside) if aside:
                protocol.asides.pop(aside).end("cancelled", "client_cancelled")
            case Cancel():
                protocol.end("cancelled", "client_cancelled")
        engines(protocol, luck, waiting)
        kinds = {json.loads(as_text(event))["type"] for event in protocol.take()}
        assert not [kind for kind in kinds if "output_" in kind and "output_item" not in kind]
