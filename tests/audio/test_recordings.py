"""Any file PyAV can decode, and one clear line for each that it cannot."""

import asyncio
import io
import struct
import subprocess
import sys
import wave
from contextlib import aclosing

import av
import numpy as np
import pytest

from voicebot.audio import Audio, silence
from voicebot.audio.recordings import WavWriter, decode, recording
from voicebot.errors import ConfigError, InputError


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


def part(seconds, rate, channels=1, codec="libmp3lame", form="mp3"):
    """The bytes of a stream of frames that another can follow: MP3, or AAC in ADTS."""
    made = io.BytesIO()
    options = {"write_xing": "0", "id3v2_version": "0"} if form == "mp3" else {}
    with av.open(made, "w", format=form, options=options) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = "stereo" if channels == 2 else "mono"
        frame = av.AudioFrame.from_ndarray(
            np.tile(tone(seconds, rate), (channels, 1)), "fltp", stream.layout.name
        )
        frame.sample_rate = rate
        resampler = av.AudioResampler(stream.format, stream.layout, rate, stream.frame_size or None)
        for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
            container.mux(stream.encode(piece))
    return made.getvalue()


def length(data):
    """Seconds in the file by its own frames, each at its own rate."""
    with av.open(io.BytesIO(data)) as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


AAC = {"codec": "aac", "form": "adts"}


@pytest.mark.parametrize(
    "parts",
    [
        [(44100, 1, {}), (48000, 1, {})],
        [(44100, 2, {}), (44100, 1, {})],
        [(44100, 1, {}), (44100, 2, {})],
        [(48000, 2, {}), (16000, 1, {}), (44100, 2, {}), (22050, 1, {})],
        [(44100, 1, AAC), (48000, 1, AAC)],
        [(44100, 2, AAC), (44100, 1, AAC)],
        [(16000, 1, AAC), (48000, 2, AAC), (24000, 1, AAC)],
    ],
)
def test_rate_and_channels_may_change_in_the_middle(tmp_path, parts):
    data = b"".join(part(2, rate, channels, **kind) for rate, channels, kind in parts)
    (tmp_path / "joined").write_bytes(data)
    audio = read(str(tmp_path / "joined"))
    # Each change rounds to a whole sample.
    assert len(audio.samples) == pytest.approx(16000 * length(data), abs=len(parts))
    assert audio.seconds == pytest.approx(2 * len(parts), abs=0.15 * len(parts))
    for n in range(len(parts)):  # at the same pitch and as loud in each part
        middle = audio.samples[round((2 * n + 0.7) * 16000) :][: 16000 // 2]
        assert pitch(Audio(middle, 16000)) == pytest.approx(440, abs=5)
        assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)


def waves(path, channels, rate=16000, width=2):
    """A WAV file as a recorder of many microphones writes it."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes((np.stack(channels, axis=1) * 32767).astype("<i2").tobytes())
    return str(path)


def loud(samples):
    return float(np.sqrt(np.mean(np.square(samples))))


@pytest.mark.parametrize("channels", [3, 4, 6, 8, 16, 60])
def test_a_voice_in_one_of_many_channels_is_as_loud_as_alone(tmp_path, channels):
    for place in (0, 1, channels - 1):
        sound = [np.zeros(16000, "f4") for _ in range(channels)]
        sound[place] = tone(1, 16000)
        audio = read(waves(tmp_path / "array.wav", sound))
        assert len(audio.samples) == 16000
        assert loud(audio.samples) == pytest.approx(loud(tone(1, 16000)), rel=0.01)


@pytest.mark.parametrize("channels", [4, 6, 8, 16])
def test_the_noise_of_an_array_of_microphones_is_averaged_away(tmp_path, channels):
    noise = np.random.default_rng(1).normal(0, 0.1, (channels, 16000)).astype("f4")
    audio = read(waves(tmp_path / "array.wav", list(tone(1, 16000) + noise)))
    left = loud(audio.samples - tone(1, 16000))
    assert left == pytest.approx(0.1 / np.sqrt(channels), rel=0.2)


def test_two_channels_are_averaged(tmp_path):
    audio = read(waves(tmp_path / "two.wav", [tone(1, 16000), np.zeros(16000, "f4")]))
    assert loud(audio.samples) == pytest.approx(loud(tone(1, 16000)) / 2, rel=0.01)


def test_where_the_voice_walks_to_another_channel_nothing_clicks(tmp_path):
    first = tone(2, 16000, 200) * (np.arange(32000) < 16000)
    second = tone(2, 16000, 200) - first
    sound = [first, second, *(np.zeros(32000, "f4") for _ in range(4))]
    audio = read(waves(tmp_path / "six.wav", sound))
    steepest = np.abs(np.diff(tone(2, 16000, 200))).max()
    assert np.abs(np.diff(audio.samples)).max() <= 1.1 * steepest


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16be", "pcm_s24le", "pcm_s32le", "pcm_f64le"])
def test_full_scale_is_the_same_in_every_sample_format(tmp_path, codec):
    audio = read(record(tmp_path / ("a.aiff" if codec.endswith("be") else "a.wav"), codec=codec))
    assert np.abs(audio.samples).max() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("script.sbg", b"SBaGen\n-SE\ntone: 200+4/50\n00:00 tone\n"),
        ("list.m3u8", b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nx.mp3\n#EXT-X-ENDLIST\n"),
        ("list.ffconcat", b"ffconcat version 1.0\nfile 'x.mp3'\n"),
    ],
)
def test_what_is_no_recording_is_not_interpreted(tmp_path, name, content):
    record(tmp_path / "x.mp3", codec="libmp3lame")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as sound"):
        read(str(tmp_path / name))


def test_sound_in_a_rare_codec_is_told_by_name(tmp_path):
    path = record(tmp_path / "a.mkv", codec="real_144", rate=8000)
    with pytest.raises(InputError, match=r"a\.mkv: sound in real_144 is not read"):
        read(path)


@pytest.mark.parametrize("rate", [1, 5, 3999, 2_000_000_000])
def test_a_rate_that_no_sound_has_is_refused(tmp_path, rate):
    path = waves(tmp_path / "slow.wav", [tone(0.1, 16000)], rate=rate)
    with pytest.raises(InputError, match="samples a second"):
        read(path)


def test_a_recording_over_the_longest_is_refused_without_reading_on(tmp_path):
    path = record(tmp_path / "long.flac", seconds=60, codec="flac")
    heard = []
    with pytest.raises(InputError, match=r"long\.flac: longer than 30 seconds"):
        heard.extend(decode(path, 16000, longest_s=30))
    assert sum(len(part.samples) for part in decode(path, 16000, longest_s=60)) == 60 * 16000


PEAK = """
import resource, sys
from voicebot.audio.recordings import decode
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
print(sum(part.seconds for part in decode(sys.argv[1], 16000)), peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kB on Linux only")
def test_a_cover_picture_is_not_decoded(tmp_path):
    path, side = tmp_path / "cover.mp3", 6000
    with av.open(str(path), "w") as container:
        sound = container.add_stream("libmp3lame", rate=44100, layout="mono")
        cover = container.add_stream("png", rate=1)
        cover.width = cover.height = side
        cover.pix_fmt = "rgb24"
        cover.disposition = 1024  # attached picture
        frame = av.AudioFrame.from_ndarray(tone(1, 44100)[None], "fltp", "mono")
        frame.sample_rate = 44100
        resampler = av.AudioResampler(sound.format, "mono", 44100, sound.frame_size)
        picture = av.VideoFrame.from_ndarray(np.zeros((side, side, 3), np.uint8), "rgb24")
        packets = [p for piece in [*resampler.resample(frame), None] for p in sound.encode(piece)]
        for packet in [*cover.encode(picture), *cover.encode(None), *packets]:
            container.mux(packet)
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True
    )
    seconds, kilobytes = map(float, done.stdout.split())
    assert seconds == pytest.approx(1, abs=0.1)
    assert kilobytes < 30_000  # the picture is 108 MB


def test_a_name_with_a_colon_is_a_file(tmp_path, monkeypatch):
    record(tmp_path / "12:30.wav")
    monkeypatch.chdir(tmp_path)
    assert read("12:30.wav").seconds == pytest.approx(1)
