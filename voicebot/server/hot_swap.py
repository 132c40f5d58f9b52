"""One thing that many use at once, and that may be exchanged for another meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class HotSwap(Generic[T]):
    """Lends what is current; who has a lease keeps what it was given until it gives it back.

    returned: called with what is neither current nor lent any more, and what still is.
    """

    def __init__(self, first: T, returned: Callable[[T, list[T]], None]) -> None:
        self.current = first
        self._returned = returned
        self._lent: Counter[T] = Counter()

    @property
    def used(self) -> list[T]:
        """What is current, and all that is still lent."""
        return [self.current, *(thing for thing in self._lent if thing is not self.current)]

    @contextmanager
    def lease(self) -> Iterator[T]:
        thing = self.current
        self._lent[thing] += 1
        try:
            yield thing
        finally:
            self._lent[thing] -= 1
            self._see_off(thing)

    def exchange(self, new: T) -> None:
        """Lend `new` from now on."""
        old, self.current = self.current, new
        self._see_off(old)

    def _see_off(self, thing: T) -> None:
        if not self._lent[thing]:
            del self._lent[thing]
            if thing is not self.current:
                self._returned(thing, self.used)
