"""A text is read aloud clause by clause, with the pauses of its punctuation."""

import pytest
from room import Synthesizer, live, sound

from voicebot.conversation.aloud import aloud
from voicebot.conversation.pauses import SpeechSettings
from voicebot.engines import Speech
from voicebot.errors import ConfigError

PAUSES = SpeechSettings(comma_ms=200, stop_ms=400, paragraph_ms=700)
TEXT = "The kettle is on the stove. The tea is in the tin beside the window."


class Chosen:
    """Says a word of sound in two chunks for each clause, and notes what it was asked."""

    def __init__(self):
        self.asked = []

    async def synthesize(self, text, *, voice=""):
        self.asked.append((text, voice))
        yield Speech(sound(0.5, 24000))
        yield Speech(sound(0.5, 24000))


def read(tts, text, **options):
    async def listen():
        return [audio async for audio in aloud(text, tts, PAUSES, **options)]

    return live(listen())


def test_a_pause_stands_between_two_sentences_and_nowhere_else():
    chosen = Chosen()
    chunks = read(chosen, TEXT)
    assert [text for text, _ in chosen.asked] == TEXT.replace(". T", ".|T").split("|")
    silent = [audio.seconds for audio in chunks if not audio.samples.any()]
    assert silent == [pytest.approx(0.4)]
    assert sum(audio.seconds for audio in chunks) == pytest.approx(2.4)


def test_the_voice_that_is_chosen_reads():
    chosen = Chosen()
    read(chosen, "Hello.", voice="bella")
    assert chosen.asked == [("Hello.", "bella")]


def test_a_text_of_which_no_word_can_be_said_is_refused():
    with pytest.raises(ConfigError, match="there is nothing to say in ''"):
        read(Synthesizer(), "  ")
