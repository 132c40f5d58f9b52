"""What a Realtime client sent, as `server.realtime_recorded` wrote it, read again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..server.auth.rate_limits import Limits
from ..server.realtime.dependencies import SessionOptions
from . import amounts


@dataclass(frozen=True, slots=True)
class Appended:
    """A piece of sound that was appended."""

    samples: int
    rate: int


@dataclass(slots=True)
class Sent:
    """Any other message, with the amount of each sound in the place of it."""

    message: dict[str, Any]
    samples: int = 0
    """Of its sounds together, as far as they were taken."""


@dataclass(frozen=True, slots=True)
class Realtime:
    """What a session over the Realtime protocol has of its own."""

    opening: SessionOptions
    takes: frozenset[str]
    """The options that a call of the chat model could have."""
    limits: Limits
    """Those of its key that do not depend on what it used before."""
    given: list[tuple[float, Appended | Sent]] = field(default_factory=list)
    """All that the client sent, and when."""

    def note(self, at: float, line: dict[str, Any]) -> None:
        """Read one more line of it."""
        match line:
            case {"sent": dict(message)}:
                self.given.append((at, Sent(message)))
            case {"appended": pieces, "rate": rate}:
                for then, count in pieces:
                    sound = Appended(amounts.samples(count, rate), rate)
                    self.given.append((amounts.seconds(then), sound))
            case {"sounds": pieces, "rate": rate}:
                _, last = self.given[-1]
                if not isinstance(last, Sent):
                    raise ValueError(line)
                last.samples += sum(amounts.samples(n, rate) for _, n in pieces)
            case _:
                raise ValueError(line)


def begun(about: dict[str, Any]) -> Realtime:
    """As the first line of a recording has it."""
    opening = SessionOptions(
        list(about["changes"]),
        bool(about["speaks_beta"]),
        str(about["root"]),
        bool(about["has_track"]),
    )
    limits = Limits(utterance_s=int(about["utterance_s"]))
    return Realtime(opening, frozenset(about["takes"]), limits)
