"""The trace of a turn: a span for all of it, one for each of its stages, made once it is over.

    invoke_agent voicebot     from the user's last word until the answer was heard, or cut off
      transcribe small        recognition
      retrieval               the search for passages, where there were any
      chat Granite            the language model, until its last word
      synthesize Kokoro       from the first clause until the last sound is made
      speaker                 from the first sound that is heard to the last

Nothing is measured for it: its times are the marks that the turn has anyway.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from .. import context as request
from ..conversation.timeline import GAPS
from ..engines import Kind
from ..events import (
    ClauseSpoken,
    Degraded,
    Event,
    Failed,
    Interrupted,
    Passage,
    Passages,
    Transcript,
    TurnEnded,
)
from . import genai
from .otlp import Export

Attributes = dict[str, AttributeValue]

AGENT = "voicebot"


@dataclass(frozen=True, slots=True)
class _Stage:
    """One stage of a turn; times are seconds after the user stopped speaking."""

    name: str
    operation: str
    """As the conventions for generative AI call it; empty where it is none of theirs."""
    kind: Kind | None
    """Of the engine that does it."""
    begins: float
    ends: float
    first: float | None = None
    """When its first result was there."""


@dataclass(slots=True)
class _TurnTrace:
    """What is known of a turn so far."""

    number: int = 1
    heard: str = ""
    said: list[str] = field(default_factory=list)
    reached: str | None = None
    passages: tuple[Passage, ...] = ()
    degradations: list[Degraded] = field(default_factory=list)
    failed: Failed | None = None


class Spans:
    """Makes spans of turns.

    transcripts: tell what was said, too.
    """

    def __init__(self, export: Export, *, transcripts: bool = False) -> None:
        self.tracer, self.later = export.tracer, export.later
        self.transcripts = transcripts

    def observer(self) -> Traces:
        """What makes the traces of a conversation that begins here."""
        return Traces(self)


class Traces:
    """The traces of one conversation's turns, made of each when it ends, and not on the loop.

    They belong to the trace in which the conversation began, where its client has one; otherwise
    each turn is a trace of its own.
    """

    def __init__(self, spans: Spans) -> None:
        self._spans = spans
        self._within = context.get_current()
        # By a client elsewhere that has told us of its trace.
        self._is_asked_for = trace.get_current_span(self._within).get_span_context().is_remote
        self._session = request.current()
        self._turn = _TurnTrace()

    def note(self, event: Event) -> None:
        turn = self._turn
        match event:
            case Transcript(text):
                turn.heard = text
            case Passages(passages):
                turn.passages = passages
            case ClauseSpoken(text):
                turn.said.append(text)
            case Degraded():
                turn.degradations.append(event)
            case Interrupted(heard):
                turn.reached = heard
            case Failed():
                turn.failed = event
            case TurnEnded():
                zero = time.time_ns() - _ns(event.ended)
                self._spans.later(partial(self._trace, turn, event, zero))
                self._turn = _TurnTrace(turn.number + 1)

    def _trace(self, turn: _TurnTrace, end: TurnEnded, zero: int) -> None:
        """zero: when the user stopped speaking, in nanoseconds since 1970."""
        whole = self._spans.tracer.start_span(
            f"{genai.INVOKE} {AGENT}",
            self._within,
            SpanKind.SERVER if self._is_asked_for else SpanKind.INTERNAL,
            self._about(turn, end),
            start_time=zero,
        )
        if "gate" in end.marks:
            whole.add_event("gate", timestamp=zero + _ns(end.marks["gate"]))
        for degradation in turn.degradations:
            about: Attributes = {
                genai.RUNG: degradation.degradation,
                genai.PREEMPTIVE: degradation.preemptive,
            }
            whole.add_event("degradation", about, zero + _ns(degradation.at))
        if turn.failed:
            _fail(whole, turn.failed)
        within = trace.set_span_in_context(whole, self._within)
        for stage in _stages(turn, end):
            self._stage(stage, turn, end, within, zero)
        whole.end(zero + _ns(end.ended))

    def _about(self, turn: _TurnTrace, end: TurnEnded) -> Attributes:
        about: Attributes = {
            genai.OPERATION: genai.INVOKE,
            genai.AGENT: AGENT,
            genai.CONVERSATION: self._session,
            genai.REQUEST: self._session,
            genai.TURN: request.of_turn(self._session, turn.number),
            genai.OUTCOME: end.outcome,
        }
        if (first := end.marks.get("speaker.first")) is not None:
            about[genai.FIRST_AUDIO] = round(first * 1000)
        if self._spans.transcripts:
            reply = " ".join(turn.said) if turn.reached is None else turn.reached
            about[genai.ASKED] = _message("user", turn.heard)
            about[genai.ANSWERED] = _message("assistant", reply)
        return about

    def _stage(
        self, stage: _Stage, turn: _TurnTrace, end: TurnEnded, within: Context, zero: int
    ) -> None:
        engine: Mapping[str, Any] = end.spoke.get("engines", {}).get(stage.kind, {})
        about: Attributes = {genai.STAGE: stage.name}
        if stage.operation:
            about[genai.OPERATION] = stage.operation
        about |= _engine(engine)
        if stage.first is not None:
            about[genai.FIRST_CHUNK] = round(max(0.0, stage.first - stage.begins), 6)
        if gaps := end.gaps.get(stage.kind or ""):
            about |= {genai.GAP_BOUNDS: GAPS, genai.GAP_COUNTS: gaps}
        match stage.name:
            case "llm":
                if (seed := end.spoke.get("seed")) is not None:
                    about[genai.SEED] = seed
                if end.tokens:
                    about[genai.TOKENS_READ], about[genai.TOKENS_WRITTEN] = end.tokens
                if (kept := end.amounts.get("llm.kept")) is not None:
                    about[genai.TOKENS_KEPT] = round(kept)
            case "retrieval":
                about[genai.DOCUMENTS] = _documents(turn.passages)
            case "synthesis":
                about[genai.OUTPUT] = "speech"
                if voice := end.spoke.get("voice"):
                    about[genai.VOICE] = voice
        does, who = stage.operation or stage.name, engine.get("model") or engine.get("engine", "")
        # A server of others does it, or we do.
        kind = SpanKind.CLIENT if engine.get("engine") == "openai" else SpanKind.INTERNAL
        span = self._spans.tracer.start_span(
            f"{does} {who}".rstrip(), within, kind, about, start_time=zero + _ns(stage.begins)
        )
        if turn.failed and turn.failed.stage == stage.kind:
            _fail(span, turn.failed)
        span.end(zero + _ns(max(stage.begins, stage.ends)))


def _stages(turn: _TurnTrace, end: TurnEnded) -> Iterator[_Stage]:
    """The stages that a turn has reached; one that did not end was cut off with the turn."""
    marks, failed = end.marks, turn.failed.stage if turn.failed else None
    asked = marks.get("stt.last", end.began)
    found = marks.get("passages", asked)
    if "stt.last" in marks or "stt.first" in marks or failed == "stt":
        yield _Stage(
            "recognition",
            genai.TRANSCRIBE,
            "stt",
            end.began,
            marks.get("stt.last", end.ended),
            marks.get("stt.first"),
        )
    if "passages" in marks:
        yield _Stage("retrieval", genai.RETRIEVE, None, asked, found)
    if turn.heard or found != asked or "llm.last" in marks or failed == "llm":
        yield _Stage(
            "llm",
            genai.CHAT,
            "llm",
            found,
            marks.get("llm.last", end.ended),
            marks.get("llm.first"),
        )
    if (clause := marks.get("clause", marks.get("tts.first"))) is not None:
        yield _Stage(
            "synthesis",
            genai.SYNTHESIZE,
            "tts",
            clause,
            marks.get("tts.last", end.ended),
            marks.get("tts.first"),
        )
    sounds = [marks[name] for name in ("speaker.first", "filler", "apology") if name in marks]
    if sounds:
        yield _Stage("speaker", "", None, min(sounds), end.ended)


def _engine(told: Mapping[str, Any]) -> Attributes:
    """What an engine's part of `TurnEnded.spoke` tells."""
    names = {
        "engine": genai.PROVIDER,
        "version": genai.VERSION,
        "model": genai.MODEL,
        "commit": genai.COMMIT,
        "temperature": genai.TEMPERATURE,
    }
    return {ours: told[name] for name, ours in names.items() if name in told}


def _fail(span: Span, failed: Failed) -> None:
    span.set_attribute(genai.ERROR, failed.kind)
    span.set_status(Status(StatusCode.ERROR, f"{failed.stage}: {failed.reason}"))


def _message(role: str, text: str) -> str:
    """One message, as the conventions write a list of them."""
    parts = [{"type": "text", "content": text}]
    return json.dumps([{"role": role, "parts": parts}], ensure_ascii=False)


def _documents(found: Iterable[Passage]) -> str:
    return json.dumps([{"id": each.id, "score": round(each.score, 3)} for each in found])


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
