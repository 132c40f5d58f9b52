"""What a user experiences, told with scripted engines on a clock that skips waiting."""

import asyncio
from dataclasses import replace

import pytest
from room import ChatModel, Drawing, Room, Speaker, Synthesizer, Transcriber, now, user

from voicebot.conversation import StopReply, Typed
from voicebot.conversation.turn import AHEAD_S
from voicebot.engines import Delta
from voicebot.errors import EngineError
from voicebot.events import (
    ClauseSpoken,
    Failed,
    Interrupted,
    Passage,
    Passages,
    SpeechEnded,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    Transcript,
    TurnEnded,
)

ASK = ("speak", 1.0)
STORY = "One two three. Four five six. Seven eight nine. Ten eleven twelve.".split()  # noqa: SIM905 - reads as the sentences it is


def test_a_question_is_heard_and_answered():
    room = Room("Good", "morning.", "How", "are", "you?").hear(ASK, ("wait", 4.0))
    assert [e.text for e in room.all(Transcript)] == ["hello there"]
    assert [e.text for e in room.all(ClauseSpoken)] == ["Good morning.", "How are you?"]
    assert room.history == [
        ("user", "hello there"),
        ("assistant", "Good morning. How are you?"),
    ]


def test_the_first_sound_comes_before_the_reply_is_complete():
    (end,) = Room(*STORY).hear(ASK, ("wait", 8.0)).all(TurnEnded)
    assert end.marks["speaker.first"] < end.marks["llm.last"]


def test_every_boundary_is_timed_from_the_end_of_speech():
    (end,) = Room("Yes.").hear(ASK, ("wait", 3.0)).all(TurnEnded)
    assert list(end.marks) == [
        "stt.first", "stt.last", "llm.first", "llm.last", "clause", "tts.first", "tts.last",
        "gate", "speaker.first", "end",
    ]  # fmt: skip
    assert sorted(end.marks.values()) == list(end.marks.values())
    assert end.marks["gate"] == pytest.approx(0.48, abs=0.04)


class Counting(ChatModel):
    async def reply(self, messages):
        yield Delta(forgotten=2)
        yield Delta("Good morning.")
        yield Delta(finish="stop", tokens=(20, 3), kept=12)


def test_what_was_worked_on_is_told_in_the_end():
    (end,) = Room(llm=Counting()).hear(ASK, ("wait", 3.0)).all(TurnEnded)
    assert end.tokens == (20, 3)
    assert end.amounts["llm.kept"] == 12
    assert end.amounts["llm.forgotten"] == 2
    assert end.amounts["stt.sound"] == pytest.approx(1.15, abs=0.05)  # with the pause after it
    assert end.amounts["stt.waited"] == pytest.approx(0.2)
    assert end.amounts["tts.sound"] == pytest.approx(0.6)
    assert end.amounts["tts.waited"] == pytest.approx(0.06)


def test_what_a_reply_was_drawn_with_is_told_even_if_it_is_cut_short():
    room = Room(llm=Drawing(*STORY)).hear(ASK, ("wait", 2.0), ASK, ("wait", 9.0))
    assert len(room.all(Interrupted)) == 1
    assert [end.spoke for end in room.all(TurnEnded)] == [{"seed": 1}, {"seed": 2}]


def test_the_answer_is_being_made_while_the_silence_is_still_being_proved():
    (end,) = Room("Yes.").hear(ASK, ("wait", 3.0)).all(TurnEnded)
    assert end.marks["stt.first"] == pytest.approx(0.128 + 0.2, abs=0.04)
    assert end.marks["speaker.first"] == pytest.approx(end.marks["gate"], abs=0.03)


def test_nothing_is_heard_or_told_before_the_user_has_surely_finished():
    room = Room(*STORY).hear(ASK, ("wait", 8.0))
    ended = room.when(SpeechEnded)
    assert room.when(Transcript) >= ended
    assert room.speaker.log[0][1] >= round(ended, 3)


def test_a_short_pause_in_a_question_leaves_no_trace_of_the_answer_begun_in_it():
    room = Room("Fine.").hear(ASK, ("wait", 0.4), ASK, ("wait", 3.0))
    assert [type(e) for _, e in room.events[:3]] == [SpeechStarted, SpeechPaused, SpeechResumed]
    assert len(room.all(Transcript)) == len(room.all(TurnEnded)) == 1
    assert room.stt.given[-1] > 2.3
    assert room.history == [("user", "hello there"), ("assistant", "Fine.")]


def test_a_pause_longer_than_the_recogniser_needs_does_not_lose_the_first_half():
    stt = Transcriber("what is", "the time")
    slow = ChatModel("Noon.", takes=2.0)
    room = Room(stt=stt, llm=slow).hear(ASK, ("wait", 1.0), ASK, ("wait", 5.0))
    assert [e.text for e in room.all(Transcript)] == ["what is", "what is the time"]
    assert room.stt.given[1] < 2.0, "what was recognised is not recognised again"
    assert not room.all(Interrupted)
    assert room.history == [("user", "what is the time"), ("assistant", "Noon.")]


def test_a_question_resumed_before_it_was_recognised_is_recognised_whole():
    stt = Transcriber(takes=1.0)
    room = Room("Fine.", stt=stt).hear(ASK, ("wait", 0.7), ASK, ("wait", 3.0))
    assert len(room.all(Transcript)) == 1
    assert stt.given[1] > stt.given[0] + 1.0


def test_a_cough_after_a_question_does_not_make_it_forgotten():
    stt = Transcriber("what is the time", "")
    slow = ChatModel("Noon.", takes=2.0)
    room = Room(stt=stt, llm=slow).hear(ASK, ("wait", 1.0), ("speak", 0.2), ("wait", 5.0))
    assert room.history == [("user", "what is the time"), ("assistant", "Noon.")]


def test_speaking_over_the_reply_silences_it_at_once():
    room = Room(*STORY).hear(ASK, ("wait", 2.5), ("speak", 0.5), ("wait", 1.0))
    quiet = next(at for what, at in room.speaker.log if what == "quiet")
    assert quiet == pytest.approx(room.when(SpeechStarted, 1), abs=0.001)


def test_only_what_was_heard_is_remembered():
    room = Room(*STORY).hear(ASK, ("wait", 2.5), ("speak", 0.5), ("wait", 0.2))
    (cut,) = room.all(Interrupted)
    assert " ".join(STORY).startswith(cut.heard)
    seconds = room.when(Interrupted) - room.speaker.log[0][1]
    assert len(cut.heard.split()) == int(seconds / 0.3)
    assert room.history[1] == ("assistant", cut.heard)


def test_where_the_engine_knows_when_words_end_the_cut_is_word_exact():
    # A word takes 0.3 s but has sounded after 0.1: by proportion one word fewer was heard.
    said = {}
    for times in (True, False):
        tts = Synthesizer(times=times)
        room = Room("One", "two", "three", "four", "five.", "Six.", tts=tts)
        room.hear(ASK, ("wait", 1.7), ("speak", 0.3), ("wait", 0.1))
        said[times] = room.all(Interrupted)[0].heard.split()
    assert len(said[True]) == len(said[False]) + 1


def test_an_interrupted_model_is_closed_and_makes_no_more():
    slow = ChatModel(*STORY, takes=0.5)
    Room(llm=slow).hear(ASK, ("wait", 2.5), StopReply(), ("wait", 9.0))
    assert slow.closed
    assert 0 < slow.made < len(STORY)


def test_a_slow_voice_does_not_hold_up_the_model():
    (end,) = Room(*STORY).hear(ASK, ("wait", 8.0)).all(TurnEnded)
    assert end.marks["llm.last"] == pytest.approx(end.marks["llm.first"] + 11 * 0.05, abs=0.01)


def test_a_turn_ends_when_its_last_sound_has_been_heard():
    room = Room("One", "two", "three.").hear(ASK, ("wait", 4.0))
    assert room.when(TurnEnded) == pytest.approx(room.speaker.log[0][1] + 0.9, abs=0.01)


def test_synthesis_stays_a_few_seconds_ahead_of_the_speaker():
    words = " ".join(f"One two {n}." for n in range(20)).split()
    room = Room(*words).hear(ASK, ("wait", 2.0), StopReply(), ("wait", 0.1))
    played = room.when(Interrupted) - room.speaker.log[0][1]
    sentence = 0.9
    assert room.tts.chunks * 0.1 < played + 0.2 + AHEAD_S + sentence


def test_a_click_interrupts_nothing():
    # It is within one window: what is loud in two is believed.
    room = Room(*STORY).hear(ASK, ("wait", 2.02), ("speak", 0.02), ("wait", 4.0))
    assert not room.all(Interrupted)


def test_noise_without_words_is_not_answered():
    room = Room("Yes.", stt=Transcriber("")).hear(ASK, ("wait", 2.0))
    assert not room.all(Transcript)
    assert not room.all(ClauseSpoken)
    assert len(room.all(TurnEnded)) == 1
    assert room.history == []


def test_a_recording_that_ends_with_the_question_is_answered():
    room = Room("Yes.").hear(ASK)
    assert room.history == [("user", "hello there"), ("assistant", "Yes.")]


def test_a_monologue_is_cut_and_still_one_question():
    stt = Transcriber("part", takes=0.01)
    llm = ChatModel("Good.", takes=1.0)
    room = Room(stt=stt, llm=llm).hear(("speak", 70.0), ("wait", 5.0))
    assert all(seconds < 31 for seconds in stt.given)
    assert sum(stt.given) > 70
    assert room.history == [("user", "part part part"), ("assistant", "Good.")]


def test_segments_are_joined_to_one_transcript():
    room = Room("Yes.", stt=Transcriber(" what is | the time ")).hear(ASK, ("wait", 2.0))
    assert room.all(Transcript) == [Transcript("what is the time")]


def test_the_model_is_given_the_instructions_and_what_was_said_before():
    room = Room("Yes.", instructions="Be brief.")
    room.hear(ASK, ("wait", 2.0), ASK, ("wait", 2.0))
    assert [(m.role, m.text) for m in room.llm.given[-1]] == [
        ("system", "Be brief."),
        ("user", "hello there"),
        ("assistant", "Yes."),
        ("user", "hello there"),
    ]


def test_the_passages_a_reply_draws_on_are_told_before_it_is_said():
    found = (Passage("lease.md#1", "The rent is due on the first."),)
    room = Room(llm=ChatModel("On", "the", "first.", passages=found)).hear(ASK, ("wait", 3.0))
    assert room.all(Passages) == [Passages(found)]
    assert room.when(Passages) <= room.when(ClauseSpoken)


def test_a_typed_question_is_answered_aloud():
    room = Room("Good", "morning.").read("hello")
    assert room.history == [("user", "hello"), ("assistant", "Good morning.")]
    assert room.speaker.log[0][0] == "sound"


def test_while_listening_a_typed_question_is_answered_too():
    room = Room("Fine.").hear(ASK, ("wait", 3.0), Typed("how are you"), ("wait", 2.0))
    assert [e.text for e in room.all(Transcript)] == ["hello there", "how are you"]
    assert room.history[2:] == [("user", "how are you"), ("assistant", "Fine.")]


def test_typing_silences_the_reply_as_speaking_does():
    room = Room(*STORY).hear(Typed("a story"), ("wait", 2.0), Typed("another"), ("wait", 6.0))
    (cut,) = room.all(Interrupted)
    assert " ".join(STORY).startswith(cut.heard)
    assert room.history[1:3] == [("assistant", cut.heard), ("user", "another")]


def test_two_lines_typed_at_once_are_one_question():
    room = Room("Fine.").hear(Typed("how"), Typed("are you"), ("wait", 2.0))
    assert room.history == [("user", "how are you"), ("assistant", "Fine.")]


def test_what_is_typed_in_mid_sentence_is_asked_with_what_is_being_said():
    slow = ChatModel("Noon.", takes=2.0)
    room = Room(llm=slow).hear(("speak", 0.5), Typed("the time"), ("speak", 0.5), ("wait", 5.0))
    assert room.history == [("user", "the time hello there"), ("assistant", "Noon.")]


def test_a_reply_can_be_hushed_without_speaking_over_it():
    room = Room(*STORY).hear(ASK, ("wait", 2.0), StopReply(), ("wait", 9.0))
    (cut,) = room.all(Interrupted)
    assert room.speaker.log[-1] == ("quiet", round(room.when(Interrupted), 3))
    assert room.history == [("user", "hello there"), ("assistant", cut.heard)]


def test_a_question_hushed_before_its_answer_is_not_asked_again_with_the_next():
    slow = ChatModel("Noon.", takes=2.0)
    room = Room(llm=slow).hear(
        Typed("the time"),
        ("wait", 1.0),
        StopReply(),
        ("wait", 1.0),
        Typed("the date"),
        ("wait", 4.0),
    )
    assert room.all(Interrupted) == [Interrupted("")]
    assert room.history == [("user", "the time"), ("user", "the date"), ("assistant", "Noon.")]


def test_hushing_silence_changes_nothing():
    room = Room("Fine.").hear(
        StopReply(), ASK, ("wait", 0.3), StopReply(), ("wait", 3.0), StopReply()
    )
    assert not room.all(Interrupted)
    assert room.history == [("user", "hello there"), ("assistant", "Fine.")]


def test_a_failing_engine_ends_the_turn_and_not_the_conversation():
    room = Room("Yes.", tts=Synthesizer(fails=True)).hear(ASK, ("wait", 2.0), ASK, ("wait", 2.0))
    assert room.all(Failed) == [Failed("tts", "no voice")] * 2
    assert room.history == [("user", "hello there")] * 2


def test_a_failure_in_a_pause_that_was_not_the_end_is_never_told():
    class Choking(Transcriber):
        async def transcribe(self, audio):
            self.given.append(audio.seconds)
            if audio.seconds < 2:
                raise EngineError("stt", "too short")
            yield (await anext(super().transcribe(audio)))

    room = Room("Yes.", stt=Choking()).hear(ASK, ("wait", 0.4), ASK, ("wait", 2.0))
    assert not room.all(Failed)
    assert [e.text for e in room.all(Transcript)] == ["hello there"]


def test_a_question_half_asked_is_not_remembered_because_its_answer_failed():
    class Choking(ChatModel):
        async def reply(self, messages):
            if messages[-1].text == "what is":
                raise EngineError("llm", "out of memory")
            async for delta in super().reply(messages):
                yield delta

    stt = Transcriber("what is", "what is the time", takes=0.05)
    room = Room(stt=stt, llm=Choking("Noon.")).hear(ASK, ("wait", 0.4), ASK, ("wait", 2.0))
    assert room.history == [("user", "what is the time"), ("assistant", "Noon.")]


def test_a_question_that_was_answered_is_not_part_of_the_next():
    stt = Transcriber("what is", "the time", "thank you")
    slow = ChatModel("Noon.", takes=2.0)
    room = Room(stt=stt, llm=slow)
    room.hear(ASK, ("wait", 1.0), ASK, ("wait", 5.0), ASK, ("wait", 5.0))
    assert [e.text for e in room.all(Transcript)][-1] == "thank you"


def test_what_was_made_before_a_failure_is_still_heard_and_remembered():
    class Dying(ChatModel):
        async def reply(self, messages):
            async for delta in super().reply(messages):
                if "three." in delta.text:
                    raise EngineError("llm", "out of memory")
                yield delta

    room = Room(llm=Dying("Good", "morning.", "One", "two", "three.")).hear(ASK, ("wait", 4.0))
    assert room.all(Failed) == [Failed("llm", "out of memory")]
    assert room.history[1] == ("assistant", "Good morning.")


def test_of_a_clause_whose_synthesis_dies_midway_only_the_spoken_part_is_remembered():
    class Dying(Synthesizer):
        async def synthesize(self, text):
            async for speech in super().synthesize(text):
                if self.chunks > 15:
                    raise EngineError("tts", "voice lost")
                yield speech

    room = Room(*"One two three four five six seven eight.".split(), tts=Dying())  # noqa: SIM905 - reads as the sentence it is
    room.hear(ASK, ("wait", 5.0))
    assert room.all(Failed) == [Failed("tts", "voice lost")]
    said = room.history[1][1].split()
    assert 3 <= len(said) <= 7


def test_an_engine_that_hangs_is_given_up_after_a_while():
    room = Room("Yes.", tts=Synthesizer(hangs=True), patience=5.0).hear(ASK, ("wait", 9.0))
    assert room.all(Failed) == [Failed("tts", "nothing came for 5 s", "silent")]
    assert room.when(Failed) == pytest.approx(room.when(SpeechEnded) + 5.0, abs=0.5)


def test_a_bug_is_not_mistaken_for_a_failing_engine():
    class Broken(Synthesizer):
        async def synthesize(self, text):
            raise ZeroDivisionError
            yield

    with pytest.raises(ExceptionGroup) as caught:
        Room("Yes.", tts=Broken()).hear(ASK, ("wait", 2.0))
    assert caught.group_contains(ZeroDivisionError)


def test_a_conversation_stopped_from_outside_is_silent_and_remembers_what_was_heard():
    room = Room(*STORY)

    async def stopped():
        async with asyncio.timeout(2.7):
            await room.conversation.ask("tell me a story")

    with pytest.raises(TimeoutError):
        room.live(stopped())
    assert room.speaker.log[-1] == ("quiet", 2.7)
    assert room.history[1][1] in " ".join(STORY)


def test_a_speaker_that_is_gone_ends_the_conversation():
    class Unplugged(Speaker):
        async def play(self, audio):
            raise OSError("device gone")

    with pytest.raises(ExceptionGroup) as caught:
        Room("Yes.", speaker=Unplugged()).hear(ASK, ("wait", 2.0))
    assert caught.group_contains(OSError)


def test_a_reply_of_no_words_ends_in_silence():
    room = Room("...").hear(ASK, ("wait", 2.0))
    assert not room.all(ClauseSpoken)
    assert room.history == [("user", "hello there")]


def test_a_line_the_voice_cannot_say_is_passed_over():
    class Picky(Synthesizer):
        async def synthesize(self, text):
            if "Hm" not in text:
                async for speech in super().synthesize(text):
                    yield speech

    room = Room("Hm", "hm.", "Good", "morning.", tts=Picky()).hear(ASK, ("wait", 4.0))
    assert room.history[1] == ("assistant", "Good morning.")


def test_code_is_not_spoken_but_shown_and_remembered():
    class Ears(Synthesizer):
        said = ()

        async def synthesize(self, text):
            self.said = (*self.said, text)
            async for speech in super().synthesize(text):
                yield speech

    tts = Ears()
    room = Room("Try", "this:\n```sh\nls *\n```\nGood", "luck.", tts=tts)
    room.hear(ASK, ("wait", 9.0))
    assert tts.said == ("Try this:", "```sh\n", "Good luck.")
    code = ["```sh\n", "ls *\n```\n"]
    assert [e.text for e in room.all(ClauseSpoken)] == ["Try this:", *code, "Good luck."]
    assert room.history[1][1].replace("\n ", "\n") == "Try this: ```sh\nls *\n```\nGood luck."


def test_the_microphone_is_closed_when_the_conversation_breaks():
    closed = []

    async def microphone():
        try:
            async for audio in user(ASK, ("wait", 60.0)):
                yield audio
        finally:
            closed.append(now())

    class Broken(Synthesizer):
        async def synthesize(self, text):
            raise ZeroDivisionError
            yield

    room = Room("Yes.", tts=Broken())
    with pytest.raises(ExceptionGroup):
        room.live(room.conversation.run(microphone()))
    assert closed[0] < 3.0


class Limited(ChatModel):
    """Runs into its limit."""

    async def reply(self, messages):
        async for delta in super().reply(messages):
            yield replace(delta, finish="length" if delta.finish else "")


def test_a_reply_that_was_cut_off_ends_with_its_last_whole_sentence():
    cut = ["It", "is", "red.", "It", "is", "gre"]
    room = Room(llm=Limited(*cut)).hear(ASK, ("wait", 6.0))
    assert room.history[-1] == ("assistant", "It is red.")
    assert [end.finish for end in room.all(TurnEnded)] == ["length"]


def test_a_reply_without_a_whole_sentence_is_spoken_as_far_as_it_goes():
    room = Room(llm=Limited("It", "is", "a", "very", "long")).hear(ASK, ("wait", 6.0))
    assert room.history[-1] == ("assistant", "It is a very long")


def test_a_reply_that_only_repeats_itself_is_stopped():
    sentence = "The rent is due on the first.".split()  # noqa: SIM905 - reads as it is said
    llm = ChatModel("Well", "then.", *sentence * 40)
    room = Room(llm=llm).hear(ASK, ("wait", 20.0))
    # What is certain to be a loop only at its third time may be on its way the second time.
    assert room.history[-1] == ("assistant", "Well then." + " The rent is due on the first." * 2)
    assert [end.finish for end in room.all(TurnEnded)] == ["repetition"]
    assert llm.closed
    assert llm.made < 4 * len(sentence)


def test_how_a_reply_ended_is_told():
    assert [end.finish for end in Room("Yes.").hear(ASK, ("wait", 3.0)).all(TurnEnded)] == ["stop"]
