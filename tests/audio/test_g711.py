"""The laws of G.711, against the standard's own values and a reference that is not ours."""

import numpy as np
import pytest

from voicebot.audio import Audio, from_pcm16, g711

LAWS = ["ulaw", "alaw"]


@pytest.mark.parametrize("law", LAWS)
def test_every_code_comes_back_as_itself(law):
    codes = bytes(range(256))
    again = g711.encode(g711.decode(codes, law), law)
    # The µ-law has two zeros; the negative one may come back as the positive.
    assert again == (codes.replace(b"\x7f", b"\xff") if law == "ulaw" else codes)


@pytest.mark.parametrize(("law", "code"), [("ulaw", b"\xff"), ("alaw", b"\xd5")])
def test_silence_has_the_code_of_the_standard(law, code):
    assert g711.encode(Audio(np.zeros(1, np.float32), 8000), law) == code


@pytest.mark.parametrize(
    ("law", "loudest", "value"), [("ulaw", b"\x80", 32124), ("alaw", b"\xaa", 32256)]
)
def test_too_loud_is_clipped_to_the_loudest_code(law, loudest, value):
    assert g711.encode(Audio(np.array([3.0], np.float32), 8000), law) == loudest
    assert g711.decode(loudest, law).samples[0] == value / 32768


@pytest.mark.parametrize("law", LAWS)
def test_each_value_is_carried_within_its_step(law):
    values = np.arange(-32768, 32768, dtype="<i2")
    line = g711.decode(g711.encode(from_pcm16(values.tobytes(), 8000), law), law)
    apart = np.abs(line.samples * 32768 - values)
    assert (apart <= np.maximum(16, np.abs(values.astype(np.int32)) / 16 + 16)).all()


@pytest.mark.parametrize("law", LAWS)
def test_each_value_has_the_nearest_code_or_the_next(law):
    """By a search of all codes: G.711 takes steps' edges outwards or inwards, never farther."""
    values = np.arange(-32768, 32768, dtype="<i2")
    reached = np.sort(g711.decode(bytes(range(256)), law).samples * 32768)
    line = g711.decode(g711.encode(from_pcm16(values.tobytes(), 8000), law), law).samples * 32768
    nearest = np.abs(reached[None, :] - values[::97, None].astype(float)).argmin(axis=1)
    taken = np.searchsorted(reached, line[::97])
    assert np.abs(taken - nearest).max() <= 1


@pytest.mark.parametrize(("law", "codec"), [("ulaw", "pcm_mulaw"), ("alaw", "pcm_alaw")])
def test_ffmpeg_hears_the_same(law, codec):
    import av

    decoder = av.CodecContext.create(codec, "r")
    decoder.sample_rate, decoder.layout = 8000, "mono"
    codes = bytes(range(256))
    (frame,) = decoder.decode(av.Packet(codes))
    assert (frame.to_ndarray()[0] == g711.decode(codes, law).samples * 32768).all()
