"""The user's sound out of RTP packets, whatever the network does to them."""

import asyncio
from dataclasses import dataclass

import numpy as np
import pytest
from room import InstantLoop

from voicebot.audio.opus import Encoder
from voicebot.server.webrtc.microphone import LATE_S, QUIET_S, REORDER, Microphone

STEP = 960
START = 2**16 - 3
"""Where the numbers begin, so that they overflow in the first packets."""


@dataclass
class Packet:
    ssrc: int
    sequence_number: int
    timestamp: int
    payload: bytes


def packets(count, first=START, clock=2**32 - 2 * STEP, ssrc=1):
    encoder = Encoder(48000)
    times = np.arange(count * STEP) / 48000
    sound = (0.5 * np.sin(2 * np.pi * 300 * times)).astype(np.float32)
    return [
        Packet(ssrc, (first + i) % 2**16, (clock + i * STEP) % 2**32, data)
        for i, data in enumerate(encoder.feed(sound))
    ]


class Heard:
    def __init__(self, sent=()):
        self.sound = []
        self.microphone = Microphone(self.sound.append)
        for packet in sent:
            self.microphone.receive(packet)

    @property
    def steps(self):
        """Of each 20 ms whether there was sound in it."""
        samples = np.concatenate([audio.samples for audio in self.sound])
        return "".join(
            "x" if np.abs(samples[at : at + STEP]).max() > 0.1 else "."
            for at in range(0, len(samples), STEP)
        )

    @property
    def seconds(self):
        return sum(audio.seconds for audio in self.sound)


def test_packets_become_their_sound_at_once():
    sent = packets(8)
    heard = Heard(sent[:1])
    assert heard.seconds == pytest.approx(0.02)
    for packet in sent[1:]:
        heard.microphone.receive(packet)
    assert heard.steps == "xxxxxxxx"


def test_one_that_was_overtaken_is_heard_in_its_place_and_none_twice():
    a, b, c, d, e = packets(5)
    assert Heard([a, c, b, b, d, e, d]).steps == "xxxxx"
    assert Heard([a, c, b, d, e]).microphone.lost == 0


def test_one_that_is_lost_is_as_much_silence():
    sent = packets(12)
    heard = Heard([*sent[:4], *sent[6:]])
    assert heard.steps == "xxxx..xxxxxx"
    assert heard.microphone.lost == 2


def test_after_a_loss_nothing_comes_later_than_before():
    first, _, *rest = packets(12)
    heard = Heard([first, *rest[:REORDER]])
    assert heard.seconds == pytest.approx(0.02 * (2 + REORDER))


def test_one_that_is_no_opus_is_as_much_silence():
    sent = packets(6)
    sent[3].payload = b""
    assert Heard(sent).steps == "xxx.xx"


@pytest.mark.parametrize(
    "again", [{"first": START + 5, "clock": 10**9}, {"first": 7, "ssrc": 2}, {"first": 9999}]
)
def test_a_stream_that_begins_anew_goes_on_at_once(again):
    assert Heard([*packets(5), *packets(5, **{"clock": 10**9, **again})]).steps == "x" * 10


def test_one_that_comes_a_long_time_after_its_turn_is_not_heard():
    sent = packets(40)
    heard = Heard([sent[0], *sent[2:], sent[1]])
    assert heard.steps == "x." + "x" * 38


def live(life):
    with asyncio.Runner(loop_factory=InstantLoop) as runner:
        runner.run(life)


async def _quiet(heard, seconds):
    task = asyncio.create_task(heard.microphone.keep_time())
    await asyncio.sleep(seconds)
    task.cancel()


def test_while_nothing_is_sent_time_passes_in_silence():
    heard = Heard(packets(5))
    live(_quiet(heard, 3.05))
    assert heard.seconds == pytest.approx(3.1, abs=QUIET_S + 0.01)


def test_what_is_sent_after_a_gap_is_not_filled_up_twice():
    sent = packets(100)
    heard = Heard(sent[:5])

    async def gap():
        await _quiet(heard, 0.92)
        for packet in sent[50:55]:
            heard.microphone.receive(packet)

    live(gap())
    assert heard.seconds == pytest.approx(55 * 0.02, abs=0.02)


async def _pause(heard, seconds):
    """Five packets, so long nothing, and five that go on where those ended."""
    sent = packets(10)
    for packet in sent[:5]:
        heard.microphone.receive(packet)
    await _quiet(heard, seconds)
    for packet in sent[5:]:
        heard.microphone.receive(packet)


def test_packets_that_only_come_late_have_no_silence_between_them():
    heard = Heard()
    live(_pause(heard, LATE_S - 0.05))
    assert heard.steps == "x" * 10


def test_where_the_sender_says_that_it_is_quiet_time_passes_sooner():
    sent = packets(5)
    sent[4].payload = sent[4].payload[:1]  # so Opus announces that it will send nothing (DTX)
    heard = Heard(sent)
    live(_quiet(heard, LATE_S - 0.05))
    assert heard.seconds == pytest.approx(0.1 + LATE_S - 0.05, abs=QUIET_S)


def test_what_came_while_this_machine_was_busy_is_read_before_time_passes():
    heard = Heard()

    async def busy():
        sent = packets(10)
        for packet in sent[:5]:
            heard.microphone.receive(packet)
        task = asyncio.create_task(heard.microphone.keep_time())
        await asyncio.sleep(0.1)
        asyncio.get_running_loop().blocked(2.0)
        for _ in range(20):  # from the socket to the microphone it is some way
            await asyncio.sleep(0)
        for packet in sent[5:]:
            heard.microphone.receive(packet)
        await asyncio.sleep(LATE_S - 0.05)
        task.cancel()

    live(busy())
    assert heard.steps == "x" * 10


def test_a_machine_that_is_always_late_lets_time_pass_too():
    heard = Heard(packets(5))

    async def busy():
        task = asyncio.create_task(heard.microphone.keep_time())
        for _ in range(10):
            await asyncio.sleep(0)
            asyncio.get_running_loop().blocked(1.0)
        await asyncio.sleep(0.01)
        task.cancel()

    live(busy())
    assert heard.seconds > 5


def test_before_the_first_packet_no_time_passes():
    heard = Heard()
    live(_quiet(heard, 3.0))
    assert heard.sound == []
