"""Engines in trouble on purpose: each trouble is what it says, and all else stays as it was."""

import asyncio
import weakref
from contextlib import aclosing

import numpy as np
import pytest
from room import ChatModel, Synthesizer, Transcriber, live, now

from voicebot.audio import silence
from voicebot.engines import Message
from voicebot.engines.call_options import taken
from voicebot.engines.fault_injection import FaultSettings
from voicebot.errors import ConfigError, EngineError

ASKED = [Message("user", "why?")]


async def all_of(stream):
    async with aclosing(stream) as items:
        return [item async for item in items]


async def text(llm):
    return "".join(delta.text for delta in await all_of(llm.reply(ASKED)))


def test_without_trouble_the_engine_is_the_engine():
    llm = ChatModel("Yes.")
    assert FaultSettings(stt="hang").around("llm", llm) is llm


def test_a_delay_comes_before_anything_does():
    async def life():
        llm = FaultSettings(llm="delay 2").around("llm", ChatModel("Yes.", takes=0.5))
        return await text(llm), now()

    assert live(life()) == ("Yes. ", pytest.approx(2.5))


def test_one_that_hangs_gives_nothing():
    async def life():
        stt = FaultSettings(stt="hang").around("stt", Transcriber("hello"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1000):
                await all_of(stt.transcribe(silence(1, 16000)))

    live(life())


def test_one_that_raises_fails_every_time():
    async def life():
        tts = FaultSettings(tts="raise").around("tts", Synthesizer())
        for _ in range(2):
            with pytest.raises(EngineError, match="tts: fault injection"):
                await all_of(tts.synthesize("Yes."))

    live(life())


def test_one_that_dies_does_so_in_the_middle_and_for_ever():
    async def life():
        inner = ChatModel("Yes,", "indeed.")
        llm = FaultSettings(llm="die").around("llm", inner)
        said = []

        async def listen():
            async with aclosing(llm.reply(ASKED)) as deltas:
                async for delta in deltas:
                    said.append(delta.text)

        with pytest.raises(EngineError, match="it died"):
            await listen()
        assert said == ["Yes, "]
        assert inner.closed
        with pytest.raises(EngineError, match="it has died"):
            await text(llm)

    live(life())


def test_garbage_is_as_long_and_means_nothing():
    async def life():
        faults = FaultSettings(stt="garbage", llm="garbage", tts="garbage")
        said = await text(faults.around("llm", ChatModel("Yes,", "indeed.")))
        assert len(said) == len("Yes, indeed. ")
        assert said != "Yes, indeed. "
        assert said.endswith(". ")
        stt = faults.around("stt", Transcriber("good morning"))
        (heard,) = await all_of(stt.transcribe(silence(1, 16000)))
        assert heard.text != "good morning"
        speech = await all_of(faults.around("tts", Synthesizer()).synthesize("Yes."))
        assert np.abs(np.concatenate([s.audio.samples for s in speech])).max() > 0.1
        assert sum(s.audio.seconds for s in speech) == pytest.approx(0.3)

    live(life())


def test_with_a_chance_the_same_calls_fail_each_time():
    async def outcomes():
        llm = FaultSettings(llm="raise", chance=0.5, seed=3).around("llm", ChatModel("Yes."))
        return [isinstance(e, EngineError) for e in [await outcome(llm) for _ in range(20)]]

    async def outcome(llm):
        try:
            return await text(llm)
        except EngineError as error:
            return error

    first = live(outcomes())
    assert first == live(outcomes())
    assert 4 < sum(first) < 16


def test_what_else_an_engine_has_and_takes_is_still_to_be_seen():
    class Voice:
        voices = ("anna", "ben")

        async def synthesize(self, text, *, voice=None):
            yield voice

    tts = FaultSettings(tts="delay 1").around("tts", Voice())
    assert tts.voices == ("anna", "ben")
    assert taken(tts.synthesize) == {"voice"}
    assert live(all_of(tts.synthesize("Yes.", voice="ben"))) == ["ben"]


@pytest.mark.parametrize("trouble", ["delay", "delay soon", "delay -1", "explode", "hang 2"])
def test_a_trouble_that_does_not_exist_is_refused(trouble):
    with pytest.raises(ConfigError, match=r"\[faults\] llm should be delay SECONDS, hang"):
        FaultSettings(llm=trouble)


def test_a_chance_is_a_chance():
    with pytest.raises(ConfigError, match=r"from 0 to 1, not 1\.5"):
        FaultSettings(chance=1.5)


def test_whoever_reads_the_log_knows_that_it_is_a_drill(caplog):
    FaultSettings(stt="delay 2").around("stt", Transcriber("hello"))
    assert caplog.messages == ["[faults] stt is in trouble on purpose: delay 2"]


def test_an_engine_in_trouble_ends_with_its_last_user():
    engine = Synthesizer()
    inner = weakref.ref(engine)
    troubled = FaultSettings(tts="raise").around("tts", engine)
    assert troubled is not engine
    del engine, troubled
    assert inner() is None
