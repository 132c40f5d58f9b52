"""What a remote client experiences, however its connection behaves, on the pretend room's clock."""

import asyncio
from contextlib import aclosing, suppress

import numpy as np
import pytest
from room import (
    NO_PAUSES,
    RATE,
    ChatModel,
    InstantLoop,
    LoudnessVad,
    Synthesizer,
    Transcriber,
    now,
    tasks_left,
)

from voicebot.audio import Audio, silence
from voicebot.conversation import Conversation
from voicebot.conversation.fallbacks import Fallbacks
from voicebot.conversation.turn import AHEAD_S
from voicebot.events import (
    ClauseSpoken,
    Interrupted,
    SpeechEnded,
    SpeechPaused,
    Transcript,
    TurnEnded,
)
from voicebot.server.talk.session import (
    BURST,
    KEPT_EVENTS,
    Cursor,
    Flushed,
    InputOverflow,
    ResumeWindowExceeded,
    Session,
    Sound,
    SoundEnded,
)

STORY = "One two three. Four five six. Seven eight nine. Ten eleven twelve.".split()  # noqa: SIM905 - reads as the sentences it is


class Client:
    """Reads a session, and reports what it has played `reports` times as fast as it sounds.

    None never reports.
    """

    def __init__(self, session, reports=1.0):
        self.session, self.reports = session, reports
        self.place = Cursor()
        self.told, self.sounds = [], []

    async def connected(self):
        async with aclosing(self.session.out(self.place)) as out:
            async for item in out:
                (self.sounds if isinstance(item, Sound) else self.told).append(item)

    async def plays(self):
        turn, samples = 1, 0
        while True:
            await asyncio.sleep(0.1)
            mine = [s for s in self.sounds if s.turn == turn]
            got = max((s.at + len(s.audio.samples) for s in mine), default=0)
            samples = min(got, samples + round(self.reports * self.session.speaker.rate * 0.1))
            if samples:
                self.session.played(turn, samples)
            if any(s.turn > turn for s in self.sounds):
                turn, samples = turn + 1, 0

    def all(self, kind):
        return [told.event for told in self.told if isinstance(told.event, kind)]

    @property
    def received(self):
        return sum(s.audio.seconds for s in self.sounds)


class Call:
    """A session with its client, for a while. The script is what the user does meanwhile."""

    def __init__(
        self, *words, rate=24000, reports=1.0, tts=None, llm=None, stt=None, client=Client
    ):
        self.rate, self.reports, self.kind = rate, reports, client
        self.tts, self.llm = tts or Synthesizer(), llm or ChatModel(*words)
        self.stt = stt or Transcriber()

    def _converse(self, speaker, emit):
        fallbacks = Fallbacks(speech=NO_PAUSES)
        return Conversation(
            LoudnessVad(), self.stt, self.llm, self.tts, speaker, emit, fallbacks=fallbacks
        )

    def hold(self, script):
        async def life():
            self.session = Session(self._converse, self.rate)
            self.client = self.kind(self.session, self.reports)
            tasks = [asyncio.ensure_future(self.session.run())]
            self.connection = asyncio.ensure_future(self.client.connected())
            if self.reports is not None:
                tasks.append(asyncio.ensure_future(self.client.plays()))
            try:
                await script(self)
            finally:
                for task in [*tasks, self.connection]:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task

        with asyncio.Runner(loop_factory=InstantLoop) as runner:
            try:
                runner.run(life())
            finally:
                left = runner.run(tasks_left())
        assert not left, left
        return self

    async def speak(self, seconds, level=0.5):
        for _ in range(round(seconds / 0.02)):
            await asyncio.sleep(0.02)
            self.session.hear(Audio(np.full(320, level, np.float32), RATE))

    async def wait(self, seconds):
        await self.speak(seconds, level=0.0)

    @property
    def history(self):
        return [(m.role, m.text) for m in self.session.conversation.history]


def test_a_spoken_question_is_told_and_its_answer_sent_whole():
    async def script(call):
        await call.speak(1.0)
        await call.wait(4.0)

    call = Call("Good", "morning.", "How", "are", "you?").hold(script)
    assert [e.text for e in call.client.all(Transcript)] == ["hello there"]
    assert [e.text for e in call.client.all(ClauseSpoken)] == ["Good morning.", "How are you?"]
    assert call.client.received == pytest.approx(5 * 0.3)
    assert call.client.all(SoundEnded) == [SoundEnded(round(1.5 * 24000))]
    assert len(call.client.all(TurnEnded)) == 1
    assert call.history[1] == ("assistant", "Good morning. How are you?")


def test_that_the_sound_has_ended_is_told_after_all_of_it():
    async def script(call):
        call.session.ask("a story")
        await asyncio.sleep(9)

    class Ordered(Client):
        async def connected(self):
            self.all_of_it = []
            async with aclosing(self.session.out(self.place)) as out:
                async for item in out:
                    self.all_of_it.append(item if isinstance(item, Sound) else item.event)

    call = Call(*STORY, reports=None, client=Ordered).hold(script)
    kinds = [type(item) for item in call.client.all_of_it]
    assert kinds.index(SoundEnded) > max(i for i, kind in enumerate(kinds) if kind is Sound)


def test_each_clause_is_told_with_where_in_the_sound_it_begins():
    async def script(call):
        call.session.ask("a story")
        await asyncio.sleep(9)

    client = Call(*STORY).hold(script).client
    said = [told.at for told in client.told if isinstance(told.event, ClauseSpoken)]
    assert said == pytest.approx([0.0, 0.9, 1.8, 2.7])
    assert {told.turn for told in client.told} == {1}


def test_turns_are_counted():
    async def script(call):
        for _ in range(3):
            call.session.ask("hello")
            await asyncio.sleep(3)

    client = Call("Fine.").hold(script).client
    assert [s.turn for s in client.sounds if s.at == 0] == [1, 2, 3]
    assert [told.turn for told in client.told if isinstance(told.event, TurnEnded)] == [1, 2, 3]
    assert [told.number for told in client.told] == list(range(1, len(client.told) + 1))


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_the_voice_is_sent_at_the_client_s_rate(rate):
    async def script(call):
        call.session.ask("hello")
        await asyncio.sleep(3)

    client = Call("Good", "morning.", rate=rate).hold(script).client
    assert {s.audio.rate for s in client.sounds} == {rate}
    assert client.received == pytest.approx(0.6, abs=0.001)


@pytest.mark.parametrize("reports", [1.0, None])
def test_no_more_than_a_second_is_sent_before_it_is_heard(reports):
    async def script(call):
        call.session.ask("a story")
        began = None
        for _ in range(40):
            await asyncio.sleep(0.1)
            if call.client.sounds:
                began = began or now()
                assert call.client.received <= now() - began + 1.0 + 0.25 + 0.2
        assert call.client.received == pytest.approx(3.6)

    Call(*STORY, reports=reports).hold(script)


def test_only_what_the_client_reports_to_have_played_was_heard():
    async def script(call):
        call.session.ask("a story")
        await call.wait(2.0)
        await call.speak(0.2)

    slow = Call(*STORY, reports=0.5).hold(script)
    (cut,) = slow.client.all(Interrupted)
    assert cut.heard == "One two three."  # 1.0 of 2.0 s
    assert slow.client.all(Flushed)[0].samples == pytest.approx(0.95 * 24000, abs=0.15 * 24000)


def test_a_client_cannot_have_heard_more_than_it_was_sent():
    async def script(call):
        call.session.ask("a story")
        await asyncio.sleep(0.5)
        call.session.played(1, 10**12)
        call.session.hush()
        await asyncio.sleep(0.1)

    call = Call(*STORY, llm=ChatModel(*STORY, takes=0.1), reports=None).hold(script)
    (cut,) = call.client.all(Flushed)
    assert cut.samples == sum(len(s.audio.samples) for s in call.client.sounds)


def test_reports_of_another_turn_or_going_back_change_nothing():
    async def script(call):
        call.session.ask("a story")
        await asyncio.sleep(0.5)
        call.session.played(1, 4800)
        call.session.played(7, 24000)
        call.session.played(1, 2400)
        call.session.hush()
        await asyncio.sleep(0.1)

    assert Call(*STORY, reports=None).hold(script).client.all(Flushed) == [Flushed(4800)]


def test_a_client_that_never_reports_is_taken_to_play_at_once():
    async def script(call):
        call.session.ask("a story")
        await asyncio.sleep(2.0)
        call.session.hush()
        await asyncio.sleep(1.0)

    call = Call(*STORY, reports=None).hold(script)
    assert call.client.all(Interrupted)[0].heard in " ".join(STORY)
    heard = call.client.all(Flushed)[0].samples / 24000
    assert heard == pytest.approx(1.8, abs=0.15)
    assert heard <= call.client.received


def test_nothing_of_a_silenced_reply_is_sent_afterwards():
    async def script(call):
        call.session.ask("a story")
        await asyncio.sleep(1.0)
        call.session.hush()
        await asyncio.sleep(0.05)
        call.before = call.client.received
        await asyncio.sleep(5.0)

    call = Call(*STORY).hold(script)
    assert call.client.received == call.before
    assert call.history == [("user", "a story"), ("assistant", "One two three.")]


def test_a_reply_hushed_before_it_sounded_has_nothing_to_flush():
    async def script(call):
        call.session.ask("a story")
        await asyncio.sleep(1.0)
        call.session.hush()
        await asyncio.sleep(1.0)

    client = Call(llm=ChatModel("Noon.", takes=3.0)).hold(script).client
    assert client.all(Interrupted) == [Interrupted("")]
    assert not client.all(Flushed)


def test_sound_that_was_silenced_on_its_way_counts_for_no_turn():
    async def script(call):
        speaker = call.session.speaker
        await speaker.play(silence(0.2, 24000))
        on_its_way = speaker.after(1, 0)
        speaker.stop()
        speaker.sent(on_its_way)
        await asyncio.sleep(1.0)
        assert speaker.heard == 0

    Call(reports=None).hold(script)


def test_while_nobody_is_connected_the_reply_waits():
    async def script(call):
        call.session.ask("a story")
        await asyncio.sleep(0.3)
        call.connection.cancel()
        await asyncio.sleep(20)
        call.made = call.tts.chunks

    story = " ".join(f"Number {n} is told." for n in range(100)).split()
    call = Call(*story).hold(script)
    on_its_way, sentence = 1.25, 1.2
    assert call.made * 0.1 < call.client.received + on_its_way + AHEAD_S + sentence
    assert not call.client.all(TurnEnded)


def test_a_client_that_comes_back_misses_nothing_and_hears_nothing_twice():
    async def script(call):
        call.session.ask("a story")
        await asyncio.sleep(1.0)
        call.connection.cancel()
        await asyncio.sleep(20)
        call.connection = asyncio.ensure_future(call.client.connected())
        await asyncio.sleep(5)

    call = Call(*STORY).hold(script)
    ends = 0
    for sound in call.client.sounds:
        assert sound.at == ends
        ends += len(sound.audio.samples)
    assert ends == round(3.6 * 24000)
    assert [told.number for told in call.client.told] == list(range(1, len(call.client.told) + 1))
    assert call.history == [("user", "a story"), ("assistant", " ".join(STORY))]


def test_a_client_that_has_lost_its_sound_gets_again_what_it_did_not_play():
    async def script(call):
        call.session.ask("a story")
        await asyncio.sleep(0.55)
        call.connection.cancel()
        await asyncio.sleep(1)
        call.heard = call.session.speaker.heard
        call.again = Client(call.session)
        call.connection = asyncio.ensure_future(call.again.connected())
        await asyncio.sleep(0.1)

    call = Call(*STORY, reports=0.3).hold(script)
    assert 0 < call.heard < call.client.sounds[-1].at
    assert call.heard not in [sound.at for sound in call.client.sounds], "in the middle of one"
    assert call.again.sounds[0].at == call.heard


def test_a_client_that_missed_too_much_is_told_so():
    async def script(call):
        call.connection.cancel()
        for _ in range(KEPT_EVENTS):
            call.session.ask("hello")
            await asyncio.sleep(3)
        with pytest.raises(ResumeWindowExceeded, match="are kept"):
            await call.client.connected()

    Call("Fine.", reports=None).hold(script)


def test_who_sends_more_than_time_passes_is_refused_before_it_costs_memory():
    async def script(call):
        for _ in range(int(BURST)):
            call.session.hear(silence(1.0, RATE))
            await asyncio.sleep(0)
        with pytest.raises(InputOverflow, match="40 s"):
            call.session.hear(silence(1.0, RATE))

    Call().hold(script)


def test_what_was_recorded_while_the_connection_was_broken_may_be_sent_at_once():
    async def script(call):
        for _ in range(3):
            await asyncio.sleep(30)
            for _ in range(30):
                call.session.hear(silence(1.0, RATE))

    Call().hold(script)


def test_typed_lines_are_counted_too():
    async def script(call):
        for _ in range(int(BURST)):
            call.session.ask("hello")
        with pytest.raises(InputOverflow):
            call.session.ask("hello")

    Call("Fine.").hold(script)


def test_others_get_their_turn_while_a_long_recording_is_listened_to():
    async def script(call):
        for _ in range(30):
            call.session.hear(silence(1.0, RATE))
        steps = 0
        while call.session.microphone.waiting > 1.0:
            await asyncio.sleep(0)
            steps += 1
        assert steps > 29 / 0.064 - 5

    Call().hold(script)


def test_a_microphone_switched_off_in_mid_sentence_ends_the_sentence():
    async def script(call):
        await call.speak(1.0)
        call.session.rest()
        await asyncio.sleep(3)

    assert [e.text for e in Call("Fine.").hold(script).client.all(Transcript)] == ["hello there"]


def test_what_is_told_of_speech_holds_no_sound():
    async def script(call):
        await call.speak(1.0)
        await call.wait(1.0)

    speech = Call("Fine.").hold(script).client.all(SpeechPaused | SpeechEnded)
    assert len(speech) == 2
    assert all(len(e.utterance.audio.samples) == 0 for e in speech)
    assert speech[1].utterance.end == pytest.approx(1.0, abs=0.04)


def test_when_the_session_ends_everything_of_it_has_ended():
    async def script(call):
        call.session.ask("a story")
        await asyncio.sleep(1.0)

    call = Call(llm=ChatModel(*STORY, takes=0.3)).hold(script)  # fails if a task is left
    assert call.llm.closed
