"""Settings that go before those of the file: environment variables, and `--set`.

`VOICEBOT_SERVER__PORT=9000` and `--set server.port=9000` both mean `port = 9000` in `[server]`, as
`VOICEBOT_STT__MODELS__SMALL__ENGINE` and `stt.models.small.engine` do in `[stt.models.small]`. The
value is TOML; text may stand without its quotes. `--set` goes before a variable.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .errors import ConfigError

PREFIX = "VOICEBOT_"
BETWEEN = "__"
"""Between section and setting, in a variable's name: both may hold single ones."""


@dataclass(frozen=True, slots=True)
class Override:
    """One setting that goes before the file, and where it came from."""

    section: str
    key: str
    """Its setting; of one of its models, "models.NAME.setting"."""
    text: str
    """The value as it was written."""
    source: str
    """What an error calls it: the variable's name, or the flag with its argument."""

    @property
    def value(self) -> object:
        """The value as TOML has it, or the bare text where that is none."""
        try:
            table = tomllib.loads(f"value = {self.text}")
        except (tomllib.TOMLDecodeError, RecursionError):
            return self.text
        # A new line in the text would begin another setting.
        return table["value"] if table.keys() == {"value"} else self.text


def given(flags: Sequence[str], environment: Mapping[str, str] = os.environ) -> list[Override]:
    """What variables and `--set` say, the last word last.

    Raises:
        ConfigError: a flag or a variable names no section and setting.
    """
    return [*_variables(environment), *map(_flag, flags)]


def _variables(environment: Mapping[str, str]) -> list[Override]:
    found = []
    for name, text in sorted(environment.items()):
        if not name.startswith(PREFIX) or BETWEEN not in name:
            continue  # VOICEBOT_MODELS and VOICEBOT_KEY are no settings
        section, _, key = name.removeprefix(PREFIX).lower().partition(BETWEEN)
        if not section or not key:
            raise ConfigError(f"{name} should look like {PREFIX}SERVER{BETWEEN}PORT")
        found.append(Override(section, key.replace(BETWEEN, "."), text, name))
    return found


def _flag(flag: str) -> Override:
    name, equals, text = flag.partition("=")
    section, _, key = name.strip().partition(".")
    if not (equals and section and key):
        raise ConfigError(f"--set {flag} should look like --set server.port=9000")
    return Override(section, key, text.strip(), f"--set {flag}")
