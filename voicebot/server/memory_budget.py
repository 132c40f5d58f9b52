"""How much memory clients may have filled with what they send: each a little for certain, and
beyond that so much of what all share.

What is counted is what stays: messages that have not ended or wait to be read, sound that waits to
be recognised, the items and settings of a conversation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from starlette.types import Scope

from ..errors import VoicebotError

EVERYBODY = 256 * 2**20
"""Bytes beyond their own that all have together, and one client half of: a dozen of the longest
messages at once."""
EACH = 64 * 2**20
"""Bytes that one conversation keeps, and as many of its messages: twice as much sound as may wait
to be recognised, and thrice the longest message."""
OWN = 2 * 2**20
"""Bytes that a conversation keeps whatever the others do: half a minute of speech, or 500 pages."""
ALWAYS_ALLOWED_BYTES = 64 * 2**10
"""Bytes of messages that anybody has whatever the others do, and at most until they are let in."""

_EXTENSION = "voicebot.messages"


class MemoryBudgetExceeded(VoicebotError):
    """There is no room for it, and why."""


class MemoryBudget:
    """What all have together. The counts are ours; nothing is allocated here."""

    def __init__(self, everybody: int = EVERYBODY, each: int = EACH, own: int = OWN) -> None:
        self.everybody, self.each, self.own = everybody, each, own
        self.shared: Counter[str] = Counter()
        """Bytes beyond their own, by the client that has them."""

    @contextmanager
    def share(self, client: str) -> Iterator[Share]:
        """What one conversation of `client` keeps, until the block ends."""
        with self._share(client, self.own) as share:
            yield share

    @contextmanager
    def messages(self, client: str) -> Iterator[Share]:
        """What has come of its messages: who keeps all that there may be still has small ones."""
        with self._share(client, ALWAYS_ALLOWED_BYTES) as share:
            yield share

    @contextmanager
    def _share(self, client: str, own: int) -> Iterator[Share]:
        share = Share(self, client, own)
        try:
            yield share
        finally:
            share.end()


class Share:
    """What is held for one conversation, by what it is."""

    def __init__(
        self, budget: MemoryBudget | None = None, client: str = "", own: int = OWN
    ) -> None:
        """budget: one of its own where there are no others."""
        self._budget, self._client, self._own = budget or MemoryBudget(), client, own
        self._held: dict[str, int] = {}
        self._is_over = False

    @property
    def size(self) -> int:
        """Bytes, of all kinds."""
        return sum(self._held.values())

    def hold(self, what: str, size: int) -> None:
        """Of `what` there are now `size` bytes.

        Raises:
            MemoryBudgetExceeded: there is no room for more than before. They count as before.
        """
        if self._is_over:
            return
        before, now = self.size, self.size + size - self._held.get(what, 0)
        budget, client = self._budget, self._client
        more = max(0, now - self._own) - max(0, before - self._own)
        if now > before:
            if now > budget.each:
                raise MemoryBudgetExceeded(
                    f"one conversation holds at most {budget.each >> 20} MB here"
                )
            if more and budget.shared.total() + more > budget.everybody:
                raise MemoryBudgetExceeded(
                    "all conversations together hold as much as there may be; try later"
                )
            if more and budget.shared[client] + more > budget.everybody // 2:
                raise MemoryBudgetExceeded(
                    "your conversations together hold as much as they may; try later"
                )
        self._held[what] = size
        budget.shared[client] += more
        if not budget.shared[client]:
            del budget.shared[client]

    def end(self) -> None:
        """Nothing is held any more, whatever is still told."""
        for what in [*self._held]:
            self.hold(what, 0)
        self._is_over = True


Allow = Callable[[int, Share], None]


def allowing(extensions: dict[str, Any] | None, allow: Allow) -> None:
    """Offer, among the extensions of a websocket, that `allow` is called as `let_in` is."""
    if extensions is not None:
        extensions[_EXTENSION] = {"allow": allow}


def let_in(scope: Scope, longest: int, share: Share) -> None:
    """From now on a message over this websocket may have `longest` bytes, which count on `share`.

    Until then it may have FIRST.
    """
    extensions: dict[str, Any] = scope.get("extensions") or {}
    if offered := extensions.get(_EXTENSION):
        offered["allow"](longest, share)
