"""`voicebot bench server`: what a client of `voicebot serve` gets, measured from outside.

The server is a process of its own, and so is the simulated OpenAI server that its engines ask.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from ..config import Config, EngineChoice
from . import chosen, cycles, machine, processes, sockets
from .figures import Usage, declared, summary
from .questions import Question
from .served import Served, over_http, serving
from .simulated import FREE, Costs
from .turn import headline, line
from .turns import ask

SESSIONS = (1, 50)
"""How many talk at once while the socket layer is measured."""
LISTENING = 100
"""Sessions that are listened to at once, with real voice detection."""
IDLE = 100
"""Sessions that are open while nobody says a word."""
SHORT = dataclasses.replace(FREE, reply="Yes, it is.")
"""Costless engines, and a reply that takes the socket next to no time."""

Tell = Callable[[str], None]
Row = dict[str, Any]


def measure(
    config: Config,
    questions: list[Question],
    *,
    costs: Costs,
    turns: int,
    sessions: list[int],
    parts: Sequence[str],
    cycles: int,
    tell: Tell,
) -> dict[str, Any]:
    """The parts asked for, as JSON's values: "turns" gives runs as `turn` does, the others rows.

    Raises:
        DidNotStart: a process to be measured is not there.
        HungUp: the server tells of an error.
    """
    config = chosen.answering(config)
    runs, rows = asyncio.run(_all(config, questions, costs, turns, sessions, parts, cycles, tell))
    settings = {"engines": "simulated", "costs": dataclasses.asdict(costs)}
    first = headline(runs[0]) if runs else {}
    result = {"bench": "server", **first, "runs": runs, "rows": rows}
    return result | machine.describe(config, settings)


async def _all(
    config: Config,
    questions: list[Question],
    costs: Costs,
    turns: int,
    sessions: list[int],
    parts: Sequence[str],
    count: int,
    tell: Tell,
) -> tuple[list[dict[str, Any]], list[Row]]:
    runs: list[dict[str, Any]] = []
    rows: list[Row] = []
    if "turns" in parts:
        async with over_http(config, costs) as served:
            for n in sessions:
                runs.append(await _turns(served, questions, turns, n, costs, tell))
    deaf = dataclasses.replace(config, vad=EngineChoice("voicebot.bench.simulated:Loudness"))
    if "latency" in parts:
        async with serving(_with(deaf, SHORT)) as served:
            for n in SESSIONS:
                tell(f"socket layer, {n} at once")
                rows += await sockets.latency(served, config.turn_detection, n)
    if "listening" in parts or "idle" in parts:
        async with serving(_with(config, SHORT)) as served:
            if "idle" in parts:
                tell(f"{IDLE} idle sessions")
                rows += await sockets.idle(served, IDLE)
            if "listening" in parts:
                tell(f"{LISTENING} listening sessions")
                rows += await sockets.listening(served, config, questions, LISTENING)
    if "cycles" in parts:
        async with serving(_with(deaf, FREE)) as served:
            tell(f"{count} times connect, talk, cut, resume")
            rows += await cycles.measure(served, count)
    return runs, rows


def _with(config: Config, costs: Costs) -> Config:
    engines: dict[str, Any] = {**costs.engines()}
    return dataclasses.replace(config, **engines)


async def _turns(
    served: Served, questions: list[Question], turns: int, sessions: int, costs: Costs, tell: Tell
) -> dict[str, Any]:
    before = processes.usage(served.pid)
    found = await ask(
        lambda: served.talking(alone=sessions == 1),
        questions,
        turns,
        sessions,
        lambda turn: tell(line(turn)),
    )
    after = processes.usage(served.pid)
    used = Usage(after.cpu_s - before.cpu_s, after.peak_mb) if after and before else None
    return dict(summary(found, declared(costs), sessions, used))
