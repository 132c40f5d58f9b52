"""Sound of many channels as one."""

from __future__ import annotations

import math

import numpy as np

from . import Samples

FAR = 10 ** (-20 / 10)
"""Power, against the loudest channel's, below which a channel holds no sound of its own: -20 dB.
The capsules of an array differ by less; the silent ones of a film and loose cables by more."""
RELEASE_S = 1.0
"""Seconds in which a channel that has become silent loses a factor of e of its level: longer than
a pause between words, so that channels do not come and go with them."""


class Mixer:
    """Turns one stream's channels into one, block by block.

    One or two are averaged. Of more, those that hold sound are averaged: an array of microphones
    gains by all of its capsules, and a voice that is in one channel of six is not lowered by the
    silence of five. Speakers' places (FFmpeg's 5.1) are not asked about: recorders label at random.
    """

    def __init__(self) -> None:
        self._levels: Samples | None = None
        self._weights: Samples | None = None

    def mix(self, channels: Samples, rate: int) -> Samples:
        """float32, shape (n,), of float32, shape (channels, n), finite."""
        count, length = channels.shape
        if count == 1 or not length:
            alone: Samples = channels[0]
            return alone
        if count == 2:
            both: Samples = (channels[0] + channels[1]) * np.float32(0.5)
            return both
        power = np.einsum("cn,cn->c", channels, channels) / np.float32(length)
        if self._levels is not None:
            power = np.maximum(power, self._levels * math.exp(-length / rate / RELEASE_S))
        self._levels = power
        sounding = (power >= power.max() * FAR).astype(np.float32)
        wanted = sounding / sounding.sum()
        before = wanted if self._weights is None else self._weights
        self._weights = wanted
        mixed: Samples = before @ channels
        if (before != wanted).any():  # faded over the block: a jump would click
            fade = np.arange(1, length + 1, dtype=np.float32) / np.float32(length)
            mixed = mixed + fade * ((wanted - before) @ channels)
        return mixed
