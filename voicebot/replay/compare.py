"""What differs between two stories of one conversation. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any, TypeAlias

Happened: TypeAlias = tuple[float, dict[str, Any]]
"""When, in seconds since the conversation began, and what, as `events.as_json` tells it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One event that is missing, new, or at another time."""

    event: str
    recorded: float | None
    """When it happened; None if it is new."""
    replayed: float | None
    """When it happens now; None if it is missing."""
    marks: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    """The boundaries of a turn that were crossed, and are now, at different times."""

    def __str__(self) -> str:
        if self.replayed is None:
            return f"- {self.recorded:7.2f}  {self.event}"
        if self.recorded is None:
            return f"+ {self.replayed:7.2f}  {self.event}"
        changes = [f"at {self.recorded:.2f}, now {self.replayed:.2f}"]
        changes += [
            f"{name} {_mark(was)}, now {_mark(now)}" for name, (was, now) in self.marks.items()
        ]
        return f"~ {self.replayed:7.2f}  {self.event} ({'; '.join(changes)})"


def differences(
    recorded: Sequence[Happened], replayed: Sequence[Happened], tolerance: float
) -> Iterator[Difference]:
    """
    tolerance: seconds that something may be sooner or later.
    """
    was, now = [[named(told) for _, told in story] for story in (recorded, replayed)]
    for what, i, to_i, j, to_j in SequenceMatcher(None, was, now, autojunk=False).get_opcodes():
        if what == "equal":
            for (at, told), (later, tells) in zip(recorded[i:to_i], replayed[j:to_j], strict=True):
                marks = dict(_marks(told, tells, tolerance))
                if marks or abs(later - at) > tolerance:
                    yield Difference(named(told), at, later, marks)
        else:
            yield from (Difference(named(told), at, None) for at, told in recorded[i:to_i])
            yield from (Difference(named(told), None, at) for at, told in replayed[j:to_j])


def named(told: dict[str, Any]) -> str:
    """What happened, without its times."""
    name = str(told["event"]).replace("_", " ")
    if "passages" in told:
        return f"{name}: {', '.join(str(passage['id']) for passage in told['passages'])}"
    texts = [
        str(told[key]) for key in ("degradation", "stage", "text", "heard", "reason") if key in told
    ]
    return ": ".join([name, *texts]) + (" (preemptive)" if told.get("preemptive") else "")


def _marks(
    was: dict[str, Any], now: dict[str, Any], tolerance: float
) -> Iterator[tuple[str, tuple[float | None, float | None]]]:
    before, after = was.get("marks", {}), now.get("marks", {})
    for name in dict.fromkeys([*before, *after]):
        then, later = before.get(name), after.get(name)
        if then is None or later is None or abs(later - then) > tolerance:
            yield name, (then, later)


def _mark(at: float | None) -> str:
    return "never" if at is None else f"{at:.2f}"
