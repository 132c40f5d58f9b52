"""The figures of a benchmark as people read them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .figures import STAGES, Change

WHAT = {
    "first_audio_ms": "first audio, from the true end of speech",
    "end_of_turn_ms": "decision that the turn has ended",
    "floor_ms": "floor: the engines' own time, end to end",
    "ratio_to_floor": "first audio / floor",
    "ratio_to_floor_and_end_of_turn": "first audio / (floor + decision)",
    "silence_ms": "interruption to silence",
}
PARTS = {
    "start": "until recognition begins",
    "recognition": "recognition",
    "first_token": "first token",
    "first_clause": "first clause",
    "synthesis": "synthesis",
    "gate": "waiting for the decision",
    "network": "network, and all between engines",
}


def lines(result: dict[str, Any]) -> Iterator[str]:
    """A result, as a table."""
    yield about(result)
    for run in result.get("runs", []):
        yield from _rows(run) if "rows" in run else _run(run)
    if left_out := result["settings"].get("left_out"):
        yield ""
        yield left_out
    if rows := result.get("rows"):
        yield ""
        yield f"{'':58} {'measured':>12} {'limit':>10}"
        for row in rows:
            unit = f" {row['unit']}"
            limit = "" if row["limit"] is None else f"{row['limit']:g}{unit}"
            value = "-" if row["value"] is None else f"{row['value']:.4g}{unit}"
            yield f"{row['what']:58} {value:>12} {limit:>10}"


def about(result: dict[str, Any]) -> str:
    """Where and on what it was measured, on one line."""
    commit = f" ({result['commit']})" if result["commit"] else ""
    engines = result["settings"].get("engines", "")
    chosen = result["settings"].get("chosen", [])
    what = f"{engines} engines"
    if len(chosen) == 1:
        what = f"{engines} {chosen[0]}".strip()
    return (
        f"{result['machine']}, Python {result['python']}, voicebot {result['voicebot']}{commit}, "
        f"{what}, load {result['load']}"
    )


def _run(run: dict[str, Any]) -> Iterator[str]:
    many = "1 session" if run["sessions"] == 1 else f"{run['sessions']} sessions at once"
    yield ""
    yield f"{many}, {run['turns']} turns{'':22} {'p50':>8} {'p90':>8} {'p95':>8} {'p99':>8}"
    for name, what in WHAT.items():
        yield from _row(what, run[name], "" if name.startswith("ratio") else " ms")
    for name in STAGES:
        yield from _row(f"  {PARTS[name]}", run["stages_ms"][name], " ms")
    yield (
        f"unanswered {run['unanswered']}, cut in {run['cut_in']}, "
        f"interruptions not heard {run['deaf']}"
    )
    if run["cpu_s"] is not None:
        yield f"{run['cpu_s']:g} s of CPU, {run['peak_mb']:g} MB of memory at most"


def _row(what: str, found: dict[str, float], unit: str) -> Iterator[str]:
    if found:
        form = "8.0f" if unit else "8.2f"
        values = " ".join(f"{found[name]:{form}}" for name in ("p50", "p90", "p95", "p99"))
        yield f"{what:42}{values}{unit}"


def _rows(run: dict[str, Any]) -> Iterator[str]:
    many = "1 session" if run["sessions"] == 1 else f"{run['sessions']} sessions at once"
    threads = f", threads = {run['threads']}" if run["threads"] else ""
    yield ""
    yield f"{many + threads:56} {'p50':>10} {'p95':>10} {'times':>6}"
    for row in run["rows"]:
        middle, high = row.get("p50", row.get("value")), row.get("p95")
        values = f"{_value(middle, row['unit']):>10} {_value(high, row['unit']):>10}"
        yield f"{row['what']:56} {values} {row['count']:6}"


def _value(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return f"{_figures(value)} {unit}".strip()


def _figures(value: float) -> str:
    """Three figures that count, or more before the point."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def change(found: Change | None, against: str) -> str:
    """What `--compare` found, on one line."""
    if found is None:
        return f"against {against}: one of the two holds no answers to compare"
    how = f"{found.turns} {'same questions' if found.paired else 'turns, too few the same to pair'}"
    return (
        f"against {against}: {_signed(found.median)} ms in the median "
        f"(95 % interval {_signed(found.low)} to {_signed(found.high)}, {how}): {found.verdict}"
    )


def _signed(value: float) -> str:
    return f"{'-' if value < 0 else '+'}{_figures(abs(value))}"
