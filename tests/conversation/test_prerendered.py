"""Sentences that are there before they are needed."""

import asyncio
from contextlib import suppress

from room import Synthesizer, live, now

from voicebot.conversation.prerendered import VOICES, PrerenderedSpeech
from voicebot.engines.call_options import BoundSynthesizer


def test_what_was_made_is_there_at_once():
    async def life():
        tts, prerendered = Synthesizer(), PrerenderedSpeech(["Let me see."])
        await prerendered.make(tts)
        before = now()
        speech = prerendered.speech(tts, "Let me see.")
        assert now() == before
        return sum(chunk.audio.seconds for chunk in speech)

    assert round(live(life()), 3) == 0.9


def test_nothing_is_there_in_a_voice_that_has_not_spoken():
    prerendered = PrerenderedSpeech(["Let me see."])
    assert prerendered.speech(Synthesizer(), "Let me see.") == ()


def test_each_voice_speaks_once_however_often_it_is_asked():
    async def life():
        tts, prerendered = Synthesizer(), PrerenderedSpeech(["Let me see.", "Sorry."])
        async with asyncio.TaskGroup() as several:
            for _ in range(3):
                several.create_task(prerendered.make(BoundSynthesizer(tts, {})))
        assert tts.lines == ["Let me see.", "Sorry."]
        assert prerendered.speech(BoundSynthesizer(tts, {}), "Sorry.")

    live(life())


def test_another_voice_of_the_same_engine_is_another_voice():
    prerendered, tts = PrerenderedSpeech(["Sorry."]), Synthesizer()
    live(prerendered.make(tts))
    assert prerendered.speech(BoundSynthesizer(tts, {"voice": "ben"}), "Sorry.") == ()


def test_what_cannot_be_made_is_not_there():
    prerendered, tts = PrerenderedSpeech(["Sorry."]), Synthesizer(fails=True)
    live(prerendered.make(tts))
    assert prerendered.speech(tts, "Sorry.") == ()


def test_what_could_not_be_made_is_made_the_next_time():
    prerendered, tts = PrerenderedSpeech(["Let me see.", "Sorry."]), Synthesizer(fails=True)
    live(prerendered.make(tts))
    tts.fails = False
    live(prerendered.make(tts))
    assert tts.lines == ["Let me see.", "Sorry."]
    assert prerendered.speech(tts, "Sorry.")


def test_whoever_leaves_while_it_is_made_takes_it_from_nobody():
    prerendered, tts = PrerenderedSpeech(["Let me see.", "Sorry."]), Synthesizer()

    async def life():
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1):  # within the second sentence
                await prerendered.make(tts)
        await prerendered.make(tts)

    live(life())
    assert tts.lines == ["Let me see.", "Sorry.", "Sorry."]
    assert prerendered.speech(tts, "Let me see.")
    assert prerendered.speech(tts, "Sorry.")


def test_empty_sentences_are_not_made():
    prerendered, tts = PrerenderedSpeech(["", "Sorry."]), Synthesizer()
    live(prerendered.make(tts))
    assert tts.lines == ["Sorry."]


def test_only_the_last_voices_are_kept():
    prerendered = PrerenderedSpeech(["Sorry."])
    voices = [Synthesizer() for _ in range(VOICES + 1)]

    async def life():
        for voice in voices:
            await prerendered.make(voice)

    live(life())
    assert prerendered.speech(voices[0], "Sorry.") == ()
    assert prerendered.speech(voices[-1], "Sorry.")
