"""A hundred conversations at once, on the pretended clock: to each its own, and nothing is left."""

import asyncio
import base64
import gc
import random
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from asgi import Socket, application, lives
from realtime_order import Observer as RealtimeOrder
from serving import parts
from talk_order import Observer as TalkOrder

from voicebot.audio import Audio
from voicebot.engines import Delta, Segment, Speech

pytestmark = pytest.mark.soak

RATE = 24000
EACH = 50
"""Conversations of either kind."""


class Echo:
    """Says to each what it has said, word by word."""

    async def reply(self, messages):
        for word in messages[-1].text.split():
            await asyncio.sleep(0.02)
            yield Delta(word + " ")
        yield Delta(finish="stop")


class Voice:
    """Speaks a sound that is as loud as the first number in the text says: 17 is 0.017."""

    async def synthesize(self, text):
        (number, *_) = [int(w.strip(".")) for w in text.split() if w.strip(".").isdigit()]
        for _ in text.split():
            await asyncio.sleep(0.01)
            yield Speech(Audio(np.full(RATE // 5, number / 1000, np.float32), RATE))


class Ears:
    """Hears how loud it was: 0.317 is "I am 17"."""

    async def transcribe(self, audio):
        await asyncio.sleep(0.05)
        # Not at its loudest: where sound begins, a resampler overshoots.
        number = round(float(np.quantile(audio.samples, 0.7)) * 1000) - 300
        yield Segment(f"I am {number} aloud. And {number} is who I am.", 0.0, audio.seconds)


def spoken(number):
    """A second in the voice of so and so, and the silence that ends it, in frames of 0.1 s."""
    sample = round((0.3 + number / 1000) * 32768).to_bytes(2, "little", signed=True)
    return [sample * 2400] * 10 + [bytes(4800)] * 8


def numbers(sound):
    """Whose voices are in it."""
    return {round(value / 32.767) for value in np.unique(np.frombuffer(sound, "<i2")).tolist()}


class Talker:
    """Asks, hears, and is cut off, comes back, interrupts or goes away, as its number says."""

    def __init__(self, app, number):
        self._app, self.number = app, number
        self.order, self.sound, self.token = TalkOrder(), b"", ""

    def see(self, message):
        self.order.see(message)
        if isinstance(message, bytes):
            self.sound += message
        elif message["event"] == "ready":
            self.token = message["token"]

    async def lives(self):
        luck = random.Random(self.number)
        await asyncio.sleep(luck.random())
        socket = await self._connected({"type": "hello", "rate": RATE})
        socket.say({"type": "text", "text": f"I am {self.number} typed. And {self.number} it is."})
        match self.number % 5:
            case 0:  # goes without a word in the middle of the answer
                await socket.until(lambda: self.sound)
                await socket.close()
                await socket.ended()
                return
            case 1:  # interrupts
                await socket.until(lambda: self.sound)
                socket.say({"type": "stop"})
            case 2:  # is cut off, and comes back from where it was
                await socket.until(lambda: self.sound)
                await socket.close()
                await asyncio.sleep(luck.random() * 5)
                socket = await self._connected(self.order.place(self.token))
        await socket.until(lambda: self.order.all("turn_ended"))
        for frame in spoken(self.number):
            socket.say(frame)
            await asyncio.sleep(0.1)
        await socket.until(lambda: len(self.order.all("turn_ended")) == 2)
        await socket.close(1000)
        await socket.ended()

    async def _connected(self, hello):
        socket = await Socket(self._app, "/v1/talk", self.see).open()
        socket.say(hello)
        return socket

    @property
    def texts(self):
        events = self.order.all("transcript") + self.order.all("clause_spoken")
        return [event["text"] for event in events]


class Caller:
    """The same in the Realtime protocol, where nobody comes back."""

    def __init__(self, app, number):
        self._app, self.number = app, number
        self.order, self.sound, self.events = RealtimeOrder(), b"", []

    def see(self, event):
        self.order.see(event)
        self.events.append(event)
        if event["type"] == "response.output_audio.delta":
            self.sound += base64.b64decode(event["delta"])

    def all(self, kind):
        return [event for event in self.events if event["type"] == kind]

    async def lives(self):
        await asyncio.sleep(random.Random(self.number).random())
        socket = await Socket(self._app, "/v1/realtime", self.see).open()
        text = f"I am {self.number} typed. And {self.number} it is."
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        socket.say({"type": "conversation.item.create", "item": item}, {"type": "response.create"})
        match self.number % 5:
            case 0:
                await socket.until(lambda: self.sound)
                await socket.close()
                await socket.ended()
                return
            case 1:
                await socket.until(lambda: self.sound)
                socket.say({"type": "response.cancel"})
        await socket.until(lambda: self.all("response.done"))
        for frame in spoken(self.number):
            audio = base64.b64encode(frame).decode()
            socket.say({"type": "input_audio_buffer.append", "audio": audio})
            await asyncio.sleep(0.1)
        await socket.until(lambda: len(self.all("response.done")) == 2)
        await socket.close()
        await socket.ended()

    @property
    def texts(self):
        return [event["transcript"] for event in self.all("response.output_audio_transcript.done")]


def engines():
    return parts(stt=Ears(), llm=Echo(), tts=Voice())


def test_a_hundred_at_once_get_what_is_theirs():
    async def life():
        async with application(engines()) as app:
            clients = [kind(app, n) for kind in (Talker, Caller) for n in range(1, EACH + 1)]
            async with asyncio.TaskGroup() as tasks:
                for client in clients:
                    tasks.create_task(client.lives())
        return clients

    for client in lives(life()):
        mine = str(client.number)
        said = " ".join(client.texts).replace(".", "").split()
        assert {word for word in said if word.isdigit()} <= {mine}
        assert numbers(client.sound) <= {client.number, 0}
        if client.number % 5:
            assert "aloud" in said
        if client.number % 5 > 1:
            assert "typed" in said


def objects():
    gc.collect()
    return Counter(type(thing).__name__ for thing in gc.get_objects())


@pytest.mark.parametrize("kind", [Talker, Caller])
def test_what_comes_and_goes_leaves_nothing(kind):
    """Counts rather than bytes: a hundred conversations would leave a hundred of something."""

    async def life():
        async with application(engines()) as app:

            async def some(times):
                for at in range(0, times, 10):
                    async with asyncio.TaskGroup() as tasks:
                        for number in range(at, at + 10):
                            tasks.create_task(kind(app, number % 50 + 1).lives())
                await asyncio.sleep(60)

            await some(30)  # what is made once is made now
            before = objects()
            await some(100)
            return objects() - before

    assert not [(name, more) for name, more in lives(life()).items() if more >= 100]


@pytest.mark.parametrize("path", ["/v1/talk", "/v1/realtime"])
def test_a_conversation_in_which_nothing_happens_costs_little(path):
    """Bytes that Python knows of: the state of a voice detector and of a socket come to that."""

    async def life():
        async with application(engines(), sessions=60) as app:

            async def idle():
                socket = await Socket(app, path, lambda message: None).open()
                if path == "/v1/talk":
                    socket.say({"type": "hello", "rate": RATE})
                await socket.passes(1.0)
                return socket

            sockets = [await idle() for _ in range(10)]
            gc.collect()
            tracemalloc.start()
            sockets += [await idle() for _ in range(50)]
            gc.collect()
            held, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            for socket in sockets:
                await socket.close(1000)
                await socket.ended()
            return held / 50

    assert lives(life()) < 100_000
