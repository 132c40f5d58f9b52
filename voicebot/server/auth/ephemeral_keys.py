"""Keys for browsers: good for a minute or so, made by whoever holds a lasting one."""

from __future__ import annotations

import json
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
MAX_KEYS = 1000
"""Secrets kept of a key; its oldest go first, so that asking for many costs no memory, and nobody
else theirs."""
SETTINGS = 10_000_000
"""Bytes of the sessions they open, together: 10 kB for each of so many, or ten of the largest."""


@dataclass(frozen=True, slots=True)
class EphemeralKey:
    """A key for a browser: good for a short time, with the session settings it was made for."""

    expires_at: float
    owner: str | None
    """The hash of the key that made it, and pays for it; None where no key is needed."""
    settings: str
    """`session` as JSON: as objects a small text may take 20 times the memory."""

    @property
    def session(self) -> dict[str, Any]:
        """What a Realtime session opened with it is set to."""
        session: dict[str, Any] = json.loads(self.settings)
        return session


class EphemeralKeys:
    """The secrets that are good now.

    now: seconds since 1970, which is what clients are told.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._owned: dict[str | None, dict[str, EphemeralKey]] = {}

    def issue(self, owner: str | None, session: dict[str, Any], seconds: int) -> tuple[str, int]:
        """A new secret, and when it expires."""
        owned, settings = self._owned.setdefault(owner, {}), json.dumps(session)
        self._make_room(owned, len(settings))
        value = PREFIX + secrets.token_urlsafe(32)
        expires_at = int(self._now()) + seconds
        owned[value] = EphemeralKey(expires_at, owner, settings)
        return value, expires_at

    def _make_room(self, owned: dict[str, EphemeralKey], size: int) -> None:
        """For one more whose settings have `size` bytes."""
        used = sum(len(secret.settings) for secret in owned.values())
        by_use = sorted(owned, key=lambda value: owned[value].expires_at > self._now())
        for value in by_use:  # those that are good for nothing, then the oldest
            if len(owned) < MAX_KEYS and used + size <= SETTINGS:
                break
            used -= len(owned.pop(value).settings)

    def revoke(self, owner: str) -> None:
        """Forget what this key has made."""
        self._owned.pop(owner, None)

    def find(self, value: str) -> EphemeralKey | None:
        """What `value` stands for, unless it never was or has expired.

        A value has 256 random bits: to look it up in a table gives nothing away.
        """
        found = (owned[value] for owned in self._owned.values() if value in owned)
        secret = next(found, None)
        return secret if secret and secret.expires_at > self._now() else None
