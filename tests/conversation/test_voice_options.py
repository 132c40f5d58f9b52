"""A user chooses a voice and a language by name, of those that the engines have."""

import asyncio
from contextlib import aclosing

import pytest
import room

from voicebot.audio import silence
from voicebot.conversation.voice_options import VoiceOptions
from voicebot.engines import Segment, Speech
from voicebot.engines.call_options import OptionError


class Linguist(room.Transcriber):
    languages = ("en", "de")

    async def transcribe(self, audio, *, language=None):
        yield Segment(language or "its own", 0.0, audio.seconds)


class Choir(room.Synthesizer):
    voices = ("anna", "bert", "+low")

    async def synthesize(self, text, *, voice=None):
        self.lines.append((voice, text))
        yield Speech(room.sound(0.1, 24000))


class Server(room.Synthesizer):
    """Knows voices, and does not say which."""

    async def synthesize(self, text, *, voice=None):
        self.lines.append((voice, text))
        yield Speech(room.sound(0.1, 24000))


def heard(choices):
    async def listen():
        async with aclosing(choices.ears.transcribe(silence(1, 16000))) as segments:
            return [segment.text async for segment in segments]

    return asyncio.run(listen())


def spoken(choices):
    async def speak():
        async with aclosing(choices.mouth.synthesize("Hello.")) as chunks:
            async for _ in chunks:
                pass

    asyncio.run(speak())
    return choices.tts.lines[-1]


def test_what_there_is_can_be_told():
    choices = VoiceOptions(Linguist(), Choir())
    assert choices.languages == ["en", "de"]
    assert choices.voices == ["anna", "bert"], "a variant is no voice by itself"


def test_without_a_choice_the_engines_do_as_their_settings_say():
    choices = VoiceOptions(Linguist(), Choir())
    assert (choices.ears, choices.mouth) == (choices.stt, choices.tts)


def test_what_was_chosen_is_asked_of_the_engines():
    choices = VoiceOptions(Linguist(), Choir()).choosing(voice="bert", language="de")
    assert heard(choices) == ["de"]
    assert spoken(choices) == ("bert", "Hello.")


def test_a_voice_can_be_chosen_with_a_variant():
    assert spoken(VoiceOptions(Linguist(), Choir()).choosing(voice="anna+low"))[0] == "anna+low"


def test_one_choice_leaves_the_other_as_it_was_and_both_can_be_taken_back():
    both = VoiceOptions(Linguist(), Choir()).choosing(voice="bert").choosing(language="de")
    assert (both.voice, both.language) == ("bert", "de")
    neither = both.choosing(voice="", language="")
    assert (neither.ears, neither.mouth) == (both.stt, both.tts)


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"voice": "carl"}, "there is no voice 'carl'; there is anna, bert"),
        ({"voice": "+low"}, "no voice"),
        ({"voice": "anna+high"}, "no voice"),
        ({"voice": "anna+"}, "no voice"),
        ({"language": "xx"}, "there is no language 'xx'; there is en, de"),
        ({"voice": "anna", "language": "xx"}, "no language"),
    ],
)
def test_a_name_that_there_is_not_is_answered_with_those_there_are(choice, says):
    with pytest.raises(OptionError, match=says):
        VoiceOptions(Linguist(), Choir()).choosing(**choice)


def test_an_engine_with_one_voice_and_one_language_offers_no_choice():
    choices = VoiceOptions(room.Transcriber(), room.Synthesizer())
    assert (choices.voices, choices.languages) == ([], [])
    with pytest.raises(OptionError, match="the voice cannot be chosen here"):
        choices.choosing(voice="anna")
    with pytest.raises(OptionError, match="the language cannot be chosen here"):
        choices.choosing(language="en")


def test_an_engine_that_lists_no_voices_judges_for_itself():
    choices = VoiceOptions(Linguist(), Server()).choosing(voice="nova")
    assert choices.voices == []
    assert spoken(choices) == ("nova", "Hello.")


def test_what_is_chosen_in_mid_conversation_holds_from_the_next_turn_on():
    other = room.Synthesizer()
    place = room.Room("Fine.")

    async def choosing():
        async for given in room.user(("speak", 1.0), ("wait", 3.0)):
            yield given
        place.conversation.choose(room.Transcriber("guten Tag"), other)
        async for given in room.user(("speak", 1.0), ("wait", 3.0)):
            yield given

    place.live(place.conversation.run(choosing()))
    assert [text for role, text in place.history if role == "user"] == ["hello there", "guten Tag"]
    assert "Fine." in place.tts.lines
    assert "Fine." in other.lines
