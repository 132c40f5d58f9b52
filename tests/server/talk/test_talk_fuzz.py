"""Ten thousand messages to `/v1/talk`, most of them wrong: no crash, and nothing out of order."""

import json
import random

import pytest
from asgi import Socket, application, lives
from room import ChatModel, Transcriber
from serving import parts
from talk_order import Observer
from test_realtime_fuzz import spoil

pytestmark = pytest.mark.soak

STORY = "One two three. Four five six. Seven eight nine.".split()  # noqa: SIM905 - reads as the sentences it is
CLIENT = [
    {"type": "hello", "rate": 8000},
    {"type": "hello", "rate": 48000, "codec": "opus", "interim_transcripts": True},
    {"type": "resume", "token": "x", "number": 0, "turn": 1, "received": 100},
    {"type": "text", "text": "a story"},
    {"type": "stop"},
    {"type": "mute"},
    {"type": "choose", "voice": "default", "language": "default"},
    {"type": "played", "turn": 1, "samples": 2400},
]


def wrong(luck):
    """A message as no client should send it, though some are well-formed in the wrong place."""
    match luck.randrange(6):
        case 0:
            return luck.randbytes(luck.randrange(2000))
        case 1:
            return luck.randbytes(luck.choice([0, 1, 2, 3, 1919, 1920]))
        case 2:
            text = json.dumps(luck.choice(CLIENT))
            return text[: luck.randrange(len(text))]
        case 3:
            return luck.choice(CLIENT)
        case _:
            return json.dumps(spoil(luck.choice(CLIENT), luck))


def loud(seconds):
    return b"\0\x40" * round(24000 * seconds)


class Client:
    """Talks, rudely, and begins or resumes whenever it was cut off."""

    def __init__(self, app, luck):
        self._app, self._luck = app, luck
        self.ends, self.sent, self.resumed = [], 0, 0

    async def lives(self, messages):
        self.observer = Observer()
        self.token = None
        while self.sent < messages:
            socket = await Socket(self._app, "/v1/talk", self.see).open()
            socket.say(self.observer.place(self.token) if self.token else HELLO)
            while socket.is_open and self.sent < messages:
                self.sent += 1
                socket.say(self._message())
                await socket.passes(self._luck.choice([0.0, 0.0, 0.01, 0.3]))
                if self._luck.random() < 0.003:
                    await socket.close()
            if socket.code != 1006:
                self.observer, self.token = Observer(), None
            self.ends.append(socket.code)
        await socket.close(1000)
        await socket.ended()

    def see(self, message):
        self.observer.see(message)
        if isinstance(message, dict) and message["event"] in ("ready", "resumed"):
            self.token = message.get("token", self.token)
            self.resumed += message["event"] == "resumed"

    def _message(self):
        luck = self._luck
        dice = luck.random()
        if dice < 0.0005:
            return luck.choice(["[" * 60_000, b"\0" * 200_000])  # ends the conversation
        if dice < 0.3:
            return luck.choice([loud(0.2), loud(0.5), bytes(9600), bytes(24000)])
        if dice < 0.4:
            turn = max(self.observer.received, default=0)
            samples = self.observer.received.get(turn, 0)
            return {"type": "played", "turn": turn, "samples": samples}
        return wrong(luck)


HELLO = {"type": "hello", "rate": 24000}


@pytest.mark.parametrize("seed", range(4))
def test_no_message_breaks_a_conversation_or_its_order(seed, caplog):
    async def life():
        engines = parts(stt=Transcriber(takes=0.05), llm=ChatModel(*STORY, takes=0.01))
        async with application(engines) as app:
            client = Client(app, random.Random(seed))
            await client.lives(2500)
            polite = Observer()
            socket = await Socket(app, "/v1/talk", polite.see).open()
            socket.say(HELLO, {"type": "text", "text": "hello"})
            await socket.until(lambda: polite.all("turn_ended"))
            await socket.close(1000)
            await socket.ended()
        return client, polite

    client, polite = lives(life())
    assert client.sent == 2500
    assert client.resumed > 2
    assert set(client.ends) <= {1006, 1008, 1009, 1000, None}
    assert polite.all("clause_spoken")
    assert not caplog.records
