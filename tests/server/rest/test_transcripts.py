"""A transcript in each of its forms, and who did the work."""

import json

import pytest

from voicebot.engines import Segment, Word
from voicebot.server.model_catalog import header
from voicebot.server.rest.transcripts import RecordingTranscript, answer

WORDS = (Word("Hello", 0.5, 0.75), Word("there.", 0.8, 1.25))
TRANSCRIPT = RecordingTranscript(
    [Segment("Hello there.", 0.5, 1.25, WORDS, 0.5, "en"), Segment(" <b>Bye</b> ", 3661, 3662.5)],
    3663.2,
    "transcribe",
)


def body(form, *granularities):
    return answer(TRANSCRIPT, form, granularities).body.decode()


def test_subtitles_have_times_and_no_markup():
    assert body("vtt") == (
        "WEBVTT\n\n"
        "00:00:00.500 --> 00:00:01.250\nHello there.\n\n"
        "01:01:01.000 --> 01:01:02.500\n&lt;b&gt;Bye&lt;/b&gt;\n\n"
    )
    assert "00:00:00,500 --> 00:00:01,250\nHello there.\n" in body("srt")


def test_a_short_form_has_the_text_and_what_it_cost():
    assert json.loads(body("json")) == {
        "text": "Hello there. <b>Bye</b>",
        "usage": {"type": "duration", "seconds": 3664},
    }


def test_a_duration_added_up_of_pieces_is_not_charged_for_what_rounding_adds():
    pieces = RecordingTranscript([], sum([0.2] * 25), "transcribe")
    assert pieces.seconds > 5
    assert json.loads(answer(pieces, "json", ()).body)["usage"]["seconds"] == 5


@pytest.mark.parametrize(
    ("granularities", "has"),
    [((), {"segments"}), (("word",), {"words"}), (("word", "segment"), {"words", "segments"})],
)
def test_a_verbose_form_has_the_times_asked_for(granularities, has):
    document = json.loads(body("verbose_json", *granularities))
    assert {"words", "segments"} & {*document} == has
    assert (document["duration"], document["language"]) == (3663.2, "en")


def test_a_segment_tells_how_sure_the_recogniser_was():
    first, second = json.loads(body("verbose_json"))["segments"]
    assert (first["avg_logprob"], second["avg_logprob"]) == (-0.6931, 0.0)
    assert [first["id"], second["id"]] == [0, 1]


def test_nothing_said_is_a_transcript_too():
    silent = RecordingTranscript([], 2.0, "translate")
    assert json.loads(answer(silent, "verbose_json", ()).body)["text"] == ""
    assert answer(silent, "text", ()).body == b"\n"


@pytest.mark.parametrize(
    ("text", "value"), [("en-gb", "en-gb"), ("a\r\nSet-Cookie: b", "a??Set-Cookie: b"), ("é", "?")]
)
def test_a_header_ends_where_it_should(text, value):
    assert header(text) == value
