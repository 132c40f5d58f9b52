"""When a turn crossed its boundaries, and what kept it waiting."""

import asyncio

import pytest
from room import live

from voicebot.conversation.timeline import Timeline
from voicebot.errors import EngineError


async def every(seconds, count):
    for i in range(count):
        await asyncio.sleep(seconds)
        yield i


def test_a_stage_is_marked_at_its_first_and_its_last():
    async def marks():
        line = Timeline(late=0.5, patience=9)
        assert [i async for i in line.timed("llm", every(1.0, 3))] == [0, 1, 2]
        return line.marks

    assert live(marks()) == pytest.approx({"llm.first": 1.5, "llm.last": 3.5})


def test_of_several_clauses_the_first_beginning_and_the_last_end_count():
    async def marks():
        line = Timeline(late=0.0, patience=9)
        for _ in range(2):
            async for _ in line.timed("tts", every(1.0, 2)):
                pass
        return line.marks

    assert live(marks()) == pytest.approx({"tts.first": 1.0, "tts.last": 4.0})


def test_an_engine_is_waited_for_between_items_and_not_while_its_reader_is_busy():
    async def marks():
        line = Timeline(late=0.0, patience=2.0)
        async for _ in line.timed("tts", every(1.0, 3)):
            await asyncio.sleep(5.0)
        with pytest.raises(EngineError, match="tts: nothing came for 2 s"):
            async for _ in line.timed("tts", every(3.0, 1)):
                pass

    live(marks())


def test_the_waits_for_further_chunks_are_counted_by_their_length():
    async def ended():
        line = Timeline(late=0.5, patience=9)
        for seconds in (0.005, 0.2, 2.0):
            async for _ in line.timed("tts", every(seconds, 3)):
                await asyncio.sleep(5.0)  # the reader's own time is none of it
        return line.end()

    assert live(ended()).gaps == {"tts": [2, 0, 0, 0, 2, 0, 0, 2]}


def test_a_turn_that_is_over_tells_when_it_was_begun_and_when_it_ended():
    async def ended():
        line = Timeline(late=0.5, patience=9)
        await asyncio.sleep(2.0)
        return line.end()

    turn = live(ended())
    assert (turn.began, turn.ended) == (0.5, 2.5)
    assert turn.tokens is None


def test_how_long_an_engine_was_waited_for_is_without_its_readers_own_time():
    async def ended():
        line = Timeline(late=0.0, patience=9)
        for _ in range(2):
            async for _ in line.timed("tts", every(0.5, 3)):
                await asyncio.sleep(5.0)
        return line.end()

    assert live(ended()).amounts == pytest.approx({"tts.waited": 3.0})


def test_each_stage_took_what_it_made_the_user_wait():
    async def took():
        line = Timeline(late=0.2, patience=9)
        line.marks |= {"stt.last": 0.5, "passages": 0.6, "llm.first": 0.55, "clause": 0.9}
        return line.took()

    assert live(took()) == pytest.approx(
        {"recognition": 0.3, "retrieval": 0.1, "first_token": 0.0, "first_clause": 0.3}
    )


def test_what_is_left_only_shrinks():
    async def left():
        line = Timeline(late=0.3, patience=9, deadline=0.8)
        before = line.left
        await asyncio.sleep(0.7)
        return before, line.left

    assert live(left()) == pytest.approx((0.5, -0.2))
