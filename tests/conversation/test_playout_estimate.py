"""How long an answer keeps its listener busy."""

import asyncio

import pytest
from room import live

from voicebot.conversation.playout_estimate import LETTER, PlayoutEstimate


def test_before_the_first_sound_the_promise_counts():
    lead = PlayoutEstimate(promised=0.8)
    assert lead.text() == lead.sound() == 0.8


def test_what_is_written_and_made_puts_off_when_more_is_due():
    lead = PlayoutEstimate(promised=0.8)
    lead.wrote(20)
    assert (lead.sound(), lead.text()) == pytest.approx((0.8, 0.8 + 20 * LETTER))
    lead.made(1.5)
    lead.spoke(20)
    assert (lead.sound(), lead.text()) == pytest.approx((2.3, 2.3))


def test_sound_that_is_given_lasts_from_when_it_is_played():
    async def dues():
        lead, seen = PlayoutEstimate(promised=0.8), []
        await asyncio.sleep(0.5)
        for _ in range(3):  # the first before it was promised, the last after a silence
            lead.made(0.3)
            lead.gave(0.3)
            seen.append(lead.sound())
            await asyncio.sleep(0.25 if len(seen) == 1 else 1.0)
        return seen

    assert live(dues()) == pytest.approx([0.5 + 0.3, 0.8 + 0.3, 1.75 + 0.3])
