"""Several conversations on one engine, which a real `Worker` shares out in pretend time."""

import asyncio
import threading
from contextlib import aclosing

import pytest
from room import InstantLoop, Room, Speaker, now, user

from voicebot.conversation.lead import PROMISED
from voicebot.engines import Delta
from voicebot.events import TurnEnded
from voicebot.flow import REQUEST, Worker, due

ASK = ("speak", 1.0)
STORY = " ".join(f"{a} one two three four five six seven." for a in "ABCDEFGHIJKLMNOP").split()


class Model:
    """A chat model on a thread of its own that takes 0.1 s for a word."""

    def __init__(self, *, parks):
        self.worker = Worker("model", parks=parks)
        self.loop = asyncio.get_running_loop()
        self.loop.threads.append(self)
        self.calls, self.sleeps = 0, False

    @property
    def at_work(self):
        return self.calls > 0 and not self.sleeps

    async def say(self, words):
        self.calls += 1
        try:
            async with aclosing(self.worker.stream(self._say, words)) as deltas:
                async for delta in deltas:
                    yield delta
        finally:
            self.calls -= 1

    def _say(self, words):
        for word in words:
            self._sleep(0.1)
            yield Delta(f"{word} ")

    def _sleep(self, seconds):
        woken = threading.Event()

        def begin():
            self.sleeps = True
            self.loop.call_later(seconds, end)

        def end():
            self.sleeps = False
            woken.set()

        self.loop.call_soon_threadsafe(begin)
        assert woken.wait(5)


class Says:
    """What the model has to say to one of its users."""

    def __init__(self, model, words):
        self.model, self.words = model, words

    def reply(self, messages):
        return self.model.say(self.words)


class Whole(Speaker):
    """Notes when it had nothing to play in mid-answer."""

    def __init__(self):
        super().__init__()
        self.gaps = []

    async def play(self, audio):
        if self.played and now() > self.ends:
            self.gaps.append(now() - self.ends)
        await super().play(audio)


def live(life):
    with asyncio.Runner(loop_factory=InstantLoop) as runner:
        return runner.run(life)


async def meeting(*scripts, parks):
    """Rooms of users who talk with one model: what they do, and what each is answered."""
    model = Model(parks=parks)
    rooms = [Room(llm=Says(model, words), speaker=Whole()) for _, words in scripts]
    async with asyncio.TaskGroup() as users:
        for room, (script, _) in zip(rooms, scripts, strict=True):
            users.create_task(room.conversation.run(user(*script)))
    model.worker.close()
    return rooms


def first_audio(room):
    return [end.marks["speaker.first"] for end in room.all(TurnEnded)]


LONG = ([ASK, ("wait", 45.0)], STORY)
SHORT = ([("wait", 3.0), ASK, ("wait", 4.0)], ["Good", "morning.", "How", "are", "you?"])


def test_a_long_reply_keeps_no_other_conversation_waiting_and_has_no_gap():
    long, short = live(meeting(LONG, SHORT, parks=True))
    assert first_audio(short)[0] <= PROMISED
    assert long.speaker.gaps == short.speaker.gaps == []
    assert long.history[1] == ("assistant", " ".join(STORY))


def test_where_a_reply_cannot_be_parked_the_next_waits_for_its_end():
    _, short = live(meeting(LONG, SHORT, parks=False))
    assert first_audio(short)[0] > 5


def test_of_many_who_ask_while_others_are_answered_all_are_answered_in_time():
    askers = [
        ([("wait", 3.0 + 1.5 * i), ASK, ("wait", 8.0)], ["Good", "morning.", "Ask", "me."])
        for i in range(6)
    ]
    long, *others = live(meeting(LONG, *askers, parks=True))
    assert max(first_audio(room)[0] for room in others) <= PROMISED
    assert long.speaker.gaps == []


@pytest.mark.parametrize(("margin", "first"), [(1.0, "turn"), (6.0, "request")])
def test_only_waiting_makes_a_request_more_urgent(margin, first):
    async def both():
        model, done = Model(parks=True), []

        async def read(name, words):
            async for _ in model.say(words):
                pass
            done.append(name)

        async with asyncio.TaskGroup() as readers:
            readers.create_task(read("request", ["word"] * 50))
            await asyncio.sleep(3.05)  # it has had the model for itself
            at = now() + REQUEST - 2.5 + margin
            due.set(lambda: at)
            readers.create_task(read("turn", ["word"] * 2))
        model.worker.close()
        return done

    assert live(both())[0] == first
