"""The user's end of a conversation over OpenAI's Realtime protocol."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from ..audio import Audio, from_pcm16, to_pcm16
from ..concurrency.worker import background
from ..errors import VoicebotError
from .trial import Ears

RATE = 24000


class HungUp(VoicebotError):
    """The server said that something was wrong, or left."""


class Realtime:
    """Sends a user's sound and notes what comes back; lives as long as the block of `calling`."""

    rate = RATE

    def __init__(self, socket: ClientConnection) -> None:
        self.ears = Ears()
        self.events: list[tuple[str, float]] = []
        """The type of each event, and when it came; of a response's sound only the first."""
        self._socket = socket
        self._sounding = self._dropped = ""

    async def send(self, audio: Audio) -> None:
        await self.append(appending(audio))

    async def append(self, text: str) -> None:
        """Send sound that was made a message before, by `appending`."""
        await self._socket.send(text)

    async def tell(self, **message: Any) -> None:
        await self._socket.send(json.dumps(message))

    async def listen(self) -> None:
        """Note what comes until the connection ends.

        Raises:
            HungUp: the server told of an error.
        """
        async for text in self._socket:
            event = json.loads(text)
            if event["type"] == "response.output_audio.delta":
                self._hear(event)
                continue
            self.events.append((event["type"], asyncio.get_running_loop().time()))
            if event["type"] == "input_audio_buffer.speech_started":
                # What a client does then: it plays nothing more of this response.
                self._dropped = self._sounding
                self.ears.silence()
            elif event["type"] == "input_audio_buffer.speech_stopped":
                self.ears.decide()
            elif event["type"] == "error":
                raise HungUp(f"the server says: {event['error']['message']}")

    def _hear(self, event: dict[str, Any]) -> None:
        now = asyncio.get_running_loop().time()
        if self._sounding != event["response_id"]:
            self._sounding = event["response_id"]
            self.events.append((event["type"], now))
        if self._sounding == self._dropped:
            # Sent although it was interrupted: a client that did not know would still play it.
            self.ears.silenced[-1:] = [now]
        else:
            self.ears.hear(from_pcm16(base64.b64decode(event["delta"]), RATE))


def appending(audio: Audio) -> str:
    """The message that carries this sound, which is at RATE."""
    sound = base64.b64encode(to_pcm16(audio)).decode()
    return json.dumps({"type": "input_audio_buffer.append", "audio": sound})


@asynccontextmanager
async def calling(url: str, session: dict[str, Any] | None = None) -> AsyncIterator[Realtime]:
    """A session of the server at `url`, which begins with ws and ends in /v1.

    session: what is to be changed in its settings.

    Raises:
        HungUp: the server did, or told of an error.
    """
    async with connect(f"{url}/realtime?model=bench", max_size=None, proxy=None) as socket:
        line = Realtime(socket)
        async with background(line.listen()) as listening:
            if session:
                await line.tell(type="session.update", session={"type": "realtime", **session})
            yield line
            if listening.done():
                listening.result()
                raise HungUp("the server hung up")
