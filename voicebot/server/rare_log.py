"""Lines of the log that strangers can cause: one a minute tells how many there were."""

from __future__ import annotations

EVERY_S = 60.0
"""Seconds between two lines. Without it, a client could fill the disk with them."""


class RareLog:
    """Says when a line about something is due."""

    def __init__(self) -> None:
        self._next, self._left_out = float("-inf"), 0

    def due(self, now: float) -> str | None:
        """What the line ends with, where one is due now; it tells of those that were left out.

        now: the time of the event loop, in seconds.
        """
        if now < self._next:
            self._left_out += 1
            return None
        self._next = now + EVERY_S
        left_out, self._left_out = self._left_out, 0
        return f" (and {left_out} more before)" if left_out else ""
