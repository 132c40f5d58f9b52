"""`voicebot talk --url`: the conversation is on a server, the microphone and loudspeaker are here.

A client of `/v1/talk`, as `server/talk/websocket.py` describes it. It comes back by itself after a
connection breaks: what was said meanwhile is sent then, and no word of the reply is lost.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import deque
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from .audio import Audio, from_pcm16, to_pcm16
from .audio.opus import BITS, CLOCK, Decoder, Encoder
from .audio.resample import Resampler
from .concurrency.worker import Stream, cancel_and_wait
from .conversation import Speaker, StopReply, Typed
from .errors import ConfigError, MissingDependency
from .events import (
    ClauseSpoken,
    Degraded,
    Event,
    Failed,
    Interrupted,
    Passage,
    Passages,
    SpeechEnded,
    SpeechStarted,
    Transcript,
    TurnEnded,
    Utterance,
)

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

KEY = "VOICEBOT_KEY"
"""The environment variable with the key of a server that wants one."""
RATE = 24000
"""What the voices speak at: nothing is resampled twice."""
KEPT_S = 10.0
"""Seconds of what was said that are kept while the connection is broken."""
RETRY = 1.0
"""Seconds between attempts to come back."""
PLAY_CHUNK_S = 0.1
"""Seconds given to the loudspeaker, and reported, at a time."""
UNHEARD = 0.35
"""Seconds that may still be in the loudspeaker when it takes more. Reporting less than was heard
makes the server remember a word too few; more, a word the user never heard."""

REFUSED, BROKEN, TAKEN_OVER = 1008, 1011, 4001


async def converse(
    url: str,
    speaker: Speaker,
    microphone: Stream[Audio | Typed | StopReply],
    note: Callable[[Event], None],
    *,
    tell: Callable[[str], object] = lambda line: None,
    opus: bool = False,
    voice: str = "",
    language: str = "",
) -> None:
    """Talk with the server at `url` until cancelled, until `microphone` ends or the server is gone.

    tell: is given each line of what the server says that it is: its engines, whether it records.
    opus: send and get a tenth of the bytes.
    voice, language: of those the server has; empty for what its settings say.

    Raises:
        ConfigError: `url` is not the address of a server, or it has no such voice or language.
        MissingDependency: no voicebot answers there, or it has ended the conversation.
    """
    address = _address(url)
    wishes = {"voice": voice, "language": language}
    hello = {name: wish for name, wish in wishes.items() if wish}
    async with asyncio.TaskGroup() as tasks:
        call = _Conversation(address, speaker, note, tell, tasks, hello, opus=opus)
        carrying = tasks.create_task(call.carry())  # which ends only by an error
        await call.hear(microphone)
        await speaker.drain()
        await call.end()
        await cancel_and_wait(carrying)


def _address(url: str) -> str:
    """The websocket meant by an address as people have it: that of the page will do."""
    parts = urlsplit(url if "//" in url else f"//{url}")
    scheme = {"": "ws", "http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in ("ws", "wss") or not parts.netloc:
        raise ConfigError(f"--url should look like ws://localhost:8124, not {url}")
    path = parts.path if parts.path.strip("/") else "/v1/talk"
    return urlunsplit((scheme, parts.netloc, path, parts.query, ""))


def is_near(url: str) -> bool:
    """Whether that is this machine, where sound need not be made small."""
    host = urlsplit(_address(url)).hostname or ""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


@dataclass(frozen=True, slots=True)
class _End:
    turn: int


class _Conversation:
    """One conversation, over as many connections as it takes."""

    def __init__(
        self,
        url: str,
        speaker: Speaker,
        note: Callable[[Event], None],
        tell: Callable[[str], object],
        tasks: asyncio.TaskGroup,
        hello: dict[str, Any],
        *,
        opus: bool,
    ) -> None:
        self._url, self._speaker, self._tasks = url, speaker, tasks
        self._note, self._tell = note, tell
        self._rate = CLOCK if opus else RATE
        self._hello = {"type": "hello", "rate": self._rate, **hello}
        if opus:
            self._hello["codec"] = "opus"
        self._encoder = Encoder(self._rate) if opus else None
        self._decoder, self._skip = Decoder(), 0
        self._said: deque[bytes | str] = deque()
        self._more = asyncio.Event()
        self._token, self._window = "", 0.0
        self._told = self._turn = self._received = 0
        self._played: tuple[int, int] | None = None
        self._sounds: asyncio.Queue[tuple[int, int, Audio] | _End] = asyncio.Queue()
        self._playing = tasks.create_task(self._play())

    async def end(self) -> None:
        """Play no more."""
        await cancel_and_wait(self._playing)

    async def hear(self, microphone: Stream[Audio | Typed | StopReply]) -> None:
        """Keep what is said and typed until a connection takes it."""
        resampler = Resampler(self._rate)
        most = KEPT_S * (BITS / 8 if self._encoder else 2 * self._rate)
        async with aclosing(microphone):
            async for audio in microphone:
                if not isinstance(audio, Audio):
                    told = {"type": "cancel_and_wait"}
                    if isinstance(audio, Typed):
                        told = {"type": "text", "text": audio.text}
                    self._said.append(json.dumps(told))
                    self._more.set()
                    continue
                samples = resampler.feed(audio)
                if self._encoder:
                    self._said += self._encoder.feed(samples)
                else:
                    self._said.append(to_pcm16(Audio(samples, self._rate)))
                while sum(map(len, self._said)) > most:
                    self._said.popleft()
                self._more.set()

    async def carry(self) -> None:
        """Connect, and connect again, for as long as the server knows us."""
        try:
            from websockets.asyncio.client import connect
            from websockets.exceptions import ConnectionClosed, InvalidHandshake
        except ImportError:
            raise MissingDependency("--url needs websockets; voicebot install server") from None
        key = os.environ.get(KEY)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        loop = asyncio.get_running_loop()
        until = loop.time()
        while True:
            try:
                async with connect(self._url, additional_headers=headers) as socket:
                    await self._greet(socket)
                    sending = self._tasks.create_task(self._send(socket))
                    try:
                        await self._listen(socket)
                    finally:
                        until = loop.time() + self._window
                        await cancel_and_wait(sending)
            except ConnectionClosed as end:
                if end.rcvd and end.rcvd.code in (REFUSED, BROKEN, TAKEN_OVER):
                    raise MissingDependency(
                        f"{self._url} ended the conversation: {end.rcvd.reason}"
                    ) from end
            except (OSError, InvalidHandshake) as error:
                if loop.time() >= until:
                    raise MissingDependency(
                        f"no voicebot answers at {self._url}: {error}"
                    ) from error
            await asyncio.sleep(RETRY)

    async def _greet(self, socket: ClientConnection) -> None:
        """Begin, or go on."""
        hello = self._hello
        if self._token:
            place = {"number": self._told, "turn": self._turn, "received": self._received}
            hello = {"type": "resume", "token": self._token, **place}
        await socket.send(json.dumps(hello))
        told = json.loads(await socket.recv())
        if told["event"] == "error":
            if not self._token:
                raise ConfigError(f"{self._url}: {told['reason']}")
            raise MissingDependency(f"{self._url} does not go on: {told['reason']}")
        for line in () if self._token else told["engines"]:
            self._tell(line)
        self._token = told.get("token", self._token)
        self._window = told.get("window", self._window)

    async def _send(self, socket: ClientConnection) -> None:
        from websockets.exceptions import ConnectionClosed

        with suppress(ConnectionClosed):  # which is noticed where we listen
            while True:
                while self._said:
                    await socket.send(self._said[0])
                    self._said.popleft()
                if self._played:
                    turn, samples = self._played
                    self._played = None
                    played = {"type": "played", "turn": turn, "samples": samples}
                    await socket.send(json.dumps(played))
                self._more.clear()
                await self._more.wait()

    async def _listen(self, socket: ClientConnection) -> None:
        async for message in socket:
            if isinstance(message, bytes):
                sound = self._decoded(message)
                self._sounds.put_nowait((self._turn, self._received, sound))
                self._received += len(sound.samples)
                continue
            told = json.loads(message)
            self._told = told.get("number", self._told)
            match told["event"]:
                case "sound":
                    self._turn, self._received = told["turn"], told["at"]
                    self._decoder, self._skip = Decoder(), told.get("skip", 0)
                case "sound_ended":
                    self._sounds.put_nowait(_End(told["turn"]))
                case "flushed":
                    await self._silence()
            if event := _event(told):
                self._note(event)

    def _decoded(self, frame: bytes) -> Audio:
        if not self._encoder:
            return from_pcm16(frame, self._rate)
        samples = self._decoder.feed(frame).samples
        dropped = min(self._skip, len(samples))
        self._skip -= dropped
        return Audio(samples[dropped:], self._rate)

    async def _silence(self) -> None:
        await cancel_and_wait(self._playing)
        self._speaker.stop()
        self._sounds = asyncio.Queue()
        self._playing = self._tasks.create_task(self._play())

    async def _play(self) -> None:
        """Give what has come to the loudspeaker, and say what must have been heard of it."""
        end = 0
        while True:
            sound = await self._sounds.get()
            if isinstance(sound, _End):
                await self._speaker.drain()
                self._report(sound.turn, end)
                continue
            turn, at, audio = sound
            step = round(self._rate * PLAY_CHUNK_S)
            for start in range(0, len(audio.samples), step):
                piece = Audio(audio.samples[start : start + step], self._rate)
                await self._speaker.play(piece)
                end = at + start + len(piece.samples)
                self._report(turn, max(0, end - round(UNHEARD * self._rate)))

    def _report(self, turn: int, samples: int) -> None:
        self._played = turn, samples
        self._more.set()


def _event(told: dict[str, Any]) -> Event | None:
    """What there is to show of what we are told."""
    match told["event"]:
        case "speech_started" | "speech_resumed":
            return SpeechStarted(told["at"])
        case "speech_ended":
            said = told["utterance"]
            return SpeechEnded(Utterance(from_pcm16(b"", RATE), said["start"], said["end"]))
        case "transcript":
            return Transcript(told["text"])
        case "passages":
            return Passages(tuple(Passage(**passage) for passage in told["passages"]))
        case "clause_spoken":
            return ClauseSpoken(told["text"])
        case "degraded":
            return Degraded(told["degradation"], told["preemptive"])
        case "interrupted":
            return Interrupted(told["heard"])
        case "failed":
            return Failed(told["stage"], told["reason"])
        case "turn_ended":
            return TurnEnded(told["marks"])
    return None
