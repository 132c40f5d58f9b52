"""The words of `/v1/talk`, with literals: what a message means, and what is none."""

import json

import numpy as np
import pytest
from room import Synthesizer, Transcriber

from voicebot.audio import Audio, silence
from voicebot.conversation.voice_options import VoiceOptions
from voicebot.events import ClauseSpoken, Passage, Passages, SpeechEnded, TurnEnded, Utterance
from voicebot.server.talk.protocol import (
    BadMessage,
    Choose,
    Hello,
    MessageTooLong,
    Mute,
    Played,
    Resume,
    Stop,
    Text,
    announcing,
    choosing,
    chosen,
    complaint,
    hearing,
    parse,
    telling,
)
from voicebot.server.talk.session import Cursor, Flushed, OutboundEvent, Sound, SoundEnded


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ('{"type": "hello", "rate": 8000}', Hello(8000)),
        ('{"type": "hello", "rate": 48000, "more": [1]}', Hello(48000)),
        (
            '{"type": "hello", "rate": 48000, "codec": "opus", "interim_transcripts": true, '
            '"voice": "de"}',
            Hello(48000, "opus", True, Choose(voice="de")),
        ),
        ('{"type": "choose", "voice": "", "language": "de"}', Choose("", "de")),
        ('{"type": "choose"}', Choose()),
        ('{"type": "text", "text": "  when? "}', Text("when?")),
        ('{"type": "stop"}', Stop()),
        ('{"type": "mute"}', Mute()),
        ('{"type": "played", "turn": 3, "samples": 0}', Played(3, 0)),
        (
            '{"type": "resume", "token": "t", "number": 7, "turn": 3, "received": 48000}',
            Resume("t", Cursor(7, 3, 48000)),
        ),
    ],
)
def test_what_a_client_may_say(text, means):
    assert parse(text) == means


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "not_json"),
        ("{", "not_json"),
        ("[" * 5000, "not_json"),
        ("[" * 100000, "too_long"),
        ("[]", "not_json"),
        ('"hello"', "not_json"),
        ("NaN", "not_json"),
        ("1" * 5000, "not_json"),
        ("{}", "unknown_type"),
        ('{"type": ["hello"]}', "unknown_type"),
        ('{"type": "dance"}', "unknown_type"),
        ('{"type": "text"}', "bad_field"),
        ('{"type": "text", "text": "  "}', "bad_field"),
        ('{"type": "text", "text": 7}', "bad_field"),
        (json.dumps({"type": "text", "text": "x" * 4001}), "bad_field"),
        ('{"type": "played", "turn": 1}', "bad_field"),
        ('{"type": "played", "turn": 1, "samples": -1}', "bad_field"),
        ('{"type": "played", "turn": 1, "samples": 1e9}', "bad_field"),
        ('{"type": "played", "turn": true, "samples": 1}', "bad_field"),
        ('{"type": "played", "turn": 1, "samples": 99999999999999999999}', "bad_field"),
        ('{"type": "resume", "number": 0, "turn": 0, "received": 0}', "bad_field"),
        ('{"type": "hello"}', "bad_field"),
        ('{"type": "hello", "rate": 7999}', "bad_field"),
        ('{"type": "hello", "rate": 48001}', "bad_field"),
        ('{"type": "hello", "rate": 16000.0}', "bad_field"),
        ('{"type": "hello", "rate": "16000"}', "bad_field"),
        ('{"type": "hello", "rate": 16000, "codec": "mp3"}', "bad_field"),
        ('{"type": "hello", "rate": 16000, "codec": ["opus"]}', "bad_field"),
        ('{"type": "hello", "rate": 44100, "codec": "opus"}', "bad_field"),
        ('{"type": "hello", "rate": 16000, "interim_transcripts": "yes"}', "bad_field"),
        ('{"type": "hello", "rate": 16000, "voice": 7}', "bad_field"),
        ('{"type": "choose", "language": null}', "bad_field"),
    ],
)
def test_what_means_nothing_is_named(text, code):
    with pytest.raises(BadMessage) as caught:
        parse(text)
    told = complaint(caught.value)
    assert (told["event"], told["code"]) == ("error", code)
    assert 0 < len(told["reason"]) < 300


def test_sound_is_16_bit_little_endian():
    audio = hearing(b"\x00\x40\x00\xc0", 8000)
    assert (audio.rate, list(audio.samples)) == (8000, [0.5, -0.5])


def test_no_sound_is_no_mistake():
    assert hearing(b"", 8000).seconds == 0


def test_half_a_sample_is_named():
    with pytest.raises(BadMessage, match="this frame has 3") as caught:
        hearing(b"abc", 8000)
    assert not isinstance(caught.value, MessageTooLong)


def test_a_frame_holds_a_second():
    assert hearing(bytes(16000), 8000).seconds == 1.0
    with pytest.raises(MessageTooLong, match="at most 1 s"):
        hearing(bytes(16002), 8000)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (
            ClauseSpoken("Good morning."),
            {"event": "clause_spoken", "text": "Good morning.", "at": 1.235},
        ),
        (SoundEnded(480), {"event": "sound_ended", "samples": 480}),
        (Flushed(12), {"event": "flushed", "samples": 12}),
        (
            TurnEnded({"gate": 0.48}, began=0.2, ended=1.5, tokens=(9, 4), gaps={"tts": [2, 0]}),
            {
                "event": "turn_ended",
                "marks": {"gate": 0.48},
                "spoke": {},
                "began": 0.2,
                "ended": 1.5,
                "tokens": [9, 4],
                "gaps": {"tts": [2, 0]},
                "amounts": {},
                "finish": "",
                "outcome": "",
            },
        ),
        (
            Passages((Passage("a.md#1", "A.", 2.0),)),
            {"event": "passages", "passages": [{"id": "a.md#1", "text": "A.", "score": 2.0}]},
        ),
        (
            SpeechEnded(Utterance(silence(0, 16000), 0.5, 1.5)),
            {"event": "speech_ended", "utterance": {"start": 0.5, "end": 1.5}},
        ),
    ],
)
def test_what_happens_is_told_with_its_number_and_turn(event, words):
    told = OutboundEvent(7, 3, 1.23456, event, "abc.3")
    assert telling(told) == {**words, "turn": 3, "number": 7, "request": "abc.3"}


def test_sound_is_announced_with_its_place():
    sound = Sound(3, 4800, Audio(np.zeros(1, np.float32), 24000))
    assert announcing(sound) == {"event": "sound", "turn": 3, "at": 4800}


def test_what_is_wished_and_had_is_named_alike():
    class Choir(Synthesizer):
        voices = ("anna",)

        async def synthesize(self, text, *, voice=None):
            yield

    choices = choosing(VoiceOptions(Transcriber(), Choir()), Choose(voice="anna"))
    assert chosen(choices) == {"voice": "anna", "language": ""}
    with pytest.raises(BadMessage, match="there is anna") as caught:
        choosing(choices, Choose(voice="bert"))
    assert complaint(caught.value)["code"] == "bad_field"
