"""What has been given to a loudspeaker, and how much of it has come out.

No device and no clock in here: the caller says when. Seconds are on any one clock.
"""

from __future__ import annotations

from collections import deque
from threading import Lock

import numpy as np

from . import Samples


class Playback:
    """A queue of sound at one rate, with a count of the seconds heard of the current turn.

    A turn begins with the first `add` after a `drop`. Sound is added and dropped in one thread
    while the device takes it in another.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._lock = Lock()
        self._queue: deque[Samples] = deque()
        self._queued = 0
        self._taken: deque[tuple[float, int]] = deque()
        """When each block taken begins to be heard, and its samples of sound."""
        self._heard = 0
        """Samples of blocks that have been heard to their end, and are no longer in `_taken`."""

    @property
    def queued(self) -> float:
        """Seconds the device has still to take."""
        return self._queued / self.rate

    def add(self, samples: Samples) -> None:
        with self._lock:
            self._queue.append(samples)
            self._queued += len(samples)

    def take(self, count: int, at: float) -> Samples:
        """The next `count` samples, to be heard from `at` on; silence where there are none."""
        block = np.zeros(count, np.float32)
        filled = 0
        with self._lock:
            while self._queue and filled < count:
                first = self._queue.popleft()
                part = first[: count - filled]
                block[filled : filled + len(part)] = part
                filled += len(part)
                if len(part) < len(first):
                    self._queue.appendleft(first[len(part) :])
            self._queued -= filled
            if filled:
                self._taken.append((at, filled))
        return block

    def heard(self, now: float) -> float:
        """Seconds of this turn heard by `now`. Silence for want of sound is not counted."""
        with self._lock:
            while self._taken and self._part(*self._taken[0], now) == self._taken[0][1]:
                self._heard += self._taken.popleft()[1]
            return (self._heard + sum(self._part(*taken, now) for taken in self._taken)) / self.rate

    def unheard(self, now: float) -> float:
        """Seconds until all that has been added is heard, if the device goes on taking."""
        with self._lock:
            at, count = self._taken[-1] if self._taken else (now, 0)
            return max(0.0, at + count / self.rate - now) + self.queued

    def drop(self, now: float) -> float:
        """End the turn and forget what is queued. Returns the seconds of it heard by `now`."""
        seconds = self.heard(now)
        with self._lock:
            self._queue.clear()
            self._taken.clear()
            self._queued = self._heard = 0
        return seconds

    def _part(self, at: float, count: int, now: float) -> int:
        return min(count, max(0, round((now - at) * self.rate)))
