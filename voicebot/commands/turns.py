"""`voicebot turns`: what became of the last turns, and where their time went."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..observability import turns_page
from ..observability.history import History, LoggedTurn, read
from ..standard_streams import printable

NARROWEST = 20
"""Columns of a bar, however narrow the terminal is."""
_DIM, _BOLD, _PLAIN = "\x1b[2m", "\x1b[1m", "\x1b[0m"


def run(log: str, *, last: int, page: str | None, as_lines: bool) -> int:
    """Show the last turns in `log`; return the exit code.

    page: write them to this file as a page instead. as_lines: print their records instead.

    Raises:
        ConfigError: there is no log, or the page cannot be written.
        InputError: the log cannot be read.
    """
    if not log:
        raise ConfigError("turns needs the FILE of a log, or [log] file in the settings")
    if last < 1:
        raise ConfigError(f"--last should be at least 1, not {last}")
    history = read(Path(log), last)
    if history.broken:
        print(f"{history.broken} broken lines were passed over", file=sys.stderr)
    if page:
        _write(Path(page), turns_page.html(history), Path(log))
    elif as_lines:
        for turn in history.turns:
            line = {"at": turn.at, "request": turn.request, **turn.record}
            text = printable(json.dumps(line, ensure_ascii=False))
            print(text.encode(errors="backslashreplace").decode())  # which is how JSON has it too
    else:
        for text in _shown(history, shutil.get_terminal_size().columns, sys.stdout.isatty()):
            print(text)
    return 0


def _write(page: Path, html: str, log: Path) -> None:
    try:
        if page.exists() and page.samefile(log):
            raise ConfigError(f"--html {page} would overwrite the log itself")
        page.write_text(html, "utf-8", errors="backslashreplace")
    except OSError as error:
        raise ConfigError(f"{page} cannot be written ({error.strerror})") from error
    print(page)


def _shown(history: History, columns: int, colours: bool) -> Iterator[str]:
    """The lines that show them, each at most so wide."""
    if not history.turns:
        yield "no turns yet"
    for turn in history.turns:
        title = f"{turn.at}  {turn.request}  {turn.outcome}"
        yield _styled(title, columns, _BOLD if colours else "")
        for about in _about(turn):
            yield _styled(f"  {about}", columns, _DIM if colours else "")
        yield from (f"  {_printable(line)}" for line in waterfall(turn, columns - 2))
        yield ""


def _styled(text: str, columns: int, style: str) -> str:
    text = _printable(text)[:columns]
    return f"{style}{text}{_PLAIN}" if style else text


def _printable(text: str) -> str:
    # A log is text of strangers: a terminal must not obey it.
    return "".join(c if c.isprintable() else " " for c in text)


def _about(turn: LoggedTurn) -> Iterator[str]:
    for name in ("heard", "said", "reached"):
        if value := turn.record.get(name):
            yield f"{name}: {said(value)}"
    if degradations := turn.record.get("degradations"):
        yield f"degraded: {', '.join(map(str, degradations))}"
    if spoke := spoken_by(turn):
        yield f"by {spoke}"


def said(value: Any) -> str:
    """What was said, or how much where that was not written down."""
    return f"{value.get('words', '?')} words" if isinstance(value, dict) else str(value)


def spoken_by(turn: LoggedTurn) -> str:
    """Engines, voice and seed, shortly."""
    spoke: dict[str, Any] = turn.record.get("spoke", {})
    engines = spoke.get("engines", {})
    names = [
        " ".join(str(engine[name]) for name in ("engine", "model") if engine.get(name))
        for engine in engines.values()
    ]
    return ", ".join(
        [*names, *(f"{told} {spoke[told]}" for told in ("voice", "seed") if told in spoke)]
    )


def waterfall(turn: LoggedTurn, columns: int) -> Iterator[str]:
    """Each stage as a bar: dots until its first result, hashes while more comes."""
    bars = turn.bars
    name = max((len(bar.name) for bar in bars), default=0)
    width = max(NARROWEST, columns - name - 9)
    scale = (width - 1) / max([0.001, *(bar.first for bar in bars)])
    for bar in bars:
        start, first, end = (round(at * scale) for at in (bar.begins, bar.first, bar.ends))
        drawn = " " * start + "." * (first - start) + "#" * (1 + end - first)
        yield f"{bar.name:{name}} {drawn:{width}} {bar.first:6.2f}"
