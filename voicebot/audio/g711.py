"""Telephone sound: the two 8-bit companding laws of ITU-T G.711, at 8 kHz."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from . import Audio

RATE = 8000

Law = Literal["ulaw", "alaw"]

_BIAS = 132
"""Added before the logarithm of the µ-law is taken, so that its first segment is like the rest."""
_CLIP = 32635
"""The loudest 16-bit value that is still in the last segment once the bias is added."""


def decode(data: bytes, law: Law) -> Audio:
    """What a telephone line carries as Audio."""
    return Audio(_DECODED[law][np.frombuffer(data, np.uint8)], RATE)


def encode(audio: Audio, law: Law) -> bytes:
    """Audio, at 8 kHz, as a telephone line carries it; louder than full scale is clipped."""
    values = (audio.samples.clip(-1, 1) * 32767).astype(np.int16)
    return _ENCODED[law][values.view(np.uint16)].tobytes()


def _ulaw(values: NDArray[np.int32]) -> NDArray[np.int32]:
    magnitudes = np.minimum(np.abs(values), _CLIP) + _BIAS
    segments = _bits(magnitudes) - 8
    steps = (magnitudes >> (segments + 3)) & 0x0F
    signs = np.where(values < 0, 0x80, 0)
    codes: NDArray[np.int32] = ~(signs | (segments << 4) | steps) & 0xFF
    return codes


def _alaw(values: NDArray[np.int32]) -> NDArray[np.int32]:
    # One's complement, as the standard has it: -1 is as far from zero as 0 is.
    magnitudes = np.where(values < 0, ~values, values) >> 4
    segments = np.maximum(_bits(magnitudes) - 4, 0)
    steps = (magnitudes >> np.maximum(segments - 1, 0)) & 0x0F
    signs = np.where(values < 0, 0, 0x80)
    codes: NDArray[np.int32] = (signs | (segments << 4) | steps) ^ 0x55
    return codes


def _bits(values: NDArray[np.int32]) -> NDArray[np.int32]:
    """How many binary digits each value has; they are below 2**15."""
    return np.frexp(values.astype(np.float32))[1].astype(np.int32)


def _ulaw_values() -> NDArray[np.float32]:
    codes = ~np.arange(256) & 0xFF
    magnitudes = ((((codes & 0x0F) << 3) + _BIAS) << ((codes >> 4) & 7)) - _BIAS
    return _signed(magnitudes, positive=codes < 0x80)


def _alaw_values() -> NDArray[np.float32]:
    codes = np.arange(256) ^ 0x55
    segments = (codes >> 4) & 7
    steps = ((codes & 0x0F) << 4) + 8
    magnitudes = np.where(segments == 0, steps, (steps + 256) << np.maximum(segments - 1, 0))
    return _signed(magnitudes, positive=codes >= 0x80)


def _signed(magnitudes: NDArray[np.int64], *, positive: NDArray[np.bool_]) -> NDArray[np.float32]:
    return (np.where(positive, magnitudes, -magnitudes) / 32768).astype(np.float32)


_DECODED = {"ulaw": _ulaw_values(), "alaw": _alaw_values()}
_VALUES = np.arange(2**16, dtype=np.uint16).view(np.int16).astype(np.int32)
_ENCODED = {"ulaw": _ulaw(_VALUES).astype(np.uint8), "alaw": _alaw(_VALUES).astype(np.uint8)}
"""The code of each 16-bit value: FFmpeg's, which cost three times this, round otherwise at 851 of
them (964 in the A-law)."""
