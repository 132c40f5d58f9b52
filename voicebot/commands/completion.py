"""Commands, flags and names completed by the shell, by argcomplete.

The shell runs `voicebot` itself, with `_ARGCOMPLETE` set, to hear what may follow.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Callable, Iterator

from ..errors import MissingDependency

SHELLS = ("bash", "zsh", "fish")
ASKED = "_ARGCOMPLETE"
"""The variable by which a shell asks."""


def print_code(shell: str) -> int:
    """Print what makes `shell` complete our commands: source <(voicebot completion bash).

    Raises:
        MissingDependency: argcomplete is not installed.
    """
    try:
        from argcomplete.shell_integration import shellcode
    except ImportError:
        raise MissingDependency(
            "completion needs argcomplete; voicebot install completion"
        ) from None
    print(shellcode(["voicebot"], shell=shell), end="")
    return 0


def answer(parser: argparse.ArgumentParser) -> None:
    """If a shell asks, tell it what may follow and end the process."""
    if ASKED not in os.environ:
        return
    try:
        import argcomplete
    except ImportError:
        raise SystemExit(1) from None
    for path, action in _arguments(parser):
        if known := NAMES.get((*path, action.dest)):
            # argcomplete looks for it there.
            action.completer = lambda known=known, **_: known()  # type: ignore[attr-defined]
    argcomplete.autocomplete(parser, always_complete_options=False)


def _arguments(
    parser: argparse.ArgumentParser, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.Action]]:
    """Each argument with the commands that lead to it."""
    for action in parser._actions:
        yield path, action
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from _arguments(inner, (*path, name))


def _models() -> list[str]:
    from ..weights import manifest as weights

    return [*weights.profiles(), *weights.manifest()]


def _extras() -> list[str]:
    from . import install

    return install.names()


def _settings() -> list[str]:
    from ..config import Config

    return [
        f"{section.name}.{setting.name}="
        for section in dataclasses.fields(Config)
        for setting in dataclasses.fields(getattr(Config(), section.name))
        if setting.name != "options"
    ]


NAMES: dict[tuple[str, ...], Callable[[], list[str]]] = {
    ("set",): _settings,
    ("install", "names"): _extras,
    ("models", "pull", "names"): _models,
    ("models", "rm", "names"): _models,
    ("models", "verify", "names"): _models,
    ("models", "path", "name"): _models,
}
"""Of an argument, by the commands before it: what it may be."""
