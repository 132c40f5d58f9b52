"""Keys for browsers: good for a minute or so, made by whoever holds a lasting one."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PREFIX = "ek_"
"""What clients expect such a key to begin with."""
SHORTEST, USUAL, LONGEST = 10, 600, 7200
"""Seconds a secret is good for: the bounds and the default of OpenAI's."""
ANCHOR = "created_at"
"""When those seconds begin; there is nothing else they could begin at."""
MOST = 1000
"""Secrets kept of a key; its oldest go first, so that asking for many costs no memory, and nobody
else theirs."""


@dataclass(frozen=True, slots=True)
class Secret:
    expires_at: float
    owner: str | None
    """The hash of the key that made it, and pays for it; None where no key is needed."""
    session: dict[str, Any]
    """What a Realtime session opened with it is set to."""


class ClientSecrets:
    """The secrets that are good now.

    now: seconds since 1970, which is what clients are told.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._owned: dict[str | None, dict[str, Secret]] = {}

    def issue(self, owner: str | None, session: dict[str, Any], seconds: int) -> tuple[str, int]:
        """A new secret, and when it expires."""
        owned = self._owned.setdefault(owner, {})
        if len(owned) >= MOST:
            expired = [value for value in owned if self.find(value) is None]
            for old in expired or list(owned)[:1]:
                del owned[old]
        value = PREFIX + secrets.token_urlsafe(32)
        expires_at = int(self._now()) + seconds
        owned[value] = Secret(expires_at, owner, session)
        return value, expires_at

    def revoke(self, owner: str) -> None:
        """Forget what this key has made."""
        self._owned.pop(owner, None)

    def find(self, value: str) -> Secret | None:
        """What `value` stands for, unless it never was or has expired.

        A value has 256 random bits: to look it up in a table gives nothing away.
        """
        found = (owned[value] for owned in self._owned.values() if value in owned)
        secret = next(found, None)
        return secret if secret and secret.expires_at > self._now() else None
