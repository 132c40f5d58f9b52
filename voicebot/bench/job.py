"""What one process is to measure, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from ..audio import Audio


@dataclass(frozen=True, slots=True)
class Job:
    """One engine, what it is given, and how often."""

    what: str
    """The module of this package that measures it: "stt", "tts", "llm", "vad" or "knowledge"."""
    engine: str
    options: dict[str, Any]
    """Keyword arguments of its constructor."""
    inputs: tuple[Any, ...]
    """What it is given, one after the other, again and again."""
    times: int
    """How often each session gives it one."""
    sessions: int = 1
    """How many do so at once."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A recording that an engine is given."""

    name: str
    audio: Audio


@dataclass(frozen=True, slots=True)
class Reading:
    """One value that goes into a row of the table."""

    what: str
    """The row."""
    unit: str
    """ "ms", "x", "MB", "s", "%", "/s" or nothing."""
    of: str
    """The input it was read of; a later run's reading of the same is compared with it."""
    value: float


@dataclass(frozen=True, slots=True)
class Done:
    """What came of giving an engine one input."""

    readings: list[Reading]
    made: float
    """How much of what it makes: seconds of sound, tokens, searches."""


class Bench(Protocol):
    """How engines of one kind are measured; a module of this package is one."""

    LOADS: str
    """What loading is called in the table."""
    FIRST: str
    """What its first output is called."""
    MADE: tuple[str, str]
    """What is made in a second is called, and its unit."""

    def load(self, job: Job) -> Any:
        """The engine. Raises as its constructor."""

    async def first(self, engine: Any, given: Any) -> None:
        """Return once the engine has given its first output."""

    async def once(self, engine: Any, given: Any, nth: int) -> Done:
        """Give the engine one input. `nth` is another in every call of a process."""
