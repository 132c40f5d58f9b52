"""One turn from outside, on a clock that skips waiting: exact times of simulated engines."""

import asyncio

import numpy as np
import pytest
from room import ChatModel, live, sound

from voicebot.assistant.assembly import EngineSet, EngineSpec
from voicebot.audio import Audio
from voicebot.bench.figures import measured, stages
from voicebot.bench.inside import talking
from voicebot.bench.observed import Observed
from voicebot.bench.questions import RATE, Question
from voicebot.bench.simulated import REPLY, Costs, Recogniser, Voice, Writer
from voicebot.bench.trial import PATIENCE_S, Ears, hold, turn
from voicebot.bench.turns import ask
from voicebot.config import AssistantSettings
from voicebot.conversation import EndpointingSettings
from voicebot.engines import Message
from voicebot.events import Passage

WINDOW = 0.032


def parts(stt=None, llm=None, tts=None, **settings):
    return EngineSet(
        stt or Recogniser(),
        EndpointingSettings(**settings),
        [EngineSpec("vad", "room:LoudnessVad", {})],
        llm or Writer(),
        tts or Voice(),
        AssistantSettings(),
    )


def question(*script, name="q"):
    """("speak", 1.0), ("wait", 0.5); its speech ends where the last of it is spoken."""
    counts = [(a == "speak", round(seconds * RATE)) for a, seconds in script]
    voice = [speaks * np.where(np.arange(n) % 80 < 40, 0.5, -0.5) for speaks, n in counts]
    samples = np.concatenate(voice).astype(np.float32)
    loud = np.flatnonzero(samples)
    return Question(name, Audio(samples, RATE), loud[0] / RATE, (loud[-1] + 1) / RATE)


ASKED = question(("wait", 0.32), ("speak", 0.96), ("wait", 0.32))


def tried(asked=ASKED, **engines):
    async def life():
        async with talking(parts(**engines)) as line:
            return await hold(line, asked)

    return live(life())


async def taking(stream):
    loop, found = asyncio.get_running_loop(), []
    async for item in stream:
        found.append((round(loop.time(), 3), item))
    return found


def test_recognition_takes_its_time():
    async def life():
        return await taking(Recogniser(0.25, "hello").transcribe(Audio(np.zeros(8000), RATE)))

    ((at, segment),) = live(life())
    assert (at, segment.text, segment.end) == (0.25, "hello", 0.5)


def test_words_come_at_their_pace_after_the_first():
    async def life():
        return await taking(Writer(0.30, 25, "One two three.").reply([Message("user", "?")]))

    said = live(life())
    words = [(at, delta.text) for at, delta in said[:-1]]
    assert words == [(0.3, "One "), (0.34, "two "), (0.38, "three. ")]
    assert said[-1][1].finish == "stop"


def test_a_voice_takes_its_share_of_what_it_says():
    async def life():
        return await taking(Voice(0.30, 0.06).synthesize("0123456789"))

    ((at, speech),) = live(life())
    assert at == pytest.approx(0.18)
    assert speech.audio.seconds == pytest.approx(0.6)


def test_the_reply_is_what_the_peers_were_measured_with():
    assert len(REPLY.split()) == 23
    assert sum(REPLY.count(end) for end in ".?!") == 3


def test_the_first_sound_comes_when_costs_and_listening_say():
    turn = tried()
    # Speech ends with a window. A pause is four windows of silence, an end is fifteen.
    assert turn.end_of_turn == pytest.approx(15 * WINDOW, abs=0.021)
    assert turn.clause == "It is ten past three,"
    # Its five words are certain to be all with the sixth.
    begun, costs = turn.marks["stt.begun"], Costs()
    assert begun == pytest.approx(4 * WINDOW, abs=0.021)
    assert turn.first_audio - begun == pytest.approx(costs.floor(turn.clause) + 0.04)
    assert stages(turn)["network"] == pytest.approx(0)
    assert measured(turn) == pytest.approx(costs.floor(turn.clause) + 0.04)


def test_a_frame_cannot_be_heard_before_it_is_spoken():
    assert tried().end_of_turn >= 15 * WINDOW


def test_an_answer_that_is_ready_waits_for_the_decision():
    turn = tried(
        stt=Recogniser(0), llm=Writer(0, float("inf")), tts=Voice(0), silence_duration_ms=960
    )
    assert turn.first_audio == turn.end_of_turn == pytest.approx(30 * WINDOW, abs=0.021)
    assert stages(turn)["gate"] == pytest.approx(26 * WINDOW, abs=0.021)


def test_an_interruption_is_counted_from_its_first_sound():
    # Two windows are believed; what was recorded before them is not spoken yet.
    assert tried().silence == pytest.approx(2 * WINDOW, abs=0.025)


def test_a_pause_in_the_question_is_not_its_end():
    turn = tried(question(("speak", 0.64), ("wait", 0.32), ("speak", 0.64), ("wait", 0.32)))
    assert not turn.cut_in
    # The answer begun in the pause came to nothing; the stages are those of the one that was heard.
    assert turn.marks["stt.begun"] > 0
    assert sum(stages(turn).values()) == pytest.approx(turn.first_audio)


def test_an_answer_into_the_question_is_counted_and_the_right_one_measured():
    slow = question(("speak", 0.64), ("wait", 2.4), ("speak", 0.96), ("wait", 0.32))
    turn = tried(slow)
    assert turn.cut_in
    assert turn.first_audio == pytest.approx(tried().first_audio, abs=0.04)


def test_a_question_that_nobody_answers_is_given_up():
    async def life():
        async with talking(parts(llm=Writer(reply=""))) as line:
            turn = await hold(line, ASKED)
            return turn, asyncio.get_running_loop().time()

    turn, took = live(life())
    assert (turn.first_audio, turn.silence, turn.deaf) == (None, None, False)
    assert turn.marks == {}
    assert took == pytest.approx(ASKED.end + PATIENCE_S, abs=0.05)


def test_one_that_does_not_listen_is_deaf():
    async def life():
        async with talking(parts(min_speech_ms=1500)) as line:
            # The question is long enough to be heard as speech, the interruption is not.
            return await hold(line, question(("speak", 2.0), ("wait", 0.32)))

    turn = live(life())
    assert turn.first_audio is not None
    assert turn.silence is None
    assert turn.deaf


def test_sessions_each_ask_all_in_another_order():
    asked = [question(("speak", 0.96), ("wait", 0.32), name=name) for name in "ab"]
    told = []

    async def life():
        return await ask(lambda: talking(parts()), asked, 2, 2, told.append)

    turns = live(life())
    assert told == turns
    # The second begins a little later, with the other one.
    assert [turn.question for turn in turns] == ["a", "b", "b", "a"]
    assert all(turn.first_audio for turn in turns)


def test_what_a_reply_is_drawn_from_is_not_its_first_token():
    async def life():
        marks = []
        llm = ChatModel("Yes.", takes=0.3, passages=(Passage("a", "b"),))
        watched = Observed(Recogniser(), llm, Voice(), marks.append)
        await taking(watched.reply([Message("user", "?")]))
        return {mark.name: round(mark.at, 3) for mark in marks}

    assert live(life()) == {"llm.begun": 0.0, "llm.first": 0.3, "llm.done": 0.3}


def test_sound_that_goes_on_has_begun_once():
    async def life():
        ears = Ears()
        for _ in range(3):
            ears.hear(sound(0.2, 24000))
            await asyncio.sleep(0.15)
        await asyncio.sleep(1)
        ears.hear(sound(0.2, 24000))
        return [round(at, 2) for at in ears.begun]

    assert live(life()) == [0.0, 1.45]


def test_what_others_were_told_before_is_not_this_turns():
    async def life():
        ears = Ears()
        ears.decided = [1.0, 2.4, 9.0]
        return turn("q", ears, 2.0, 3.0, None)

    found = live(life())
    assert found.end_of_turn == pytest.approx(0.4)
    assert found.first_audio == 1.0


def test_what_a_voice_has_shown_of_its_pace_is_known_in_the_next_conversation():
    shared = parts()

    async def life():
        for _ in range(2):
            async with talking(shared) as line:
                await hold(line, ASKED)
        return shared.fallbacks.paces

    paces = live(life())
    assert paces.of(shared.tts).shown != paces.start
