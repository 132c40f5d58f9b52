"""The user's sound out of a track's RTP packets: in order, and as long as it took.

aiortc's own jitter buffer holds every frame back for four packets, and after one loss for sixteen:
80 and 320 ms that every answer would come later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from ...audio import Audio, opus, silence

REORDER = 3
"""Packets that may overtake one that is missing, 60 ms, before it counts as lost. More waits longer
after each loss; fewer loses what only came late."""
LATE_S = 0.6
"""Seconds without a packet after which time passes by our own clock: a client that sends nothing
while it is muted, or is out of reach, would otherwise never finish its sentence. More ends that
sentence later; less ends it where packets only come late, from a busy machine or over the air."""
QUIET_S = 0.2
"""The same, and how long each silence is, once it is known that the client sends nothing."""
LAG_S = 0.05
"""Seconds that this loop may be late; if it is later, packets may have come that are unread."""
ANNOUNCED = 2
"""Bytes at most of the packet with which Opus says that it sends no more of a silence (DTX)."""
BEHIND = 100
"""Packets that one may be late; one that is later begins a stream anew, as a new source does."""
JUMP_S = 2.0
"""Seconds that a stream's clock may leave out; a longer gap is a clock that was set anew."""

_SEQUENCE, _CLOCK = 1 << 16, 1 << 32


class Packet(Protocol):
    """An RTP packet, as far as we look at it."""

    ssrc: int
    """The stream it is of."""
    sequence_number: int
    """Counts up, 16 bits."""
    timestamp: int
    """Samples at 48 kHz, 32 bits, from anywhere."""
    payload: bytes


class Microphone:
    """Turns the packets of one Opus stream into its sound.

    hear: is given each piece of sound at 48 kHz, on the loop; a loss is silence of its length.
    """

    def __init__(self, hear: Callable[[Audio], None]) -> None:
        self._hear = hear
        self._decoder = opus.Decoder()
        self._source = 0
        self._waiting: dict[int, Packet] = {}
        self._next: int | None = None
        """The sequence number that has its turn, counted without end."""
        self._clock: int | None = None
        """The timestamp that the next packet would have if nothing was lost."""
        self._heard = asyncio.Event()
        self._filled = 0
        """Samples of silence that were given in place of packets which did not come."""
        self._is_quiet = False
        """The last packet says that none will come soon."""
        self.lost = 0
        """Packets that never came, or were no Opus."""

    def receive(self, packet: Packet) -> None:
        """Take a packet as it comes from the network."""
        if packet.ssrc != self._source:
            self._source, self._next, self._clock = packet.ssrc, None, None
        number = self._number(packet.sequence_number)
        if self._next is None or number < self._next - BEHIND:
            self._next = number = packet.sequence_number
            self._waiting.clear()
        if number < self._next:
            return  # it counts as lost already, or came twice
        self._waiting[number] = packet
        self._heard.set()
        while self._waiting:
            if self._next not in self._waiting:
                if max(self._waiting) - self._next < REORDER:
                    return
                first = min(self._waiting)
                self.lost += first - self._next
                self._next = first
            self._take(self._waiting.pop(self._next))
            self._next += 1

    def _number(self, low: int) -> int:
        """A sequence number without its overflow: the nearest to what we expect."""
        if self._next is None:
            return low
        ahead = (low - self._next + _SEQUENCE // 2) % _SEQUENCE - _SEQUENCE // 2
        return self._next + ahead

    def _take(self, packet: Packet) -> None:
        if self._clock is not None:
            missing = (packet.timestamp - self._clock + _CLOCK // 2) % _CLOCK - _CLOCK // 2
            unfilled = missing - self._filled
            if missing <= JUMP_S * opus.CLOCK and unfilled > 0:
                self._hear(silence(unfilled / opus.CLOCK, opus.CLOCK))
        self._filled = 0
        self._is_quiet = len(packet.payload) <= ANNOUNCED
        try:
            audio = self._decoder.feed(packet.payload)
        except opus.BadPacket:
            self.lost += 1
            return  # its time is made up for with the next one
        finally:
            self._clock = packet.timestamp
        self._clock = (packet.timestamp + len(audio.samples)) % _CLOCK
        self._hear(audio)

    async def keep_time(self) -> None:
        """Give silence for as long as no packets come; until cancelled."""
        await self._heard.wait()
        loop = asyncio.get_running_loop()
        while True:
            self._heard.clear()
            last = loop.time()
            due = last + (QUIET_S if self._is_quiet or self._filled else LATE_S)
            comes = await self._comes(due)
            if not comes and loop.time() - due > LAG_S:
                comes = await self._comes(loop.time() + QUIET_S)
            if not comes:
                quiet = silence(loop.time() - last, opus.CLOCK)
                self._filled += len(quiet.samples)
                self._hear(quiet)

    async def _comes(self, end: float) -> bool:
        """Whether a packet comes before the loop's clock shows `end`."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(end):
                await self._heard.wait()
        return self._heard.is_set()
