"""The speaker of a WebRTC client: a queue of Opus packets that its track takes in real time.

What is in the queue can still be taken back; what the track has taken is on its way and will be
played. So an interruption is heard after the next packet, and what was heard is known to 20 ms.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import numpy as np

from ...audio import Audio, Samples
from ...audio.opus import Encoder
from ...audio.resample import Resampler
from .output_audio import LEAD, MESSAGE_S
from .response import Response

RATE = 24_000
"""Samples per second that are encoded: all that a voice here has."""
PACKET = RATE // 50
"""Samples of a packet."""
PACKET_S = PACKET / RATE
PLAYOUT_S = 0.12
"""Seconds from when a packet is sent until it is heard: a network nearby, and the 60 to 120 ms that
a browser's jitter buffer and its sound card keep back."""

Change = Literal["started", "stopped", "cleared"]


@dataclass(slots=True, eq=False)
class _QueuedAudio:
    """The sound of one turn."""

    response: Response | None = None
    """Known once there is sound."""
    packets: deque[bytes] = field(default_factory=deque)
    made: int = 0
    """Samples."""
    sent: int = 0
    """Samples that the track has taken."""
    is_whole: bool = False
    """No more sound will come."""

    @property
    def heard(self) -> float:
        return min(self.sent, self.made) / RATE


class Playout:
    """A `Speaker` whose sound `next` hands out, a packet each 20 ms. Turns follow one another."""

    def __init__(self) -> None:
        self._encoder = Encoder(RATE)
        self._rest = np.zeros(0, np.float32)
        self._stretches: deque[_QueuedAudio] = deque()
        self._ends = 0.0  # when what was taken last will have been heard
        self._now = _QueuedAudio()
        self.begin()

    def serve(
        self,
        made: Callable[[float], Response],
        changed: Callable[[Change, str], None],
        cut: Callable[[Response, float], None],
        heard: Callable[[float], float],
    ) -> None:
        """Call this before anything is played.

        made: is told the seconds of sound that were made, and gives the response they belong to.
        changed: is told what becomes of the sound of the response with which id.
        cut: is told of which response only so many seconds were heard.
        heard: is told the seconds that were heard of what is stopped, and gives the truth.
        """
        self._made, self._changed, self._cut, self._heard = made, changed, cut, heard

    def begin(self, form: str = "") -> None:
        """What comes next is a new turn, heard after those before it. form: is always Opus here."""
        self._resampler = Resampler(RATE)
        self._rest = self._rest[:0]
        self._now.is_whole = True  # where it failed, nothing more comes of it
        self._now = _QueuedAudio()

    async def play(self, audio: Audio) -> None:
        """Queue `audio`, waiting while much is still unheard."""
        step = round(audio.rate * MESSAGE_S)
        for start in range(0, len(audio.samples), step):
            piece = Audio(audio.samples[start : start + step], audio.rate)
            self._add(self._resampler.feed(piece))
            await asyncio.sleep(max(0.0, self._unheard() - LEAD))

    async def drain(self) -> None:
        """Queue the rest. The client hears it in its own time."""
        stretch = self._now
        if stretch.response is None:
            return
        self._add(self._resampler.finish())
        # Behind it, what the codec keeps back; and a packet is never half full.
        behind = self._encoder.skip + -(len(self._rest) + self._encoder.skip) % PACKET
        self._encode(np.zeros(behind, np.float32))
        stretch.is_whole = True

    @property
    def is_silent(self) -> bool:
        """Whether all there was has been heard by now."""
        return not self._stretches and asyncio.get_running_loop().time() >= self._ends

    def stop(self) -> float:
        """Take back what of this turn is not on its way. Returns seconds of it that are heard."""
        if self._now in self._stretches:
            self._stretches.remove(self._now)
            self._take_back(self._now)
        return self._heard(self._now.heard)

    def clear(self) -> None:
        """Take back what is not on its way of the turns before this one."""
        for stretch in [each for each in self._stretches if each is not self._now]:
            self._stretches.remove(stretch)
            self._cut(self._take_back(stretch), stretch.heard)

    def _take_back(self, stretch: _QueuedAudio) -> Response:
        stretch.packets.clear()
        assert stretch.response
        self._changed("cleared", stretch.response.id)
        return stretch.response

    def next(self) -> bytes:
        """The packet that has its turn; silence where there is none."""
        while self._stretches:
            stretch = self._stretches[0]
            assert stretch.response
            if stretch.packets:
                if not stretch.sent:
                    self._changed("started", stretch.response.id)
                stretch.sent += PACKET
                self._ends = asyncio.get_running_loop().time() + PLAYOUT_S
                return stretch.packets.popleft()
            if not stretch.is_whole or not self._is_over():
                break
            self._changed("stopped", stretch.response.id)
            self._stretches.popleft()
        return quiet()

    def _is_over(self) -> bool:
        return asyncio.get_running_loop().time() >= self._ends

    def _unheard(self) -> float:
        return sum(len(stretch.packets) for stretch in self._stretches) * PACKET_S

    def _add(self, samples: Samples) -> None:
        if not len(samples):
            return
        response = self._made(len(samples) / RATE)
        if self._now.response is None:
            self._now.response = response
            self._stretches.append(self._now)
        self._now.made += len(samples)
        self._encode(samples)

    def _encode(self, samples: Samples) -> None:
        samples = np.concatenate([self._rest, samples])
        whole = len(samples) // PACKET * PACKET
        self._rest = samples[whole:]
        self._now.packets.extend(self._encoder.feed(samples[:whole]))


@cache
def quiet() -> bytes:
    """A packet in which nothing is heard."""
    encoder = Encoder(RATE)
    return list(encoder.feed(np.zeros(10 * PACKET, np.float32)))[-1]
