"""First sounds as a picture: how many turns had one after how long, and where the time went."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from .figures import STAGES
from .report import PARTS, about

WIDTH, HEIGHT, LEFT, TOP = 720, 220, 60, 50
COLOURS = ("#0b5cad", "#c2410c", "#15803d", "#7c3aed", "#a16207", "#0f766e", "#be185d")


def svg(result: dict[str, Any]) -> str:
    """An SVG file: for each run a line of turns answered by then, below it the median stages."""
    runs = [run for run in result["runs"] if run["first_audio_ms"]]
    most = max((run["first_audio_ms"]["p99"] for run in runs), default=1000.0)
    scale = (WIDTH - LEFT - 20) / (-(-most // 250) * 250)
    height = TOP + HEIGHT + 70 + 26 * len(runs) + 20 * len(STAGES)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            'font-family="sans-serif" font-size="12">',
            '<rect width="100%" height="100%" fill="white"/>',
            _text(LEFT, 18, "turns answered, by time since the true end of speech"),
            _text(LEFT, 34, about(result)),
            *_axes(most, scale),
            *(part for i, run in enumerate(runs) for part in _run(run, i, scale)),
            *_legend(TOP + HEIGHT + 60 + 26 * len(runs)),
            "</svg>",
            "",
        ]
    )


def _axes(most: float, scale: float) -> Iterator[str]:
    for share in (0, 50, 95, 100):
        y = TOP + HEIGHT * (1 - share / 100)
        yield _line(LEFT, y, WIDTH - 20, y, "#ddd")
        yield _text(10, y + 4, f"{share} %")
    ms = 0.0
    while ms <= most + 250:
        x = LEFT + ms * scale
        if x <= WIDTH - 20:
            yield _line(x, TOP + HEIGHT, x, TOP + HEIGHT + 5, "#888")
            yield _text(x - 12, TOP + HEIGHT + 18, f"{ms / 1000:g} s")
        ms += 250


def _run(run: dict[str, Any], i: int, scale: float) -> Iterator[str]:
    colour = COLOURS[i % len(COLOURS)]
    times = sorted(t["first_audio_ms"] for t in run["each"] if t["first_audio_ms"] is not None)
    points, y = [], float(TOP + HEIGHT)
    for n, ms in enumerate(times, 1):
        # Those after the last percentile would draw the picture out for one turn.
        x = min(LEFT + ms * scale, WIDTH - 20)
        points += [f"{x:.1f},{y:.1f}"]
        y = TOP + HEIGHT * (1 - n / len(times))
        points += [f"{x:.1f},{y:.1f}"]
    yield f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{" ".join(points)}"/>'
    if floor := run["floor_ms"]:
        x = LEFT + floor["p50"] * scale
        yield _line(x, TOP, x, TOP + HEIGHT, colour, 'stroke-dasharray="4 4"')
        yield _text(x + 4, TOP + 12 + 14 * i, f"floor, {run['sessions']} at once")
    y, x = TOP + HEIGHT + 40.0 + 26 * i, float(LEFT)
    yield _text(10, y + 12, f"{run['sessions']} x")
    for stage, fill in zip(STAGES, COLOURS, strict=True):
        width = max(0.0, run["stages_ms"][stage].get("p50", 0.0)) * scale
        yield f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="16" fill="{fill}"/>'
        x += width


def _legend(y: float) -> Iterator[str]:
    for i, (stage, fill) in enumerate(zip(STAGES, COLOURS, strict=True)):
        yield f'<rect x="{LEFT}" y="{y + 20 * i - 10}" width="12" height="12" fill="{fill}"/>'
        yield _text(LEFT + 20, y + 20 * i, f"{PARTS[stage]}, median")


def _line(x: float, y: float, to_x: float, to_y: float, colour: str, more: str = "") -> str:
    return (
        f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" '
        f'stroke="{colour}" {more}/>'
    )


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
