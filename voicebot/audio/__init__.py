"""Audio as every module here passes it around: mono float32 with its rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

AUDIBLE = 10 ** (-50 / 20)
"""RMS from which sound counts as heard: -50 dBFS, below which a loudspeaker in a quiet room gives
nothing that a listener would notice."""
_HEARD_S = 0.01
"""Seconds over which it is taken."""

_PCM16 = np.dtype("<i2")
_STEP = np.float32(1 / 32768)


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """A stretch of mono sound."""

    samples: Samples
    """float32, shape (n,), values in [-1, 1]."""
    rate: int
    """Samples per second."""

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


def silence(seconds: float, rate: int) -> Audio:
    return Audio(np.zeros(round(seconds * rate), np.float32), rate)


def first_audible(audio: Audio) -> float | None:
    """Seconds before the first sound in `audio` that can be heard; None if there is none."""
    size = max(1, round(_HEARD_S * audio.rate))
    for start in range(0, len(audio.samples), size):
        block = audio.samples[start : start + size]
        if np.dot(block, block) > len(block) * AUDIBLE**2:
            return start / audio.rate
    return None


def join(parts: list[Audio]) -> Audio:
    """One after the other; all of one rate, at least one."""
    return Audio(np.concatenate([part.samples for part in parts]), parts[0].rate)


def from_pcm16(data: bytes, rate: int) -> Audio:
    """Signed 16-bit little-endian mono bytes as Audio."""
    return Audio(np.frombuffer(data, _PCM16) * _STEP, rate)


def to_pcm16(audio: Audio) -> bytes:
    """Signed 16-bit little-endian mono bytes; louder than full scale is clipped, not wrapped."""
    return (audio.samples.clip(-1, 1) * 32767).astype("<i2").tobytes()
