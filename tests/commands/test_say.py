"""`voicebot say`: what is written is read aloud, by the real espeak-ng."""

import io
import subprocess
import sys
import wave

import av
import numpy as np
import pytest


@pytest.fixture
def place(tmp_path):
    pytest.importorskip("espeakng_loader")
    (tmp_path / "voicebot.toml").write_text('[tts]\nengine = "espeak"\n')
    return tmp_path


def say(place, *arguments, typed=b""):
    return subprocess.run(
        [sys.executable, "-m", "voicebot", "say", *arguments],
        cwd=place,
        input=typed,
        capture_output=True,
        timeout=50,
    )


def sound(file):
    """Its samples, whatever its format, at 16 kHz."""
    with av.open(file) as container:
        mono = av.AudioResampler("flt", "mono", 16000)
        frames = [*container.decode(audio=0), None]
        blocks = [block for frame in frames for block in mono.resample(frame)]
    return np.concatenate([block.to_ndarray().reshape(-1) for block in blocks])


def test_another_model_of_the_settings_speaks_where_it_is_named(place):
    with (place / "voicebot.toml").open("a") as settings:
        settings.write('[tts.models.slow]\nengine = "espeak"\nspeed = 0.5\n')
    for name, model in (("usual.wav", ()), ("slow.wav", ("--model", "slow"))):
        assert say(place, "Hello there.", "-o", name, *model).returncode == 0
    assert len(sound(place / "slow.wav")) > 1.5 * len(sound(place / "usual.wav"))
    wrong = say(place, "Hello there.", "--model", "slwo", "-o", "x.wav")
    assert wrong.returncode == 2
    assert wrong.stderr.decode().endswith("has no 'slwo'; there is slow; did you mean slow?\n")


@pytest.mark.parametrize("name", ["x.wav", "x.mp3", "x.opus"])
def test_a_text_becomes_a_file_of_the_format_its_name_ends_in(place, name):
    done = say(place, "The", "kettle is on.", "-o", name)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(b"espeak speaks")
    samples = sound(str(place / name))
    assert 0.5 < len(samples) / 16000 < 3
    assert np.abs(samples).max() > 0.05


def test_standard_input_is_read_to_its_end_and_given_out_as_sound(place):
    done = say(place, "-o", "-", typed="One.\r\n\r\nTwo — three.".encode("utf-8-sig"))
    assert done.returncode == 0, done.stderr
    with wave.open(io.BytesIO(done.stdout)) as spoken:
        assert spoken.getnchannels() == 1
    assert say(place, "-", "-o", "x.wav", typed=b"Caf\xe9.").returncode == 0  # not UTF-8


def test_paragraphs_are_further_apart_than_sentences(place):
    lengths = []
    for text in ("One. Two.", "One.\n\nTwo."):
        assert say(place, text, "-o", "x.wav").returncode == 0
        lengths.append(len(sound(str(place / "x.wav"))) / 16000)
    assert 0.2 < lengths[1] - lengths[0] < 0.35  # [speech] paragraph_ms - stop_ms


def test_another_voice_may_say_it(place):
    for voice in ("en-us", "de"):
        assert say(place, "Neun", "--voice", voice, "-o", f"{voice}.wav").returncode == 0
    assert (place / "en-us.wav").read_bytes() != (place / "de.wav").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], b"there is nothing to say; voicebot say"),
        (["..."], b"there is nothing to say in '...'"),
        (["a", "--voice", "nobody"], b"espeak has no voice 'nobody'"),
        (["a", "-o", "x.xyz"], b"x.xyz: no sound is written as .xyz"),
    ],
)
def test_what_cannot_be_said_is_one_line(place, arguments, says):
    done = say(place, *(["-o", "x.wav"] if "-o" not in arguments else []), *arguments)
    assert done.returncode == 2
    assert says in done.stderr.splitlines()[-1]
    assert b"Traceback" not in done.stderr
