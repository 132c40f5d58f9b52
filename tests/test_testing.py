"""The fakes of `voicebot.testing` take as long as they say, and tell what they were given."""

import asyncio
from contextlib import aclosing

import pytest

from voicebot.conversation import Typed
from voicebot.errors import EngineError
from voicebot.events import Failed, TurnEnded
from voicebot.testing import (
    Room,
    ScriptedChatModel,
    ScriptedSynthesizer,
    ScriptedTranscriber,
    VirtualSpeaker,
    now,
    run,
    sound,
    user,
)


async def times_of(stream):
    async with aclosing(stream) as items:
        return [(round(now(), 3), item) async for item in items]


def test_the_speaker_holds_a_fifth_of_a_second_unheard():
    async def play():
        speaker = VirtualSpeaker()
        await speaker.play(sound(1.0, 16000))
        assert now() == 0
        await speaker.play(sound(1.0, 16000))
        assert now() == pytest.approx(0.8)
        assert speaker.stop() == pytest.approx(0.8)
        assert speaker.log == [("sound", 0.0), ("quiet", 0.8)]

    run(play())


def test_the_user_speaks_in_real_time():
    script = user(("speak", 0.06), Typed("hello"), ("wait", 0.02))
    given = run(times_of(script))
    assert [at for at, _ in given] == [0.02, 0.04, 0.06, 0.06, 0.08]
    assert given[3][1] == Typed("hello")
    assert [bool(audio.samples.any()) for _, audio in (*given[:3], given[4])] == [1, 1, 1, 0]


def test_the_recogniser_hears_its_texts_and_the_last_for_ever():
    stt = ScriptedTranscriber("one|two", "three", takes=0.5)
    heard = [run(times_of(stt.transcribe(sound(1.0, 16000)))) for _ in range(3)]
    texts = [[(at, segment.text) for at, segment in each] for each in heard]
    assert texts == [[(0.5, "one"), (0.5, "two")], [(0.5, "three")], [(0.5, "three")]]
    assert stt.given == [1.0, 1.0, 1.0]


def test_the_chat_model_takes_its_time_for_each_word():
    llm = ScriptedChatModel("Of", "course.", takes=0.1)
    replied = run(times_of(llm.reply([])))
    assert [(at, delta.text) for at, delta in replied] == [
        (0.1, "Of "),
        (0.2, "course. "),
        (0.2, ""),
    ]
    assert (llm.made, llm.closed) == (2, True)


def test_the_voice_speaks_three_chunks_a_word_and_fails_on_request():
    spoken = run(times_of(ScriptedSynthesizer(times=True).synthesize("Of course.")))
    assert [at for at, _ in spoken] == [0.01, 0.02, 0.03, 0.04, 0.05, 0.06]
    assert [word.text for _, speech in spoken for word in speech.words] == ["Of", "course."]
    with pytest.raises(EngineError, match="no voice"):
        run(times_of(ScriptedSynthesizer(fails=True).synthesize("Of course.")))


def test_a_room_tells_what_happened_and_when():
    room = Room("Of", "course.", tts=ScriptedSynthesizer(fails=True)).read("Do you hear me?")
    assert room.all(Failed) == [Failed("tts", "no voice")]
    assert room.when(TurnEnded) >= room.when(Failed) > 0


def test_a_room_objects_to_tasks_that_are_left():
    async def forgetful():
        forgotten.append(asyncio.create_task(asyncio.sleep(60)))

    forgotten = []
    with pytest.raises(AssertionError, match="tasks are left"):
        Room().live(forgetful())
