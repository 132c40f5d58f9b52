"""What can happen in a conversation, in the order it usually does.

The terminal, the log, the page and the tests all read the same events.
Times are seconds on the microphone's own clock: samples received / rate.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from typing import Any

from .audio import Audio


@dataclass(frozen=True, slots=True)
class Utterance:
    """One thing the user said, with a little silence before it."""

    audio: Audio
    start: float
    end: float
    """When the last speech was heard; `audio` goes on a little longer."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of one of the user's documents."""

    id: str
    """Stable while the document's text is: "lease.md#3"."""
    text: str
    score: float = 0.0
    """How well it fits the question; higher is better, comparable within one search only."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The user began to speak, `at` seconds on the microphone's clock."""

    at: float


@dataclass(frozen=True, slots=True)
class SpeechPaused:
    """Quiet for a moment: perhaps the user has finished, so an answer is begun behind the gate."""

    utterance: Utterance


@dataclass(frozen=True, slots=True)
class SpeechResumed:
    """The pause was not the end: what was begun is dropped, what was said is kept."""

    at: float


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The user has finished an utterance."""

    utterance: Utterance


@dataclass(frozen=True, slots=True)
class InterimTranscript:
    """What was understood so far of a question that may go on; the next one replaces it."""

    text: str


@dataclass(frozen=True, slots=True)
class Transcript:
    """The user's question as it was understood."""

    text: str


@dataclass(frozen=True, slots=True)
class Passages:
    """What of the user's documents the reply may draw on, best first."""

    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class ClauseSpoken:
    """A clause of the reply, as its first sound goes to the speaker."""

    text: str


@dataclass(frozen=True, slots=True)
class Degraded:
    """The turn degraded the answer to meet its deadline."""

    degradation: str
    preemptive: bool = False
    """Applied up front because recent turns were late."""
    at: float = 0.0
    """Seconds after the user stopped speaking."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The user spoke over the reply; `heard` is the part that reached them."""

    heard: str


@dataclass(frozen=True, slots=True)
class ReplyResumed:
    """What was said over the reply held no words: a new turn says the rest of it."""


@dataclass(frozen=True, slots=True)
class Failed:
    """An engine could not do its work; the turn ends, the conversation goes on."""

    stage: str
    reason: str
    kind: str = "failed"
    """As `EngineError.kind` has it."""


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """An answer was heard to its end, interrupted, or failed."""

    marks: dict[str, float]
    """Seconds after the user stopped speaking, by boundary name, in the order crossed."""
    spoke: dict[str, Any] = field(default_factory=dict)
    """What it was heard, answered and spoken with: the seed, where the chat model told one, and
    the rest where an account is kept: see observability.provenance."""
    began: float = 0.0
    """When the answer was begun, by the same clock as the marks."""
    ended: float = 0.0
    """When it was over: now."""
    tokens: tuple[int, int] | None = None
    """That the chat model read, and wrote, where it counts them."""
    gaps: dict[str, list[int]] = field(default_factory=dict)
    """Per engine, histogram counts of the gaps between chunks: see conversation.timeline."""
    amounts: dict[str, float] = field(default_factory=dict)
    """What else the engines were given and gave: see conversation.timeline."""
    finish: str = ""
    """Why the reply ended: "stop", "length" at the model's limit, "tool_calls", or "repetition",
    from where on it only repeated itself; empty where it has not, or nobody told."""
    outcome: str = ""
    """What has come of it, where an account is kept: see observability.turn_log."""


Event = (
    SpeechStarted
    | SpeechPaused
    | SpeechResumed
    | SpeechEnded
    | InterimTranscript
    | Transcript
    | Passages
    | ClauseSpoken
    | Degraded
    | Interrupted
    | ReplyResumed
    | Failed
    | TurnEnded
)


def as_json(event: Event) -> dict[str, Any]:
    """The event as plain values, its kind in snake case under "event"; sound is left out."""
    name = re.sub(r"(?<=.)(?=[A-Z])", "_", type(event).__name__).lower()
    return {"event": name, **_plain(event)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {k: _plain(v) for k, v in fields.items() if not isinstance(v, Audio)}
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return round(value, 3) if isinstance(value, float) else value
