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
"""Secrets kept; the oldest go first, so that asking for many costs no memory."""


@dataclass(frozen=True, slots=True)
class Secret:
    expires_at: float
    owner: str | None
    """Whose key made it, and pays for it; None where no key is needed."""
    session: dict[str, Any]
    """What a Realtime session opened with it is set to."""


class ClientSecrets:
    """The secrets that are good now.

    now: seconds since 1970, which is what clients are told.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._secrets: dict[str, Secret] = {}

    def issue(self, owner: str | None, session: dict[str, Any], seconds: int) -> tuple[str, int]:
        """A new secret, and when it expires."""
        if len(self._secrets) >= MOST:
            expired = [value for value in self._secrets if self.find(value) is None]
            for old in expired or list(self._secrets)[:1]:
                del self._secrets[old]
        value = PREFIX + secrets.token_urlsafe(32)
        expires_at = int(self._now()) + seconds
        self._secrets[value] = Secret(expires_at, owner, session)
        return value, expires_at

    def find(self, value: str) -> Secret | None:
        """What `value` stands for, unless it never was or has expired.

        A value has 256 random bits: to look it up in a table gives nothing away.
        """
        secret = self._secrets.get(value)
        return secret if secret and secret.expires_at > self._now() else None
