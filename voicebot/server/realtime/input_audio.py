"""What a Realtime client appends: speech is found in it, or it is kept until it is committed."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace

import numpy as np

from ...audio import Audio, Samples
from ...audio.resample import Resampler, Windows
from ...concurrency.worker import Stream
from ...conversation.endpointing import Endpointer, EndpointingSettings
from ...engines import VoiceDetector
from ...events import SpeechEnded, SpeechPaused, SpeechResumed, SpeechStarted, Utterance
from ..auth.rate_limits import Limits
from .fields import RATES, Encoded, ProtocolError
from .items import Item, Items, Part
from .output_audio import encoded

MAX_COMMIT_S = 300.0
"""Seconds that can be committed at once: 19 MB of memory."""
MIN_COMMIT_S = 0.1
"""Seconds that are worth committing; the protocol says so."""

LISTEN_CHUNK_S = 0.1
"""Seconds heard before others get their turn, and three calls of the detector at most: a client
may append minutes."""

TOGETHER = 100
"""Pieces joined before others get their turn: 2 to 10 s."""

Event = SpeechStarted | SpeechPaused | SpeechResumed | SpeechEnded


class InputAudioBuffer:
    """Hear one user. Times are seconds of sound appended, whatever happens in between.

    settings: how speech is found; None where the client commits by hand.
    longest: seconds that are kept until it does.
    hold: is told how many bytes those take; raises Refused where there is no room.
    """

    def __init__(
        self,
        vad: VoiceDetector,
        settings: EndpointingSettings | None,
        longest: float = MAX_COMMIT_S,
        hold: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._vad, self._longest, self._hold = vad, longest, hold
        self._fed = 0
        self.listen(settings)

    @property
    def now(self) -> float:
        return self._fed / self._vad.rate

    @property
    def speaking(self) -> float:
        """Seconds of sound since the user began to speak; 0 while they are silent."""
        return self._listener.speaking if self._listener else 0.0

    def listen(self, settings: EndpointingSettings | None) -> None:
        """Forget what was heard, and hear by these settings from now on."""
        self._settings = settings
        self._windows = Windows(self._vad.rate, self._vad.window)
        self._resampler = Resampler(self._vad.rate)
        self._since = self.now
        self._listener = settings and Endpointer(self._vad.rate, self._vad.window, settings)
        self._kept: list[Samples] = []
        self._length = 0.0
        self._hold(0)

    async def hear(self, audio: Audio) -> Stream[Event | None]:
        """Yield after each window what has changed in it.

        Raises:
            ProtocolError: more is kept than can be committed, or than there is room for.
        """
        if self._listener is None and self._length + audio.seconds > self._longest:
            raise ProtocolError(
                "input_audio_buffer_full",
                f"one utterance has at most {self._longest:g} s; commit or clear what there is",
            )
        step = round(audio.rate * LISTEN_CHUNK_S)
        for start in range(0, len(audio.samples), step):
            if len(audio.samples) > step:
                await asyncio.sleep(0)
            piece = Audio(audio.samples[start : start + step], audio.rate)
            if self._listener:
                async with aclosing(self._detect(self._listener, piece)) as events:
                    async for event in events:
                        yield event
            else:
                self._keep(self._resampler.feed(piece))
                yield None

    async def _detect(self, listener: Endpointer, audio: Audio) -> Stream[Event | None]:
        for window in self._windows.feed(audio):
            self._fed += len(window)
            event = listener.feed(window, await self._vad.probability(window))
            yield event and self._placed(event)

    def _keep(self, samples: Samples) -> None:
        self._hold(round(self._length * self._vad.rate) * samples.itemsize + samples.nbytes)
        self._fed += len(samples)
        self._kept.append(samples)
        self._length += len(samples) / self._vad.rate

    async def commit(self) -> SpeechEnded | Audio:
        """What was being said, or what was appended, is complete.

        Raises:
            ProtocolError: it is nothing, or too little.
        """
        if self._listener:
            if ended := self._listener.finish():
                moved = self._moved(ended)
                self.clear()  # the end of a word would begin another utterance
                return SpeechEnded(moved)
        elif self._length >= MIN_COMMIT_S:
            self._keep(self._resampler.finish())
            audio = Audio(await _joined(self._kept), self._vad.rate)
            self.listen(None)
            return audio
        raise ProtocolError(
            "input_audio_buffer_commit_empty",
            f"at least {MIN_COMMIT_S * 1000:g} ms are needed, "
            f"and there are {self._length * 1000:.0f}",
        )

    def clear(self) -> None:
        """Forget what was appended and not committed."""
        self.listen(self._settings)

    def _placed(self, event: Event) -> Event:
        if isinstance(event, SpeechPaused | SpeechEnded):
            return type(event)(self._moved(event))
        return replace(event, at=event.at + self._since)

    def _moved(self, event: SpeechPaused | SpeechEnded) -> Utterance:
        said = event.utterance
        return replace(said, start=said.start + self._since, end=said.end + self._since)


async def _joined(pieces: list[Samples]) -> Samples:
    samples = np.empty(sum(map(len, pieces)), np.float32)
    at = 0
    for start in range(0, len(pieces), TOGETHER):
        if start:
            await asyncio.sleep(0)
        together = pieces[start : start + TOGETHER]
        end = at + sum(map(len, together))
        np.concatenate(together, out=samples[at:end])
        at = end
    return samples


async def decode(item: Item, limits: Limits, charge: Callable[[Audio], None]) -> None:
    """Decode the sound that is in `item`.

    charge: is given each piece of it, and may refuse to go on.

    Raises:
        ProtocolError: it is not sound, or more than one utterance may have.
    """
    most = limits.utterance(MAX_COMMIT_S)
    sounds = [part.encoded for part in item.content if part.encoded]
    seconds = sum(sound.samples / RATES[sound.form] for sound in sounds)
    if seconds > most:
        reason = f"{seconds:.3g} s of sound are more than the {most:g} s of one utterance"
        if limits.utterance_s:
            reason += f": this key's utterance_s is {limits.utterance_s}"
        raise ProtocolError("utterance_too_long", reason, sounds[0].param)
    for part in item.content:
        if part.encoded:
            part.audio = await _decoded(part.encoded, charge)
            part.encoded = None


async def _decoded(sound: Encoded, charge: Callable[[Audio], None]) -> Audio:
    # Filled as it comes: to join minutes in the end would keep everybody waiting.
    samples = np.zeros(sound.samples, np.float32)
    at = 0
    for piece in sound.pieces():
        charge(piece)
        samples[at : at + len(piece.samples)] = piece.samples
        at += len(piece.samples)
        if at < len(samples):
            await asyncio.sleep(0)
    return Audio(samples, RATES[sound.form])


KEPT_S = 10.0
"""Seconds a user's sound is kept once it has been recognised: clients that want it ask when they
are told of its transcript. Longer costs 64 kB for each second said."""
ENCODE_CHUNK_S = 0.5
"""Seconds encoded at once: a user may have spoken for a minute, and others are waiting."""


def forget_later(items: Items, item: Item, part: Part) -> None:
    """Let the sound of an item's part go once nobody is likely to ask for it."""
    asyncio.get_running_loop().call_later(KEPT_S, items.forget, item, part)


async def as_text(audio: Audio, form: str) -> str:
    """The sound in base64, in one of the formats of RATES."""
    resampler = Resampler(RATES[form])
    step, data = round(audio.rate * ENCODE_CHUNK_S), []
    for start in range(0, len(audio.samples), step):
        piece = Audio(audio.samples[start : start + step], audio.rate)
        data.append(encoded(Audio(resampler.feed(piece), resampler.rate), form))
        await asyncio.sleep(0)
    data.append(encoded(Audio(resampler.finish(), resampler.rate), form))
    return base64.b64encode(b"".join(data)).decode()
