"""From turns and readings to figures: percentiles, where the time went, what changed. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .job import Reading
from .simulated import Costs
from .trial import Turn

PERCENTILES = (50, 90, 95, 99)
RESAMPLES = 10_000
"""Draws of a bootstrap: the ends of a 95 % interval then move by less than a twentieth of it."""
DRAWN = 3_000_000
"""Values drawn for them in all: where there are many values fewer draws do, and the rest would
fill the memory."""
PAIRS = 5
"""Fewer turns in common tell nothing in pairs."""
STAGES = ("start", "recognition", "first_token", "first_clause", "synthesis", "gate", "network")
"""Where the time between the end of speech and the first sound goes, one after the other."""

Floor = Callable[[Turn], float | None]


@dataclass(frozen=True, slots=True)
class Usage:
    """What processes took."""

    cpu_s: float
    peak_mb: float
    """Resident memory, at its highest in each of them."""


def declared(costs: Costs) -> Floor:
    """The floor of engines whose costs are declared; see `Costs.floor`."""
    return lambda turn: costs.floor(turn.clause) if turn.clause else None


def measured(turn: Turn) -> float | None:
    """The floor of real engines: what recognition, first token, first clause and synthesis of this
    very turn took, laid end to end from the true end of speech on, with nothing in between."""
    spent = stages(turn)
    if not spent:
        return None
    return sum(spent[name] for name in ("recognition", "first_token", "first_clause", "synthesis"))


def stages(turn: Turn) -> dict[str, float]:
    """Seconds in each of STAGES; their sum is `turn.first_audio`. Empty where it is not known.

    start: from the true end of speech until recognition begins.
    first_clause: from the first token until the first clause is given to the synthesizer.
    gate: how long finished sound waits until the user is known to have finished.
    network: all that lies between engines: the way of their answers and ours, and our own work.
    """
    marks, end = turn.marks, turn.end_of_turn
    needed = ("stt.begun", "stt.done", "llm.begun", "llm.first", "tts.begun", "tts.first")
    if turn.first_audio is None or end is None or not all(name in marks for name in needed):
        return {}
    begun, done, asked, first, given, made = (marks[name] for name in needed)
    gate = max(0.0, end - made)
    spent = {
        "start": begun,
        "recognition": done - begun,
        "first_token": first - asked,
        "first_clause": given - first,
        "synthesis": made - given,
        "gate": gate,
    }
    return {**spent, "network": turn.first_audio - sum(spent.values())}


def percentiles(values: Iterable[float]) -> dict[str, float]:
    """ "p50", "p90", "p95" and "p99", in thousandths of the values' unit; empty without values.

    Between two values they are interpolated, as numpy does.
    """
    known = list(values)
    if not known:
        return {}
    found = np.percentile(known, PERCENTILES)
    return {
        f"p{n}": round(float(value) * 1000, 1) for n, value in zip(PERCENTILES, found, strict=True)
    }


def summary(turns: Sequence[Turn], floor: Floor, sessions: int, usage: Usage | None) -> Any:
    """One run as JSON's values: milliseconds, but for ratios, counts and what it took."""
    heard = [turn for turn in turns if turn.first_audio is not None]
    floors = [(turn, low) for turn in heard if (low := floor(turn)) is not None]
    ends = [turn.end_of_turn for turn in heard if turn.end_of_turn is not None]
    spent = [stages(turn) for turn in heard]
    both = [(t, low, t.end_of_turn) for t, low in floors if t.end_of_turn is not None]
    return {
        "sessions": sessions,
        "turns": len(turns),
        "unanswered": sum(t.first_audio is None and not t.cut_in for t in turns),
        "cut_in": sum(turn.cut_in for turn in turns),
        "first_audio_ms": percentiles(_first(turn) for turn in heard),
        "end_of_turn_ms": percentiles(ends),
        "floor_ms": percentiles(low for _, low in floors),
        "ratio_to_floor": _ratios(_first(turn) / low for turn, low in floors),
        "ratio_to_floor_and_end_of_turn": _ratios(_first(t) / (low + end) for t, low, end in both),
        "stages_ms": {name: percentiles(s[name] for s in spent if s) for name in STAGES},
        "silence_ms": percentiles(t.silence for t in turns if t.silence is not None),
        "deaf": sum(turn.deaf for turn in turns),
        "cpu_s": usage and round(usage.cpu_s, 2),
        "peak_mb": usage and round(usage.peak_mb, 1),
        "each": [_one(turn, floor(turn)) for turn in turns],
    }


def _first(turn: Turn) -> float:
    assert turn.first_audio is not None
    return turn.first_audio


def _ratios(values: Iterable[float]) -> dict[str, float]:
    return {name: round(value / 1000, 3) for name, value in percentiles(values).items()}


def _one(turn: Turn, floor: float | None) -> dict[str, Any]:
    return {
        "question": turn.question,
        "first_audio_ms": _ms(turn.first_audio),
        "end_of_turn_ms": _ms(turn.end_of_turn),
        "floor_ms": _ms(floor),
        "silence_ms": _ms(turn.silence),
        "cut_in": turn.cut_in,
        "clause": turn.clause,
        "stages_ms": {name: _ms(value) for name, value in stages(turn).items()},
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


@dataclass(frozen=True, slots=True)
class Change:
    """How much later something comes than before, in milliseconds."""

    median: float
    low: float
    high: float
    """The ends of the interval in which the true median lies, 19 times in 20."""
    turns: int
    paired: bool
    """The same questions were compared with themselves."""

    @property
    def verdict(self) -> str:
        if self.low > 0:
            return "slower"
        return "faster" if self.high < 0 else "no change that noise would not explain"


def compare(before: Sequence[dict[str, Any]], now: Sequence[dict[str, Any]]) -> Change | None:
    """What changed between two runs' `each`; None where one of them has no answer at all."""
    old, new = (
        timed((turn["question"], turn["first_audio_ms"]) for turn in each) for each in (before, now)
    )
    return changed(old, new) if old and new else None


def compare_rows(
    before: Sequence[dict[str, Any]], now: Sequence[dict[str, Any]]
) -> dict[str, Change]:
    """What changed between two runs' rows, by row: of those in milliseconds that both have, with
    enough values to tell."""
    rows = {row["what"]: timed(row["each"]) for row in before if row["unit"] == "ms"}
    return {
        row["what"]: changed(old, new)
        for row in now
        if (old := rows.get(row["what"])) and len(old) >= PAIRS
        if len(new := timed(row["each"])) >= PAIRS
    }


def changed(old: Mapping[Hashable, float], new: Mapping[Hashable, float]) -> Change:
    """What changed between two runs that are not empty, in values by what they were measured of.

    What was measured in both is paired: most of what differs between turns is the questions.
    Where too little was, medians are compared.
    """
    random = np.random.default_rng(0)
    common = [key for key in new if key in old]
    if len(common) >= PAIRS:
        differences = np.array([new[key] - old[key] for key in common])
        drawn = np.median(random.choice(differences, _draws(differences)), 1)
        median = float(np.median(differences))
    else:
        a, b = np.array(list(old.values())), np.array(list(new.values()))
        draws = min(_draws(a)[0], _draws(b)[0])
        drawn = np.median(random.choice(b, (draws, len(b))), 1)
        drawn -= np.median(random.choice(a, (draws, len(a))), 1)
        median = float(np.median(b) - np.median(a))
    low, high = np.percentile(drawn, [2.5, 97.5])
    paired = len(common) >= PAIRS
    return Change(median, float(low), float(high), len(common) if paired else len(new), paired)


def _draws(values: NDArray[np.float64]) -> tuple[int, int]:
    return min(RESAMPLES, DRAWN // len(values) + 1), len(values)


def timed(values: Iterable[tuple[str, float | None]]) -> dict[Hashable, float]:
    """Those that are there, by name and by how many times the name had come before."""
    times: dict[str, int] = {}
    found: dict[Hashable, float] = {}
    for name, value in values:
        times[name] = times.get(name, 0) + 1
        if value is not None:
            found[name, times[name]] = float(value)
    return found


def rows(readings: Iterable[Reading]) -> list[dict[str, Any]]:
    """The rows that readings make, in the order in which they first come.

    Of each the median and what 95 in 100 keep to, interpolated: rates ("/s") are above it, all
    else below. Of shares ("%") the mean, of a single value itself. `each` holds what the row was
    made of.
    """
    found: dict[tuple[str, str], list[Reading]] = {}
    for reading in readings:
        found.setdefault((reading.what, reading.unit), []).append(reading)
    made = []
    for (what, unit), group in found.items():
        values = [reading.value for reading in group]
        middle = np.mean(values) if unit == "%" else np.median(values)
        kept = 5 if unit == "/s" else 95
        spread = unit != "%" and len(values) > 1
        made.append(
            {
                "what": what,
                "unit": unit,
                "p50" if spread else "value": _short(float(middle)),
                **({"p95": _short(float(np.percentile(values, kept)))} if spread else {}),
                "count": len(values),
                "each": [(reading.of, _short(reading.value)) for reading in group],
            }
        )
    return made


def _short(value: float) -> float:
    return float(f"{value:.5g}")
