"""The speaker of a Realtime client, who plays what it is sent and does not say how far it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ...audio import Audio, g711, to_pcm16
from ...audio.resample import Resampler
from .fields import RATES

LEAD = 5.0
"""Seconds sent before they can have been heard. More rides out a worse network; less makes less
that is thrown away when the user interrupts."""
MESSAGE_S = 0.2
"""Seconds in a message. Longer holds up what is told in between; shorter costs more messages."""


class RealtimeSpeaker:
    """A `Speaker` that sends faster than time passes: an answer may be told to be complete while
    its end is still unheard. What counts as heard is what could have been played by now, until
    the client truncates.

    send: takes sound in the wire's format, and is only called between `begin` and an end.
    heard: is told the seconds that may have been heard of what is stopped, and gives the truth.
    """

    def __init__(
        self, send: Callable[[bytes], None], heard: Callable[[float], float] = float
    ) -> None:
        self._send, self._heard = send, heard
        self.begin("audio/pcm")

    def begin(self, form: str) -> None:
        """What comes next is a new turn, to be sent in this format, one of RATES."""
        self._form = form
        self._resampler = Resampler(RATES[form])
        self._sent = 0.0
        self._ends = 0.0  # when a client that plays all it is sent at once falls silent

    async def play(self, audio: Audio) -> None:
        """Send `audio`, waiting while much is still unheard."""
        step = round(audio.rate * MESSAGE_S)
        for start in range(0, len(audio.samples), step):
            samples = self._resampler.feed(Audio(audio.samples[start : start + step], audio.rate))
            self._give(Audio(samples, self._resampler.rate))
            await asyncio.sleep(max(0.0, self._unheard() - LEAD))

    async def drain(self) -> None:
        """Send the rest. The client plays it in its own time."""
        if self._sent:
            self._give(Audio(self._resampler.finish(), self._resampler.rate))

    @property
    def is_silent(self) -> bool:
        """Whether all that was sent can have been heard by now."""
        return not self._unheard()

    def clear(self) -> None:
        """Turns before this one are in the client's hands."""

    def stop(self) -> float:
        """Send no more. Returns seconds of this turn that may have been heard."""
        return self._heard(max(0.0, self._sent - self._unheard()))

    def _unheard(self) -> float:
        return max(0.0, self._ends - asyncio.get_running_loop().time())

    def _give(self, audio: Audio) -> None:
        if len(audio.samples):
            now = asyncio.get_running_loop().time()
            self._ends = max(self._ends, now) + audio.seconds
            self._sent += audio.seconds
            self._send(encoded(audio, self._form))


def encoded(audio: Audio, form: str) -> bytes:
    """The sound, at the rate of its format, as the wire has it."""
    if form == "audio/pcm":
        return to_pcm16(audio)
    return g711.encode(audio, "ulaw" if form == "audio/pcmu" else "alaw")
