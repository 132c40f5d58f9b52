"""What is said over a reply and holds no word stops it for a moment: the reply goes on."""

import asyncio

import numpy as np
import pytest
from room import ChatModel, Room, Synthesizer, Transcriber

from voicebot.audio import Audio
from voicebot.conversation import StopReply, Typed
from voicebot.conversation.replayed_audio import KEPT_S, ReplayedAudio
from voicebot.engines import Segment
from voicebot.errors import EngineError
from voicebot.events import (
    ClauseSpoken,
    Failed,
    Interrupted,
    ReplyResumed,
    SpeechStarted,
    Transcript,
    TurnEnded,
)

STORY = "One two three. Four five six. Seven eight nine. Ten eleven twelve.".split()  # noqa: SIM905
ASK, CUT, REST = ("speak", 1.0), ("speak", 0.25), ("wait", 8.0)
WHOLE = [("user", "tell me a story"), ("assistant", " ".join(STORY))]


def story(*heard, **engines):
    stt = Transcriber("tell me a story", *(heard or [""]))
    return Room(*STORY, stt=stt, **engines)


@pytest.mark.parametrize("times", [True, False])
@pytest.mark.parametrize("after", [1.3, 1.9, 2.5, 3.1, 3.9])
def test_a_word_too_short_to_recognise_lets_the_reply_go_on(after, times):
    room = story(tts=Synthesizer(times=times)).hear(ASK, ("wait", after), CUT, REST)
    assert room.history == WHOLE
    (cut,) = room.all(Interrupted)
    (_,) = room.all(ReplyResumed)
    assert len(room.all(Transcript)) == 1
    resumed = room.when(ReplyResumed) - 0.001
    said = [e.text for at, e in room.events if isinstance(e, ClauseSpoken) and at > resumed]
    assert " ".join([cut.heard, *said]) == " ".join(STORY)
    assert len(room.llm.given) == 1, "the chat model is not asked again"


def test_it_is_silent_from_the_first_sound_of_it_until_it_is_known_to_be_nothing():
    room = story().hear(ASK, ("wait", 2.5), CUT, REST)
    (quiet,) = [at for what, at in room.speaker.log if what == "quiet"]
    assert quiet == pytest.approx(room.when(SpeechStarted, 1), abs=0.001)
    sounds = [at for what, at in room.speaker.log if what == "sound"]
    # 0.25 s of sound, the silence that proves its end, and the recognition within that.
    assert sounds[1] - quiet == pytest.approx(0.25 - 0.064 + 0.48, abs=0.08)


def test_no_sound_is_lost_and_none_is_heard_twice():
    class Ramp(Synthesizer):
        """The first sample of each chunk tells its number."""

        async def synthesize(self, text):
            async for speech in super().synthesize(text):
                speech.audio.samples[0] = self.chunks / 1000
                yield speech

    class Tape:
        def __init__(self, speaker):
            self.speaker, self.heard, self.turn = speaker, [], []

        async def play(self, audio):
            self.turn.append(audio.samples)
            await self.speaker.play(audio)

        async def drain(self):
            await self.speaker.drain()
            self.heard, self.turn = [*self.heard, *self.turn], []

        def stop(self):
            seconds = self.speaker.stop()
            samples = np.concatenate([np.zeros(0, np.float32), *self.turn])
            self.heard.append(samples[: round(seconds * 24000)])
            self.turn = []
            return seconds

    def heard(*script):
        handle = Tape(Room().speaker)
        story("", "", tts=Ramp(), speaker=handle).hear(ASK, *script, REST)
        return np.concatenate(handle.heard)

    whole = heard()
    cut = heard(("wait", 2.5), CUT, ("wait", 1.2), CUT)
    assert len(cut) == len(whole)
    assert np.array_equal(cut, whole)


def test_the_two_parts_are_two_turns():
    room = story().hear(ASK, ("wait", 2.5), CUT, REST)
    first, second = room.all(TurnEnded)
    assert "end" not in first.marks
    assert "end" in second.marks
    assert second.marks["speaker.first"] == pytest.approx(0.48, abs=0.08)
    assert not second.amounts.get("underruns")


def test_it_may_be_stopped_for_nothing_again_and_again():
    script = [step for _ in range(4) for step in (CUT, ("wait", 1.0))]
    room = story("", "", "", "").hear(ASK, ("wait", 1.8), *script, REST)
    assert room.history == WHOLE
    assert len(room.all(ReplyResumed)) == 4


def test_words_end_what_has_gone_on_where_it_was():
    room = story("", "stop it").hear(ASK, ("wait", 1.8), CUT, ("wait", 1.6), ("speak", 0.6), REST)
    (_, story_told, *_) = room.history
    first, second = room.all(Interrupted)[:2]
    assert story_told == ("assistant", f"{first.heard} {second.heard}")
    assert " ".join(STORY).startswith(story_told[1])
    assert ("user", "stop it") in room.history


def test_words_over_the_reply_end_it_as_they_always_have():
    room = story("stop it").hear(ASK, ("wait", 2.5), ("speak", 0.5), REST)
    assert not room.all(ReplyResumed)
    assert room.history[2:] == [("user", "stop it"), ("assistant", " ".join(STORY))]
    assert len(room.all(TurnEnded)) == 2


def test_a_question_that_is_typed_meanwhile_ends_it():
    room = story().hear(ASK, ("wait", 2.5), CUT, Typed("stop"), REST)
    assert not room.all(ReplyResumed)
    assert ("user", "stop") in room.history


def test_who_has_hushed_it_hears_no_more_of_it():
    room = story().hear(ASK, ("wait", 2.5), CUT, StopReply(), REST)
    assert not room.all(ReplyResumed)
    assert len(room.history) == 2


def test_a_long_noise_ends_it_and_stops_its_model():
    slow = ChatModel(*STORY, takes=0.5)
    stt = Transcriber("tell me a story", "")
    room = Room(llm=slow, stt=stt).hear(ASK, ("wait", 3.0), ("speak", 3.0), REST)
    assert not room.all(ReplyResumed)
    assert slow.made < len(STORY)


def test_two_noises_with_a_breath_between_are_one():
    room = story().hear(ASK, ("wait", 2.5), CUT, ("wait", 0.3), CUT, REST)
    assert room.history == WHOLE
    assert len(room.all(ReplyResumed)) == 1


def test_a_noise_that_is_over_before_the_last_one_was_recognised():
    stt = Transcriber("tell me a story", "", takes=0.9)
    room = Room(*STORY, stt=stt).hear(ASK, ("wait", 3.5), CUT, ("wait", 0.6), CUT, REST)
    assert room.history == WHOLE
    assert len(room.all(ReplyResumed)) == 1


def test_an_ear_that_fails_on_it_is_told_and_ends_it():
    class Moody(Transcriber):
        async def transcribe(self, audio):
            if audio.seconds < 1:
                raise EngineError("stt", "deaf")
            yield Segment("tell me a story", 0.0, audio.seconds)

    room = Room(*STORY, stt=Moody()).hear(ASK, ("wait", 2.5), CUT, REST)
    assert [event.reason for event in room.all(Failed)] == ["deaf"]
    assert not room.all(ReplyResumed)


@pytest.mark.parametrize("heard", ["", "stop it"])
def test_a_model_that_fails_while_it_is_known_is_told_only_if_it_goes_on(heard):
    class Failing(ChatModel):
        async def reply(self, messages):
            if len(self.given):
                async for delta in ChatModel("Yes.").reply(messages):
                    yield delta
                return
            async for delta in super().reply(messages):
                yield delta
            await asyncio.sleep(1.6)
            raise EngineError("llm", "gone")

    stt = Transcriber("tell me a story", heard)
    room = Room(llm=Failing("One two three. "), stt=stt).hear(ASK, ("wait", 1.5), CUT, REST)
    assert [event.reason for event in room.all(Failed)] == ([] if heard else ["gone"])


def test_the_end_of_the_users_sound_lets_it_go_on_too():
    room = story().hear(ASK, ("wait", 2.5), CUT)
    assert room.history == WHOLE


def test_who_leaves_meanwhile_hears_no_more():
    async def leave(room):
        from room import user

        life = asyncio.create_task(
            room.conversation.run(user(ASK, ("wait", 2.5), CUT, ("wait", 9.0)))
        )
        await asyncio.sleep(3.8)
        assert room.all(Interrupted)
        life.cancel()
        await asyncio.wait([life])

    room = story()
    room.live(leave(room))
    assert len(room.all(TurnEnded)) == 1
    assert len(room.history) == 2


def test_only_what_may_be_unheard_is_kept():
    recent = ReplayedAudio()
    for number in range(100):
        recent.add(Audio(np.full(1000, number, np.float32), 1000))
    assert recent.seconds <= KEPT_S + 2
    (half, last) = recent.after(98.5)
    assert (len(half.samples), half.samples[0]) == (500, 98)
    assert (len(last.samples), last.samples[0]) == (1000, 99)
    assert recent.after(100.0) == []
    assert sum(chunk.seconds for chunk in recent.after(0.0)) == recent.seconds
