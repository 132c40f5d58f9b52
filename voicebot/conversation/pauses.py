"""How long the pause is that a punctuation mark means. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import ConfigError

Pause = Literal["", "comma", "stop", "paragraph"]
"""What is between two pieces of a text; "" where it was cut in mid-phrase."""

_COMMAS = ",;:，、；：—–-"
_CLOSING = "\"'”’)]」』*_ "


@dataclass(frozen=True, slots=True)
class SpeechSettings:
    """The pauses between the pieces of an answer; those within a piece are the voice's."""

    comma_ms: int = 200
    """Silence at a comma, a colon, a semicolon and a dash."""
    stop_ms: int = 420
    """Silence at the end of a sentence or of a line."""
    paragraph_ms: int = 700
    """Silence before a new paragraph."""

    def __post_init__(self) -> None:
        for name in ("comma_ms", "stop_ms", "paragraph_ms"):
            if not 0 <= getattr(self, name) <= 5000:
                raise ConfigError(
                    f"[speech] {name} should be from 0 to 5000, not {getattr(self, name)}"
                )

    def seconds(self, pause: Pause) -> float:
        if not pause:
            return 0.0
        milliseconds: int = getattr(self, f"{pause}_ms")
        return milliseconds / 1000


def after(text: str) -> Pause:
    """The pause that a piece of text ends with, as far as its own end shows."""
    return "comma" if text.rstrip(_CLOSING)[-1:] in tuple(_COMMAS) else "stop"
