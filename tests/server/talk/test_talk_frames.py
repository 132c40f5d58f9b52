"""Real speech through `/v1/talk` as Opus, to and fro: it is still that speech, and where it was."""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
from calling import RATE, Caller, Parts, connected, serving
from room import Synthesizer, Transcriber
from serving import embedded

from voicebot.audio import Audio, from_pcm16, to_pcm16
from voicebot.audio.opus import Decoder, Encoder
from voicebot.audio.recordings import decode
from voicebot.conversation.trim import sounding
from voicebot.engines import Segment, Speech, Word

QUESTION = Path(__file__).parents[3] / "examples" / "question.wav"


class OpusSocket:
    """A websocket whose sound is PCM on our side and Opus on the other."""

    def __init__(self, socket):
        self._socket, self.transport = socket, socket.transport
        self._encoder, self._decoder, self._skip = Encoder(RATE), Decoder(), 0
        self.bytes = 0

    async def send(self, message):
        if isinstance(message, str):
            return await self._socket.send(message)
        for packet in self._encoder.feed(from_pcm16(message, RATE).samples):
            await self._socket.send(packet)
        return None

    async def send_packet(self, packet):
        await self._socket.send(packet)

    async def recv(self):
        message = await self._socket.recv()
        if isinstance(message, str):
            event = json.loads(message)
            if event["event"] == "sound":
                self._decoder, self._skip = Decoder(), event["skip"]
            return message
        self.bytes += len(message)
        samples = self._decoder.feed(message).samples[::2]  # of 48 kHz
        rest, self._skip = samples[self._skip :], max(0, self._skip - len(samples))
        return to_pcm16(Audio(rest, RATE))


@asynccontextmanager
async def calling(host, **wishes):
    async with connected(host) as plain:
        caller = Caller(OpusSocket(plain.socket))
        await caller.say(type="hello", rate=RATE, codec="opus", **wishes)
        caller.ready = await caller.until("ready")
        yield caller


def question(rate=RATE):
    return np.concatenate([audio.samples for audio in decode(str(QUESTION), rate)])


def spoken():
    """The same without the silence around it, which no voice is heard with."""
    audio = Audio(question(), RATE)
    start, end = sounding(audio)
    return audio.samples[start:end]


async def asks(caller):
    """Says the question, and then nothing."""
    pcm = to_pcm16(Audio(np.concatenate([question(), np.zeros(2 * RATE, np.float32)]), RATE))
    for start in range(0, len(pcm), RATE // 5):
        await caller.socket.send(pcm[start : start + RATE // 5])


def likeness(one, other):
    return np.corrcoef(one, other)[0, 1]


class Reader(Synthesizer):
    """Speaks every line as the recorded question, and knows when each of ten words of it ends."""

    async def synthesize(self, text):
        said = spoken()
        words = [Word("word", 0, (i + 1) * len(said) / RATE / 10) for i in range(10)]
        for i in range(0, len(said), 5000):
            ends = tuple(w for w in words if i < w.end * RATE <= i + 5000)
            yield Speech(Audio(said[i : i + 5000], RATE), ends)


LINE = ["word"] * 9 + ["word."]


def test_a_question_in_opus_is_understood_and_answered_by_the_embedded_engines(tmp_path):
    async def script():
        async with serving(None, app=app) as host, calling(host) as caller:
            await asks(caller)
            heard = await caller.until("transcript")
            said = await caller.until("clause_spoken")
            return heard["text"], said["text"]

    with embedded(tmp_path) as app:
        heard, said = asyncio.run(asyncio.wait_for(script(), 100))
    assert "apple tree" in heard
    assert said


def test_the_recogniser_gets_the_speech_that_was_said():
    class Keeping(Transcriber):
        async def transcribe(self, audio):
            self.given.append(audio)
            yield Segment("hello", 0.0, audio.seconds)

    async def script():
        parts = Parts("Yes.", stt=Keeping())
        async with serving(parts) as host, calling(host) as caller:
            await asks(caller)
            await caller.until("transcript")
        return parts.stt.given[-1]

    got = asyncio.run(script()).samples
    said = np.pad(question(16000), 16000)
    at = int(np.argmax(np.correlate(said, got, "valid")))
    assert len(got) > 16000
    assert likeness(said[at : at + len(got)], got) > 0.85


def test_the_reply_is_the_speech_that_was_made_to_the_sample_and_a_tenth_of_the_bytes():
    async def script():
        parts = Parts(*LINE, tts=Reader())
        async with serving(parts) as host, calling(host) as caller:
            await caller.say(type="text", text="speak")
            ended = await caller.until("turn_ended")
        return parts, caller, ended

    parts, caller, _ = asyncio.run(script())
    said = spoken()
    assert caller.all("sound_ended")[0]["samples"] == len(said)
    heard = from_pcm16(caller.sound[1], RATE).samples
    assert 0 <= len(heard) - len(said) < RATE // 50, "the last packet is filled with silence"
    assert likeness(heard[: len(said)], said) > 0.85
    assert caller.socket.bytes < 2 * len(said) / 10
    assert parts.history == [("user", "speak"), ("assistant", " ".join(LINE))]


def test_who_interrupts_has_heard_the_words_that_were_played():
    async def script():
        parts = Parts(*LINE, tts=Reader())
        async with serving(parts) as host, calling(host) as caller:
            await caller.say(type="text", text="speak")
            await caller.hears(0.55 * len(spoken()) / RATE)
            await caller.say(type="stop")
            await caller.until("turn_ended")
        return parts

    assert asyncio.run(script()).history[1] == ("assistant", " ".join(LINE[:5]))


def test_a_client_cut_off_in_mid_reply_goes_on_where_it_was():
    async def script():
        parts = Parts(*LINE, tts=Reader())
        async with serving(parts) as host:
            async with calling(host) as caller:
                await caller.say(type="text", text="speak")
                await caller.hears(0.7)
                caller.socket.transport.abort()
            async with connected(host) as plain:
                again = Caller(OpusSocket(plain.socket))
                again.sound, again.events = caller.sound, caller.events
                received = len(caller.sound[1]) // 2
                await again.say(
                    type="resume",
                    token=caller.ready["token"],
                    number=max(e.get("number", 0) for e in caller.events),
                    turn=1,
                    received=received,
                )
                await again.until("resumed")
                while not again.all("turn_ended"):
                    await again.next()  # which sees that no sample comes twice or is lost
                    now = len(again.sound[1]) // 2
                    await again.say(type="played", turn=1, samples=now)
        return parts, again, received

    parts, again, received = asyncio.run(script())
    said = spoken()
    heard = from_pcm16(again.sound[1], RATE).samples
    assert 0 < received < len(said)
    assert 0 <= len(heard) - len(said) < RATE // 50
    assert likeness(heard[received : len(said)], said[received:]) > 0.8
    assert parts.history == [("user", "speak"), ("assistant", " ".join(LINE))]


def test_bytes_that_are_no_packet_are_named_and_the_conversation_goes_on():
    async def script():
        async with serving(Parts("Yes.")) as host, calling(host) as caller:
            for rubbish in [b"", b"\xff", bytes(2000), b"abc" * 10]:
                await caller.socket.send_packet(rubbish)
            await asks(caller)
            await caller.until("transcript")
            return [error["code"] for error in caller.all("error")]

    assert asyncio.run(script()) == ["bad_packet"] * 4


def test_a_rate_that_opus_does_not_know_is_refused_with_those_it_knows():
    async def script():
        async with serving(Parts()) as host, connected(host) as caller:
            await caller.say(type="hello", rate=44100, codec="opus")
            return await caller.until("error")

    assert "8000, 12000, 16000, 24000, 48000; not 44100" in asyncio.run(script())["reason"]
