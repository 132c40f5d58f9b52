"""Any file PyAV can decode, and one clear line for each that it cannot."""

import asyncio
import io
import struct
import wave
from contextlib import aclosing

import av
import numpy as np
import pytest

from voicebot.audio import Audio, silence
from voicebot.errors import ConfigError, InputError
from voicebot.recordings import WavWriter, decode, recording


def tone(seconds, rate, hertz=440.0, level=0.5):
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(
        "f4"
    )


def record(path, seconds=1.0, rate=44100, channels=1, codec="pcm_s16le"):
    """Write a tone the way a recorder would."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = "stereo" if channels == 2 else "mono"
        samples = np.tile(tone(seconds, rate), (channels, 1))
        frame = av.AudioFrame.from_ndarray(samples, "fltp", stream.layout.name)
        frame.sample_rate = rate
        resampler = av.AudioResampler(stream.format, stream.layout, rate, stream.frame_size or None)
        for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
            container.mux(stream.encode(piece))
    return str(path)


def read(path, rate=16000):
    parts = list(decode(path, rate))
    return Audio(np.concatenate([part.samples for part in parts]), rate)


def pitch(audio):
    """Hertz of the loudest frequency."""
    spectrum = np.abs(np.fft.rfft(audio.samples * np.hanning(len(audio.samples))))
    return float(np.argmax(spectrum) * audio.rate / len(audio.samples))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("phone.wav", {"rate": 8000}),
        ("studio.wav", {"rate": 96000, "channels": 2, "codec": "pcm_s24le"}),
        ("cd.flac", {"codec": "flac", "channels": 2}),
        ("song.mp3", {"codec": "libmp3lame"}),
        ("chat.ogg", {"rate": 48000, "codec": "libopus"}),
        ("chat.webm", {"rate": 48000, "codec": "libopus"}),
        ("memo.m4a", {"codec": "aac"}),
    ],
)
def test_every_recording_is_heard_at_the_rate_asked_for(tmp_path, name, settings):
    audio = read(record(tmp_path / name, **settings))
    assert audio.seconds == pytest.approx(1.0, abs=0.06)
    assert pitch(audio) == pytest.approx(440, abs=5)
    assert audio.samples.dtype == np.float32


def test_a_long_recording_is_read_a_little_at_a_time(tmp_path):
    path = record(tmp_path / "long.flac", seconds=60, codec="flac")
    assert max(part.seconds for part in decode(path, 16000)) <= 0.21


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_a_recording_shorter_than_a_block_is_heard_too(tmp_path, rate):
    path = record(tmp_path / "click.wav", seconds=0.05, rate=rate)
    assert read(path).seconds == pytest.approx(0.05, abs=0.005)


def test_numbers_that_are_no_sound_are_brought_into_range(tmp_path):
    wild = np.array([[0.1, np.nan, np.inf, -np.inf, 7.0] * 4000], np.float32)
    with av.open(str(tmp_path / "wild.wav"), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(wild, "flt", "mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
    samples = read(str(tmp_path / "wild.wav")).samples
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= 1


@pytest.mark.parametrize("content", [b"", b"not a recording at all" * 99, b"RIFF"])
def test_a_file_that_is_no_recording_is_named(tmp_path, content):
    (tmp_path / "broken.wav").write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.wav: cannot be read as sound"):
        read(str(tmp_path / "broken.wav"))


def test_a_recording_of_no_length_holds_no_sound(tmp_path):
    with WavWriter(str(tmp_path / "none.wav")) as wav:
        wav.write(silence(0, 16000))
    with pytest.raises(InputError, match=r"none\.wav: "):
        read(str(tmp_path / "none.wav"))


def test_a_picture_holds_no_sound(tmp_path):
    with av.open(str(tmp_path / "film.mkv"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 32
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match=r"film\.mkv: there is no sound in it"):
        read(str(tmp_path / "film.mkv"))


@pytest.mark.parametrize(("name", "why"), [("nothing.wav", "no such file"), (".", "[Dd]irectory")])
def test_what_is_not_there_is_named(tmp_path, name, why):
    with pytest.raises(InputError, match=why):
        read(str(tmp_path / name))


def test_what_comes_before_the_damage_is_kept(tmp_path, caplog):
    path = tmp_path / "half.flac"
    record(path, seconds=4, codec="flac")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 1 < read(str(path)).seconds < 3


def test_a_reader_that_leaves_stops_the_reading(tmp_path):
    path = record(tmp_path / "long.flac", seconds=60, codec="flac")

    async def first():
        async with aclosing(recording(path, 16000)) as blocks:
            return await anext(blocks)

    assert asyncio.run(first()).seconds == pytest.approx(0.2)


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "answer.wav"
    with WavWriter(str(path)) as wav:
        wav.write(Audio(tone(0.5, 24000), 24000))
        wav.write(Audio(tone(0.5, 22050), 22050))  # another voice, another rate
    with wave.open(str(path)) as written:
        assert written.getframerate() == 24000
    audio = read(str(path))
    assert audio.seconds == pytest.approx(1.0, abs=0.02)
    assert pitch(audio) == pytest.approx(440, abs=5)


def test_a_file_is_whole_after_every_write(tmp_path):
    with WavWriter(str(tmp_path / "answer.wav")) as wav:
        for n in (1, 2, 3):
            wav.write(silence(0.1, 16000))
            with wave.open(str(tmp_path / "answer.wav")) as written:
                assert written.getnframes() == n * 1600


def test_a_stream_to_standard_output_says_that_its_length_is_not_known(monkeypatch):
    class Out:
        buffer = io.BytesIO()

    monkeypatch.setattr("sys.stdout", Out())
    with WavWriter("-") as wav:
        wav.write(silence(0.1, 16000))
    data = Out.buffer.getvalue()
    assert data[:4] == b"RIFF"
    assert struct.unpack("<I", data[24:28]) == (16000,)
    assert len(data) == 44 + 3200
    with av.open(io.BytesIO(data)) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) == 1600


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere/answer\.wav: cannot be written"):
        WavWriter(str(tmp_path / "nowhere" / "answer.wav"))


def test_an_open_file_is_read_and_left_open(tmp_path):
    path = record(tmp_path / "memo.m4a", codec="aac")
    with open(path, "rb") as file:
        parts = list(decode(file, 16000, "memo"))
        assert sum(part.seconds for part in parts) == pytest.approx(1.0, abs=0.06)
        assert not file.closed
    with pytest.raises(InputError, match="memo: cannot be read as sound"):
        read_file(io.BytesIO(b"nothing"), "memo")


def read_file(file, name):
    return list(decode(file, 16000, name))


def test_an_open_file_opens_no_other(tmp_path, monkeypatch):
    record(tmp_path / "secret.mp3", codec="libmp3lame")
    monkeypatch.chdir(tmp_path)
    playlist = b"ffconcat version 1.0\nfile 'secret.mp3'\n"
    with pytest.raises(InputError):
        read_file(io.BytesIO(playlist), "sent")
