"""Where the figures of a benchmark go: a table, a file of JSON, a picture, a comparison."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from . import plot, report
from .figures import compare, compare_rows


@dataclass(frozen=True, slots=True)
class Earlier:
    """A run of before, to compare with."""

    path: str
    runs: list[dict[str, Any]]
    about: dict[str, Any]
    """What it was measured on and with."""


def tell(line: str) -> None:
    """Tell people how it goes."""
    print(line, file=sys.stderr, flush=True)


def prepare(compare: str | None, *files: str | None) -> Earlier | None:
    """What --json kept in `compare`, once it is sure that it can be compared and these files can
    be written: otherwise the figures would be lost for which one has waited.

    Raises:
        ConfigError: one of them cannot.
    """
    before = None if compare is None else _earlier(compare)
    for path in files:
        if path and path != "-":
            try:
                Path(path).open("a").close()
            except OSError as error:
                raise _unwritable(path, error) from error
    return before


def _earlier(path: str) -> Earlier:
    try:
        result = json.loads(Path(path).read_text("utf-8"))
        before = Earlier(path, list(result["runs"]), _about(result))
        [*_changes(before.runs, before)]  # which finds out whether it can be compared
    except OSError as error:
        raise ConfigError(f"--compare {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"--compare {path}: no result of voicebot bench --json") from error
    return before


def give(
    result: dict[str, Any],
    *,
    json_to: str | None,
    before: Earlier | None,
    plot_to: str | None = None,
) -> int:
    """Print the figures, or write them where they are wanted; return the exit code.

    It is 0 whatever they are: this measures, and does not judge.

    Raises:
        ConfigError: a file cannot be written.
    """
    out = sys.stderr if json_to == "-" else sys.stdout
    print(*report.lines(result), sep="\n", file=out)
    if before:
        about, then = _about(result), before.about
        if other := [name for name in about if name in then and about[name] != then[name]]:
            print(f"against {before.path}: with other {', '.join(other)}", file=out)
        nothing = f"against {before.path}: nothing was measured in both"
        print(*([*_changes(result["runs"], before)] or [nothing]), sep="\n", file=out)
    text = json.dumps(result, indent=1, ensure_ascii=False)
    if json_to == "-":
        print(text)
    elif json_to:
        _write(json_to, text + "\n")
    if plot_to:
        _write(plot_to, plot.svg(result))
    return 0


def _about(result: dict[str, Any]) -> dict[str, Any]:
    settings = {**result.get("settings", {})}
    for little in ("left_out", "times"):
        settings.pop(little, None)
    names = ("machine", "python", "packages")
    return settings | {name: result[name] for name in names if name in result}


def _changes(runs: list[dict[str, Any]], before: Earlier) -> Iterator[str]:
    now = {_place(run): run for run in runs}
    for old in before.runs:
        run = now.get(_place(old))
        if run is None:
            continue
        against = f"{before.path}, {old['sessions']} at once"
        if "each" in run:
            yield report.change(compare(old["each"], run["each"]), against)
        else:
            threads = f", threads = {run['threads']}" if run["threads"] else ""
            for what, change in compare_rows(old["rows"], run["rows"]).items():
                yield report.change(change, f"{against}{threads}, {what}")


def _place(run: dict[str, Any]) -> tuple[Any, ...]:
    """What two runs that can be compared have in common."""
    return run["sessions"], run.get("threads"), "rows" in run


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, "utf-8")
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: str, error: OSError) -> ConfigError:
    return ConfigError(f"{path}: cannot be written ({error.strerror})")
