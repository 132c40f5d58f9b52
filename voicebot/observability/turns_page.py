"""Turns as one page that needs nothing from anywhere: no script, no font, no picture."""

from __future__ import annotations

import json
from html import escape

from .history import History, LoggedTurn, StageSpan

_HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Turns</title>
<style>
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
article { border-top: 1px solid #8886; padding: .5rem 0 1rem; }
h2 { font-size: 1rem; margin: .5rem 0; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; font-size: .85rem; }
th { text-align: left; font-weight: normal; width: 9rem; }
td:last-child { text-align: right; width: 5rem; font-variant-numeric: tabular-nums; }
i { display: block; height: .8em; margin-left: var(--from); width: var(--to); min-width: 2px;
  background: linear-gradient(90deg, #8886 var(--first), #37c var(--first)); }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .8rem; }
</style>
<h1>Turns</h1>
"""


def html(history: History) -> str:
    """The page, the latest turn first."""
    count = (
        f"<p>{len(history.turns)} turns, the latest first; seconds after the end of speech.</p>\n"
    )
    return _HEAD + count + "".join(_article(turn) for turn in reversed(history.turns)) + "</html>\n"


def _article(turn: LoggedTurn) -> str:
    bars = turn.bars
    whole = max([0.001, *(bar.ends for bar in bars)])
    record = json.dumps(turn.record, indent=1, ensure_ascii=False)
    return (
        f"<article><h2>{escape(turn.at)} {escape(turn.outcome)}<br>{escape(turn.request)}</h2>\n"
        f"<table>{''.join(_row(bar, whole) for bar in bars)}</table>\n"
        f"<details><summary>Record</summary><pre>{escape(record)}</pre></details></article>\n"
    )


def _row(bar: StageSpan, whole: float) -> str:
    length = max(0.0001, bar.ends - bar.begins)
    style = (
        f"--from:{bar.begins / whole:.2%};--to:{length / whole:.2%};"
        f"--first:{(bar.first - bar.begins) / length:.2%}"
    )
    return (
        f'<tr><th scope="row">{escape(bar.name)}</th>'
        f'<td><i style="{style}"></i></td><td>{bar.first:.2f}</td></tr>\n'
    )
