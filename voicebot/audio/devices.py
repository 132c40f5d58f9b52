"""What the microphone of this machine hears, and a loudspeaker to speak through."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from math import inf
from threading import Event
from time import monotonic
from types import TracebackType
from typing import Any, Self

import numpy as np

from ..concurrency.worker import Stream
from ..errors import MissingDependency
from . import Audio, Samples
from .mixing import Mixer
from .playback import Playback
from .portaudio import Device, choose, close, devices, library
from .resample import Resampler

__all__ = ["Device", "LocalSpeaker", "choose", "devices", "microphone"]

_log = logging.getLogger(__name__)

_BLOCK = 0.032
"""Seconds a microphone gives at a time: the voice detector's window, so it never waits for two."""
_LISTENING_RATE = 16000
"""What the voice detector and most recognisers want; a device that refuses is resampled."""
_LAG = 10.0
"""Seconds of sound a reader may be behind. More than this and it does not lag, it is stuck."""

_LATENCY = 0.08
"""Seconds the loudspeaker is filled ahead. More survives a busier machine; less stops sooner."""
_AHEAD = 0.25
"""Seconds queued before `play` waits. More hides slow synthesis; less resamples less in vain."""
_PIECE = 0.25
"""Seconds resampled at a time, so that a long chunk does not hold up the loop."""
_GLANCE = 0.1
"""Seconds between looks at whether the loudspeaker still plays."""

_SIGN_OF_LIFE = 3.0
"""A device that moves no sound for so many seconds is gone, whatever it says of itself."""


async def microphone(wanted: str | None = None) -> Stream[Audio]:
    """Yield what a microphone hears, a few hundredths of a second at a time, until closed.

    Raises:
        ConfigError: `wanted` does not name one device.
        MissingDependency: there is no microphone, it cannot be opened, or it is unplugged.
    """
    device = choose(devices(), "microphone", wanted)
    loop = asyncio.get_running_loop()
    blocks: asyncio.Queue[Samples | None] = asyncio.Queue()
    lost = 0

    def put(block: Samples | None) -> None:
        nonlocal lost
        blocks.put_nowait(block)
        if blocks.qsize() > _LAG / _BLOCK:
            blocks.get_nowait()
            lost += 1
            if lost == 1:
                _log.warning("this machine is too slow for the microphone: sound is lost")

    def tell(block: Samples | None) -> None:
        with suppress(RuntimeError):  # the loop has closed: nobody is left to listen
            loop.call_soon_threadsafe(put, block)

    mixer = Mixer()

    def on_sound(data: Samples, frames: int, time: Any, status: Any) -> None:
        # A new array: PortAudio uses its own again.
        tell(mixer.mix(data.T, round(stream.samplerate)).copy())

    stream = _open_input(device, on_sound, lambda: tell(None))
    try:
        stream.start()
        while (block := await _next(blocks)) is not None:
            yield Audio(block, round(stream.samplerate))
    finally:
        close(stream)
        if lost:
            _log.warning("%.1f s of the microphone's sound were lost", lost * _BLOCK)
    raise MissingDependency(f"the microphone {device.name!r} is gone")


async def _next(blocks: asyncio.Queue[Samples | None]) -> Samples | None:
    try:
        async with asyncio.timeout(_SIGN_OF_LIFE):
            return await blocks.get()
    except TimeoutError:
        return None


def _open_input(device: Device, on_sound: Any, on_end: Any) -> Any:
    sounddevice = library()
    own_rate = sounddevice.query_devices(device.index)["default_samplerate"]
    reason: Exception | None = None
    for rate in (_LISTENING_RATE, own_rate):
        for channels in _channels(device.inputs):
            try:
                return sounddevice.InputStream(
                    device=device.index,
                    samplerate=rate,
                    channels=channels,
                    dtype="float32",
                    blocksize=round(rate * _BLOCK),
                    callback=on_sound,
                    finished_callback=on_end,
                )
            except sounddevice.PortAudioError as error:
                reason = error
    raise MissingDependency(
        f"the microphone {device.name!r} cannot be opened: {reason}"
    ) from reason


def _channels(most: int) -> list[int]:
    """How many to ask a microphone for, in order: some arrays open only with all they have, and
    some drivers claim more than there are.
    """
    usual = [count for count in (1, 2, most, 4, 6, 8, 16) if count <= most]
    return list(dict.fromkeys(usual))


class LocalSpeaker:
    """A `Speaker` that is heard in the room. Close it, or use it in a `with` block.

    What it counts as heard has left the device: its own latency is taken off.

    Raises:
        ConfigError: `wanted` does not name one device.
        MissingDependency: there is no loudspeaker, or it cannot be opened.
    """

    def __init__(self, wanted: str | None = None) -> None:
        sounddevice = library()
        device = choose(devices(), "loudspeaker", wanted)
        self._name = device.name
        self._gone = Event()
        rate = round(sounddevice.query_devices(device.index)["default_samplerate"])
        self._playback = Playback(rate)
        self._resampler: Resampler | None = None
        try:
            self._stream = sounddevice.OutputStream(
                device=device.index,
                samplerate=rate,
                channels=min(2, device.outputs),
                dtype="float32",
                latency=_LATENCY,
                callback=self._fill,
                finished_callback=self._gone.set,
            )
            self._stream.start()
        except sounddevice.PortAudioError as error:
            message = f"the loudspeaker {device.name!r} cannot be opened: {error}"
            raise MissingDependency(message) from error

    @property
    def speaking(self) -> bool:
        """Something that was played is still to be heard."""
        return self._left() > 0

    async def play(self, audio: Audio) -> None:
        """Queue `audio`, waiting while a fraction of a second is still unheard.

        Raises:
            MissingDependency: the loudspeaker is unplugged.
        """
        self._resampler = self._resampler or Resampler(self._playback.rate)
        step = round(audio.rate * _PIECE)
        for start in range(0, len(audio.samples), step):
            piece = Audio(audio.samples[start : start + step], audio.rate)
            self._playback.add(self._resampler.feed(piece))
            await self._until(lambda: self._playback.queued, _AHEAD)

    async def drain(self) -> None:
        """Wait until all of it has been heard.

        Raises:
            MissingDependency: the loudspeaker is unplugged.
        """
        if self._resampler:
            self._playback.add(self._resampler.finish())
        await self._until(self._left, 0.0)
        self.stop()

    def stop(self) -> float:
        """Drop what has not been heard. Returns seconds of this turn that were."""
        self._resampler = None
        return self._playback.drop(monotonic())

    def close(self) -> None:
        close(self._stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def _until(self, left: Callable[[], float], most: float) -> None:
        """Wait until no more than `most` of the seconds that are `left` remain."""
        least, moved = inf, monotonic()
        while True:
            seconds, now = left(), monotonic()
            if seconds < least:
                least, moved = seconds, now
            if self._gone.is_set() or now - moved > _SIGN_OF_LIFE:
                raise MissingDependency(f"the loudspeaker {self._name!r} is gone")
            if seconds <= most:
                return
            await asyncio.sleep(min(seconds - most, _GLANCE))

    def _left(self) -> float:
        return self._playback.unheard(monotonic())

    def _fill(self, out: Samples, frames: int, time: Any, status: Any) -> None:
        delay = time.outputBufferDacTime - time.currentTime
        if delay <= 0:  # some drivers do not say
            delay = self._stream.latency
        out[:] = self._playback.take(frames, monotonic() + delay)[:, np.newaxis]
