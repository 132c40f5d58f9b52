"""Stops asking a server that keeps failing, so that a turn fails at once instead of late."""

from __future__ import annotations

LIMIT = 5
"""Failures in a row before the server counts as down. Fewer would give up on a mere restart."""
COOLDOWN_S = 30.0
"""How long it is then left alone. More spares the server; less notices sooner that it is back."""


class CircuitBreaker:
    """Decides whether to ask. Has no clock: `now` is seconds on any one."""

    def __init__(self) -> None:
        self._failures, self._until, self._probing = 0, 0.0, False

    def admits(self, now: float) -> bool:
        """Whether to ask now. After a cool-down exactly one may, until it is known how it went;
        whoever was admitted reports one of the three below."""
        if self._failures < LIMIT:
            return True
        if self._probing or now < self._until:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        self._failures, self._probing = 0, False

    def failed(self, now: float) -> None:
        self._failures, self._probing = self._failures + 1, False
        self._until = now + COOLDOWN_S

    def left(self) -> None:
        """It was not waited for: nothing is known, and the next may probe."""
        self._probing = False
