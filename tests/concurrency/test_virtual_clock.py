"""The loop without waiting."""

import asyncio
import socket
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


def test_what_was_sent_has_arrived_before_time_passes():
    async def read():
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            theirs.send(b"hello")
            loop = asyncio.get_running_loop()
            data = await asyncio.wait_for(loop.sock_recv(ours, 5), 60)
            reading = asyncio.create_task(loop.sock_recv(ours, 5))
            await asyncio.sleep(0)
            theirs.send(b"again")
            return data, await asyncio.wait_for(reading, 60), loop.time()

    assert live(read()) == (b"hello", b"again", 0)


def test_a_busy_machine_can_be_pretended():
    async def wait():
        asyncio.get_running_loop().blocked(2.0)
        return asyncio.get_running_loop().time()

    assert live(wait()) == 2
