"""What `voicebot bench` is asked on the command line. Imports nothing heavy before it is run."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..config import Config
    from ..engines import Kind
    from .job import Sound
    from .simulated import Costs

REAL = ("miniature", "random", "configured")
ENGINES = ("simulated", *REAL)
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

    for name, measure, says in (
        ("stt", _stt, "how long recordings take to be written down"),
        ("tts", _tts, "how long texts take to be heard, by length"),
        ("llm", _llm, "how long prompts take to be read, and replies to be written"),
        ("vad", _vad, "how long a window of sound takes to be judged"),
        ("knowledge", _knowledge, "how long documents take to be indexed and searched"),
    ):
        kind = kinds.add_parser(name, help=says, description=says.capitalize() + ".")
        kind.set_defaults(measure=measure)
        _add_alone(kind, name)


PARTS = ("turns", "latency", "listening", "idle", "cycles")


def _add_common(kind: argparse.ArgumentParser) -> None:
    kind.add_argument("--audio", nargs="+", metavar="DIR", help="recorded questions")
    kind.add_argument("--turns", type=_count, metavar="N", help=f"in each session; default {TURNS}")
    kind.add_argument("--sessions", type=_counts, default=[1], metavar="N,N", help="at once")
    kind.add_argument("--plot", metavar="SVG", help="a picture of the first sounds")
    _add_output(kind)
    for name, says in COSTS.items():
        flag = f"--{name.replace('_', '-')}"
        kind.add_argument(flag, type=float, metavar="X", help=f"simulated: {says}")
    kind.add_argument("--reply", metavar="TEXT", help="simulated: what is answered")


def _add_alone(kind: argparse.ArgumentParser, name: str) -> None:
    if name in ("stt", "vad"):
        kind.add_argument("--audio", nargs="+", metavar="DIR", help="recorded questions")
    if name == "stt":
        kind.add_argument(
            "--accuracy",
            nargs="+",
            metavar="DIR",
            help="recordings with their texts: what is wrong?",
        )
        kind.add_argument(
            "--whole", action="store_true", help="--accuracy as `voicebot transcribe` hears them"
        )
    if name in ("stt", "tts", "llm"):
        kind.add_argument("--engines", choices=REAL, default="configured")
        kind.add_argument("--threads", type=_counts, metavar="N,N", help="one after the other")
    if name == "knowledge":
        kind.add_argument("--questions", metavar="DIR", help="a question set in BEIR's layout")
    else:
        kind.add_argument("--sessions", type=_counts, default=[1], metavar="N,N", help="at once")
    says = f"inputs in each session; default {TURNS}, or each once if there are more"
    kind.add_argument("--times", type=_count, metavar="N", help=says)
    _add_output(kind)


def _add_output(kind: argparse.ArgumentParser) -> None:
    kind.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="all figures; without FILE, printed"
    )
    kind.add_argument("--compare", metavar="JSON", help="an earlier run: what has changed?")


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"should be a number from 1 on, not {text!r}")
    return int(text)


def _counts(text: str) -> list[int]:
    return [_count(part) for part in text.split(",")]


def _turn(args: argparse.Namespace, config: Config, models: Path) -> int:
    from . import output, questions, turn

    before = output.prepare(args.compare, args.json, args.plot)
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

    before = output.prepare(args.compare, args.json, args.plot)
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


def _stt(args: argparse.Namespace, config: Config, models: Path) -> int:
    if args.accuracy:
        return _accuracy(args, config, models)
    return _engine("stt", _sounds(args), args, config, models)


def _accuracy(args: argparse.Namespace, config: Config, models: Path) -> int:
    import json

    from ..assistant.assembly import ears
    from . import accuracy, output

    output.prepare(None, args.json)
    with ears(config, models) as listening:
        for line in listening.describe():
            output.tell(line)
        scores = accuracy.measure(listening, args.accuracy, whole=args.whole, tell=output.tell)
    if args.json:
        text = json.dumps({name: score.as_plain() for name, score in scores.items()}, indent=1)
        if args.json == "-":
            print(text)
            return 0
        Path(args.json).write_text(text + "\n", "utf-8")
    print(*accuracy.table(scores), sep="\n")
    return 0


def _tts(args: argparse.Namespace, config: Config, models: Path) -> int:
    from .tts import INPUTS

    return _engine("tts", INPUTS, args, config, models)


def _llm(args: argparse.Namespace, config: Config, models: Path) -> int:
    from .llm import WORDS

    return _engine("llm", WORDS, args, config, models)


def _vad(args: argparse.Namespace, config: Config, models: Path) -> int:
    args.engines, args.threads = "configured", None
    return _engine("vad", _sounds(args), args, config, models)


def _sounds(args: argparse.Namespace) -> tuple[Sound, ...]:
    from . import questions
    from .job import Sound

    asked = questions.read(args.audio or questions.own())
    return tuple(Sound(question.name, question.audio) for question in asked)


def _engine(
    kind: Kind, inputs: tuple[Any, ...], args: argparse.Namespace, config: Config, models: Path
) -> int:
    from . import chosen, output, sweep

    before = output.prepare(args.compare, args.json)
    result = sweep.engine(
        chosen.one(kind, config, args.engines, models),
        inputs,
        config,
        source=args.engines,
        threads=args.threads,
        sessions=args.sessions,
        times=args.times or max(TURNS, len(inputs)),
        tell=output.tell,
    )
    return output.give(result, json_to=args.json, before=before)


def _knowledge(args: argparse.Namespace, config: Config, models: Path) -> int:
    from contextlib import nullcontext

    from . import knowledge, output, sweep

    before = output.prepare(args.compare, args.json)
    own = nullcontext(knowledge.own(config)) if not args.questions else None
    with own or knowledge.beir(Path(args.questions)) as asked:
        job = knowledge.job(asked, args.times or max(TURNS, len(asked.queries)))
        about = {"chosen": [f"documents of {args.questions or asked.folder}"]}
        result = sweep.result([job], config, about, output.tell)
    return output.give(result, json_to=args.json, before=before)


def _costs(args: argparse.Namespace) -> Costs:
    from .simulated import Costs

    given: dict[str, Any] = {
        name: value for name in (*COSTS, "reply") if (value := getattr(args, name)) is not None
    }
    return Costs(**given)
