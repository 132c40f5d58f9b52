"""The turns that a log tells of, read back from its files."""

from __future__ import annotations

import json
import re
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError

MAX_TURN_S = 1e6
"""Seconds of a turn, beyond which a mark is no time."""


@dataclass(frozen=True, slots=True)
class StageSpan:
    """One stage of a turn, in seconds after the user stopped speaking."""

    name: str
    begins: float
    """When what it waited for was there."""
    first: float
    """When its first result was."""
    ends: float


@dataclass(frozen=True, slots=True)
class LoggedTurn:
    """A line of the log that accounts for a turn."""

    at: str
    request: str
    record: dict[str, Any]

    @property
    def marks(self) -> dict[str, float]:
        return dict(self.record["marks"])

    @property
    def outcome(self) -> str:
        """How it ended, and why if it failed."""
        outcome = str(self.record["outcome"])
        if "reason" in self.record:
            outcome += f" ({self.record.get('stage', '?')}: {self.record['reason']})"
        return outcome

    @property
    def bars(self) -> list[StageSpan]:
        """Its stages in the order of their first results, each from when the one before had one.

        They end with the last first result: what was said takes longer than all that came before.
        """
        marks, bars = self.marks, []
        firsts = sorted(
            (max(0.0, at), name.removesuffix(".first"))
            for name, at in marks.items()
            if name != "end" and not name.endswith(".last")
        )
        begins = 0.0
        for first, stage in firsts:
            last = marks.get(f"{stage}.last", first)
            bars.append(StageSpan(stage, begins, first, min(max(first, last), firsts[-1][0])))
            begins = first
        return bars


@dataclass(slots=True)
class History:
    """The last turns of a log, oldest first."""

    turns: list[LoggedTurn] = field(default_factory=list)
    broken: int = 0
    """Lines that could not be read, and were passed over."""


def read(log: Path, last: int) -> History:
    """The last turns in the file, and in the older ones beside it.

    Raises:
        InputError: it is not there or cannot be read.
    """
    history, turns = History(), deque[LoggedTurn](maxlen=min(last, sys.maxsize))
    try:
        for file in _files(log):
            with file.open("rb") as lines:
                turns.extend(_turns(lines, history))
    except OSError as error:
        raise InputError(f"{log}: {(error.strerror or str(error)).lower()}") from error
    history.turns = [*turns]
    return history


def _files(log: Path) -> list[Path]:
    """The log, after the older files that it was continued from, oldest first."""
    numbered = re.compile(re.escape(log.name) + r"\.(\d+)")
    found = [
        (int(m[1]), path) for path in log.parent.iterdir() if (m := numbered.fullmatch(path.name))
    ]
    older = [path for _, path in sorted(found, reverse=True)]
    # While it is begun anew, or if we were killed then, there is none of its name.
    return [*older, log] if log.exists() or not older else older


def _turns(lines: Iterable[bytes], history: History) -> Iterator[LoggedTurn]:
    for line in lines:
        if not line.strip():
            continue
        try:
            given = json.loads(line)
            if given.get("turn") is not None:
                yield _turn(given)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            history.broken += 1


def _turn(given: dict[str, Any]) -> LoggedTurn:
    """Raises ValueError, TypeError, KeyError or AttributeError where it is no turn of ours."""
    turn = LoggedTurn(str(given["at"]), str(given.get("request", "")), dict(given["turn"]))
    engines = turn.record.get("spoke", {}).get("engines", {}).values()
    if not (
        all(isinstance(at, int | float) and abs(at) < MAX_TURN_S for at in turn.marks.values())
        and all(isinstance(engine, dict) for engine in engines)
        and isinstance(turn.record["outcome"], str)
        and isinstance(turn.record.get("degradations", []), list)
    ):
        raise TypeError("its values are none of ours")
    return turn
