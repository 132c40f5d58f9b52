"""Long messages of a Realtime client's, read piece by piece."""

import base64
import json
import random

import numpy as np
import pytest

from voicebot.server.realtime import fields
from voicebot.server.realtime.fields import ProtocolError
from voicebot.server.realtime.incremental import CHUNK_CHARACTERS, IncrementalMessage, message

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
LUCK = random.Random(3)


def letters(length):
    return "".join(LUCK.choices(LETTERS, k=length))


SOUND, ANOTHER = letters(CHUNK_CHARACTERS + 4), letters(3 * CHUNK_CHARACTERS)


def read(text, at_once=10_000):
    """The message, its sound in one piece again."""
    long = IncrementalMessage()
    for at in range(0, len(text), at_once):
        long.feed(text[at : at + at_once])
    assert len(long) == len(text)
    return whole(long.message())


def whole(value):
    if isinstance(value, tuple):
        return "".join(value)
    if isinstance(value, dict):
        return {key: whole(each) for key, each in value.items()}
    return [whole(each) for each in value] if isinstance(value, list) else value


def item(*parts):
    return {"type": "message", "content": list(parts)}


def heard(audio):
    return {"type": "input_audio", "audio": audio}


TYPED = {"type": "input_text", "text": 'Say "audio": "what?" \\ \n é \U0001f600'}


@pytest.mark.parametrize(
    "sent",
    [
        {"type": "input_audio_buffer.append", "audio": SOUND},
        {"audio": SOUND, "type": "input_audio_buffer.append", "event_id": "a"},
        {"type": "conversation.item.create", "item": item(TYPED, heard(SOUND), heard(ANOTHER))},
        {"type": "response.create", "response": {"input": [
            item(heard(SOUND)), item(TYPED), item(heard("AAAA"), heard(ANOTHER)), 3, {}]}},
        {"type": "session.update",
         "session": {"audio": {"x": "y" * CHUNK_CHARACTERS}, "audio ": "z"}},
        {"audio": 'short "\\ \n é \U0001f600' + '"' * 9 + "\\" * 9,
         "item": item(heard(SOUND), {"audio": ""}, {"audio": None}, 7)},
        {"audio": "sound 0", "item": "audio", "response": {"input": 3}},
        {"type": "x" * CHUNK_CHARACTERS, "audio": ["AAAA"]},
    ],
)  # fmt: skip
@pytest.mark.parametrize("write", [{}, {"indent": 2}, {"separators": (",", ":")}])
def test_a_message_is_what_it_would_be_in_one(sent, write):
    text = json.dumps(sent, **write)
    for at_once in (7, 1000, 30_011, 10**6):
        assert read(text, at_once) == sent
    assert whole(message(text)) == sent


def test_only_long_sound_comes_in_pieces():
    parts = [heard(SOUND[:CHUNK_CHARACTERS]), heard(SOUND)]
    got = message(json.dumps({"item": item(*parts)}))["item"]["content"]
    assert [type(part["audio"]) for part in got] == [str, tuple]
    assert message(json.dumps({"audio": "AAAA"}))["audio"] == "AAAA"


@pytest.mark.parametrize("at_once", [1, 5, 6, 7, 4099])
def test_sound_may_be_written_with_escapes(at_once):
    """As some libraries do, so that it can stand in a page."""
    text = json.dumps({"audio": SOUND}).replace("/", "\\/").replace("+", "\\u002B")
    assert read(text, at_once) == {"audio": SOUND}


@pytest.mark.parametrize("place", [{"session": {"audio": SOUND}}, {"response": {"audio": SOUND}}])
def test_what_is_long_elsewhere_is_no_sound(place):
    with pytest.raises(ProtocolError, match="but for its sound"):
        read(json.dumps(place))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"audio": "' + SOUND, "invalid_json"),
        ('{"audio": "' + SOUND + "\\", "invalid_json"),
        ('{"audio": "' + SOUND + '\\"', "invalid_json"),
        ('{"audio": "' + SOUND + '\\x"}', "invalid_json"),
        ('{"audio": "' + SOUND + "\n" + SOUND + '"}', "invalid_json"),
        ('{"audio": "' + SOUND + '"', "invalid_json"),
        ('{"a" "audio": "' + SOUND + '"}', "invalid_json"),
        ('"a"audio": "' + SOUND + '"', "invalid_json"),
        ('["audio": "' + SOUND + '"]', "invalid_json"),
        ("[" + " " * CHUNK_CHARACTERS + "]", "invalid_json"),
        ('{"audio": "' + SOUND + '", "x": "' + "y" * 1_000_000 + '"}', "message_too_long"),
        (" " * 1_000_001, "message_too_long"),
    ],
)
def test_what_is_no_message_is_refused_at_its_end(text, code):
    with pytest.raises(ProtocolError) as refused:
        read(text)
    assert refused.value.code == code


def test_the_sound_that_comes_in_pieces_is_the_same_sound():
    samples = np.random.default_rng(1).integers(-32768, 32767, 100_001).astype("<i2").tobytes()
    text = json.dumps({"audio": base64.b64encode(samples).decode()}).replace("/", "\\/")
    long = IncrementalMessage()
    for at in range(0, len(text), 9973):
        long.feed(text[at : at + 9973])
    sound = fields.sound(long.message()["audio"], "audio/pcm", "audio")
    pieces = list(sound.pieces())
    assert sound.samples == sum(len(piece.samples) for piece in pieces) == 100_001
    heard = np.concatenate([piece.samples for piece in pieces])
    assert np.array_equal(heard * 32768, np.frombuffer(samples, "<i2"))


def test_sound_has_an_end_only_where_it_ends():
    """Whatever it is cut into."""
    ended = "A" * (fields.DECODE_CHUNK_CHARACTERS - 1) + "="
    assert sum(1 for _ in fields.sound(ended, "audio/pcmu", "audio").pieces()) == 1
    for texts in (ended + "AAAA", (ended, "AAAA")):
        with pytest.raises(ProtocolError, match="base64"):
            list(fields.sound(texts, "audio/pcmu", "audio").pieces())
