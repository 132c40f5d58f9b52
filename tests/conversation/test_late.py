"""An answer that is late or fails: the first sound comes all the same, and the talk goes on.

The troubles are those of `voicebot.engines.fault_injection`, which users have for their own
drills.
"""

import asyncio
import gc

import pytest
from room import NO_PAUSES, ChatModel, Room, Speaker, Synthesizer, Transcriber, live, sound, user

from voicebot.audio import silence
from voicebot.concurrency.worker import background
from voicebot.conversation import StopReply
from voicebot.conversation.degradation import MIN_TURNS, DegradationPolicy
from voicebot.conversation.fallbacks import MIN_FILLER_GAIN_S, Fallbacks
from voicebot.conversation.latency_budget import LatencySettings
from voicebot.conversation.prerendered import PrerenderedSpeech
from voicebot.conversation.turn import FALLBACK_TIMEOUT_S, Turn
from voicebot.engines import Delta, Speech
from voicebot.engines.fault_injection import FaultSettings
from voicebot.errors import EngineError, MissingDependency
from voicebot.events import (
    ClauseSpoken,
    Degraded,
    Failed,
    Interrupted,
    Passage,
    SpeechEnded,
    TurnEnded,
)

ASK = ("speak", 1.0)
BUDGET = LatencySettings()
LATE = BUDGET.first_audio_ms / 1000
FILLER, SORRY = BUDGET.filler, BUDGET.apology


def trouble(**faults):
    """A room in which an engine is in trouble, as in [faults]."""
    return room(FaultSettings(**faults))


def room(
    faults=None,
    budget=BUDGET,
    *,
    words=("Yes.",),
    stt=None,
    llm=None,
    tts=None,
    second_voice=None,
    **more,
):
    faults = faults or FaultSettings()
    engines = {
        "stt": faults.around("stt", stt or Transcriber()),
        "llm": faults.around("llm", llm or ChatModel(*words)),
        # The canned sentences are made before the trouble begins, as at the start of a server.
        "tts": faults.around("tts", tts or Synthesizer()),
    }
    prerendered = PrerenderedSpeech(budget.sentences)
    fallbacks = Fallbacks(DegradationPolicy(budget), prerendered, second_voice, NO_PAUSES)
    return Room(**engines, fallbacks=fallbacks, **more)


def degradations(room):
    return [event.degradation for event in room.all(Degraded)]


def said(room):
    return [event.text for event in room.all(ClauseSpoken)]


def first_sound(room):
    """Seconds from the end of speech to the first sound of any kind."""
    (at,) = [at for kind, at in room.speaker.log if kind == "sound"][:1]
    return at - room.all(SpeechEnded)[0].utterance.end


def test_an_answer_in_time_applies_no_degradation():
    quick = room(stt=Transcriber(takes=0.1)).hear(ASK, ("wait", 3.0))
    assert degradations(quick) == []
    assert said(quick) == ["Yes."]


@pytest.mark.parametrize("stage", ["stt", "llm"])
def test_two_seconds_of_delay_anywhere_and_the_first_sound_is_in_time(stage):
    slow = trouble(**{stage: "delay 2"}).hear(("wait", 3.0), ASK, ("wait", 6.0))
    assert first_sound(slow) <= LATE + 0.03
    assert said(slow) == [FILLER, "Yes."]
    assert "filler" in degradations(slow)


class Searching(ChatModel):
    """Takes two seconds to find the passages, and none to answer from them."""

    async def reply(self, messages):
        await asyncio.sleep(2.0)
        yield Delta(passages=(Passage("lease.md#3", "The rent is due on the third."),))
        async for delta in super().reply(messages):
            yield delta


class Stammering(ChatModel):
    """Has its first word at once, and two seconds later the next."""

    async def reply(self, messages):
        for word in self.words:
            yield Delta(f"{word} ")
            await asyncio.sleep(2.0)


@pytest.mark.parametrize("llm", [Searching("Yes."), Stammering("Yes,", "it", "is.")])
def test_also_where_the_search_or_the_first_clause_takes_so_long(llm):
    slow = room(llm=llm).hear(("wait", 3.0), ASK, ("wait", 9.0))
    assert first_sound(slow) <= LATE + 0.03
    assert said(slow)[0] == FILLER
    assert said(slow)[1].startswith("Yes")


class LateVoice(Synthesizer):
    """Quick at first, and then not."""

    async def synthesize(self, text):
        late = FaultSettings(tts="delay 2").around("tts", Synthesizer())
        voice = super() if text in (FILLER, SORRY) else late
        async for chunk in voice.synthesize(text):
            yield chunk


def test_also_a_voice_that_is_late_has_said_something_in_time():
    slow = room(tts=LateVoice()).hear(("wait", 3.0), ASK, ("wait", 6.0))
    assert first_sound(slow) <= LATE + 0.03
    assert said(slow) == [FILLER, "Yes."]


def test_what_was_heard_holds_the_filler_too():
    slow = trouble(llm="delay 2").hear(("wait", 3.0), ASK, ("wait", 6.0))
    assert slow.history == [("user", "hello there"), ("assistant", f"{FILLER} Yes.")]


class Broken(Speaker):
    """A loudspeaker that is gone."""

    async def play(self, audio):
        raise MissingDependency("the loudspeaker is gone")


def test_a_loudspeaker_that_is_gone_when_a_filler_is_due_is_told_once(caplog):
    with pytest.raises(ExceptionGroup) as told:
        room(stt=Transcriber(takes=2.0), speaker=Broken()).hear(ASK, ("wait", 6.0))
    gc.collect()  # a task's error that nobody took would be logged now, with a traceback
    assert [str(error) for error in told.value.exceptions] == ["the loudspeaker is gone"]
    assert "never retrieved" not in caplog.text


def test_who_speaks_over_a_filler_has_heard_nothing_of_the_answer():
    slow = trouble(llm="delay 2").hear(("wait", 3.0), ASK, ("wait", 1.0), ASK, ("wait", 6.0))
    assert slow.all(Interrupted) == []
    assert slow.history[0] == ("user", "hello there hello there")


def test_who_hushes_a_filler_wants_no_answer():
    slow = trouble(llm="delay 2").hear(
        ("wait", 3.0), ASK, ("wait", 1.2), StopReply(), ("wait", 3.0)
    )
    assert len(slow.all(Interrupted)) == 1
    assert said(slow) == [FILLER]


def test_after_a_cough_that_takes_long_to_understand_nobody_says_that_they_are_thinking():
    faults = FaultSettings(stt="delay 2")
    cough = room(faults, stt=Transcriber("")).hear(("wait", 3.0), ("speak", 0.2), ("wait", 5.0))
    assert len(cough.all(TurnEnded)) == 1
    assert said(cough) == []
    assert cough.history == []


def test_what_is_said_over_a_noise_is_not_remembered():
    faults = FaultSettings(stt="delay 2")
    noise = room(faults, stt=Transcriber("")).hear(("wait", 3.0), ASK, ("wait", 5.0))
    assert said(noise) == [FILLER]
    assert noise.history == []


def test_where_answers_are_usually_late_a_filler_is_for_those_that_are_later():
    late = room(stt=Transcriber(takes=0.7))  # first sound about 1.0 s after the end
    late.conversation.fallbacks.policy.learn({}, 1.0)
    late.hear(("wait", 3.0), ASK, ("wait", 4.0))
    assert said(late) == ["Yes."]
    later = trouble(stt="delay 2")
    later.conversation.fallbacks.policy.learn({}, 1.0)
    later.hear(("wait", 3.0), ASK, ("wait", 6.0))
    assert first_sound(later) == pytest.approx(1.0 + MIN_FILLER_GAIN_S, abs=0.03)


@pytest.mark.parametrize("stage", ["stt", "llm"])
def test_where_answers_are_always_so_late_that_a_filler_delays_none_each_has_one(stage):
    slow = trouble(**{stage: "delay 2"})
    slow.hear(("wait", 3.0), *(ASK, ("wait", 6.0)) * 3)
    assert said(slow) == [FILLER, "Yes."] * 3
    assert all(end.marks["filler"] <= LATE + 0.03 for end in slow.all(TurnEnded))


def test_settings_without_a_filler_lets_the_user_wait():
    budget = LatencySettings(degradations="apology")
    slow = room(FaultSettings(llm="delay 2"), budget).hear(("wait", 3.0), ASK, ("wait", 6.0))
    assert said(slow) == ["Yes."]


@pytest.mark.parametrize("stage", ["stt", "llm"])
@pytest.mark.parametrize("kind", ["raise", "hang"])
def test_an_engine_that_fails_or_hangs_ends_in_an_apology_and_the_talk_goes_on(stage, kind):
    broken = trouble(**{stage: kind})
    broken.hear(("wait", 3.0), ASK, ("wait", 40.0), ASK, ("wait", 40.0))
    assert [failed.stage for failed in broken.all(Failed)] == [stage, stage]
    assert said(broken)[-1] == SORRY
    assert len(broken.all(TurnEnded)) == 2


def test_a_model_that_dies_in_mid_answer_is_excused():
    dying = trouble(llm="die").hear(("wait", 3.0), ASK, ("wait", 6.0))
    assert said(dying) == ["Yes.", SORRY]
    assert degradations(dying) == ["apology"]


def test_without_an_apology_a_failure_is_silent():
    budget = LatencySettings(degradations="filler")
    broken = room(FaultSettings(llm="raise"), budget).hear(("wait", 3.0), ASK, ("wait", 6.0))
    assert said(broken) == []
    assert len(broken.all(Failed)) == 1


def test_a_broken_voice_is_replaced_by_the_one_in_reserve():
    second_voice = Synthesizer()
    words = "One two three. Four five six.".split()  # noqa: SIM905 - reads as it is spoken
    hoarse = room(FaultSettings(tts="raise"), words=words, second_voice=second_voice)
    hoarse.hear(("wait", 3.0), ASK, ("wait", 6.0))
    assert second_voice.lines == ["One two three.", "Four five six."]
    assert degradations(hoarse) == ["fallback_voice"]
    assert hoarse.all(Failed) == []
    assert hoarse.history[-1] == ("assistant", "One two three. Four five six.")


def test_a_voice_that_hangs_is_replaced_long_before_patience_ends():
    second_voice = Synthesizer()
    hoarse = room(FaultSettings(tts="hang"), second_voice=second_voice)
    hoarse.hear(("wait", 3.0), ASK, ("wait", 10.0))
    assert second_voice.lines == ["Yes."]
    assert first_sound(hoarse) <= LATE + FALLBACK_TIMEOUT_S + 0.03


def test_where_all_voices_fail_the_turn_fails():
    mute = room(FaultSettings(tts="raise"), second_voice=Synthesizer(fails=True))
    mute.hear(("wait", 3.0), ASK, ("wait", 6.0))
    assert [failed.stage for failed in mute.all(Failed)] == ["tts"]
    assert said(mute) == []


class Breaking(Synthesizer):
    """Well at the start, and then breaks off in the middle of every clause."""

    async def synthesize(self, text):
        if text in (FILLER, SORRY):
            raise EngineError("tts", "no time to make it")
        async for chunk in super().synthesize(text):
            yield chunk
            raise EngineError("tts", "hoarse")


def test_a_voice_that_breaks_off_is_not_begun_anew_by_another():
    second_voice = Synthesizer()
    hoarse = room(tts=Breaking(), second_voice=second_voice).hear(("wait", 3.0), ASK, ("wait", 6.0))
    assert [failed.stage for failed in hoarse.all(Failed)] == ["tts"]
    assert second_voice.lines == [SORRY]
    assert said(hoarse) == ["Yes.", SORRY]


def test_time_that_is_short_is_made_up_for_where_nobody_hears_it():
    words = "it is a very long sentence that goes on and on, without an end.".split()  # noqa: SIM905 - reads as it is spoken
    slow = room(words=words, stt=Transcriber(takes=0.4)).hear(("wait", 3.0), ASK, ("wait", 8.0))
    assert "short_clause" in degradations(slow)
    assert said(slow)[0] == "it is"


def test_what_has_been_slow_is_degraded_in_advance():
    degraded = room()
    for _ in range(MIN_TURNS):
        degraded.conversation.fallbacks.policy.learn({"first_token": 9.0}, 1.0)
    degraded.hear(("wait", 3.0), ASK, ("wait", 4.0))
    assert degraded.all(Degraded) == [Degraded("fewer_passages", preemptive=True)]


def test_turns_teach_the_policy_what_is_usual():
    taught = room(stt=Transcriber(takes=0.1)).hear(("wait", 3.0), ASK, ("wait", 3.0))
    (end,) = taught.all(TurnEnded)
    assert taught.conversation.fallbacks.policy.usual == pytest.approx(end.marks["speaker.first"])


def test_a_voice_in_reserve_may_have_another_rate():
    class Low(Synthesizer):
        async def synthesize(self, text):
            async for chunk in super().synthesize(text):
                yield type(chunk)(sound(0.1, 16000), chunk.words)

    hoarse = room(FaultSettings(tts="raise"), second_voice=Low()).hear(
        ("wait", 3.0), ASK, ("wait", 6.0)
    )
    assert hoarse.history[-1] == ("assistant", "Yes.")


def test_each_degradation_is_taken_once_a_turn():
    late = room(words=("it", "is", "so."), stt=Transcriber(takes=0.7))
    late.hear(("wait", 3.0), ASK, ("wait", 6.0))
    assert sorted(degradations(late)) == sorted(set(degradations(late)))
    assert {"fewer_passages", "short_clause"} < set(degradations(late))


def test_a_gap_in_the_middle_of_an_answer_is_not_filled():
    llm = Stammering("Yes, indeed,", "it", "is.")
    slow = room(llm=llm, stt=Transcriber(takes=0.1)).hear(("wait", 3.0), ASK, ("wait", 9.0))
    assert FILLER not in said(slow)


def test_what_is_degraded_in_advance_is_degraded():
    words = "it is a very long sentence that goes on and on, without an end.".split()  # noqa: SIM905 - reads as it is spoken
    degraded = room(words=words, stt=Transcriber(takes=0.1))
    for _ in range(MIN_TURNS):
        degraded.conversation.fallbacks.policy.learn({"first_clause": 9.0}, 1.0)
    degraded.hear(("wait", 3.0), ASK, ("wait", 6.0))
    assert said(degraded)[0] == "it is"


def test_settings_without_another_voice_has_none():
    budget, second_voice = LatencySettings(degradations="apology"), Synthesizer()
    hoarse = room(FaultSettings(tts="raise"), budget, second_voice=second_voice)
    hoarse.hear(("wait", 3.0), ASK, ("wait", 6.0))
    assert [failed.stage for failed in hoarse.all(Failed)] == ["tts"]
    assert second_voice.lines == []


def test_a_short_question_that_was_understood_is_one():
    slow = trouble(llm="delay 2").hear(("wait", 3.0), ("speak", 0.3), ("wait", 5.0))
    assert said(slow) == [FILLER, "Yes."]


def test_a_voice_that_is_chosen_in_the_middle_fills_too():
    slow, chosen = trouble(llm="delay 2"), Synthesizer()

    async def talk():
        async with background(
            slow.conversation.run(user(("wait", 4.0), ASK, ("wait", 6.0)))
        ) as talking:
            await asyncio.sleep(2.0)
            slow.conversation.choose(slow.stt, chosen)
            await talking

    slow.live(talk())
    assert said(slow) == [FILLER, "Yes."]
    assert chosen.lines == [FILLER, SORRY, "Yes."]


@pytest.mark.parametrize("words", [(), ("",), ("  ", "\n"), ("👍",), ("...",), ("**", "**")])
def test_a_reply_with_nothing_to_say_ends_in_an_apology_and_the_talk_goes_on(words):
    silent = room(budget=LatencySettings(degradations="apology"), llm=ChatModel(*words))
    silent.hear(ASK, ("wait", 4.0), ASK, ("wait", 4.0))
    assert [(e.stage, e.kind) for e in silent.all(Failed)] == [("llm", "wordless")] * 2
    assert said(silent) == [SORRY] * 2
    assert [role for role, _ in silent.history][:1] == ["user"]
    assert len(silent.llm.given) == 2


def test_a_reply_with_nothing_to_say_is_told_where_nothing_is_said_about_failures():
    silent = room(budget=LatencySettings(degradations=""), llm=ChatModel("👍"))
    silent.hear(ASK, ("wait", 4.0))
    assert [e.kind for e in silent.all(Failed)] == ["wordless"]
    assert said(silent) == []


class Going(Speaker):
    """A loudspeaker that goes when it is told to."""

    def __init__(self):
        super().__init__()
        self.playing, self.goes = asyncio.Event(), asyncio.Event()

    async def play(self, audio):
        self.playing.set()
        await self.goes.wait()
        raise MissingDependency("the loudspeaker is gone")


def test_a_loudspeaker_that_goes_as_its_turn_is_stopped_leaves_no_traceback(caplog):
    async def text():
        yield "Yes, it is."

    async def life():
        speaker = Going()
        turn = Turn(speaker, lambda event: None, 0.0, 5.0)
        turn.open()
        async with background(turn.speak(Synthesizer(), text())) as speaking:
            await speaker.playing.wait()
            speaker.goes.set()
            await asyncio.sleep(0)  # it is gone, and the turn does not know it yet
            speaking.cancel()

    live(life())
    gc.collect()
    assert "never retrieved" not in caplog.text


def test_silence_that_ends_a_voice_is_no_first_sound():
    class Fading(Synthesizer):
        async def synthesize(self, text):
            yield Speech(sound(0.5, 24000))
            yield Speech(silence(0.2, 24000))

    heard = room(tts=Fading()).hear(ASK, ("wait", 3.0))
    assert said(heard) == ["Yes."]
    (end,) = heard.all(TurnEnded)
    assert end.marks["speaker.first"] == pytest.approx(first_sound(heard), abs=0.01)
