"""Sound as Opus packets and back: a tenth of the bytes, for whoever talks over a slow network."""

from __future__ import annotations

from collections.abc import Iterator

import av
import numpy as np

from ..errors import VoicebotError
from . import Audio, Samples

RATES = (8000, 12000, 16000, 24000, 48000)
"""Samples per second that Opus knows."""
CLOCK = 48000
"""Samples per second of what is decoded, whatever was encoded."""
BITS = 32000
"""Bits per second. Speech at fewer begins to sound of the telephone; at more nobody hears it."""
_PACKETS = 50  # a second


class BadPacket(VoicebotError):
    """Bytes that are no Opus packet."""


class Encoder:
    """One stretch of mono sound as packets of 20 ms.

    What is decoded of them is later by `skip` samples, which belong to nothing, than what was fed.
    """

    def __init__(self, rate: int) -> None:
        """rate: samples per second of what is fed, one of `RATES`."""
        self._codec = av.CodecContext.create("libopus", "w")
        assert isinstance(self._codec, av.AudioCodecContext)
        self._codec.sample_rate, self._codec.layout, self._codec.format = rate, "mono", "flt"
        self._codec.bit_rate = BITS
        self._codec.options = {"application": "voip", "frame_duration": "20"}
        self._codec.open()
        header = self._codec.extradata
        assert header
        self.skip = int.from_bytes(header[10:12], "little") * rate // CLOCK
        """Samples to be dropped of the first that are decoded."""
        self._rate, self._size = rate, rate // _PACKETS
        self._rest = np.zeros(0, np.float32)

    def feed(self, samples: Samples) -> Iterator[bytes]:
        """Yield each packet that is full; what is left over waits for more."""
        self._rest = np.concatenate([self._rest, samples])
        while len(self._rest) >= self._size:
            piece, self._rest = self._rest[: self._size], self._rest[self._size :]
            frame = av.AudioFrame.from_ndarray(piece[None], "flt", "mono")
            frame.sample_rate = self._rate
            for packet in self._codec.encode(frame):
                yield bytes(packet)

    def finish(self) -> Iterator[bytes]:
        """Yield what was kept back, and behind it the silence that fills the last packet."""
        behind = self.skip + -(len(self._rest) + self.skip) % self._size
        yield from self.feed(np.zeros(behind, np.float32))


class Decoder:
    """Turns packets, one after the other, back into sound."""

    def __init__(self) -> None:
        codec = av.CodecContext.create("libopus", "r")
        assert isinstance(codec, av.AudioCodecContext)
        codec.sample_rate, codec.layout = CLOCK, "mono"
        self._codec = codec

    def feed(self, packet: bytes) -> Audio:
        """What one packet holds: 20 ms, or up to 120 where others have made it.

        Raises:
            BadPacket: it is none; the next one may be.
        """
        try:
            # An empty one would tell the codec that no more will come.
            frames = self._codec.decode(av.Packet(packet)) if packet else []
        except av.FFmpegError:
            frames = []
        if not frames:
            raise BadPacket(f"these {len(packet)} bytes are no Opus packet")
        pcm = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
        return Audio(pcm.astype(np.float32) / np.float32(32768), CLOCK)
