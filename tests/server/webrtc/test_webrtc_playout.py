"""What is sent of an answer, what is taken back, and how much of it counts as heard."""

import asyncio

import numpy as np
import pytest
from room import InstantLoop

from voicebot.audio import Audio
from voicebot.audio.opus import Decoder
from voicebot.server.realtime.playout import PACKET_S, PLAYOUT_S, Playout, quiet


class Answer:
    """A response, as far as its sound goes."""

    def __init__(self, id):
        self.id, self.made = id, 0.0


class Line:
    """A track that takes a packet each 20 ms, and who is told of it."""

    def __init__(self):
        self.told, self.cut, self.taken = [], {}, []
        self.playout, self.answer = Playout(), Answer("a")
        self.playout.serve(self._made, self._changed, self._cut, float)

    def _changed(self, change, id):
        self.told.append((change, id))

    def _cut(self, answer, seconds):
        self.cut[answer.id] = seconds

    def _made(self, seconds):
        self.answer.made += seconds
        return self.answer

    def begin(self, id):
        self.playout.begin()
        self.answer = Answer(id)

    async def says(self, seconds, rate=24000):
        times = np.arange(round(seconds * rate)) / rate
        await self.playout.play(Audio((0.5 * np.sin(2000 * times)).astype(np.float32), rate))

    async def takes(self, seconds):
        for _ in range(round(seconds / PACKET_S)):
            self.taken.append(self.playout.next())
            await asyncio.sleep(PACKET_S)

    @property
    def heard(self):
        """Seconds of what was taken in which there was sound."""
        decoder = Decoder()
        sounds = [decoder.feed(packet).samples for packet in self.taken]
        return sum(np.abs(samples).max() > 0.05 for samples in sounds) * PACKET_S


def held(talk):
    line = Line()
    with asyncio.Runner(loop_factory=InstantLoop) as runner:
        runner.run(talk(line))
    return line


def test_an_answer_is_sent_as_it_is_and_told_to_begin_and_to_end():
    async def talk(line):
        await line.says(1.0, rate=22050)
        await line.playout.drain()
        assert not line.playout.is_silent
        await line.takes(0.5)
        assert line.told == [("started", "a")]
        await line.takes(1.0)
        assert line.playout.is_silent

    line = held(talk)
    assert line.told == [("started", "a"), ("stopped", "a")]
    assert line.answer.made == pytest.approx(1.0, abs=0.001)
    assert line.heard == pytest.approx(1.0, abs=0.041)


def test_what_is_taken_back_is_never_sent_and_what_was_sent_was_heard():
    async def talk(line):
        await line.says(2.0)
        await line.takes(0.5)
        assert line.playout.stop() == pytest.approx(0.5)
        await line.takes(1.0)
        assert line.playout.stop() == pytest.approx(0.5)

    line = held(talk)
    assert line.told == [("started", "a"), ("cleared", "a")]
    assert line.heard == pytest.approx(0.5, abs=0.021)


def test_the_next_answer_is_heard_after_the_one_before():
    async def talk(line):
        await line.says(0.5)
        await line.playout.drain()
        line.begin("b")
        await line.says(0.5)
        await line.playout.drain()
        await line.takes(2.0)

    line = held(talk)
    assert [told for told in line.told if told[0] == "started"] == [
        ("started", "a"), ("started", "b"),
    ]  # fmt: skip
    assert line.told[-1] == ("stopped", "b")
    assert line.heard == pytest.approx(1.0, abs=0.081)


def test_an_answer_that_nobody_heard_of_takes_nothing_of_the_one_before():
    async def talk(line):
        await line.says(1.0)
        await line.playout.drain()
        await line.takes(0.2)
        line.begin("b")
        assert line.playout.stop() == 0
        await line.takes(1.2)

    line = held(talk)
    assert line.told == [("started", "a"), ("stopped", "a")]


def test_all_answers_can_be_taken_back():
    async def talk(line):
        await line.says(1.0)
        await line.playout.drain()
        await line.takes(0.2)
        line.begin("b")
        await line.says(1.0)
        line.playout.clear()
        assert line.playout.stop() == 0
        await line.takes(1.0)

    line = held(talk)
    assert line.cut == {"a": pytest.approx(0.2)}
    assert line.told == [("started", "a"), ("cleared", "a"), ("cleared", "b")]
    assert line.heard == pytest.approx(0.2, abs=0.021)


def test_an_answer_that_failed_keeps_nobody_waiting():
    async def talk(line):
        await line.says(0.2)
        line.begin("b")
        await line.says(0.2)
        await line.playout.drain()
        await line.takes(1.0)

    assert held(talk).told[-1] == ("stopped", "b")


def test_sound_is_made_ahead_but_not_without_end():
    async def talk(line):
        saying = asyncio.create_task(line.says(20.0))
        await line.takes(1.0)
        made = line.answer.made
        saying.cancel()
        return made

    assert held(talk).answer.made == pytest.approx(6.0, abs=0.5)


def test_where_nothing_is_said_nothing_is_heard():
    samples = np.concatenate([Decoder().feed(quiet()).samples for _ in range(3)])
    assert np.abs(samples).max() < 0.001
    assert Line().playout.next() == quiet()
    assert PLAYOUT_S > PACKET_S
