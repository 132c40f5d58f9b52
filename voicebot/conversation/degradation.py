"""What turns give up when time is short, the cheapest loss first. No I/O and no clock.

Rungs that nobody hears are taken as soon as less is left than the stages to come may need, and in
advance while a stage is too slow. Those that are heard (a filler, another voice, an apology) are
taken by the turn, in the moment that nothing else can help.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil

from .latency_budget import STAGES, Degradation, LatencySettings, Stage
from .timeline import Timeline

WINDOW_TURNS = 32
"""Turns in the sliding window by which a stage is judged. More is steadier; fewer react sooner."""
MIN_TURNS = 8
"""Turns before a stage is judged, and judged again after a change: they have to show its effect."""
RECOVERY_RATIO = 0.6
"""Part of its share that a stage must keep within before its degradation ends. The degradation
itself makes the stage faster: with the whole share as the bar, it would begin and end for ever."""

WORTH_S = 0.03
"""Seconds that a degradation must save to be taken: nobody notices less, and passages are dear."""

_SAVES: dict[Degradation, dict[Stage, float]] = {
    # A language model on a CPU spends most of the time to its first token reading passages.
    "fewer_passages": {"first_token": 0.5},
    # Two words instead of five are sooner written, and sooner spoken.
    "short_clause": {"first_clause": 0.5, "synthesis": 0.5},
    # The first decoding is kept even where another, at a higher temperature, might be better.
    "single_decode": {"recognition": 0.3},
}
"""Degradations that nobody hears: the stages each makes faster, and by about what part of the
share."""


@dataclass(slots=True)
class _Record:
    """How long a stage took in the last turns."""

    took: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW_TURNS))
    since: int = 0
    """Turns since what they give up was last changed on its account."""
    is_slow: bool = False
    """It exceeded its share when last judged, and has not recovered."""


class DegradationPolicy:
    """Which degradations turns apply. Turns that share engines share one policy."""

    def __init__(self, budget: LatencySettings) -> None:
        self.budget = budget
        self._records = {stage: _Record() for stage in STAGES}
        self._first_audio: deque[float] = deque(maxlen=WINDOW_TURNS)
        self._quiet = [degradation for degradation in budget.enabled if degradation in _SAVES]
        self.preemptive: set[Degradation] = set()
        """Taken in advance, by every turn."""

    @property
    def usual(self) -> float:
        """Seconds to the first audio that every other turn needed; 0 before there were any."""
        return _quantile(self._first_audio, 0.5) if self._first_audio else 0.0

    def short_of_time(self, stage: Stage, left: float) -> list[Degradation]:
        """The degradations to take as `stage` begins with `left` seconds to when a sound is due.

        Of those that can still help as many as make up for what is missing, in their order.
        """
        missing = self.budget.needed(stage) - left
        chosen: list[Degradation] = []
        for degradation in self._quiet:
            saves = sum(
                part * self._usually(helped)
                for helped, part in _SAVES[degradation].items()
                if _is_to_come(helped, stage)
            )
            if missing > 0 and degradation not in self.preemptive and saves >= WORTH_S:
                missing -= saves
                chosen.append(degradation)
        return chosen

    def _usually(self, stage: Stage) -> float:
        """Seconds that can be saved from: what the stage has shown to take, or else its share.

        An engine that quotes documents reads no passages, so that fewer save nothing.
        """
        took = self._records[stage].took
        return _quantile(took, 0.5) if took else self.budget.share(stage)

    def learn_from(self, timeline: Timeline) -> None:
        """A turn is over; one without a sound of the answer teaches nothing."""
        if (first := timeline.marks.get("speaker.first")) is not None:
            self.learn(timeline.took(), first)

    def learn(self, took: Mapping[Stage, float], first_audio: float) -> None:
        """A turn has sounded: seconds its stages took, and to its first audio."""
        self._first_audio.append(first_audio)
        for stage, seconds in took.items():
            record = self._records[stage]
            record.took.append(seconds)
            record.since += 1
        judged = {stage for stage in took if self._records[stage].since >= MIN_TURNS}
        for stage in judged:
            self._judge(self._records[stage], self.budget.share(stage))
        for degradation in self._quiet:
            helped = _SAVES[degradation]
            needed = any(self._records[stage].is_slow for stage in helped)
            if judged & helped.keys() and needed != (degradation in self.preemptive):
                self.preemptive ^= {degradation}
                self._forget(helped)

    def _judge(self, record: _Record, share: float) -> None:
        slow = _quantile(record.took, 0.95)
        if slow > share:
            record.is_slow = True
        elif slow <= RECOVERY_RATIO * share:
            record.is_slow = False

    def _forget(self, stages: Iterable[Stage]) -> None:
        """What was before a change says nothing of what is now."""
        for stage in stages:
            self._records[stage].took.clear()
            self._records[stage].since = 0


def _is_to_come(helps: Stage, now: Stage) -> bool:
    return STAGES.index(helps) >= STAGES.index(now)


def _quantile(values: deque[float], part: float) -> float:
    """The smallest of `values` that at least `part` of them do not exceed."""
    return sorted(values)[max(0, ceil(part * len(values)) - 1)]
