"""Many turns, one after the other in each session, some sessions at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from .questions import Question
from .trial import Line, Turn, hold

APART_S = 0.37
"""Seconds between the first questions of two sessions, so that they do not speak in chorus."""

Calls = Callable[[], AbstractAsyncContextManager[Line]]


async def ask(
    calls: Calls,
    questions: Sequence[Question],
    turns: int,
    sessions: int,
    tell: Callable[[Turn], None],
) -> list[Turn]:
    """So many turns in each session, each a conversation of its own; `tell` is told of every one.

    Each session begins with another question and goes on in order, again and again.
    """
    found: list[Turn] = []

    async def session(number: int) -> None:
        await asyncio.sleep(APART_S * number)
        for i in range(turns):
            async with calls() as line:
                turn = await hold(line, questions[(number + i) % len(questions)])
            found.append(turn)
            tell(turn)

    async with asyncio.TaskGroup() as group:
        for number in range(sessions):
            group.create_task(session(number))
    return found
