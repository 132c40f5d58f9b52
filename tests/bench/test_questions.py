"""Where the speech in a recording begins and ends, and which recordings are questions."""

import json

import numpy as np
import pytest

from voicebot.audio import Audio
from voicebot.audio.recordings import WavWriter
from voicebot.bench.questions import RATE, own, read, speech
from voicebot.errors import ConfigError, InputError


def sound(*script, noise=0.0):
    """("speak", 1.0), ("wait", 0.5) as a recording; a third number is how loud."""
    random = np.random.default_rng(0)
    parts = []
    for action, seconds, *level in script:
        count = round(seconds * RATE)
        loud = (level or [0.3])[0] if action == "speak" else 0.0
        tone = loud * np.sin(2 * np.pi * 200 * np.arange(count) / RATE)
        parts.append(tone + noise * random.standard_normal(count))
    return Audio(np.concatenate(parts).astype(np.float32), RATE)


def test_speech_is_found_to_a_hundredth_of_a_second():
    ((start, end),) = speech(sound(("wait", 0.5), ("speak", 1.0), ("wait", 0.7)))
    assert (start, end) == (pytest.approx(0.5), pytest.approx(1.5))


def test_in_a_noisy_room_it_is_found_too():
    ((start, end),) = speech(sound(("wait", 0.5), ("speak", 1.0), ("wait", 0.7), noise=0.02))
    assert (start, end) == (pytest.approx(0.5, abs=0.02), pytest.approx(1.5, abs=0.02))


def test_a_word_may_end_softly():
    ((_, end),) = speech(sound(("speak", 1.0), ("speak", 0.2, 0.03), ("wait", 0.7)))
    assert end == pytest.approx(1.2)


def test_what_is_30_db_below_is_the_room():
    ((_, end),) = speech(sound(("speak", 1.0), ("speak", 0.2, 0.008), ("wait", 0.7)))
    assert end == pytest.approx(1.0)


def test_a_click_is_no_speech():
    ((_, end),) = speech(sound(("speak", 1.0), ("wait", 0.5), ("speak", 0.02), ("wait", 0.7)))
    assert end == pytest.approx(1.0)


def test_a_click_alone_is_no_question():
    click = sound(("wait", 0.5), ("speak", 0.06), ("wait", 2.0), ("speak", 0.5), ("wait", 0.5))
    assert speech(click) == [(pytest.approx(2.56), pytest.approx(3.06))]


def test_rumble_is_no_speech_however_loud():
    spoken = sound(("wait", 0.7), ("speak", 1.0), ("wait", 0.3))
    rumble = 0.6 * np.sin(2 * np.pi * 20 * np.arange(len(spoken.samples)) / RATE)
    ((start, end),) = speech(Audio(spoken.samples + rumble.astype(np.float32), RATE))
    assert (start, end) == (pytest.approx(0.7, abs=0.02), pytest.approx(1.7, abs=0.02))


def test_a_pause_is_within_a_question_and_a_long_one_begins_another():
    short = sound(("speak", 1.0), ("wait", 1.0), ("speak", 0.5), ("wait", 0.5))
    assert speech(short) == [(0.0, pytest.approx(2.5))]
    long = sound(("speak", 1.0), ("wait", 1.6), ("speak", 0.5), ("wait", 0.5))
    assert speech(long) == [(0.0, pytest.approx(1.0)), (pytest.approx(2.6), pytest.approx(3.1))]


def test_sound_without_any_silence_is_all_speech():
    assert speech(sound(("speak", 1.0))) == [(0.0, pytest.approx(1.0))]


def test_no_sound_at_all_has_no_speech():
    assert speech(sound(("wait", 1.0))) == []
    assert speech(Audio(np.zeros(3, np.float32), RATE)) == []


def write(path, audio):
    with WavWriter(str(path)) as wav:
        wav.write(audio)


SPOKEN = sound(("wait", 0.5), ("speak", 1.0), ("wait", 0.5))


def test_a_breath_before_the_words_is_no_onset(tmp_path):
    breath = ("speak", 0.15, 0.1), ("wait", 0.3)
    write(tmp_path / "a.wav", sound(("wait", 0.2), *breath, ("speak", 1.0), ("wait", 0.4)))
    (question,) = read([str(tmp_path)])
    assert question.start == pytest.approx(0.2)
    assert question.onset == pytest.approx(0.65)


def test_a_short_word_begins_where_it_does(tmp_path):
    write(tmp_path / "a.wav", sound(("wait", 0.2), ("speak", 0.15), ("wait", 0.4)))
    (question,) = read([str(tmp_path)])
    assert question.onset == question.start == pytest.approx(0.2)


def test_a_folder_of_recordings_is_enough(tmp_path):
    write(tmp_path / "a.wav", SPOKEN)
    (tmp_path / "notes.txt").write_text("none")
    (question,) = read([str(tmp_path)])
    assert (question.name, question.start, question.end) == ("a", 0.5, 1.5)


def test_a_recording_of_two_questions_is_two(tmp_path):
    write(tmp_path / "a.wav", sound(("speak", 1.0), ("wait", 2.0), ("speak", 0.5), ("wait", 0.4)))
    first, second = read([str(tmp_path)])
    assert (first.name, first.start, first.end) == ("a#1", 0.0, 1.0)
    assert first.audio.seconds == pytest.approx(2.7)
    assert (second.name, second.start) == ("a#2", pytest.approx(0.3))
    assert second.end == pytest.approx(0.8)


def test_a_manifest_says_which_count_and_may_say_when_speech_ends(tmp_path):
    entries = [
        {"audio": "a.wav", "text": "hello", "speech_start_s": 0.4, "speech_end_s": 1.4},
        {"audio": "b.wav", "text": None, "duration_s": 2.0},
        {"audio": "noise.wav", "text": ""},
        {"audio": "long.wav", "text": "once upon a time", "duration_s": 60},
    ]
    folder = tmp_path / "inner"
    folder.mkdir()
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, entries)))
    for name in "abc":
        write(folder / f"{name}.wav", SPOKEN)
    known, found = read([str(tmp_path)])
    assert (known.name, known.start, known.end) == ("a", 0.4, 1.4)
    assert (found.name, found.start, found.end) == ("b", 0.5, 1.5)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"not json", r"manifest\.jsonl: line 2 is none of a manifest"),
        (b"[]", r"line 2 is none of a manifest"),
        (b'{"text": "hello"}', r"line 2 is none of a manifest"),
        (b'{"audio": 3}', r"line 2 is none of a manifest"),
        (b'{"audio": "a.wav", "duration_s": "long"}', r"line 2 is none of a manifest"),
        (b"\xff\xfe", r"manifest\.jsonl: .* none of a manifest"),
        (b'{"audio": "a.wav", "speech_start_s": 0, "speech_end_s": "1"}', r"from 0 to '1' s"),
        (b'{"audio": "a.wav", "speech_start_s": 2, "speech_end_s": 1}', r"a\.wav: .* 2 to 1 s"),
        (b'{"audio": "a.wav", "speech_start_s": 0, "speech_end_s": 99}', r"in 2 s of sound"),
        (b'{"audio": "a.wav", "speech_start_s": 0, "speech_end_s": NaN}', r"0 to nan s"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_told_with_its_line(tmp_path, line, says):
    write(tmp_path / "a.wav", SPOKEN)
    (tmp_path / "manifest.jsonl").write_bytes(b"\n" + line)
    with pytest.raises(InputError, match=says):
        read([str(tmp_path)])


def test_a_folder_that_is_none_or_empty_is_told(tmp_path):
    with pytest.raises(ConfigError, match="no such folder"):
        read([str(tmp_path / "none")])
    with pytest.raises(ConfigError, match="no recorded questions"):
        read([str(tmp_path)])


def test_the_project_has_questions_of_its_own():
    assert len(read(own())) == 3
