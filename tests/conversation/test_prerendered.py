"""Sentences that are there before they are needed."""

import asyncio
from contextlib import suppress

from room import Synthesizer, live, now

from voicebot.conversation.prerendered import VOICES, PrerenderedSpeech
from voicebot.engines.call_options import BoundSynthesizer


def test_what_was_made_is_there_at_once():
    async def life():
        tts, canned = Synthesizer(), PrerenderedSpeech(["Let me see."])
        await canned.make(tts)
        before = now()
        speech = canned.speech(tts, "Let me see.")
        assert now() == before
        return sum(chunk.audio.seconds for chunk in speech)

    assert round(live(life()), 3) == 0.9


def test_nothing_is_there_in_a_voice_that_has_not_spoken():
    canned = PrerenderedSpeech(["Let me see."])
    assert canned.speech(Synthesizer(), "Let me see.") == ()


def test_each_voice_speaks_once_however_often_it_is_asked():
    async def life():
        tts, canned = Synthesizer(), PrerenderedSpeech(["Let me see.", "Sorry."])
        async with asyncio.TaskGroup() as several:
            for _ in range(3):
                several.create_task(canned.make(BoundSynthesizer(tts, {})))
        assert tts.lines == ["Let me see.", "Sorry."]
        assert canned.speech(BoundSynthesizer(tts, {}), "Sorry.")

    live(life())


def test_another_voice_of_the_same_engine_is_another_voice():
    canned, tts = PrerenderedSpeech(["Sorry."]), Synthesizer()
    live(canned.make(tts))
    assert canned.speech(BoundSynthesizer(tts, {"voice": "ben"}), "Sorry.") == ()


def test_what_cannot_be_made_is_not_there():
    canned, tts = PrerenderedSpeech(["Sorry."]), Synthesizer(fails=True)
    live(canned.make(tts))
    assert canned.speech(tts, "Sorry.") == ()


def test_what_could_not_be_made_is_made_the_next_time():
    canned, tts = PrerenderedSpeech(["Let me see.", "Sorry."]), Synthesizer(fails=True)
    live(canned.make(tts))
    tts.fails = False
    live(canned.make(tts))
    assert tts.lines == ["Let me see.", "Sorry."]
    assert canned.speech(tts, "Sorry.")


def test_whoever_leaves_while_it_is_made_takes_it_from_nobody():
    canned, tts = PrerenderedSpeech(["Let me see.", "Sorry."]), Synthesizer()

    async def life():
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1):  # within the second sentence
                await canned.make(tts)
        await canned.make(tts)

    live(life())
    assert tts.lines == ["Let me see.", "Sorry.", "Sorry."]
    assert canned.speech(tts, "Let me see.")
    assert canned.speech(tts, "Sorry.")


def test_empty_sentences_are_not_made():
    canned, tts = PrerenderedSpeech(["", "Sorry."]), Synthesizer()
    live(canned.make(tts))
    assert tts.lines == ["Sorry."]


def test_only_the_last_voices_are_kept():
    canned = PrerenderedSpeech(["Sorry."])
    voices = [Synthesizer() for _ in range(VOICES + 1)]

    async def life():
        for voice in voices:
            await canned.make(voice)

    live(life())
    assert canned.speech(voices[0], "Sorry.") == ()
    assert canned.speech(voices[-1], "Sorry.")
