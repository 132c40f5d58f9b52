"""The numbers of a recording, checked: a file may hold anything.

All raise ValueError or TypeError where something else stands in their place.
"""

from __future__ import annotations

from typing import Any

MAX_TIME_S = 1e7
"""Seconds, beyond which a time is none: four months."""
MAX_SOUND_S = 600.0
"""Seconds of sound given at once, at most: what is longer is no recording's."""


def seconds(value: Any) -> float:
    if not 0 <= value < MAX_TIME_S:
        raise ValueError(value)
    return float(value)


def whole(value: Any) -> int:
    if not isinstance(value, int) or not 0 < value < 10**6:
        raise ValueError(value)
    return value


def samples(value: Any, rate: Any) -> int:
    """How many there are of a sound at that rate."""
    if not isinstance(value, int) or not 0 <= value / whole(rate) <= MAX_SOUND_S:
        raise ValueError(value)
    return value
