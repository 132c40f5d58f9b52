"""`voicebot transcribe` in a child process, with the engines everybody has."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from voicebot.audio import join, silence
from voicebot.audio.recordings import WavWriter, decode
from voicebot.engines import Segment, Word
from voicebot.transcription.transcribe import FORMATS, parted

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TWO = str(EXAMPLES / "two-questions.wav")
SETTINGS = '[vad]\nengine = "silero"\n[stt]\nengine = "pocketsphinx"'


@pytest.fixture
def place(tmp_path):
    (tmp_path / "voicebot.toml").write_text(SETTINGS)
    return tmp_path


def transcribe(place, *arguments):
    command = [sys.executable, "-m", "voicebot", "transcribe", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=place, timeout=55, check=False
    )


def test_each_utterance_is_a_line_of_text(place):
    done = transcribe(place, TWO)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "when was the old apple tree planted",
        "when does the village shop open",
    ]


def test_json_tells_times_words_and_confidence_on_the_recordings_clock(place):
    document = json.loads(transcribe(place, TWO, "--format", "json").stdout)
    assert document["file"] == TWO
    first, second = document["segments"]
    assert document["text"] == f"{first['text']} {second['text']}"
    assert 0.3 < first["start"] < first["end"] < second["start"] < second["end"] < 9
    words = second["words"]
    assert [word["text"] for word in words] == second["text"].split()
    assert words[0]["start"] == second["start"]
    assert all(0 <= word["confidence"] <= 1 for word in words)


def said(*words, text=""):
    """A segment of words at (start, end, text)."""
    words = [Word(word, start, end, 0.5) for start, end, word in words]
    text = text or " ".join(word.text for word in words)
    return Segment(text, words[0].start, words[-1].end, tuple(words), 0.9, "en")


def lines(segment):
    return [(part.text, part.start, part.end) for part in parted(segment)]


def test_every_sentence_is_a_segment():
    segment = said((0, 1, "Nobody"), (1, 2, "came"), (2, 3, "here."), (3, 4, "Why"), (4, 5, "so?"))
    assert lines(segment) == [("Nobody came here.", 0, 3), ("Why so?", 3, 5)]


def test_a_pause_ends_a_segment():
    segment = said((0, 0.5, "one"), (0.5, 1, "two"), (1.7, 2, "three"))
    assert lines(segment) == [("one two", 0, 1), ("three", 1.7, 2)]


def test_a_word_that_ends_in_a_stop_is_no_segment():
    segment = said((0, 0.2, "Dr."), (0.2, 1, "Brown"), (1, 1.2, "came."))
    assert lines(segment) == [("Dr. Brown came.", 0, 1.2)]


def test_a_long_sentence_is_parted_at_a_comma_and_else_all_the_same():
    sentence = [*["word"] * 20, "comma,", *["word"] * 60]
    words = [(at * 0.1, at * 0.1 + 0.1, word) for at, word in enumerate(sentence)]
    parts = parted(said(*words))
    assert parts[0].text.endswith("comma,")
    assert max(len(part.text) for part in parts) <= 160
    assert " ".join(part.text for part in parts) == " ".join(sentence)


def test_a_language_without_spaces_gets_none():
    segment = said((0, 1, "你"), (1, 2, "好"), (3, 4, "世"), (4, 5, "界"), text="你好世界")
    assert [part.text for part in parted(segment)] == ["你好", "世界"]


def test_a_segment_without_words_stays_whole():
    segment = Segment("Nobody came here. Why so?", 0.5, 1.25)
    assert parted(segment) == [segment]


def test_subtitles_have_numbers_and_times():
    segments = [Segment("Hello there.", 0.5, 1.25), Segment(" Bye. ", 3661.0, 3662.5)]
    assert FORMATS["srt"]("x", segments) == (
        "1\n00:00:00,500 --> 00:00:01,250\nHello there.\n\n"
        "2\n01:01:01,000 --> 01:01:02,500\nBye.\n\n"
    )


def test_a_folder_gets_a_file_for_each_recording(place):
    done = transcribe(place, TWO, str(EXAMPLES / "question.wav"), "--format", "srt", "-o", "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert sorted(path.name for path in (place / "out").iterdir()) == [
        "question.srt",
        "two-questions.srt",
    ]
    assert (place / "out" / "question.srt").read_text().startswith("1\n00:00:00,")


def test_recordings_of_the_same_name_do_not_overwrite_each_other(place):
    for folder in ("monday", "tuesday"):
        (place / folder).mkdir()
        with WavWriter(str(place / folder / "memo.wav")) as wav:
            wav.write(join(list(decode(str(EXAMPLES / "question.wav"), 16000))))
    done = transcribe(place, "monday/memo.wav", "tuesday/memo.wav", "-o", "out")
    assert done.returncode == 2
    assert (
        "monday/memo.wav and tuesday/memo.wav would both be written to out/memo.txt" in done.stderr
    )


def test_one_bad_file_does_not_cost_the_others(place):
    (place / "broken.mp3").write_bytes(np.random.default_rng(0).bytes(5000))
    done = transcribe(place, "broken.mp3", str(EXAMPLES / "question.wav"), "nowhere.wav")
    assert done.returncode == 5
    assert "apple tree" in done.stdout
    errors = [line for line in done.stderr.splitlines() if line.startswith("voicebot: ")]
    assert len(errors) == 2
    assert "broken.mp3" in errors[0]
    assert "nowhere.wav: no such file" in errors[1]
    assert "Traceback" not in done.stderr


def test_silence_is_an_empty_transcript_and_no_error(place):
    with WavWriter(str(place / "quiet.wav")) as wav:
        wav.write(silence(3, 16000))
    done = transcribe(place, "quiet.wav", "--format", "json")
    assert done.returncode == 0
    assert json.loads(done.stdout) == {"file": "quiet.wav", "text": "", "segments": []}


STUMBLES = """
from voicebot.engines import Segment

class Stumbles:
    calls = 0
    async def transcribe(self, audio):
        Stumbles.calls += 1
        if Stumbles.calls == 1:
            raise ZeroDivisionError("a mistake of the engine's")
        yield Segment("heard \\x1b]52;c;aGFja2Vk\\x07\\x9b2J it", 0.0, 1.0)
"""


@pytest.fixture
def stumbling(place):
    (place / "stumbling.py").write_text(STUMBLES)
    (place / "voicebot.toml").write_text(
        '[vad]\nengine = "silero"\n[stt]\nengine = "stumbling:Stumbles"'
    )
    return place


def test_whatever_one_file_raises_the_others_are_read(stumbling):
    question = str(EXAMPLES / "question.wav")
    done = transcribe(stumbling, question, question)
    assert done.returncode == 1
    assert done.stdout.startswith("heard")
    assert f"{question}: our fault" in done.stderr
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize("form", ["txt", "srt", "json"])
def test_what_was_heard_steers_no_terminal(stumbling, form):
    question = str(EXAMPLES / "question.wav")
    done = transcribe(stumbling, question, question, "--format", form)
    assert "heard \\u001b]52;c;aGFja2Vk\\u0007\\u009b2J it" in done.stdout
    if form == "json":
        assert "\x1b]52" in json.loads(done.stdout)["text"]
