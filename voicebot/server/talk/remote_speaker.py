"""A speaker at the other end of a connection that may be slow, break, and come back."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from ...audio import Audio, Samples
from ...audio.resample import Resampler

AHEAD = 1.0
"""Seconds sent before they are heard. More rides out a worse network; less resends less."""
FRAME_S = 0.25
"""Seconds in a piece. Longer holds up what is told between two pieces, and the loop to resample."""


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """A piece of the sound of a turn."""

    turn: int
    at: int
    """Samples of this turn before it."""
    audio: Audio


@dataclass(frozen=True, slots=True)
class SoundEnded:
    """All the sound of the turn has been made."""

    samples: int


@dataclass(frozen=True, slots=True)
class Flushed:
    """The reply was silenced: whatever of its sound has not been heard never will be."""

    samples: int
    """How many were heard."""


class RemoteSpeaker:
    """A `Speaker` whose sound is fetched by a connection with `after`, at one rate.

    What counts as heard is what the client reports to have played, never more than it was sent.
    Of a client that has never reported, it is what could have been played since it was sent.
    """

    def __init__(self, rate: int, tell: Callable[[SoundEnded | Flushed | None], None]) -> None:
        """tell: called when there is more to send; None stands for sound."""
        self.rate = rate
        self.turn = 1
        """Number of the current or next turn; Session increments it on TurnEnded."""
        self._tell = tell
        self._resampler: Resampler | None = None
        self._moved = asyncio.Event()
        self._reports = False
        self._forget()

    def _forget(self) -> None:
        self._kept: deque[Sound] = deque()  # what may have to be sent again
        self._made = self._sent = self._heard = 0
        self._ends = 0.0  # when a client that plays all it is sent at once falls silent

    @property
    def made(self) -> float:
        """Seconds of this turn so far."""
        return self._made / self.rate

    @property
    def heard(self) -> int:
        """Samples of this turn that were heard."""
        if self._reports:
            return self._heard
        left = max(0.0, self._ends - asyncio.get_running_loop().time())
        return max(0, self._sent - round(left * self.rate))

    async def play(self, audio: Audio) -> None:
        """Queue `audio`, waiting while a second is still unheard."""
        self._resampler = self._resampler or Resampler(self.rate)
        step = round(audio.rate * FRAME_S)
        for start in range(0, len(audio.samples), step):
            piece = Audio(audio.samples[start : start + step], audio.rate)
            self._add(self._resampler.feed(piece))
            await self._until(AHEAD)

    async def drain(self) -> None:
        """Wait until all of it has been heard."""
        if self._resampler:
            self._add(self._resampler.finish())
            self._tell(SoundEnded(self._made))
        await self._until(0)
        self._end()

    def stop(self) -> float:
        """Drop what has not been heard. Returns seconds of this turn that were."""
        heard = self.heard
        if self._made:
            self._tell(Flushed(heard))
        self._end()
        return heard / self.rate

    def played(self, turn: int, samples: int) -> None:
        """The client says how many samples of a turn it has played so far."""
        self._reports = True
        if turn == self.turn:
            self._heard = max(self._heard, min(samples, self._sent))
            self._moved.set()

    def after(self, turn: int, samples: int) -> Sound | None:
        """What follows the first `samples` of `turn`, or what is unheard of a later one."""
        start = max(self.heard, samples if turn == self.turn else 0)
        while self._kept and self._kept[0].at + len(self._kept[0].audio.samples) <= self.heard:
            self._kept.popleft()
        for sound in self._kept:
            cut = max(0, start - sound.at)
            if cut < len(sound.audio.samples):
                rest = Audio(sound.audio.samples[cut:], self.rate)
                return Sound(self.turn, sound.at + cut, rest)
        return None

    def sent(self, sound: Sound) -> None:
        """A connection has taken `sound`."""
        end = sound.at + len(sound.audio.samples)
        # What was silenced while it was on its way belongs to no turn any more.
        if sound.turn == self.turn and self._sent < end <= self._made:
            now = asyncio.get_running_loop().time()
            self._ends = max(self._ends, now) + (end - self._sent) / self.rate
            self._sent = end
            self._moved.set()

    def _add(self, samples: Samples) -> None:
        if len(samples):
            self._kept.append(Sound(self.turn, self._made, Audio(samples, self.rate)))
            self._made += len(samples)
            self._tell(None)

    def _end(self) -> None:
        self._resampler = None
        self._forget()

    async def _until(self, most: float) -> None:
        """Wait until no more than `most` seconds are unheard."""
        while (left := (self._made - self.heard) / self.rate - most) > 0:
            self._moved.clear()
            # A report wakes us; where none ever came, time passes for what was sent.
            with suppress(TimeoutError):
                async with asyncio.timeout(None if self._reports else left):
                    await self._moved.wait()
