"""What is heard of an answer in a real voice: no stray silence, and history to the word.

The conversation is the pretend room's, whose clock skips waiting; the sound is hibari's.
"""

import asyncio
from contextlib import aclosing
from random import Random
from threading import Thread

import numpy as np
import pytest
from room import ChatModel, Room, Speaker, Transcriber

from voicebot.audio import first_audible
from voicebot.bench.listener import REPLY
from voicebot.conversation import StopReply, Typed
from voicebot.conversation.fallbacks import Fallbacks
from voicebot.conversation.trim import sounding, trimmed
from voicebot.events import ClauseSpoken, Interrupted, TurnEnded

PIECES = [
    "It is,", "The old apple tree,", "Half of five people.", "She sells sea shells.", "See.",
    "He has fifty-five fish,", "Thanks.", "The shop is open until half past six.",
]  # fmt: skip


class Direct:
    """A voice whose work takes no time of the room's clock; keeps what it made."""

    def __init__(self, tts):
        self._tts, self.made = tts, {}

    async def synthesize(self, text):
        if text not in self.made:

            async def collect():
                async with aclosing(self._tts.synthesize(text)) as speech:
                    return [chunk async for chunk in speech]

            thread = Thread(target=lambda: self.made.update({text: asyncio.run(collect())}))
            thread.start()
            thread.join()
        for chunk in self.made[text]:
            yield chunk


class Tape(Speaker):
    """Keeps all that was played, and how many seconds of it were heard."""

    def __init__(self):
        super().__init__()
        self.audio, self.heard = [], None

    async def play(self, audio):
        self.audio.append(audio)
        await super().play(audio)

    def stop(self):
        self.heard = super().stop()
        return self.heard

    @property
    def samples(self):
        return np.concatenate([audio.samples for audio in self.audio])


@pytest.fixture(scope="module")
def voice():
    pytest.importorskip("hibari")
    from voicebot.engines.hibari import Hibari

    hibari = Hibari()
    yield Direct(hibari)
    hibari.close()


def answered(voice, *script):
    room = Room(
        llm=ChatModel(*REPLY.split(), takes=0.02), tts=voice, speaker=Tape(),
        stt=Transcriber("tell me", ""), fallbacks=Fallbacks(),
    )  # fmt: skip
    return room.hear(Typed("tell me"), *script)


@pytest.mark.parametrize("text", PIECES)
def test_a_piece_is_heard_at_once_and_ends_with_its_sound(voice, text):
    async def spoken():
        raw = [chunk async for chunk in voice.synthesize(text)]
        return raw, [chunk async for chunk in trimmed(voice.synthesize(text))]

    raw, parts = asyncio.run(spoken())
    seconds = sum(part.audio.seconds for part in parts)
    assert first_audible(parts[0].audio) <= 0.1, "a soft th is kept, silence is not"
    assert sum(chunk.audio.seconds for chunk in raw) - seconds > 0.3, (
        "hibari is silent around words"
    )
    words = [word for part in parts for word in part.words]
    assert [word.text for word in words] == text.split()
    assert all(0 <= word.start <= word.end <= seconds + 1e-6 for word in words)


def test_between_the_sounds_of_an_answer_is_what_its_punctuation_means(voice):
    room = answered(voice, ("wait", 60.0))
    (end,) = room.all(TurnEnded)
    assert "underruns" not in end.amounts
    assert room.history[-1] == ("assistant", REPLY)
    gaps = silences(room.speaker.samples, 24000)
    pauses = room.conversation.fallbacks.speech
    assert len(gaps) >= REPLY.count(".") - 1
    assert max(gaps) <= pauses.stop_ms / 1000 + 0.15, "no hole at a join"
    longest = sorted(gaps)[-(REPLY.count(".") - 1) :]
    assert min(longest) >= pauses.stop_ms / 1000 - 0.05, "a pause at each stop"


def silences(samples, rate, shortest=0.15):
    """Seconds of each stretch that is quieter than -50 dBFS, but for the ends."""
    size = rate // 100
    blocks = samples[: len(samples) // size * size].reshape(-1, size)
    quiet = np.sqrt((blocks**2).mean(1)) < 10 ** (-50 / 20)
    edges = np.flatnonzero(np.diff(np.r_[0, quiet, 0]))
    stretches = [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True)]
    inner = [(end - start) / 100 for start, end in stretches if start and end < len(quiet)]
    return [seconds for seconds in inner if seconds >= shortest]


def test_history_is_right_to_the_word_at_any_moment(voice):
    whole = answered(voice, ("wait", 60.0))
    ends = word_ends(whole)
    random, exact = Random(3), 0
    for _ in range(20):
        moment = random.uniform(1.0, 28.0)
        room = answered(voice, ("wait", moment), StopReply(), ("wait", 0.2))
        (cut,) = room.all(Interrupted)
        heard = room.speaker.heard
        assert abs(heard - moment) < 1.0
        least = sum(end <= heard - 0.03 for _, end in ends)
        most = sum(end <= heard + 0.03 for _, end in ends)
        assert least <= len(cut.heard.split()) <= most, (moment, cut.heard)
        assert cut.heard.split() == REPLY.split()[: len(cut.heard.split())]
        exact += least == most
    assert exact >= 10, "most moments are not at the edge of a word"


def word_ends(room):
    """Of each word of an answer: when its sound ends in what was played, found by its samples."""
    played, ends, after = room.speaker.samples, [], 0
    for piece in room.all(ClauseSpoken):
        chunks = room.tts.made.get(piece.text) or room.tts.made[f"{piece.text},"]
        raw = np.concatenate([chunk.audio.samples for chunk in chunks])
        loudest = int(np.abs(raw).argmax()) - 600
        snippet = raw[loudest : loudest + 1200]
        found = np.correlate(played[after : after + 12 * 24000], snippet, "valid")
        energy = np.convolve(played[after : after + 12 * 24000] ** 2, np.ones(1200), "valid")
        at = after + int((found - energy / 2).argmax())
        assert np.array_equal(played[at : at + 1200], snippet)
        begins = (at - loudest) / 24000
        after = at + 1200
        last = begins + max(sounding(chunk.audio)[1] for chunk in chunks[-1:]) / 24000
        words = [word for chunk in chunks for word in chunk.words]
        ends += [(word.text, min(begins + word.end, last + 0.03)) for word in words]
    return ends
