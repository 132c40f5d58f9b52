"""The loop without waiting."""

import asyncio
import time

import pytest

from voicebot.concurrency.virtual_clock import VirtualClockLoop


def live(life):
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        return runner.run(life)


def test_an_hour_passes_at_once():
    async def wait():
        loop = asyncio.get_running_loop()
        await asyncio.gather(asyncio.sleep(3600), asyncio.sleep(1800))
        return loop.time()

    began = time.monotonic()
    assert live(wait()) == 3600
    assert time.monotonic() - began < 5


def test_real_work_takes_as_long_as_it_takes():
    async def work():
        loop = asyncio.get_running_loop()
        with loop.working():
            await loop.run_in_executor(None, time.sleep, 0.05)
            with loop.working():
                pass
            at = loop.time()
        assert loop.time() >= at
        await asyncio.sleep(60)
        return at, loop.time() - at

    at, after = live(work())
    assert 0.05 <= at < 5
    assert 60 <= after < 65


def test_waiting_for_what_never_comes_is_an_error():
    with pytest.raises(RuntimeError, match="nothing can wake them"):
        live(asyncio.Event().wait())
