"""End a text before the first of some sequences, however it is cut into pieces. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import TypeVar

from ...concurrency.worker import Stream

T = TypeVar("T")


async def until(told: Stream[str | T], stops: Sequence[str]) -> Stream[str | T]:
    """Yield the text up to where one of `stops` begins; what might begin one is held back.

    What is told between the text ends it: no stop reaches across.
    """
    held = ""
    async with aclosing(told):
        async for more in told:
            if not isinstance(more, str):
                if held:
                    yield held
                held = ""
                yield more
                continue
            held += more
            found = [at for stop in stops if (at := held.find(stop)) >= 0]
            if found:
                if said := held[: min(found)]:
                    yield said
                return
            keep = max((_begun(held, stop) for stop in stops), default=0)
            said, held = held[: len(held) - keep], held[len(held) - keep :]
            if said:
                yield said
    if held:
        yield held


def _begun(text: str, stop: str) -> int:
    """How many characters at the end of `text` are a beginning of `stop`."""
    most = min(len(text), len(stop) - 1)
    return next((n for n in range(most, 0, -1) if text.endswith(stop[:n])), 0)
