"""While an answer is spoken there is no silence that nobody wrote, however slow the voice."""

import asyncio

import pytest
from room import NO_PAUSES, ChatModel, Room, Speaker, Synthesizer, Transcriber, now, sound

from voicebot.conversation import Typed
from voicebot.conversation.degradation import DegradationPolicy
from voicebot.conversation.fallbacks import Fallbacks
from voicebot.conversation.latency_budget import LatencySettings
from voicebot.conversation.pauses import SpeechSettings
from voicebot.conversation.prerendered import PrerenderedSpeech
from voicebot.conversation.turn import FALLBACK_TIMEOUT_S
from voicebot.engines import Delta, Speech
from voicebot.events import ClauseSpoken, Degraded, TurnEnded

REPLIES = [
    "The old apple tree was planted in 1931 by a gardener who came from the village. He "
    "had three sons, and one of them still lives in the white house behind the church. "
    "Every autumn the tree gives more fruit than the family can eat. So they make juice "
    "and cider, and they give baskets of apples to everybody who walks by. Last year a "
    "storm broke two of its largest branches. The wood was used to build a bench, which "
    "now stands in its shade. Visitors like to sit there. They read, they talk, and "
    "sometimes they fall asleep.",
    "Yes. It opens at nine on weekdays, at ten on Saturdays and not at all on Sundays. "
    "You can buy tickets at the door, but in the summer it is better to reserve them a "
    "week before because there are only forty seats and many people want to see the "
    "garden while the roses bloom. Children under twelve do not pay. Dogs must stay "
    "outside.",
    "Well, that depends on what you want to do with it. If it is for reading, take the "
    "small one. If you would rather draw, the large one has a better screen, lasts longer "
    "and comes with a pen. Both are quiet, both are light, and both can be repaired by "
    "anybody who has a screwdriver and a little patience.",
]
ASK = ("speak", 1.0)


class Costly(Synthesizer):
    """Gives a piece in one go after `work` seconds for each second of its sound, 0.065 a letter."""

    def __init__(self, work):
        super().__init__()
        self.work = work

    async def synthesize(self, text):
        self.lines.append(text)
        seconds = 0.065 * len(text)
        await asyncio.sleep(0.03 + self.work * seconds)
        yield Speech(sound(seconds, 24000))


class Listened(Speaker):
    """Knows when nothing was to be heard between two sounds."""

    def __init__(self):
        super().__init__()
        self.gaps = []

    async def play(self, audio):
        if self.played and now() > self.ends:
            self.gaps.append(now() - self.ends)
        await super().play(audio)


def talk(reply, work, *, per_word=0.04, pauses=SpeechSettings()):  # noqa: B008 - it is frozen
    room = Room(
        llm=ChatModel(*reply.split(), takes=per_word),
        tts=Costly(work),
        speaker=Listened(),
        stt=Transcriber("tell me", takes=0.1),
        # What is spoken before it is needed shows how fast the voice is.
        fallbacks=Fallbacks(
            prerendered=PrerenderedSpeech(LatencySettings().sentences), speech=pauses
        ),
    )
    return room.hear(("wait", 6.0), ASK, ("wait", 60.0))


@pytest.mark.parametrize("work", [0.05, 0.2, 0.35, 0.5, 0.65, 0.8])
@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("per_word", [0.001, 0.04])
def test_no_reply_runs_dry(work, reply, per_word):
    room = talk(reply, work, per_word=per_word)
    (end,) = room.all(TurnEnded)
    assert room.history[-1] == ("assistant", reply)
    assert "underruns" not in end.amounts
    pauses = room.conversation.fallbacks.speech
    assert all(gap <= pauses.stop_ms / 1000 + 0.02 for gap in room.speaker.gaps)


def test_a_quick_voice_speaks_whole_sentences_after_the_first_piece():
    room = talk(REPLIES[0], 0.05)
    ends = [piece.text[-1] for piece in room.all(ClauseSpoken)]
    assert ends[0] != "."
    assert ends.count(".") == REPLIES[0].count(".")
    assert len(ends) <= REPLIES[0].count(".") + 2


def test_pieces_grow_with_what_is_queued():
    lengths = [len(piece.text.split()) for piece in talk(REPLIES[0], 0.5).all(ClauseSpoken)]
    assert max(lengths[:2]) <= 6
    assert max(lengths[-8:]) >= 9


def test_a_voice_slower_than_speech_is_late_where_a_pause_is():
    room = talk(REPLIES[0], 1.3)
    (end,) = room.all(TurnEnded)
    assert end.amounts["underruns"] >= 1
    late = sum(gap for gap in room.speaker.gaps)
    assert end.amounts["underrun"] <= late
    said = [piece.text for piece in room.all(ClauseSpoken)]
    assert all(piece[-1] in ".,;:" for piece in said[1:])


def test_silence_that_a_slow_writer_causes_is_counted_too():
    words = "One two three four. Five six seven eight.".split()  # noqa: SIM905 - reads as it is said

    class Pausing(ChatModel):
        async def reply(self, messages):
            for word in words:
                await asyncio.sleep(4.0 if word == "Five" else 0.02)
                yield Delta(f"{word} ")

    room = Room(llm=Pausing(), speaker=Listened(), fallbacks=Fallbacks()).hear(ASK, ("wait", 12.0))
    (end,) = room.all(TurnEnded)
    assert end.amounts["underruns"] == 1
    (gap,) = room.speaker.gaps
    assert end.amounts["underrun"] == pytest.approx(
        gap - Fallbacks().speech.stop_ms / 1000, abs=0.02
    )


def test_of_a_pause_that_comes_late_only_the_rest_is_played():
    """0.3 s late for a pause of 0.42 s: that is a pause of 0.42 s, and no underrun."""
    words = "One two three four. Five six seven eight.".split()  # noqa: SIM905 - reads as it is said

    class Late(Synthesizer):
        async def synthesize(self, text):
            if text.startswith("Five"):
                await asyncio.sleep(1.2 + 0.3 - 0.12)  # while "One two three four." is heard
            async for chunk in super().synthesize(text):
                yield chunk

    room = Room(*words, llm=ChatModel(*words, takes=0.001), tts=Late(), speaker=Listened(),
                fallbacks=Fallbacks()).hear(Typed("count"), ("wait", 12.0))  # fmt: skip
    (end,) = room.all(TurnEnded)
    assert "underruns" not in end.amounts
    assert end.marks["end"] - end.marks["speaker.first"] == pytest.approx(2.4 + 0.42, abs=0.03)


NAMES = (
    "It was built between 12.5 and 1,000.75 meters above the sea by Dr. Jane B. Smith of "
    "the U.S. Army Corps, who wrote to https://example.org/a,b?c=1.5 about it on 3 May "
    "2024 at 9 a.m. and paid $3.50 for no. 5 of St. Paul Street in New York City without "
    "asking anybody there first."
)


@pytest.mark.parametrize("work", [0.5, 0.8])
def test_no_piece_ends_within_a_number_a_name_or_an_abbreviation(work):
    room = talk(NAMES, work)
    assert " ".join(piece.text for piece in room.all(ClauseSpoken)) == NAMES
    wholes = ["12.5", "1,000.75 meters", "Dr. Jane B. Smith", "U.S. Army Corps,", "$3.50",
              "https://example.org/a,b?c=1.5", "3 May 2024", "9 a.m.", "no. 5", "St. Paul Street",
              "New York City"]  # fmt: skip
    for whole in wholes:
        assert any(whole in piece.text for piece in room.all(ClauseSpoken)), whole


class Recorder(Speaker):
    """A file: takes all at once."""

    async def play(self, audio):
        self.played += audio.seconds


@pytest.mark.parametrize("work", [0.5, 2.0])
def test_where_nobody_waits_for_the_first_sound_every_piece_is_a_sentence(work):
    room = Room(
        llm=ChatModel(*REPLIES[0].split(), takes=0.3), tts=Costly(work), speaker=Recorder(),
        fallbacks=Fallbacks(),
    )  # fmt: skip
    room.conversation.at_once = False
    room.read("tell me")
    assert [piece.text[-1] for piece in room.all(ClauseSpoken)] == ["."] * REPLIES[0].count(".")
    assert "underruns" not in room.all(TurnEnded)[0].amounts


def test_the_voice_in_reserve_does_not_take_over_while_sound_is_queued():
    class Slow(Synthesizer):
        async def synthesize(self, text):
            if "Four" in text:
                await asyncio.sleep(FALLBACK_TIMEOUT_S + 1.0)
            async for chunk in super().synthesize(text):
                yield chunk

    words = ["This", "is", "a", "sentence", "that", "lasts", "for", "three", "seconds.", "Four."]
    second_voice = Synthesizer()
    fallbacks = Fallbacks(
        DegradationPolicy(LatencySettings()), second_voice=second_voice, speech=NO_PAUSES
    )
    room = Room(llm=ChatModel(*words, takes=0.001), tts=Slow(), fallbacks=fallbacks)
    room.hear(ASK, ("wait", 12.0))
    assert second_voice.lines == []
    assert not [taken for taken in room.all(Degraded) if taken.degradation == "fallback_voice"]
