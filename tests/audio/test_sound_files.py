"""A sound file is of the format that its name ends in."""

import wave
from pathlib import Path

import av
import numpy as np
import pytest

from voicebot.audio import Audio
from voicebot.audio.recordings import decode
from voicebot.audio.sound_files import ENDINGS, sound_file
from voicebot.errors import ConfigError


def tone(seconds, rate):
    return Audio(
        (0.5 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)).astype("f4"), rate
    )


def pitch(samples, rate):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


FORMATS = {
    "wav": "wav",
    "mp3": "mp3",
    "ogg": "ogg",
    "opus": "ogg",
    "flac": "flac",
    "m4a": "mov,mp4,m4a,3gp,3g2,mj2",
    "aac": "aac",
    "webm": "matroska,webm",
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("rate", [22050, 24000, 11025])
def test_the_file_is_what_its_name_says(tmp_path, ending, rate):
    path = str(tmp_path / f"answer.{ending}")
    with sound_file(path) as file:
        for _ in range(4):
            file.write(tone(0.5, rate))
    with av.open(path) as container:
        assert container.format.name == FORMATS[ending]
    samples = np.concatenate([part.samples for part in decode(path, 16000)])
    assert len(samples) / 16000 == pytest.approx(2.0, abs=0.15)  # AAC and MP3 pad their ends
    assert pitch(samples, 16000) == pytest.approx(440, abs=3)


def test_an_ending_in_capitals_counts_too(tmp_path):
    with sound_file(str(tmp_path / "ANSWER.MP3")) as file:
        file.write(tone(0.5, 24000))
    with av.open(str(tmp_path / "ANSWER.MP3")) as container:
        assert container.format.name == "mp3"


def test_a_name_without_an_ending_is_a_wav_file(tmp_path):
    with sound_file(str(tmp_path / "answer")) as file:
        file.write(tone(0.5, 24000))
    with wave.open(str(tmp_path / "answer")) as written:
        assert written.getframerate() == 24000


@pytest.mark.parametrize("name", ["answer.txt", "answer.wma", "answer.mp4x"])
def test_an_ending_that_is_not_written_is_refused_and_makes_no_file(tmp_path, name):
    with pytest.raises(ConfigError, match=rf"{name}: no sound is written as .*; .*\.wav, \.mp3"):
        sound_file(str(tmp_path / name))
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("ending", ["wav", "mp3"])
def test_a_place_that_cannot_be_written_is_told(tmp_path, ending):
    with pytest.raises(ConfigError, match="cannot be written"):
        sound_file(str(tmp_path / "none" / f"a.{ending}"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is full")
@pytest.mark.parametrize("ending", ["wav", "flac", "mp3", "ogg"])
def test_a_full_disk_is_told_in_a_line(tmp_path, ending):
    path = tmp_path / f"answer.{ending}"
    path.symlink_to("/dev/full")
    with pytest.raises(ConfigError, match="No space left on device"), sound_file(str(path)) as file:
        file.write(tone(100, 24000))


def test_a_file_that_nothing_was_written_to_is_closed(tmp_path):
    with sound_file(str(tmp_path / "a.mp3")):
        pass
    assert (tmp_path / "a.mp3").read_bytes() == b""
