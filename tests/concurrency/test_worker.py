"""How work overlaps, waits and stops, on a real loop and real threads."""

import asyncio
import random
import threading
from contextlib import aclosing
from itertools import groupby
from math import inf

import pytest

from voicebot import context as request
from voicebot.concurrency.batching import MicroBatcher
from voicebot.concurrency.worker import (
    REQUEST,
    SWITCH,
    WORTH,
    Worker,
    background,
    buffered,
    cancel_and_wait,
    due,
    pulled,
)


@pytest.fixture
def worker():
    worker = Worker("model")
    yield worker
    worker.close()


@pytest.fixture
def parking():
    worker = Worker("model", parks=True)
    yield worker
    worker.close()


class Model:
    """Yields 0, 1, 2, ... but goes on only when it is let."""

    def __init__(self):
        self.steps = threading.Semaphore(0)
        self.begun, self.closed = threading.Event(), threading.Event()

    def count(self):
        self.begun.set()
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


def polling(worker, polls):
    """An engine that works, once it has told something, until nobody wants it to."""
    yield 1
    polls.set()
    while not worker.abandoned:
        threading.Event().wait(0.001)
    polls.clear()


def test_an_engine_can_see_that_nobody_reads_it_any_more(worker):
    polls = threading.Event()

    async def main():
        async with aclosing(worker.stream(polling, worker, polls)) as items:
            await anext(items)
            assert await asyncio.to_thread(polls.wait, 5)
        await worker.run(lambda: None)

    asyncio.run(main())
    assert not polls.is_set()


def test_an_engine_can_see_that_its_worker_is_closed():
    worker, polls, ended = Worker("model"), threading.Event(), threading.Event()

    async def main():
        async with aclosing(worker.stream(polling, worker, polls)) as items:
            await anext(items)
            assert await asyncio.to_thread(polls.wait, 5)
            worker.close(ended.set)
            assert await asyncio.to_thread(ended.wait, 5)

    asyncio.run(main())
    assert not polls.is_set()


def test_a_worker_knows_how_many_calls_somebody_reads(worker):
    model = Model()

    async def main():
        async with aclosing(worker.stream(model.count)) as items:
            model.go(1)
            await anext(items)
            waiting = asyncio.ensure_future(worker.run(lambda: None))
            await asyncio.sleep(0)
            calls.append(worker.calls)
            waiting.cancel()
            await asyncio.wait([waiting])
            calls.append(worker.calls)
        model.go(1)

    calls = []
    asyncio.run(main())
    assert [*calls, worker.calls] == [2, 1, 0]


def test_a_call_abandoned_before_its_turn_never_runs(worker):
    model, ran = Model(), []

    async def main():
        async with aclosing(worker.stream(model.count)) as items:
            waiting = asyncio.ensure_future(worker.run(ran.append, 1))
            model.go(1)
            await anext(items)
            await cancel_and_wait(waiting)
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
            await cancel_and_wait(waiting)

    asyncio.run(main())
    assert model.closed.is_set()
    assert ran == []


def test_what_an_engine_yields_where_it_has_nothing_to_tell_is_told_to_nobody(worker):
    def engine():
        yield from (1, None, 2, None)

    async def main():
        return [item async for item in worker.stream(engine)]

    assert asyncio.run(main()) == [1, 2]


class Log:
    """Engines that note what they do, and in the way of which calls have to wait."""

    def __init__(self, worker):
        self.worker, self.did, self.hold = worker, [], Model()

    def engine(self, name, steps):
        try:
            for i in range(steps):
                self.did.append(f"{name}{i}")
                yield f"{name}{i}"
        finally:
            self.did.append(f"{name}.")

    def begin(self, name, steps=1, when=None):
        """Call it in a task of its own, which reads all of it; due at `when`."""
        return self.reading(self.worker.stream(self.engine, name, steps), when)

    def reading(self, items, when=None):
        async def read():
            if when is not None:
                due.set(when if callable(when) else lambda: when)
            async with aclosing(items):
                return [item async for item in items]

        return asyncio.create_task(read())

    async def held(self):
        """From now on calls wait, until `go`."""
        self.hold.go(1)
        self._holding = self.worker.stream(self.hold.count)
        await anext(self._holding)

    async def go(self, *tasks):
        """Let what waits be done, and what `tasks` have read when they are."""
        await asyncio.sleep(0)  # each has asked by now
        await self._holding.aclose()
        self.hold.go(1)
        return await asyncio.gather(*tasks)


def test_the_call_due_soonest_is_made_first_and_of_equals_the_one_that_came_first(worker):
    log = Log(worker)

    async def main():
        await log.held()
        whens = {"a": 2.0, "b": 1.0, "c": inf, "d": 1.0, "e": 0.5}
        await log.go(*[log.begin(name, when=when) for name, when in whens.items()])

    asyncio.run(main())
    assert log.did == "e0 e. b0 b. d0 d. a0 a. c0 c.".split()  # noqa: SIM905 - reads as a score


def test_a_call_is_parked_while_one_due_sooner_is_made_and_then_goes_on(parking):
    log, due_at = Log(parking), {"long": 5.0}

    def interrupted():
        for item in log.engine("l", 4):
            if item == "l1":
                due_at["long"] = 9.0  # what it has made keeps its listener busy
            yield item

    async def main():
        await log.held()
        long = log.reading(parking.stream(interrupted), lambda: due_at["long"])
        short = log.begin("s", 2, when=7.0)
        return await log.go(long, short)

    assert asyncio.run(main()) == [["l0", "l1", "l2", "l3"], ["s0", "s1"]]
    assert log.did == "l0 l1 s0 s1 s. l2 l3 l.".split()  # noqa: SIM905 - reads as a score


@pytest.mark.parametrize(
    ("parks", "sooner"), [(True, SWITCH / 2), (False, 5.0)], ids=["hardly sooner", "never parked"]
)
def test_a_call_that_is_not_to_be_parked_is_made_to_its_end(parks, sooner):
    worker = Worker("model", parks=parks)
    log, due_at = Log(worker), {"long": 1.0}

    def delayed():
        for item in log.engine("l", 3):
            due_at["long"] = 9.0
            yield item

    async def main():
        await log.held()
        long = log.reading(worker.stream(delayed), lambda: due_at["long"])
        short = log.begin("s", when=9.0 - sooner)
        await log.go(long, short)
        worker.close()

    asyncio.run(main())
    assert log.did == "l0 l1 l2 l. s0 s.".split()  # noqa: SIM905 - reads as a score


def test_calls_that_take_turns_work_for_many_times_as_long_as_going_over_costs(parking):
    parking.switch_s = 0.05
    did, clock = [], [100.0]

    def steps(name):
        for step in range(40):
            clock[0] += 0.1
            did.append(name)
            yield step

    async def read(name):
        async with aclosing(parking.stream(steps, name)) as items:
            return [item async for item in items]

    async def main():
        asyncio.get_running_loop().time = lambda: clock[0]
        return await asyncio.gather(read("a"), read("b"))

    assert asyncio.run(main()) == [[*range(40)]] * 2
    turns = [len(list(turn)) for _, turn in groupby(did)]
    # What has not begun waits for nobody, and in the end there is nobody to wait for.
    assert min(turns[1:-2]) >= WORTH * 0.05 / 0.1
    assert len(turns) >= 4, "nor does one wait until the other is done"


def test_a_call_that_has_not_begun_waits_for_nobody_s_slice(parking):
    parking.switch_s = 1000.0
    log, due_at = Log(parking), {"long": 5.0}

    def interrupted():
        for item in log.engine("l", 4):
            due_at["long"] = 9.0
            yield item

    async def main():
        await log.held()
        long = log.reading(parking.stream(interrupted), lambda: due_at["long"])
        return await log.go(long, log.begin("s", 2, when=7.0))

    asyncio.run(main())
    assert log.did == "l0 s0 s1 s. l1 l2 l3 l.".split()  # noqa: SIM905 - reads as a score


def test_work_nobody_listens_to_lets_those_go_first_who_would_hear_silence(worker):
    log = Log(worker)

    async def main():
        now = asyncio.get_running_loop().time()
        await log.held()
        request = log.begin("r")
        soon = log.begin("s", when=now + REQUEST - 1)
        late = log.begin("l", when=now + REQUEST + 10)
        await log.go(request, soon, late)

    asyncio.run(main())
    assert log.did == "s0 s. r0 r. l0 l.".split()  # noqa: SIM905 - reads as a score


def test_nothing_starves_however_many_come_after_it(parking):
    """A turn a second, each due soon after it came, and the engine never idle."""
    log, turns = Log(parking), []

    async def come(number):
        due.set(lambda: number + 0.8)
        turns.append(log.reading(parking.stream(turn, number, asyncio.get_running_loop())))
        await asyncio.sleep(0)

    def turn(number, loop):
        if number < 20:  # the next has come before this one is done
            asyncio.run_coroutine_threadsafe(come(number + 1), loop).result(5)
        log.did.append(number)
        yield

    async def main():
        await log.held()
        patient = log.begin("p", when=5.0)
        await come(0)
        await log.go(patient)
        while len(turns) < 21:
            await turns[-1]
        await asyncio.wait(turns)

    asyncio.run(main())
    assert log.did == [*range(5), "p0", "p.", *range(5, 21)]


def test_a_parked_call_whose_reader_has_gone_is_closed_and_knows_why(parking):
    log, due_at, saw = Log(parking), [0.0], []
    begun, go = threading.Event(), threading.Event()

    def parked():
        try:
            due_at[0] = 9.0
            yield 1
            saw.append("nobody waits for this")
        finally:
            saw.append(("parked", parking.abandoned))

    def running():
        begun.set()
        assert go.wait(5)
        for i in range(2):
            saw.append(("running", parking.abandoned))
            yield i

    async def main():
        await log.held()
        due.set(lambda: due_at[0])
        left = parking.stream(parked)
        first = asyncio.ensure_future(anext(left))
        other = log.reading(parking.stream(running), when=5.0)
        await log.go(first)
        assert await asyncio.to_thread(begun.wait, 5)
        await left.aclose()
        go.set()
        assert await other == [0, 1]

    asyncio.run(main())
    assert saw == [("running", False), ("parked", True), ("running", False)]


def test_a_closed_worker_closes_what_is_parked(parking):
    log, due_at, tidied = Log(parking), [0.0], threading.Event()

    def parked():
        due_at[0] = 9.0
        yield from log.engine("p", 2)

    async def main():
        await log.held()
        reading = log.reading(parking.stream(parked), lambda: due_at[0])
        model = Model()
        running = log.reading(parking.stream(model.count), when=5.0)
        model.go(1)
        await log.go()
        assert await asyncio.to_thread(model.begun.wait, 5)
        parking.close(tidied.set)
        model.go(1)
        assert await asyncio.to_thread(tidied.wait, 5)
        await cancel_and_wait(reading)
        await cancel_and_wait(running)

    asyncio.run(main())
    assert log.did == ["p0", "p."]


@pytest.mark.parametrize("seed", range(40))
def test_whatever_the_schedule_every_reader_gets_its_own_items_in_order(seed):
    """Calls of random lengths and moving due times, some of which fail or lose their reader."""
    chance = random.Random(seed)
    worker = Worker("model", parks=chance.random() < 0.7)
    at_work = threading.Lock()
    begun, ended, closed = set(), set(), threading.Event()
    left = {}

    def engine(name, steps, fails, dues):
        assert not closed.is_set()
        begun.add(name)
        try:
            for i in range(steps):
                assert at_work.acquire(blocking=False), "two at a time"
                if worker.abandoned:
                    assert left[name]
                dues[0] += chance.choice([0, 0.05, 0.5, 3])
                at_work.release()
                yield (name, i) if i % 3 else None
            if fails:
                raise ValueError(name)
        finally:
            ended.add(name)

    async def call(name):
        steps, fails, leaves = chance.randrange(12), chance.random() < 0.2, chance.randrange(20)
        dues, got = [chance.choice([1, 2, 2, 5, inf])], []
        left[name] = False
        due.set(lambda: dues[0])
        await asyncio.sleep(chance.choice([0, 0, 0.001]))
        try:
            async with aclosing(worker.stream(engine, name, steps, fails, dues)) as items:
                async for item in items:
                    got.append(item)
                    if len(got) > leaves:
                        left[name] = True
                        break
        except ValueError as error:
            failed = str(error)
        else:
            failed = None
        assert failed == (str(name) if fails and not left[name] else None)
        whole = [(name, i) for i in range(steps) if i % 3]
        assert got == (whole[: len(got)] if left[name] else whole)

    async def main():
        await asyncio.gather(*map(call, range(12)))
        worker.close(closed.set)
        assert await asyncio.to_thread(closed.wait, 5)

    asyncio.run(main())
    assert begun == ended


def test_a_source_is_read_ahead_while_its_reader_is_busy():
    made = []

    async def source():
        for i in range(10):
            made.append(i)
            yield i

    async def main():
        async with buffered(source(), items=3) as items:
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
        async with buffered(source(), items=1) as items:
            await anext(items)
        return list(closed)

    assert asyncio.run(main()) == [True]


def test_an_error_in_the_source_arrives_after_the_items_before_it():
    async def source():
        yield 1
        raise ValueError("bad")

    async def main():
        async with buffered(source(), items=5) as items:
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

        async with background(work()) as task:
            await asyncio.sleep(0)
        return task.cancelled() and tidied.is_set()

    assert asyncio.run(main())


class Doubling:
    """Doubles what it is given, and keeps what it was given at once."""

    def __init__(self, most):
        self.lists = []
        self.together = MicroBatcher(self.work, most)

    def work(self, numbers):
        self.lists.append(numbers)
        if None in numbers:
            raise ValueError("no number")
        return [2 * number for number in numbers]

    async def asked(self, *numbers):
        """Asked for all of these in one turn of the loop."""
        asked = [asyncio.create_task(self.together.do(number)) for number in numbers]
        await asyncio.sleep(0)
        return asked


def test_what_is_asked_in_one_turn_of_the_loop_is_done_together():
    async def life():
        doubling = Doubling(most=2)
        asked = await doubling.asked(1, 2, 3)
        first = await asyncio.gather(*asked)
        return first, await doubling.together.do(4), doubling.lists

    assert asyncio.run(life()) == ([2, 4, 6], 8, [[1, 2], [3], [4]])


def test_the_loop_does_other_work_between_two_lists():
    async def life():
        doubling = Doubling(most=1)
        asked = await doubling.asked(1, 2)
        await asyncio.sleep(0)
        return doubling.lists[:], await asyncio.gather(*asked)

    assert asyncio.run(life()) == ([[1]], [2, 4])


def test_who_no_longer_waits_does_not_keep_the_others_from_their_answers():
    async def life():
        doubling = Doubling(most=9)
        first, gone, last = await doubling.asked(1, 2, 3)
        gone.cancel()
        return await asyncio.gather(first, gone, last, return_exceptions=True), doubling.lists

    (first, gone, last), lists = asyncio.run(life())
    assert (first, type(gone), last) == (2, asyncio.CancelledError, 6)
    assert lists == [[1, 3]]


def test_what_all_have_gone_from_is_not_done():
    async def life():
        doubling = Doubling(most=9)
        for gone in await doubling.asked(1, 2):
            gone.cancel()
        return await doubling.together.do(3), doubling.lists

    assert asyncio.run(life()) == (6, [[3]])


def test_what_fails_together_is_told_to_all_who_asked_and_the_next_is_done():
    async def life():
        doubling = Doubling(most=9)
        asked = await doubling.asked(1, None, 3)
        told = await asyncio.gather(*asked, return_exceptions=True)
        return [str(each) for each in told], await doubling.together.do(4)

    assert asyncio.run(life()) == (["no number"] * 3, 8)


@pytest.mark.parametrize("fails", [False, True])
def test_who_is_cancelled_in_mid_work_keeps_nobody_from_an_answer(fails):
    def work(numbers):
        asked[0].cancel()  # as a signal handler does, between two bytecodes
        if fails:
            raise ValueError("no number")
        return numbers

    async def life():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, about: unhandled.append(about))
        together = MicroBatcher(work, 9)
        asked.extend(asyncio.create_task(together.do(number)) for number in (1, 2))
        return await asyncio.gather(*asked, return_exceptions=True)

    asked, unhandled = [], []
    gone, kept = asyncio.run(life())
    assert isinstance(gone, asyncio.CancelledError)
    assert str(kept) == ("no number" if fails else "2")
    assert unhandled == []


def test_each_loop_has_its_own_list():
    doubling = Doubling(most=9)

    async def left():
        await doubling.asked(1)

    asyncio.run(left())
    assert asyncio.run(doubling.together.do(2)) == 4
