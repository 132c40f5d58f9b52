"""Figures of all conversations and requests of one server, as Prometheus reads them.

No label is anybody's own word: not an id, a text, a voice or the name of a model, but for the names
that the settings give to further engines.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import get_args

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ..conversation.latency_budget import DEGRADATIONS, STAGES
from ..conversation.timeline import took
from ..events import (
    ClauseSpoken,
    Degraded,
    Event,
    Failed,
    Interrupted,
    SpeechResumed,
    Transcript,
    TurnEnded,
)
from .turn_log import Outcome

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4

FIRST_AUDIO = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Seconds; closest about the 0.8 that the budget allows, which the alerts ask for."""
STAGE = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0)
"""Seconds; a share of that budget lies between 0.02 and 0.5."""
RATIO = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0, 4.0)
"""Above 1 a voice cannot keep up with itself."""
TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
CHARACTERS = (10, 25, 50, 100, 200, 400, 800, 1600, 3200)
LAG = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Seconds; nothing should hold the loop up for more than 0.005."""
LOOK_S = 0.25
"""Seconds between two looks at whether the loop is in time: oftener would cost more than 0.01 % of
a core, and a hold-up shorter than this may be missed."""

OTHER = "other"
"""Stands for whatever is not on a label's list."""
_FAILS = ("vad", "stt", "llm", "tts", "limits")
_KINDS = ("failed", "silent", "refused", "context_length_exceeded", "wordless")


class Metrics:
    """What one server has done since it was started. Use it on the loop.

    It counts turns that were heard to happen: what was begun at a pause and dropped, because the
    user went on, is a false start and nothing else.
    """

    def __init__(self) -> None:
        # When each series was made would be a third of all lines, and is asked for by nobody.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # theirs has no types
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        def histogram(name: str, says: str, buckets: Sequence[float], *labels: str) -> Histogram:
            return Histogram(f"voicebot_{name}", says, labels, registry=registry, buckets=buckets)

        def counter(name: str, says: str, *labels: str) -> Counter:
            return Counter(f"voicebot_{name}", says, labels, registry=registry)

        def gauge(name: str, says: str, label: str) -> Gauge:
            return Gauge(f"voicebot_{name}", says, [label], registry=registry)

        self.first_audio = histogram(
            "first_audio_seconds",
            "From the end of the user's speech, or text, to the first sound of the answer.",
            FIRST_AUDIO,
            "input",
        )
        self.stage = histogram(
            "turn_stage_seconds",
            "What a stage made the user wait before the first sound; the end of turn beside them.",
            STAGE,
            "stage",
        )
        self.real_time_factor = histogram(
            "real_time_factor_ratio",
            "Seconds a turn waited for an engine per second of sound it recognised or made.",
            RATIO,
            "stage",
        )
        self.turns = counter("turns_total", "Turns by what has come of them.", "outcome")
        self.failures = counter("failures_total", "Failures that ended a turn.", "stage", "kind")
        self.interruptions = counter("interruptions_total", "Replies that the user cut short.")
        self.false_starts = counter(
            "false_starts_total", "Answers begun at a pause and dropped, as the user went on."
        )
        self.rejected = counter(
            "transcripts_rejected_total", "Turns in whose sound no words were recognised."
        )
        self.degradations = counter(
            "degradations_total",
            "What turns gave up, or put in, to be in time.",
            "degradation",
            "preemptive",
        )
        self.underruns = counter(
            "underruns_total", "Silences within an answer that nobody wrote: its sound came late."
        )
        self._windows = counter(
            "recognition_windows_total",
            "Windows of sound that Whisper was given: the first of each stretch of speech, and a "
            "second where what it heard in the first was doubtful.",
            "window",
        )
        self._windows_told: dict[tuple[str, str], int] = {}
        self.underrun = counter("underrun_seconds_total", "Seconds of such silence.")
        self.tokens = counter(
            "tokens_total",
            "Tokens, where the engine counts them: of prompts, computed (prompt) or known from "
            "before (cached); of replies (output).",
            "kind",
        )
        self.prompt = histogram("prompt_tokens", "Tokens of a turn's prompt.", TOKENS)
        self.output = histogram("output_tokens", "Tokens of a turn's reply.", TOKENS)
        self.question = histogram(
            "question_characters", "Characters of what the user was understood to say.", CHARACTERS
        )
        self.reply = histogram(
            "reply_characters", "Characters of a reply, as far as it was spoken.", CHARACTERS
        )
        self.requests = counter(
            "http_requests_total", "Answers to HTTP requests and handshakes.", "route", "status"
        )
        self._sessions = gauge("sessions", "Conversations that are going on.", "protocol")
        self._calls = gauge(
            "engine_calls",
            "Calls an engine in this process has been given and not ended: one is worked on, or a "
            "few in turns, and the others wait. A further engine is called by kind and name.",
            "engine",
        )
        self._lag = histogram(
            "event_loop_lag_seconds", "How much later than asked for the loop goes on.", LAG
        )
        self._begin()

    def _begin(self) -> None:
        """Let what has not happened yet be 0, or nobody sees that it happens for the first time."""
        for outcome in get_args(Outcome):
            self.turns.labels(_snake(outcome))
        for stage in _FAILS:
            for kind in _KINDS:
                self.failures.labels(stage, kind)
        for degradation in DEGRADATIONS:
            for preemptive in ("true", "false"):
                self.degradations.labels(degradation, preemptive)
        for kind in ("prompt", "cached", "output"):
            self.tokens.labels(kind)
        for window in ("first", "second"):
            self._windows.labels(window)
        for stage in (*STAGES, "end_of_turn"):
            if stage != "network":  # of which only the client knows
                self.stage.labels(stage)
        for given in ("speech", "text"):
            self.first_audio.labels(given)

    def observer(self) -> MetricsObserver:
        """What is told the events of one conversation, to count them here."""
        return MetricsObserver(self)

    async def watch_loop(self) -> None:
        """Measure until cancelled how late the event loop is."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LOOK_S
            await asyncio.sleep(LOOK_S)
            self._lag.observe(max(0.0, loop.time() - due))

    async def page(
        self,
        sessions: Mapping[str, int],
        calls: Mapping[str, int],
        windows: Mapping[str, Mapping[str, int]] | None = None,
    ) -> bytes:
        """All of it in the text format, as `MEDIA_TYPE` says.

        sessions: conversations that are going on, by protocol. calls: by engine, see above.
        windows: that each recogniser has been given since it was loaded, first and second ones.
        """
        for protocol, count in sessions.items():
            self._sessions.labels(protocol).set(count)
        self._calls.clear()  # after a reload an engine may have no calls that can be counted
        for engine, count in calls.items():
            self._calls.labels(engine).set(count)
        for engine, counts in (windows or {}).items():
            for window, count in counts.items():
                before = self._windows_told.get((engine, window), 0)
                # An engine that a reload has put in the place of another counts from 0.
                self._windows.labels(window).inc(count - before if count >= before else count)
                self._windows_told[engine, window] = count
        families = []
        for family in self._registry.collect():
            families.append(generate_latest(_Family(family)))
            await asyncio.sleep(0)  # all at once would hold the loop up for milliseconds
        return b"".join(families)


class _Family(Collector):
    """One metric, all its series."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> list[Metric]:
        return [self._metric]


class MetricsObserver:
    """Counts what happens in one conversation; a turn costs the loop some 0.03 ms in all."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._said = 0

    def note(self, event: Event) -> None:
        metrics = self._metrics
        match event:
            case SpeechResumed():
                metrics.false_starts.inc()
            case Transcript(text) if text:
                metrics.question.observe(len(text))
            case ClauseSpoken(text):
                self._said += len(text)
            case Degraded(degradation, preemptive):
                known = degradation if degradation in DEGRADATIONS else OTHER
                metrics.degradations.labels(known, "true" if preemptive else "false").inc()
            case Interrupted():
                metrics.interruptions.inc()
            case Failed(stage, _, kind):
                metrics.failures.labels(
                    stage if stage in _FAILS else OTHER, kind if kind in _KINDS else OTHER
                ).inc()
            case TurnEnded():
                self._ended(event)

    def _ended(self, end: TurnEnded) -> None:
        metrics, marks, amounts = self._metrics, end.marks, end.amounts
        metrics.turns.labels(_snake(end.outcome)).inc()
        if end.outcome == "nothing heard":
            metrics.rejected.inc()
        if (first := marks.get("speaker.first")) is not None:
            given = "speech" if "stt.sound" in amounts else "text"
            metrics.first_audio.labels(given).observe(max(0.0, first))
        for stage, seconds in took(marks, end.began).items():
            metrics.stage.labels(stage).observe(seconds)
        if "stt.sound" in amounts and "gate" in marks:
            metrics.stage.labels("end_of_turn").observe(marks["gate"])
        for engine, stage in (("stt", "recognition"), ("tts", "synthesis")):
            if sound := amounts.get(f"{engine}.sound"):
                waited = amounts.get(f"{engine}.waited", 0.0)
                metrics.real_time_factor.labels(stage).observe(waited / sound)
        metrics.underruns.inc(amounts.get("underruns", 0.0))
        metrics.underrun.inc(amounts.get("underrun", 0.0))
        if end.tokens:
            read, written = end.tokens
            kept = amounts.get("llm.kept", 0.0)
            for kind, count in (("prompt", read - kept), ("cached", kept), ("output", written)):
                metrics.tokens.labels(kind).inc(count)
            metrics.prompt.observe(read)
            metrics.output.observe(written)
        if self._said:
            metrics.reply.observe(self._said)
        self._said = 0


def _snake(words: str) -> str:
    return words.replace(" ", "_")
