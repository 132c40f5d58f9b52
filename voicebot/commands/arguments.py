"""Parsers of a command line that say what was probably meant."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from ..spelling import near


class Parser(argparse.ArgumentParser):
    """Names the flag or the choice near to a slip, as the parsers of its subcommands do."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:  # all of it is for the subcommand, whose flags are known here alone
            self._unknown(unknown)
        return found, unknown

    def _unknown(self, unknown: Sequence[str]) -> NoReturn:
        flags = [flag for action in self._actions for flag in action.option_strings]
        first = next((each for each in unknown if each.startswith("-")), "").partition("=")[0]
        meant = near(first, flags) if first else ""
        guess = f"; did you mean {meant}?" if meant else ""
        self.error(f"unrecognized arguments: {' '.join(unknown)}{guess}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            if meant := near(str(value), map(str, action.choices or ())):
                error.message = f"there is no {value!r}; did you mean {meant}?"
            raise


def anywhere(parser: argparse.ArgumentParser) -> None:
    """Let the options of every command stand behind the command's name, too."""
    for flag in ("--config", "--models"):
        parser.add_argument(flag, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    # Under a name of its own: a subcommand's list would take the place of the one before it.
    parser.add_argument(
        "--set", dest="more", action="append", default=argparse.SUPPRESS, help=argparse.SUPPRESS
    )
    parser.add_argument(
        "--verbose", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
    )
