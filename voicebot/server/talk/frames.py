"""How the sound of one connection of `/v1/talk` travels in binary frames, to and fro. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from ...audio import Audio, to_pcm16
from ...audio.opus import BadPacket, Decoder, Encoder
from . import protocol as words
from .session import Sound


class Frames(Protocol):
    """What is sent is one stretch after the other, each begun with `begin`."""

    def heard(self, data: bytes) -> Audio:
        """The sound in a client's frame.

        Raises:
            BadMessage: there is none in it.
            TooLong: there is too much.
        """

    def begin(self, sound: Sound) -> dict[str, Any]:
        """What announces the frames of `sound`, and of all that follows it without a gap."""

    def feed(self, audio: Audio) -> Iterator[bytes]:
        """Yield what can be sent of it by now."""

    def finish(self) -> Iterator[bytes]:
        """Yield the rest: nothing follows without a gap."""


class Pcm:
    """16-bit little-endian samples: a frame holds what there is."""

    def __init__(self, rate: int) -> None:
        self._rate = rate

    def heard(self, data: bytes) -> Audio:
        return words.hearing(data, self._rate)

    def begin(self, sound: Sound) -> dict[str, Any]:
        return words.announcing(sound)

    def feed(self, audio: Audio) -> Iterator[bytes]:
        yield to_pcm16(audio)

    def finish(self) -> Iterator[bytes]:
        yield from ()


class Opus:
    """A frame is an Opus packet. Each stretch is for a new decoder, and begins with some samples
    that belong to nothing: as many as the announcement says under "skip"."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._decoder = Decoder()
        self._encoder: Encoder | None = None

    def heard(self, data: bytes) -> Audio:
        try:
            return self._decoder.feed(data)
        except BadPacket as error:
            raise words.BadMessage("bad_packet", str(error)) from None

    def begin(self, sound: Sound) -> dict[str, Any]:
        self._encoder = Encoder(self._rate)
        return {**words.announcing(sound), "skip": self._encoder.skip}

    def feed(self, audio: Audio) -> Iterator[bytes]:
        assert self._encoder  # `begin` comes first
        yield from self._encoder.feed(audio.samples)

    def finish(self) -> Iterator[bytes]:
        if self._encoder:
            yield from self._encoder.finish()
        self._encoder = None


def frames(codec: words.Codec, rate: int) -> Frames:
    return Opus(rate) if codec == "opus" else Pcm(rate)
