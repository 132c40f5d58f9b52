"""How much a client may use, by the minute and by the day. No clock in here: the caller says when.

What a request costs is often known only afterwards. A request is admitted while the bucket is not
empty; an overdraft is repaid before the next.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from ...conversation.endpointing import EndpointingSettings
from ...errors import ConfigError
from ...spelling import there_is

MINUTE, DAY = 60.0, 86_400.0
WITHDRAWN = "this key has been removed"
SESSION_S = 30
"""Seconds after which a conversation may have ended where all there can be are held."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one key may use. 0: as much as it likes."""

    requests_per_minute: int = 0
    requests_per_day: int = 0
    tokens_per_minute: int = 0
    tokens_per_day: int = 0
    audio_s_per_minute: int = 0
    """Seconds of sound, heard and spoken."""
    audio_s_per_day: int = 0
    sessions: int = 0
    """Conversations at once."""
    upload_bytes: int = 0
    """Of the body of a request; what all may send at most stays as it is."""
    recording_s: int = 0
    """Seconds of sound in one recording that is sent; what all may send stays as it is."""
    utterance_s: int = 0
    """Seconds of speech that are taken for one utterance."""

    def upload(self, most: int) -> int:
        """Bytes that a body may have where others may send `most`."""
        return min(most, self.upload_bytes or most)

    def recording(self, longest_s: float) -> float:
        """Seconds that a recording may have where others may send `longest_s`."""
        return min(longest_s, self.recording_s or longest_s)

    def utterance(self, longest_s: float) -> float:
        """Seconds that an utterance may have where others may say `longest_s`."""
        return min(longest_s, self.utterance_s or longest_s)

    def listening(self, settings: EndpointingSettings) -> EndpointingSettings:
        """The same for this key: where speech becomes too long, it is cut."""
        return replace(settings, max_utterance_s=self.utterance(settings.max_utterance_s))


NAMES = tuple(field.name for field in dataclasses.fields(Limits))


def read(name: str, table: dict[str, Any]) -> Limits:
    """The limits of the key called `name`.

    Raises:
        ConfigError: one of them does not exist, or is no number.
    """
    for key, value in table.items():
        if key not in NAMES:
            raise ConfigError(f"[{name}] {key} is not a limit; {there_is(key, NAMES)}")
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ConfigError(f"[{name}] {key} should be a whole number, not {value!r}")
    return Limits(**table)


class TokenBucket:
    """So much in so many seconds: full at first, it fills again at an even pace."""

    def __init__(self, most: float, seconds: float, now: float) -> None:
        self.most = most
        self._pace = most / seconds
        self._level, self._since = most, now

    def left(self, now: float) -> float:
        """What may be taken; below nothing if too much was."""
        return min(self.most, self._level + (now - self._since) * self._pace)

    def take(self, amount: float, now: float) -> None:
        """Take `amount`, there or not."""
        self._level, self._since = self.left(now) - amount, now

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` is there; 0 if it is now."""
        return max(0.0, (amount - self.left(now)) / self._pace)

    def reset(self, now: float) -> float:
        """Seconds until it is full."""
        return (self.most - self.left(now)) / self._pace


class RateLimitExceeded(Exception):
    """A limit is reached."""

    def __init__(self, what: str, wait: float) -> None:
        self.retry_after = ceil(wait)
        super().__init__(f"this key has used its {what}; try again in {self.retry_after} s")


class Quota:
    """What one key has left."""

    def __init__(self, limits: Limits, now: float) -> None:
        self.limits = limits
        self.revoked = asyncio.Event()
        """Set once the key is none any more: what goes on with it ends."""
        self._sessions = 0
        self._buckets = _buckets(limits, now)

    def limit(self, limits: Limits, now: float) -> None:
        """Go by these limits from now on; what was used stays used."""
        if limits == self.limits:
            return
        before, self.limits, self._buckets = self._buckets, limits, _buckets(limits, now)
        for what, spans in self._buckets.items():
            for span, bucket in spans.items():
                if old := before[what].get(span):
                    bucket.take(old.most - old.left(now), now)

    def admit(self, now: float) -> None:
        """Count a request.

        Raises:
            RateLimitExceeded: something is used up; it is not counted then.
        """
        for what, span, bucket in self._all():
            # Of a request all is known beforehand; of what it costs, only whether any is left.
            if wait := bucket.wait(1 if what == "requests" else 1e-6, now):
                raise RateLimitExceeded(f"{_WORDS[what]} of this {span}", wait)
        self._take("requests", 1, now)

    def charge(self, now: float, *, tokens: int = 0, audio_s: float = 0.0) -> None:
        """Count what was used."""
        self._take("tokens", tokens, now)
        self._take("audio_s", audio_s, now)

    def exhausted(self, now: float) -> str:
        """What a conversation that goes on has used up; empty if it may go on."""
        for what, span, bucket in self._all():
            if what != "requests" and bucket.left(now) <= 0:
                return f"{_WORDS[what]} of this {span}"
        return ""

    def overdrawn(self, now: float) -> RateLimitExceeded | None:
        """Why even what was let in has to stop: it owes more than a whole minute's or day's."""
        for what, span, bucket in self._all():
            if what == "audio_s" and bucket.left(now) < -bucket.most:
                return RateLimitExceeded(f"{_WORDS[what]} of this {span}", bucket.wait(1e-6, now))
        return None

    @contextmanager
    def session(self) -> Iterator[None]:
        """The time of a conversation, however many connections carry it.

        Raises:
            RateLimitExceeded: there are too many.
        """
        if self.limits.sessions and self._sessions >= self.limits.sessions:
            raise RateLimitExceeded(f"{self.limits.sessions} conversations at once", SESSION_S)
        self._sessions += 1
        try:
            yield
        finally:
            self._sessions -= 1

    def told(self, now: float) -> list[dict[str, Any]]:
        """What is left of this minute or, where only days are limited, of this day."""
        states = []
        for what in ("requests", "tokens"):
            for bucket in list(self._buckets[what].values())[:1]:
                states.append(
                    {
                        "name": what,
                        "limit": int(bucket.most),
                        "remaining": max(0, int(bucket.left(now))),
                        "reset_seconds": round(bucket.reset(now), 3),
                    }
                )
        return states

    def _all(self) -> Iterator[tuple[str, str, TokenBucket]]:
        for what, spans in self._buckets.items():
            for span, bucket in spans.items():
                yield what, span, bucket

    def _take(self, what: str, amount: float, now: float) -> None:
        for bucket in self._buckets[what].values():
            bucket.take(amount, now)


def _buckets(limits: Limits, now: float) -> dict[str, dict[str, TokenBucket]]:
    found: dict[str, dict[str, TokenBucket]] = {}
    for what in ("requests", "tokens", "audio_s"):
        both = {"minute": MINUTE, "day": DAY}
        most = {span: getattr(limits, f"{what}_per_{span}") for span in both}
        found[what] = {s: TokenBucket(most[s], both[s], now) for s in both if most[s]}
    return found


_WORDS = {"requests": "requests", "tokens": "tokens", "audio_s": "seconds of sound"}
