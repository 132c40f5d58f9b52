"""A conversation with a remote client, whatever it speaks and however often it has to reconnect.

A session is a state: what was told, and the sound that was not heard yet. A connection is a
place in it (`Session.out`), so that a slow one holds no queue of its own and a broken one is
taken up where it ended.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from ... import context as request
from ...audio import Audio, silence
from ...concurrency.worker import Stream
from ...conversation import Conversation, Speaker, StopReply, Typed
from ...conversation.voice_options import VoiceOptions
from ...errors import VoicebotError
from ...events import Event, ReplyResumed, SpeechEnded, SpeechPaused, Transcript, TurnEnded
from .remote_speaker import Flushed, RemoteSpeaker, Sound, SoundEnded

__all__ = [
    "Cursor",
    "Flushed",
    "InputOverflow",
    "OutboundEvent",
    "RemoteMicrophone",
    "RemoteSpeaker",
    "ResumeWindowExceeded",
    "Session",
    "Sound",
    "SoundEnded",
]  # fmt: skip

BURST = 40.0
"""Seconds of sound a client may be ahead of time. More costs memory (64 kB a second); less cuts
off a client that sends, after an interruption, what it has recorded meanwhile."""
TYPED = 1.0
"""Seconds of sound that a typed line counts as: it costs a turn."""
KEPT_EVENTS = 256
"""What was told that is kept for a client that comes back: some minutes of conversation."""
LISTEN_CHUNK_S = 0.064
"""Seconds listened to before others get their turn: under a millisecond of voice detection."""


class InputOverflow(VoicebotError):
    """A client sends more than time passes."""


class ResumeWindowExceeded(VoicebotError):
    """A client has missed more than is kept."""


class RemoteMicrophone:
    """What a client's user says and types, in order, bounded.

    burst: seconds it may be ahead of time, and of the conversation.
    """

    def __init__(self, burst: float = BURST) -> None:
        self._burst = burst
        self._given: asyncio.Queue[tuple[Audio | Typed | StopReply, float]] = asyncio.Queue()
        self.waiting = 0.0
        """Seconds that the conversation has not taken up yet."""
        self._ahead, self._since = 0.0, 0.0

    def feed(self, given: Audio | Typed | StopReply) -> None:
        """Take what comes next.

        Raises:
            InputOverflow: it is too much at once.
        """
        seconds = given.seconds if isinstance(given, Audio) else TYPED
        now = asyncio.get_running_loop().time()
        self._ahead = max(0.0, self._ahead - (now - self._since)) + seconds
        self._since = now
        self.waiting += seconds
        if max(self._ahead, self.waiting) > self._burst:
            raise InputOverflow(f"more than {self._burst:g} s of sound ahead of time")
        self._given.put_nowait((given, seconds))

    async def listen(self) -> Stream[Audio | Typed | StopReply]:
        """Yield it all in small pieces; ends only when it is closed."""
        while True:
            given, seconds = await self._given.get()
            step = round(given.rate * LISTEN_CHUNK_S) if isinstance(given, Audio) else 1
            if isinstance(given, Audio) and len(given.samples) > step:
                for start in range(0, len(given.samples), step):
                    yield Audio(given.samples[start : start + step], given.rate)
                    await asyncio.sleep(0)  # a queue that is not empty waits for nobody
            else:
                yield given
                if not self._given.empty():
                    await asyncio.sleep(0)  # as above
            self.waiting -= seconds


@dataclass(frozen=True, slots=True)
class OutboundEvent:
    """Something the client has to know."""

    number: int
    """1 for the first of a session."""
    turn: int
    """The turn it belongs to; of the user's speech, the turn it ends or begins."""
    at: float
    """Seconds of the turn's sound made before."""
    event: Event | SoundEnded | Flushed
    request: str = ""
    """The turn's id in the log."""


@dataclass(slots=True)
class Cursor:
    """How far a client has got."""

    told: int = 0
    """The number of the last it was told."""
    turn: int = 0
    samples: int = 0
    """The samples of that turn it has received."""


class Session:
    """One conversation, for as long as `run` runs, with any number of connections in turn.

    converse: builds the conversation, as `Parts.conversation` does.
    rate: samples per second of what is spoken to the client.
    """

    def __init__(
        self,
        converse: Callable[[Speaker, Callable[[Event], None]], Conversation],
        rate: int,
        *,
        burst: float = BURST,
    ) -> None:
        self.request = request.current()
        """The id of the request that began it, which it keeps over all its connections."""
        self.microphone = RemoteMicrophone(burst)
        self.speaker = RemoteSpeaker(rate, self._tell)
        self.conversation = converse(self.speaker, self._tell)
        self.choices = VoiceOptions(self.conversation.stt, self.conversation.tts)
        self._log: deque[OutboundEvent] = deque(maxlen=KEPT_EVENTS)
        self._told = 0
        self._on_change = asyncio.Event()
        self._replying = False

    async def quiet(self) -> None:
        """Wait until no reply is being made or heard."""
        while self._replying:
            self._on_change.clear()
            await self._on_change.wait()

    async def run(self) -> None:
        """Converse until cancelled, which silences and stops all of it at once."""
        await self.conversation.run(self.microphone.listen())

    def hear(self, audio: Audio) -> None:
        """Raises: Flooded, as do `ask`, `hush` and `rest`."""
        self.microphone.feed(audio)

    def ask(self, text: str) -> None:
        """Answer a typed question."""
        self.microphone.feed(Typed(text))

    def hush(self) -> None:
        """Silence the reply."""
        self.microphone.feed(StopReply())

    def rest(self) -> None:
        """The microphone is off for now, so what was being said has ended."""
        settings = self.conversation.endpointing
        rate = self.conversation.vad.rate
        self.microphone.feed(
            silence((settings.silence_duration_ms + settings.min_speech_ms) / 1000, rate)
        )

    def played(self, turn: int, samples: int) -> None:
        """The client says how much of a turn's sound it has played."""
        self.speaker.played(turn, samples)

    def choose(self, choices: VoiceOptions) -> None:
        """Have another voice, or expect another language, as soon as one is next needed."""
        self.choices = choices
        self.conversation.choose(choices.ears, choices.mouth)

    async def out(self, place: Cursor) -> Stream[OutboundEvent | Sound]:
        """Yield all that follows `place`, moving it, until closed.

        What is told goes first, but that the sound has ended comes after the sound.

        Raises:
            ResumeWindowExceeded: part of it is no longer kept.
        """
        place.told = min(place.told, self._told)  # nobody is ahead of what there is to tell
        while True:
            self._on_change.clear()
            missed = self._told - place.told
            if missed > len(self._log):
                raise ResumeWindowExceeded(
                    f"{missed} messages behind, and only {KEPT_EVENTS} are kept"
                )
            told = self._log[-missed] if missed > 0 else None
            sound = self.speaker.after(place.turn, place.samples)
            if told and not (sound and isinstance(told.event, SoundEnded)):
                yield told
                place.told = told.number
            elif sound:
                yield sound
                self.speaker.sent(sound)
                place.turn, place.samples = sound.turn, sound.at + len(sound.audio.samples)
            else:
                await self._on_change.wait()

    def _tell(self, event: Event | SoundEnded | Flushed | None) -> None:
        if event:
            if isinstance(event, SpeechPaused | SpeechEnded):
                # Half a minute of sound that no client asks for must not be kept.
                unheard = replace(event.utterance, audio=silence(0, event.utterance.audio.rate))
                event = replace(event, utterance=unheard)
            self._told += 1
            turn, made = self.speaker.turn, self.speaker.made
            id = request.of_turn(self.request, turn)
            self._log.append(OutboundEvent(self._told, turn, made, event, id))
        self._replying = isinstance(event, Transcript | ReplyResumed) or self._replying
        if isinstance(event, TurnEnded):
            self.speaker.turn += 1
            self._replying = False
        self._on_change.set()
