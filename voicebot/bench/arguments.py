"""What `voicebot bench` is asked on the command line. Imports nothing heavy before it is run."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..config import Config
    from .simulated import Costs

ENGINES = ("simulated", "miniature", "random", "configured")
COSTS = {
    "recognition_s": "until the transcript, once it has the utterance",
    "first_token_s": "until the first token",
    "tokens_per_s": "after the first; a word is one",
    "synthesis": "work for a second of sound, in seconds",
    "character_s": "of sound in a character",
}
TURNS = 20
"""Turns in a session unless told otherwise: two minutes."""

Run = Callable[[argparse.Namespace, "Config", Path], int]


def add(bench: argparse.ArgumentParser) -> None:
    """Give `voicebot bench` its measurements. Each sets `measure`, which is called to run it."""
    kinds = bench.add_subparsers(metavar="WHAT", required=True)
    for name, measure, says in (
        ("turn", _turn, "from the end of speech to the first sound, in this process"),
        ("server", _server, "the same from outside, by a client of `voicebot serve`"),
    ):
        kind = kinds.add_parser(name, help=says, description=says.capitalize() + ".")
        kind.set_defaults(measure=measure)
        _add_common(kind)
        if name == "turn":
            kind.add_argument("--engines", choices=ENGINES, default="simulated")
        else:
            kind.add_argument(
                "--only", metavar="PART", action="append", choices=PARTS, help=", ".join(PARTS)
            )
            kind.add_argument("--cycles", type=_count, default=1000, help="default %(default)s")


PARTS = ("turns", "latency", "listening", "idle", "cycles")


def _add_common(kind: argparse.ArgumentParser) -> None:
    kind.add_argument("--audio", nargs="+", metavar="DIR", help="recorded questions")
    kind.add_argument("--turns", type=_count, metavar="N", help=f"in each session; default {TURNS}")
    kind.add_argument("--sessions", type=_counts, default=[1], metavar="N,N", help="at once")
    kind.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="all figures; without FILE, printed"
    )
    kind.add_argument("--plot", metavar="SVG", help="a picture of the first sounds")
    kind.add_argument("--compare", metavar="JSON", help="an earlier run: what has changed?")
    for name, says in COSTS.items():
        flag = f"--{name.replace('_', '-')}"
        kind.add_argument(flag, type=float, metavar="X", help=f"simulated: {says}")
    kind.add_argument("--reply", metavar="TEXT", help="simulated: what is answered")


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"should be a number from 1 on, not {text!r}")
    return int(text)


def _counts(text: str) -> list[int]:
    return [_count(part) for part in text.split(",")]


def _turn(args: argparse.Namespace, config: Config, models: Path) -> int:
    from . import output, questions, turn

    before = output.earlier(args.compare)
    asked = questions.read(args.audio or questions.own())
    result = turn.measure(
        config,
        models,
        asked,
        engines=args.engines,
        costs=_costs(args),
        turns=args.turns or max(TURNS, len(asked)),
        sessions=args.sessions,
        tell=output.tell,
    )
    return output.give(result, json_to=args.json, plot_to=args.plot, before=before)


def _server(args: argparse.Namespace, config: Config, models: Path) -> int:
    from . import output, questions, server

    before = output.earlier(args.compare)
    asked = questions.read(args.audio or questions.own())
    result = server.measure(
        config,
        asked,
        costs=_costs(args),
        turns=args.turns or max(TURNS, len(asked)),
        sessions=args.sessions,
        parts=args.only or PARTS,
        cycles=args.cycles,
        tell=output.tell,
    )
    return output.give(result, json_to=args.json, plot_to=args.plot, before=before)


def _costs(args: argparse.Namespace) -> Costs:
    from .simulated import Costs

    given: dict[str, Any] = {
        name: value for name in (*COSTS, "reply") if (value := getattr(args, name)) is not None
    }
    return Costs(**given)
