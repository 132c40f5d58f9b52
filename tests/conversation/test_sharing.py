"""Several conversations on one engine, which a real `Worker` shares out in pretend time."""

import asyncio
import threading
from contextlib import aclosing
from math import inf

import pytest
from room import ChatModel, Room, Speaker, Synthesizer, Transcriber, live, now, sound, user

from voicebot.audio import silence
from voicebot.concurrency.worker import REQUEST, Worker, due
from voicebot.conversation import Turn
from voicebot.conversation.playout_estimate import LETTER, PROMISED
from voicebot.engines import Delta, Speech
from voicebot.events import TurnEnded

ASK = ("speak", 1.0)
STORY = " ".join(f"{a} one two three four five six seven." for a in "ABCDEFGHIJKLMNOP").split()


class Model:
    """An engine on a thread of its own that takes 0.1 s for a word, to write it or to say it."""

    def __init__(self, *, parks):
        self.worker = Worker("model", parks=parks)
        self.loop = asyncio.get_running_loop()
        self.loop.threads.append(self)
        self.calls, self.sleeps, self.settling = 0, False, set()

    @property
    def at_work(self):
        return self.calls > 0 and not self.sleeps

    async def work(self, words, make=lambda word: Delta(f"{word} ")):
        self.calls += 1
        begun = threading.Event()
        try:
            work = self.worker.stream(self._work, begun, words, make)
            async with aclosing(work) as made:
                async for each in made:
                    yield each
        finally:
            self.calls -= not begun.is_set()

    def _work(self, begun, words, make):
        begun.set()
        try:
            for word in words:
                self._sleep(0.1)
                yield make(word)
        finally:
            self.loop.call_soon_threadsafe(self._over)

    def _over(self):
        async def settle():
            due.set(lambda: -inf)
            await self.worker.run(int)  # what the call made last has been delivered now
            self.calls -= 1
            self.settling.discard(asyncio.current_task())

        self.settling.add(asyncio.create_task(settle()))

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
        return self.model.work(self.words)


class Voice:
    """Says a word in 0.3 s."""

    def __init__(self, model):
        self.model = model

    def synthesize(self, text):
        return self.model.work(text.split(), lambda _: Speech(sound(0.3, 24000)))


class Whole(Speaker):
    """Notes when it had nothing to play in mid-answer."""

    def __init__(self):
        super().__init__()
        self.gaps = []

    async def play(self, audio):
        if self.played and now() > self.ends:
            self.gaps.append(now() - self.ends)
        await super().play(audio)


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


def test_a_voice_goes_to_whoever_would_fall_silent_first():
    async def meeting():
        voice = Model(parks=True)
        stories = [" ".join([*["One", "two."], *STORY]).split(), ["Good", "morning."]]
        rooms = [
            Room(llm=ChatModel(*words, takes=0.01), tts=Voice(voice), speaker=Whole())
            for words in stories
        ]
        scripts = [ASK, ("wait", 45.0)], [("wait", 2.0), *[ASK, ("wait", 3.0)] * 8]
        async with asyncio.TaskGroup() as users:
            for room, script in zip(rooms, scripts, strict=True):
                users.create_task(room.conversation.run(user(*script)))
        voice.worker.close()
        return rooms

    long, short = live(meeting())
    assert len(first_audio(short)) == 8
    assert max(first_audio(short)) <= PROMISED
    assert long.speaker.gaps == short.speaker.gaps == []


def test_what_is_made_puts_off_when_more_is_due():
    async def asked():
        seen = {}

        class Writes:
            async def reply(self, messages):
                for word in ["One", "two", "three.", "Four", "five", "six."]:
                    seen[word] = due.get()()
                    yield Delta(f"{word} ")
                    # The first sentence has sounded for a while, and all of it is made.
                    await asyncio.sleep(0.6 if word == "Four" else 0.01)

        class Says(Synthesizer):
            async def synthesize(self, text):
                seen[text] = due.get()()
                async for speech in super().synthesize(text):
                    yield speech

        room = Room(llm=Writes(), tts=Says(), speaker=Whole())
        await room.conversation.ask("Count.")
        [(_, sound)] = room.speaker.log
        return seen, sound

    seen, sound = live(asked())
    assert (seen["One"], seen["One two three."]) == (PROMISED, PROMISED)
    written = LETTER * len(" Four ")
    assert seen["five"] == pytest.approx(sound + 0.9 + written), "three words of 0.3 s"
    assert seen["Four five six."] == pytest.approx(sound + 0.9)


def test_a_reply_that_is_only_read_is_due_when_any_request_is():
    async def asked():
        turn = Turn(Speaker(), lambda event: None, late=0.2, patience=9.0)
        stt, seen = Transcriber(), []
        hears = stt.transcribe

        async def transcribe(audio):
            seen.append(due.get()())
            async for segment in hears(audio):
                yield segment

        stt.transcribe = transcribe
        await turn.transcribe(stt, silence(1.0, 16000))
        return seen, due.get()

    assert live(asked()) == ([pytest.approx(PROMISED - 0.2)], None)


@pytest.mark.parametrize(("margin", "first"), [(1.0, "turn"), (6.0, "request")])
def test_only_waiting_makes_a_request_more_urgent(margin, first):
    async def both():
        model, done = Model(parks=True), []

        async def read(name, words):
            async for _ in model.work(words):
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
