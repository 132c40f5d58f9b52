"""The `voicebot` command: each subcommand is one call.

Modules are imported only by the subcommand that needs them, so that `--help` is instant.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from . import __version__
from .bench import arguments as bench_arguments
from .commands import completion
from .commands.arguments import Parser, anywhere
from .errors import MissingDependency, VoicebotError
from .standard_streams import printable

if TYPE_CHECKING:
    from .config import Config
    from .engines import Kind

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells expect it: 128 + SIGINT."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code. A user's mistake is one line, no traceback."""
    try:
        parser = _parser()
        completion.answer(parser)
        code = _done(parser.parse_args(arguments))
    except KeyboardInterrupt:
        print(file=sys.stderr)
        code = INTERRUPTED
    sys.exit(code)


def _done(args: argparse.Namespace) -> int:
    from .observability.log import BrokenPipeSafeStderr, Log

    if sys.stderr is sys.__stderr__:
        sys.stderr = BrokenPipeSafeStderr()
    try:
        with Log(verbose=args.verbose) as args.log:
            code: int = args.run(args)
        sys.stdout.flush()
    except Exception as error:
        inner = list(_leaves(error))
        if any(isinstance(e, OSError) for e in inner):
            _give_up_stdout()
        if any(isinstance(e, BrokenPipeError) for e in inner):
            return 1  # our reader has seen enough
        known = [e for e in inner if isinstance(e, VoicebotError)]
        # A disk that is full, a folder that is not ours: no mistake of the program's.
        known += [VoicebotError(_told(e)) for e in inner if isinstance(e, OSError)]
        if not known or args.verbose:
            raise
        print(f"voicebot: {printable(str(known[0]))}", file=sys.stderr)
        return known[0].exit_code
    return code


def _give_up_stdout() -> None:
    """If it cannot be written to, or Python would complain once more while it exits."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _told(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename else reason


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors inside nested groups: a conversation's tasks end in a group."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _parser() -> argparse.ArgumentParser:
    parser = Parser("voicebot", description="A voice assistant that runs on your own machine.")
    parser.add_argument("--version", action="version", version=f"voicebot {__version__}")
    parser.add_argument("--config", metavar="FILE", help="settings; default ./voicebot.toml")
    parser.add_argument("--models", metavar="DIR", help="where weights are ($VOICEBOT_MODELS)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE",
        help="a setting that goes before the file's, like server.port=9000",
    )  # fmt: skip
    parser.add_argument("--verbose", action="store_true", help="tell what happens inside")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], says: str) -> Parser:
        added = commands.add_parser(name, help=says, description=f"{says[0].upper()}{says[1:]}.")
        added.set_defaults(run=run)
        anywhere(added)
        return added

    talk = command("talk", _talk, "talk through the microphone and the loudspeaker")
    talk.add_argument("--url", help="a server's, to talk with instead, like ws://host:8124")
    talk.add_argument("--devices", action="store_true", help="list the sound devices and exit")
    talk.add_argument("--input", metavar="DEVICE", help="number or part of a name")
    talk.add_argument("--output", metavar="DEVICE", help="number or part of a name")
    talk.add_argument("--type", action="store_true", help="type instead of speaking")
    talk.add_argument(
        "--mute", action="store_true", help="do not listen while speaking (no headphones)"
    )
    talk.add_argument("--voice", default="", help="another than that of the settings")
    talk.add_argument("--language", default="", metavar="CODE", help="that you speak, like de")

    ask = command("ask", _ask, "ask a recorded or typed question and hear the answer")
    ask.add_argument("question", nargs="?", metavar="FILE", help="any recording; - is stdin")
    ask.add_argument("--text", help="the question, typed")
    ask.add_argument(
        "-o", "--output", metavar="FILE", help="keep the answer (.wav, .mp3, ...); - is stdout"
    )
    ask.add_argument("--json", action="store_true", help="one JSON object per event on stdout")
    ask.add_argument("--model", metavar="NAME", help="one of [llm.models] instead of the usual")

    say = command("say", _say, "read a text aloud, or into a file")
    say.add_argument("words", nargs="*", metavar="TEXT", help="default: standard input")
    say.add_argument("-o", "--output", metavar="FILE", help="a sound file, like x.mp3; - is stdout")
    say.add_argument("--voice", default="", help="another than that of the settings")
    say.add_argument("--model", metavar="NAME", help="one of [tts.models] instead of the usual")

    transcribe = command("transcribe", _transcribe, "write down what was said in recordings")
    transcribe.add_argument("files", nargs="+", metavar="FILE", help="any recording; - is stdin")
    transcribe.add_argument("--format", choices=("txt", "srt", "json"), default="txt")
    transcribe.add_argument("-o", "--output", metavar="DIR", help="one file for each recording")
    transcribe.add_argument(
        "--model", metavar="NAME", help="one of [stt.models] instead of the usual"
    )

    serve = command("serve", _serve, "serve pages, programs and OpenAI's clients from one port")
    serve.add_argument("--host", help="the address to listen at; default 127.0.0.1")
    serve.add_argument("--port", type=int, help="default 8124; 0 takes a free one")
    serve.add_argument(
        "--https", action="store_true", help="with a certificate of its own, made once and kept"
    )
    serve.add_argument("--qr", action="store_true", help="draw the address for a phone's camera")

    keys = command("keys", _keys_list, "let others talk to your server, and no longer")
    key_actions = keys.add_subparsers(metavar="ACTION")  # without one: list
    for name, run, says in (
        ("add", _keys_add, "make a key, show it once and keep its hash"),
        ("list", _keys_list, "list the keys and their limits"),
        ("remove", _keys_remove, "remove a key, so that it opens nothing any more"),
    ):
        added = key_actions.add_parser(name, help=says, description=f"{says.capitalize()}.")
        added.set_defaults(run=run)
        anywhere(added)
        if name != "list":
            added.add_argument("name", metavar="NAME", help="whose it is")

    bench_arguments.add(command("bench", _bench, "measure how fast it answers on this machine"))

    turns = command("turns", _turns, "list the last turns of a log, and where their time went")
    turns.add_argument("file", nargs="?", metavar="FILE", help="default: that of the settings")
    turns.add_argument("--last", type=int, default=10, metavar="N", help="how many; default 10")
    turns.add_argument("--html", metavar="OUT", help="write them as a page instead")
    turns.add_argument("--json", action="store_true", help="print their records, one a line")

    replay = command("replay", _replay, "hold recorded conversations again and show what differs")
    replay.add_argument("path", metavar="FILE", help="of a recording, or a folder of them")
    replay.add_argument("--engines", choices=("recorded", "live"), default="recorded")
    replay.add_argument(
        "--tolerance", type=float, default=0.05, metavar="S", help="default %(default)s seconds"
    )
    replay.add_argument("--json", action="store_true", help="one JSON object per recording")

    command("engines", _engines, "list the engines, what each needs and its settings")
    command("doctor", _doctor, "check packages, weights and sound devices")

    shell = command("completion", _completion, "print what makes a shell complete all this")
    shell.add_argument("shell", choices=completion.SHELLS)

    install = command("install", _install, "install the packages of an engine, for this Python")
    install.add_argument("names", nargs="+", metavar="NAME", help="like whisper, llama, kokoro")
    install.add_argument("--again", action="store_true", help="afresh, where one is damaged")

    models = command("models", _models_list, "list, pull and verify weights")
    actions = models.add_subparsers(metavar="ACTION")  # without one: list

    def action(name: str, run: Callable[[argparse.Namespace], int], says: str) -> Parser:
        added = actions.add_parser(name, help=says, description=f"{says[0].upper()}{says[1:]}.")
        added.set_defaults(run=run)
        anywhere(added)
        return added

    action("list", _models_list, "list the models and profiles")
    pull = action("pull", _models_pull, "get models from their sources, verified")
    pull.add_argument("names", nargs="+", metavar="NAME", help="models, MODEL/FILE or profiles")
    pull.add_argument("--update", action="store_true", help="accept what has changed upstream")
    pull.add_argument("--from", dest="given", metavar="DIR", help="a folder to look into first")
    remove = action("rm", _models_remove, "delete models")
    remove.add_argument("names", nargs="+", metavar="NAME", help="models or profiles")
    verify = action("verify", _models_verify, "compare every file with its known hash")
    verify.add_argument("names", nargs="*", metavar="NAME", help="default: all that are here")
    path = action("path", _models_path, "print where a model is")
    path.add_argument("name", metavar="NAME")
    export = action(
        "export", _models_export, "make an ONNX model of a checkpoint, or a quicker one"
    )
    export.add_argument(
        "name", metavar="NAME", help="kokoro, kokoro-onnx, kokoro-int8, or a folder of your own"
    )
    return parser


def _config(args: argparse.Namespace) -> Config:
    from . import config, overrides

    return config.read(
        config.find(args.config), overrides.given([*args.set, *getattr(args, "more", ())])
    )


def _logged(args: argparse.Namespace) -> Config:
    """The settings, once the log is kept as they say."""
    settings = _config(args)
    args.log.keep(settings.log)
    return settings


def _choosing(args: argparse.Namespace, kind: Kind) -> Config:
    """The settings, with the model that was asked for as the usual one of its kind."""
    settings = _logged(args)
    return settings.choosing(kind, args.model) if args.model else settings


def _folder(args: argparse.Namespace) -> Path:
    from .weights import manifest as weights

    return weights.folder(args.models)


def _talk(args: argparse.Namespace) -> int:
    from .commands import talk

    if args.devices:
        return talk.print_devices()
    settings, models = _logged(args), _folder(args)
    with ExitStack() as beside:
        if not args.url:
            from .commands import offer

            beside.enter_context(
                offer.offered(settings, models, "they talk from the next start on")
            )
        return talk.run(
            settings,
            models,
            input=args.input,
            output=args.output,
            mute=args.mute,
            typing=args.type,
            url=args.url,
            voice=args.voice,
            language=args.language,
        )


def _ask(args: argparse.Namespace) -> int:
    from .commands import ask

    return ask.run(
        _choosing(args, "llm"),
        _folder(args),
        question=args.question,
        text=args.text,
        output=args.output,
        as_lines=args.json,
    )


def _say(args: argparse.Namespace) -> int:
    from .commands import say

    return say.run(
        _choosing(args, "tts"),
        _folder(args),
        words=args.words,
        output=args.output,
        voice=args.voice,
    )


def _transcribe(args: argparse.Namespace) -> int:
    from .transcription import transcribe

    return transcribe.run(
        _choosing(args, "stt"),
        _folder(args),
        files=args.files,
        form=args.format,
        output=args.output,
    )


def _keys_add(args: argparse.Namespace) -> int:
    from .commands import keys as key_commands

    return key_commands.run_add(_config(args), _beside(args), args.name)


def _keys_list(args: argparse.Namespace) -> int:
    from .commands import keys as key_commands

    return key_commands.run_list(_config(args), _beside(args))


def _keys_remove(args: argparse.Namespace) -> int:
    from .commands import keys as key_commands

    return key_commands.run_remove(_config(args), _beside(args), args.name)


def _beside(args: argparse.Namespace) -> Path:
    """The folder of the settings, or this one."""
    from . import config

    path = config.find(args.config)
    return path.parent if path else Path()


def _completion(args: argparse.Namespace) -> int:
    return completion.print_code(args.shell)


def _serve(args: argparse.Namespace) -> int:
    from importlib.util import find_spec

    for package in ("starlette", "uvicorn", "websockets", "python_multipart", "prometheus_client"):
        if find_spec(package) is None:
            raise MissingDependency(f"serve needs {package}; voicebot install server")
    from .commands import offer
    from .server import serve

    settings, models = _logged(args), _folder(args)
    # Only engines that are new are loaded then, and conversations keep those they began with.
    switch = f"kill -HUP {os.getpid()} takes them"
    with offer.offered(settings, models, switch):
        return serve.run(
            settings,
            models,
            lambda: _config(args),
            host=args.host,
            port=args.port,
            https=args.https,
            qr=args.qr,
        )


def _bench(args: argparse.Namespace) -> int:
    measured: int = args.measure(args, _config(args), _folder(args))
    return measured


def _turns(args: argparse.Namespace) -> int:
    from .commands import turns

    file = args.file or _config(args).log.file
    return turns.run(file, last=args.last, page=args.html, as_lines=args.json)


def _replay(args: argparse.Namespace) -> int:
    from .replay import run

    return run.run(
        _config(args),
        _folder(args),
        path=args.path,
        engines=args.engines,
        tolerance=args.tolerance,
        as_lines=args.json,
    )


def _engines(args: argparse.Namespace) -> int:
    from .commands import doctor

    return doctor.list_engines(_folder(args))


def _doctor(args: argparse.Namespace) -> int:
    from . import config
    from .commands import doctor

    return doctor.examine(_config(args), _folder(args), config.find(args.config))


def _install(args: argparse.Namespace) -> int:
    from .commands import install

    return install.run(args.names, again=args.again)


def _models_list(args: argparse.Namespace) -> int:
    from .commands import models

    return models.list_models(_folder(args))


def _models_pull(args: argparse.Namespace) -> int:
    from .commands import models

    return models.pull(args.names, _folder(args), update=args.update, given=args.given)


def _models_remove(args: argparse.Namespace) -> int:
    from .commands import models

    return models.remove(args.names, _folder(args))


def _models_verify(args: argparse.Namespace) -> int:
    from .commands import models

    return models.verify(args.names, _folder(args))


def _models_path(args: argparse.Namespace) -> int:
    from .commands import models

    return models.path(args.name, _folder(args))


def _models_export(args: argparse.Namespace) -> int:
    from .commands import models

    return models.export(args.name, _folder(args))
