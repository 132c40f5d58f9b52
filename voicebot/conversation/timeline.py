"""When each boundary of a turn was crossed, and when a stage has kept us waiting too long."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Mapping
from contextlib import aclosing
from functools import partial
from math import inf
from typing import Any

from ..concurrency.worker import Stream, T
from ..errors import Silence
from ..events import TurnEnded
from .latency_budget import Stage

_DONE: Any = object()

_ENDS: dict[Stage, str] = {
    "recognition": "stt.last",
    "retrieval": "passages",
    "first_token": "llm.first",
    "first_clause": "clause",
    "synthesis": "tts.first",
}
"""The boundary that ends each stage, in their order."""

GAPS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Where the counts of gaps are divided: the first is of waits for a chunk of at most 0.01 s, the
last of those above 1 s. More would tell more, and be carried by every turn."""


class Timeline:
    """Seconds since the user stopped speaking, by boundary name.

    late: how long ago that was. The end of speech is only known after the silence
    that proves it, so a turn starts with that silence already on the clock.
    patience: seconds an engine may go without giving anything.
    deadline: when the first sound of the answer is due.
    """

    def __init__(self, late: float, patience: float, deadline: float = inf) -> None:
        self._zero = asyncio.get_running_loop().time() - late
        self._late, self._patience = late, patience
        self.deadline = deadline
        self.marks: dict[str, float] = {}
        self.tokens: tuple[int, int] | None = None
        """That the chat model read, and wrote, once it has told."""
        self.seed: int | None = None
        """That the reply is drawn with, once the chat model has told."""
        self.finish = ""
        """Why the reply ended, once it has: as `Delta` has it, or "repetition"."""
        self._gaps: dict[str, list[int]] = {}
        self._amounts: dict[str, float] = {}

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time() - self._zero

    def at(self, seconds: float) -> float:
        """When so many have passed since the user stopped speaking, on the loop's clock."""
        return self._zero + seconds

    @property
    def left(self) -> float:
        """Seconds to the deadline, below 0 once it is missed. It only shrinks."""
        return self.deadline - self.now

    def took(self) -> dict[Stage, float]:
        """Seconds that each stage took up to the first sound, as far as the turn has got."""
        return took(self.marks, self._late)

    def end(self) -> TurnEnded:
        """What is told of the turn now that it is over."""
        return TurnEnded(
            self.marks,
            spoke={} if self.seed is None else {"seed": self.seed},
            began=self._late,
            ended=self.now,
            tokens=self.tokens,
            gaps=self._gaps,
            amounts=self._amounts,
            finish=self.finish,
        )

    def mark(self, name: str, at: float | None = None) -> None:
        """Record `name` the first time it happens: now, or when `at` says, on the loop's clock."""
        self.marks.setdefault(name, self.now if at is None else at - self._zero)

    def count(self, name: str, amount: float) -> None:
        """Add to one of the amounts that are told in the end:

        - `stt.sound`, `tts.sound`: seconds of sound recognised, and made.
        - `stt.waited`, `llm.waited`, `tts.waited`: seconds that we waited for the engine, which
          may have worked ahead in others.
        - `llm.kept`, `llm.forgotten`: tokens and exchanges, as `Delta` has them.
        """
        self._amounts[name] = self._amounts.get(name, 0.0) + amount

    def set(self, name: str, amount: float) -> None:
        """What one of the amounts is by now, where it is told in whole."""
        self._amounts[name] = amount

    async def timed(
        self,
        stage: str,
        source: Stream[T],
        *,
        begins: Callable[[T], bool] = lambda _: True,
        patience: float = inf,
        since: Callable[[], float] | None = None,
    ) -> Stream[T]:
        """Pass `source` through, marking `stage.first` and `stage.last` and counting the gaps.

        begins: whether an item counts as the first.
        patience: seconds this engine may go without giving anything, if they are fewer.
        since: the time, on the loop's clock, from which `patience` counts, if it is to come.
        """
        asked, is_first = self.now, True
        waits = partial(self._waits, patience, since)
        async with aclosing(_patient(stage, source, waits)) as items:
            async for item in items:
                waited = self.now - asked
                self.count(f"{stage}.waited", waited)
                if not is_first:
                    gaps = self._gaps.setdefault(stage, [0] * (len(GAPS) + 1))
                    gaps[bisect_left(GAPS, waited)] += 1
                is_first = False
                if begins(item):
                    self.mark(f"{stage}.first")
                yield item
                asked = self.now
        self.count(f"{stage}.waited", self.now - asked)
        self.marks.pop(f"{stage}.last", None)  # the last of several clauses counts
        self.mark(f"{stage}.last")

    def _waits(self, patience: float, since: Callable[[], float] | None) -> float:
        """Seconds that an engine is waited for from now on."""
        to_come = max(0.0, since() - self.at(self.now)) if since else 0.0
        return min(to_come + patience, self._patience)


def took(marks: Mapping[str, float], began: float) -> dict[Stage, float]:
    """Seconds that each stage took up to the first sound, as far as a turn has got.

    A stage counts from the end of the one before, for that is what it makes the user wait.
    """
    spent: dict[Stage, float] = {}
    since = began
    for stage, ends in _ENDS.items():
        if ends in marks:
            spent[stage] = max(0.0, marks[ends] - since)
            since = max(since, marks[ends])
    return spent


async def _patient(stage: str, source: Stream[T], waits: Callable[[], float]) -> Stream[T]:
    async with aclosing(source):
        while True:
            patience = waits()
            try:
                async with asyncio.timeout(patience):
                    item = await anext(source, _DONE)
            except TimeoutError:
                reason = f"nothing came for {round(patience, 1):g} s"
                raise Silence(stage, reason) from None
            if item is _DONE:
                return
            yield item
