"""How work overlaps, waits and stops, on a real loop and real threads."""

import asyncio
import threading
from contextlib import aclosing

import pytest

from voicebot import request
from voicebot.flow import Worker, ahead, pulled, started, stop


@pytest.fixture
def worker():
    worker = Worker("model")
    yield worker
    worker.close()


class Model:
    """Yields 0, 1, 2, ... but goes on only when it is let."""

    def __init__(self):
        self.steps, self.closed = threading.Semaphore(0), threading.Event()

    def count(self):
        try:
            for i in range(1000):
                assert self.steps.acquire(timeout=5)
                yield i
        finally:
            self.closed.set()

    def go(self, steps):
        self.steps.release(steps)


def test_a_worker_streams_in_order_from_its_own_thread(worker):
    def name_and_count():
        for i in range(3):
            yield threading.current_thread().name, i

    async def main():
        return [item async for item in worker.stream(name_and_count)]

    assert asyncio.run(main()) == [("model", 0), ("model", 1), ("model", 2)]


def test_the_thread_knows_which_request_it_works_for(worker):
    def labels():
        yield request.label()

    async def ask(id, turn):
        request.begin(id)
        request.begin_turn(turn)
        return [label async for label in worker.stream(labels)], await worker.run(request.label)

    async def main():
        return await asyncio.gather(ask("one", 1), ask("two", 2))

    assert asyncio.run(main()) == [(["one.1"], "one.1"), (["two.2"], "two.2")]
    assert request.label() == ""


def test_a_stopped_engine_is_closed_at_its_next_yield_and_the_next_call_runs(worker):
    model = Model()

    async def main():
        async with aclosing(worker.stream(model.count)) as items:
            model.go(2)
            assert [await anext(items), await anext(items)] == [0, 1]
        model.go(1)
        return await worker.run(lambda: model.closed.is_set())

    assert asyncio.run(main())


def test_an_engine_can_see_that_nobody_reads_it_any_more(worker):
    seen = []

    def engine():
        yield 1
        while not worker.abandoned:
            threading.Event().wait(0.001)
        seen.append("left")

    async def main():
        async with aclosing(worker.stream(engine)) as items:
            await anext(items)
        await worker.run(lambda: None)

    asyncio.run(main())
    assert seen == ["left"]


def test_a_call_abandoned_before_its_turn_never_runs(worker):
    model, ran = Model(), []

    async def main():
        async with aclosing(worker.stream(model.count)) as items:
            waiting = asyncio.ensure_future(worker.run(ran.append, 1))
            model.go(1)
            await anext(items)
            await stop(waiting)
        model.go(1)
        await worker.run(lambda: None)

    asyncio.run(main())
    assert ran == []


def test_an_error_in_the_thread_is_raised_in_the_reader(worker):
    def broken():
        yield 1
        raise ValueError("bad")

    async def main():
        items = worker.stream(broken)
        assert await anext(items) == 1
        with pytest.raises(ValueError, match="bad"):
            await anext(items)

    asyncio.run(main())


def test_an_engine_that_outlives_the_loop_harms_nobody(worker):
    model = Model()

    async def main():
        async with aclosing(worker.stream(model.count)) as items:
            model.go(1)
            await anext(items)

    asyncio.run(main())
    model.go(1)
    assert asyncio.run(worker.run(lambda: "still here")) == "still here"


def test_a_closed_worker_drops_what_waits_and_tidies_up_in_its_thread():
    worker, model, ran, tidied = Worker("model"), Model(), [], threading.Event()

    async def main():
        async with aclosing(worker.stream(model.count)) as items:
            model.go(1)
            await anext(items)
            waiting = asyncio.ensure_future(worker.run(ran.append, 1))
            await asyncio.sleep(0)
            worker.close(tidied.set)
            model.go(1)
            assert await asyncio.to_thread(tidied.wait, 5)
            await stop(waiting)

    asyncio.run(main())
    assert model.closed.is_set()
    assert ran == []


def test_a_source_is_read_ahead_while_its_reader_is_busy():
    made = []

    async def source():
        for i in range(10):
            made.append(i)
            yield i

    async def main():
        async with ahead(source(), items=3) as items:
            assert await anext(items) == 0
            for _ in range(20):
                await asyncio.sleep(0)
            return len(made)

    assert asyncio.run(main()) == 5  # one read, three waiting, one that found no room


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
        return list(closed)

    assert asyncio.run(main()) == [True]


def test_an_error_in_the_source_arrives_after_the_items_before_it():
    async def source():
        yield 1
        raise ValueError("bad")

    async def main():
        async with ahead(source(), items=5) as items:
            assert await anext(items) == 1
            with pytest.raises(ValueError, match="bad"):
                await anext(items)

    asyncio.run(main())


def test_a_blocking_generator_is_pulled_no_further_than_it_is_read():
    made, closed = [], threading.Event()

    def numbers():
        try:
            for i in range(100):
                made.append(i)
                yield i
        finally:
            closed.set()

    async def main():
        async with aclosing(pulled(numbers())) as items:
            got = [await anext(items), await anext(items)]
        assert await asyncio.to_thread(closed.wait, 5)
        return got

    assert asyncio.run(main()) == [0, 1]
    assert made == [0, 1]


def test_a_blocking_generator_that_hangs_keeps_nobody_from_leaving():
    go = threading.Event()

    def hanging():
        go.wait(5)
        yield 1

    async def main():
        async with aclosing(pulled(hanging())) as items:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(items), 0.01)

    asyncio.run(main())
    go.set()


def test_what_is_started_for_a_block_is_stopped_with_it():
    async def main():
        tidied = asyncio.Event()

        async def work():
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                tidied.set()

        async with started(work()) as task:
            await asyncio.sleep(0)
        return task.cancelled() and tidied.is_set()

    assert asyncio.run(main())
