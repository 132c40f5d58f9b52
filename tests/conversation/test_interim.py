"""Who reads along sees what is being said while it is being said, and changes nothing by it."""

import asyncio
import itertools
import random
import threading
from math import inf

import pytest
from room import ChatModel, Room, Transcriber, now, user

from voicebot.concurrency.worker import Worker, due
from voicebot.conversation import StopReply, Typed
from voicebot.engines import Segment
from voicebot.errors import EngineError
from voicebot.events import (
    Failed,
    InterimTranscript,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    Transcript,
    as_json,
)

LONG = ("speak", 4.0)


class Writer(Transcriber):
    """Hears a word for each whole second of sound, and keeps when it was asked."""

    async def transcribe(self, audio):
        self.given.append((now(), audio.seconds))
        await asyncio.sleep(self.takes)
        yield Segment(" ".join(["la"] * int(audio.seconds)), 0.0, audio.seconds)


def reading_along(*script, stt=None, **kept):
    room = Room("Fine.", stt=stt or Writer(), **kept)
    room.conversation.interim = True
    return room.hear(*script)


def test_what_has_been_said_so_far_is_told_while_the_user_goes_on():
    room = reading_along(LONG, ("wait", 3.0), stt=Writer(takes=0.05))
    paused = room.when(SpeechPaused)
    early = [e.text for at, e in room.events if isinstance(e, InterimTranscript) and at < paused]
    assert early == ["la", "la la", "la la la"]


def test_who_did_not_ask_is_told_nothing_and_costs_nothing():
    room = Room("Fine.", stt=Writer()).hear(LONG, ("wait", 3.0))
    assert not room.all(InterimTranscript)
    assert len(room.stt.given) == 1


def test_at_the_pause_all_that_was_said_is_told_before_it_is_certain_that_it_is_all():
    room = reading_along(LONG, ("wait", 3.0))
    *_, (told, last) = [(at, e) for at, e in room.events if isinstance(e, InterimTranscript)]
    assert last.text == room.all(Transcript)[0].text
    assert told == pytest.approx(room.when(SpeechPaused) + 0.2, abs=0.001)
    assert told < room.when(Transcript) - 0.05


def test_after_a_short_pause_the_whole_goes_on_being_told():
    room = reading_along(("speak", 2.0), ("wait", 0.4), ("speak", 3.0), ("wait", 3.0))
    resumed = room.when(SpeechResumed)
    later = [e.text for at, e in room.events if isinstance(e, InterimTranscript) and at > resumed]
    assert [text.split() for text in later] == sorted((text.split() for text in later), key=len)
    assert len(later[0].split()) >= 2
    assert len(room.all(Transcript)) == 1


def test_of_a_question_that_goes_on_both_halves_are_told():
    slow = ChatModel("Noon.", takes=2.0)
    room = reading_along(("speak", 2.0), ("wait", 1.0), ("speak", 2.5), ("wait", 5.0), llm=slow)
    again = room.when(SpeechStarted, 1)
    first = next(e.text for at, e in room.events if isinstance(e, InterimTranscript) and at > again)
    assert len(first.split()) > 2
    assert room.all(Transcript)[1].text.startswith(first)


def test_a_slow_engine_is_asked_so_rarely_that_nine_tenths_of_it_are_left_to_others():
    stt = Writer(takes=0.5)
    reading_along(("speak", 25.0), ("wait", 3.0), stt=stt)
    began = [at for at, _ in stt.given[:-1]]
    assert len(began) >= 4
    gaps = [later - at for at, later in itertools.pairwise(began)]
    assert all(gap >= 5.0 - 0.001 for gap in gaps)
    assert all(gap < 5.1 for gap in gaps), "and no more rarely than that"


def test_a_recognition_cut_off_by_a_pause_counts_for_what_it_had_cost():
    stt = Writer(takes=0.9)
    reading_along(
        ("speak", 1.5), ("wait", 0.4), ("speak", 5.0), ("wait", 0.4), ("speak", 3.0), ("wait", 5.0),
        stt=stt,
    )  # fmt: skip
    told = [at for at, seconds in stt.given]
    assert told[0] < 1.5
    assert sum(1 for at, _ in stt.given if at < 6.5) == 2, "its half second is paid off first"


def test_there_is_never_more_than_one_at_a_time_and_none_is_left_at_the_pause():
    class Counting(Writer):
        now = most = 0

        async def transcribe(self, audio):
            self.now += 1
            self.most = max(self.most, self.now)
            try:
                async for segment in super().transcribe(audio):
                    yield segment
            finally:
                self.now -= 1

    stt = Counting(takes=2.2)
    room = reading_along(LONG, ("wait", 5.0), stt=stt)
    assert stt.most == 1
    assert room.when(Transcript) == pytest.approx(room.when(SpeechPaused) + 2.2, abs=0.001)


def test_while_the_user_is_silent_or_pauses_nothing_is_begun():
    stt = Writer(takes=0.01)
    reading_along(("wait", 3.0), ("speak", 0.6), ("wait", 5.0), stt=stt)
    assert len(stt.given) == 1


def test_noise_without_words_tells_nothing():
    room = reading_along(("speak", 3.0), ("wait", 2.0), stt=Transcriber("", takes=0.1))
    assert not room.all(InterimTranscript)


def test_an_engine_that_cannot_do_it_yet_is_asked_again_and_no_turn_fails():
    class Choking(Writer):
        async def transcribe(self, audio):
            if audio.seconds < 3:
                raise EngineError("stt", "too short")
            async for segment in super().transcribe(audio):
                yield segment

    room = reading_along(("speak", 5.0), ("wait", 3.0), stt=Choking())
    assert room.all(InterimTranscript)[0].text == "la la la"
    assert not room.all(Failed)


def test_a_bug_is_as_loud_as_anywhere():
    class Broken(Writer):
        async def transcribe(self, audio):
            raise ZeroDivisionError
            yield

    with pytest.raises(ExceptionGroup) as caught:
        reading_along(LONG, ("wait", 1.0), stt=Broken())
    assert caught.group_contains(ZeroDivisionError)


def test_whoever_answers_has_the_engine_first():
    class Shared(Writer):
        def __init__(self):
            super().__init__(takes=0.0)
            self.due = []

        async def transcribe(self, audio):
            self.due.append(due.get()())
            async for segment in super().transcribe(audio):
                yield segment

    stt = Shared()
    reading_along(("speak", 1.5), ("wait", 3.0), stt=stt)
    early, final = stt.due
    assert early == inf
    assert final < inf


def test_a_turn_does_not_wait_for_what_its_engine_is_still_at():
    class Threaded:
        """Takes ten seconds for what is not complete, unless nobody waits for it."""

        def __init__(self):
            self.worker, self.left = Worker("stt"), 0

        def transcribe(self, audio):
            return self.worker.stream(self._hear, audio)

        def _hear(self, audio):
            for _ in range(1000 if audio.seconds < 1.3 else 0):
                if self.worker.abandoned:
                    self.left += 1
                    return
                threading.Event().wait(0.01)
            yield Segment("all of it", 0.0, audio.seconds)

    stt = Threaded()
    room = Room("Fine.", stt=stt)
    room.conversation.interim = True
    asyncio.run(asyncio.wait_for(room.conversation.run(user(("speak", 1.4), ("wait", 0.6))), 100))
    stt.worker.close()
    assert stt.left == 1
    assert [e.text for e in room.all(Transcript)] == ["all of it"]


def script(chance):
    """Anything that a user may do."""
    for _ in range(chance.randint(2, 6)):
        what = chance.choice(["speak", "speak", "wait", "wait", "type", "hush"])
        if what == "type":
            yield Typed("tell me")
        elif what == "hush":
            yield StopReply()
        else:
            yield what, round(chance.uniform(0.1, 4.0), 2)
    yield "wait", 6.0


@pytest.mark.parametrize("seed", range(60))
def test_whoever_reads_along_changes_nothing(seed):
    chance = random.Random(seed)
    steps = list(script(chance))
    takes = chance.choice([0.0, 0.1, 0.7, 3.0])
    told = {}
    for partial in (False, True):
        llm = ChatModel(*"One two three. Four five six.".split(), takes=0.2)  # noqa: SIM905 - reads as the sentences it is
        room = Room(stt=Writer(takes=takes), llm=llm)
        room.conversation.interim = partial
        room.hear(*steps)
        others = [
            (round(t, 6), as_json(e))
            for t, e in room.events
            if not isinstance(e, InterimTranscript)
        ]
        told[partial] = others, room.history, room.speaker.log
    assert told[True] == told[False]
