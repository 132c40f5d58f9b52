"""Speech goes through Opus and is still that speech, to the sample where it was."""

import random
from pathlib import Path

import numpy as np
import pytest
import soxr

from voicebot.audio.opus import CLOCK, RATES, BadPacket, Decoder, Encoder
from voicebot.audio.recordings import decode

QUESTION = Path(__file__).parents[2] / "examples" / "question.wav"


def speech(rate):
    return np.concatenate([audio.samples for audio in decode(str(QUESTION), rate)])


def packets(samples, rate, pieces=1000):
    encoder = Encoder(rate)
    made = []
    for start in range(0, len(samples), pieces):
        made += encoder.feed(samples[start : start + pieces])
    return [*made, *encoder.finish()], encoder.skip


def heard(made):
    decoder = Decoder()
    return np.concatenate([decoder.feed(packet).samples for packet in made])


@pytest.mark.parametrize("rate", RATES)
def test_speech_stays_that_speech_and_where_it_was(rate):
    said = speech(rate)
    made, skip = packets(said, rate)
    back = heard(made)[skip * CLOCK // rate :]
    whole = len(said) * CLOCK // rate
    assert 0 <= len(back) - whole < CLOCK // 50, "all of it, and less than a packet more"
    expected = soxr.resample(said, rate, CLOCK)[:whole]

    def likeness(shift):
        ends = slice(100, len(expected) - 100)
        moved = slice(100 + shift, len(expected) - 100 + shift)
        return np.corrcoef(expected[ends], back[moved])[0, 1]

    assert likeness(0) > 0.85
    assert max(range(-90, 91, 3), key=likeness) in (-3, 0, 3)


def test_it_takes_a_tenth_of_the_bytes():
    made, _ = packets(speech(24000), 24000)
    assert sum(map(len, made)) < 2 * len(speech(24000)) / 10


@pytest.mark.parametrize("count", [0, 1, 323, 324, 325, 480, 24000])
def test_whatever_was_fed_comes_out_in_whole_packets(count):
    made, skip = packets(np.zeros(count, np.float32), 24000)
    assert len(heard(made)) // 2 - skip - count in range(480)


def test_what_is_no_packet_is_refused_and_the_next_one_is_heard():
    made, _ = packets(speech(24000), 24000)
    chance, decoder = random.Random(1), Decoder()
    with pytest.raises(BadPacket, match="0 bytes are no Opus packet"):
        decoder.feed(b"")
    for packet in made[:200]:
        for _ in range(5):
            try:
                decoder.feed(chance.randbytes(chance.choice([1, 2, 50, 500, 2000])))
            except BadPacket:
                continue
        assert len(decoder.feed(packet).samples) == CLOCK // 50
