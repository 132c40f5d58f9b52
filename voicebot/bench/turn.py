"""`voicebot bench turn`: from the true end of speech to the first sound, in this process."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..assistant.assembly import EngineSet, assemble
from ..config import Config
from . import chosen, machine, processes
from .figures import Floor, Usage, declared, measured, summary
from .inside import talking
from .questions import Question
from .simulated import Costs
from .trial import Turn
from .turns import ask

Tell = Callable[[str], None]


def measure(
    config: Config,
    models: Path,
    questions: list[Question],
    *,
    engines: str,
    costs: Costs,
    turns: int,
    sessions: list[int],
    tell: Tell,
) -> dict[str, Any]:
    """A run for each number of sessions, as JSON's values.

    engines: "simulated" by `costs`; "miniature" or "random", random weights of two sizes; or
    "configured", those of `config`.
    tell: is given a line for people now and then.

    Raises:
        VoicebotError: an engine cannot be built.
    """
    config = chosen.answering(config, documents=engines == "configured")
    picked, missing = chosen.choose(config, engines, costs, models)
    for line in missing:
        tell(line)
    floor = declared(costs) if engines == "simulated" else measured
    with assemble(picked, models) as parts:
        if engines in chosen.SIZES:
            parts = chosen.scripted(parts, costs)
        if engines != "simulated":
            tell("one turn that does not count: models are slow the first time")
            asyncio.run(_run(parts, questions, 1, 1, lambda turn: None))
        runs = [_measured(parts, questions, turns, n, floor, tell) for n in sessions]
        about: dict[str, Any] = {"engines": engines, "chosen": parts.describe()}
    if engines != "configured":
        about |= {"costs": dataclasses.asdict(costs)}
    return {"bench": "turn", **headline(runs[0]), "runs": runs} | machine.describe(config, about)


def headline(run: dict[str, Any]) -> dict[str, Any]:
    """What is asked first, of the first run."""
    names = ("first_audio_ms", "end_of_turn_ms", "floor_ms", "ratio_to_floor")
    return {name: run[name] for name in names}


def _measured(
    parts: EngineSet, questions: list[Question], turns: int, sessions: int, floor: Floor, tell: Tell
) -> dict[str, Any]:
    before = processes.usage(os.getpid())

    def told(turn: Turn) -> None:
        tell(line(turn))

    found = asyncio.run(_run(parts, questions, turns, sessions, told))
    after = processes.usage(os.getpid())
    used = Usage(after.cpu_s - before.cpu_s, after.peak_mb) if after and before else None
    return dict(summary(found, floor, sessions, used))


async def _run(
    parts: EngineSet,
    questions: list[Question],
    turns: int,
    sessions: int,
    tell: Callable[[Turn], None],
) -> list[Turn]:
    return await ask(lambda: talking(parts), questions, turns, sessions, tell)


def line(turn: Turn) -> str:
    """One turn on one line."""
    if turn.first_audio is None:
        came = "cut in" if turn.cut_in else "no answer"
    else:
        came = f"first sound after {turn.first_audio * 1000:5.0f} ms"
    silent = "" if turn.silence is None else f", silent {turn.silence * 1000:.0f} ms into a word"
    return f"{turn.question}: {came}{silent}"
