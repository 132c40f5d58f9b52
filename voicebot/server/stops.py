"""End a text before the first of some sequences, however it is cut into pieces. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing

from ..flow import Stream


async def until(text: Stream[str], stops: Sequence[str]) -> Stream[str]:
    """Yield the text up to where one of `stops` begins; what might begin one is held back."""
    held = ""
    async with aclosing(text):
        async for more in text:
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
