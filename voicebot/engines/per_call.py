"""What may be asked of an engine for one call only, by keyword; it takes any of these or none.

    transcribe(audio, *, language, translate)             a two-letter code; into English
    reply(messages, *, max_tokens, temperature, top_p, tools, must_call)
                                                          a Sequence[Tool] it may call; it must
    synthesize(text, *, voice, speed)                     named as in the settings; 1 is normal

Its method's signature says which it takes, and only what somebody asked for is passed. An engine
that can list its voices has `voices`, a sequence of names.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..errors import ConfigError


class OptionError(ConfigError):
    """An option of one call has a value that the engine does not take."""

    def __init__(self, option: str, reason: str) -> None:
        super().__init__(reason)
        self.option = option

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.option, str(self))


def taken(method: Callable[..., Any]) -> frozenset[str]:
    """The options this method of an engine takes."""
    parameters = inspect.signature(method).parameters.values()
    return frozenset(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
