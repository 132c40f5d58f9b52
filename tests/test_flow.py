"""Worker on a real loop and real threads."""

import asyncio
import threading
import time
from contextlib import aclosing

import pytest

from voicebot.flow import Worker, ahead


def slow_count(log, n=100, step=0.01):
    try:
        for i in range(n):
            time.sleep(step)
            log.append(i)
            yield i
    finally:
        log.append("closed")


def test_a_worker_streams_in_order_from_its_own_thread():
    async def main():
        worker = Worker("t")
        names = [
            n async for n in worker.stream(lambda: (threading.current_thread().name for _ in "ab"))
        ]
        worker.close()
        return names

    assert asyncio.run(main()) == ["t", "t"]


def test_a_stopped_engine_is_closed_at_its_next_yield():
    async def main():
        worker, log = Worker("t"), []
        async with aclosing(worker.stream(slow_count, log)) as items:
            async for item in items:
                if item == 3:
                    began = time.perf_counter()
                    break
        freed = [x async for x in worker.stream(slow_count, [], 1)]
        took = time.perf_counter() - began
        worker.close()
        return log, freed, took

    log, freed, took = asyncio.run(main())
    assert log[-1] == "closed" and len(log) <= 7 and freed == [0]
    assert took < 0.06


def test_an_error_in_the_thread_is_raised_in_the_reader():
    def broken():
        yield 1
        raise ValueError("bad")

    async def main():
        worker, got = Worker("t"), []
        try:
            async for item in worker.stream(broken):
                got.append(item)
        except ValueError as error:
            got.append(str(error))
        worker.close()
        return got

    assert asyncio.run(main()) == [1, "bad"]


def test_a_source_waiting_for_room_is_closed_when_its_reader_leaves():
    closed = []

    async def source():
        try:
            for i in range(10):
                yield i
        finally:
            closed.append(True)

    async def main():
        async with ahead(source(), items=1) as items:
            await anext(items)
            await asyncio.sleep(0)
        return list(closed)

    assert asyncio.run(main()) == [True]


def test_an_error_in_the_source_arrives_after_the_items_before_it():
    async def source():
        yield 1
        raise ValueError("bad")

    async def main():
        got = []
        with pytest.raises(ValueError):
            async with ahead(source(), items=5) as items:
                async for item in items:
                    got.append(item)
        return got

    assert asyncio.run(main()) == [1]
