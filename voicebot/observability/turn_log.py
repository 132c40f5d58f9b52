"""The record of each turn of a conversation, made of its events and written to the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from .. import context
from ..engines.call_options import BoundSynthesizer
from ..events import (
    ClauseSpoken,
    Degraded,
    Event,
    Failed,
    Interrupted,
    Passages,
    SpeechEnded,
    Transcript,
    TurnEnded,
)
from .provenance import Provenance

log = logging.getLogger(__name__)

Outcome = Literal["answered", "unanswered", "nothing heard", "interrupted", "overtaken", "failed"]
"""What may come of a turn; one that was overtaken is one whose user went on before they heard any
of the reply."""


class Observer(Protocol):
    """Is told all that happens in one conversation, on the loop: it should take no time."""

    def note(self, event: Event) -> None: ...


@dataclass(slots=True)
class _TurnRecord:
    """What is known of a turn so far."""

    speech: float = 0.0
    heard: str = ""
    said: list[str] = field(default_factory=list)
    passages: list[str] = field(default_factory=list)
    reached: str | None = None
    """Of an interrupted turn, what of the reply the user had heard."""
    failed: Failed | None = None
    degradations: list[str] = field(default_factory=list)
    """What was left out to be in time."""


class TurnLogger:
    """Keeps account of one conversation: `note` is told every event of it, and hands it on.

    mouth: gives the synthesizer that the conversation has now.
    observers: are told every event before it is handed on; each is made for this conversation.

    It belongs to the request that is being served where it is made. It costs the loop some 0.1 ms
    a turn: what is written is made of it in the log's own thread.
    """

    def __init__(
        self,
        identity: Provenance,
        emit: Callable[[Event], None],
        mouth: Callable[[], Any] = lambda: None,
        observers: Iterable[Callable[[], Observer]] = (),
    ) -> None:
        self.identity = identity
        """Of the engines that the conversation has now."""
        self._emit, self._mouth = emit, mouth
        self._session = context.current()
        self._observers = [begin() for begin in observers]
        self.number = 1
        """Of the turn that is being made, or comes next."""
        self._turn = _TurnRecord()

    @property
    def request(self) -> str:
        """The id of that turn."""
        return context.of_turn(self._session, self.number)

    def note(self, event: Event) -> None:
        turn = self._turn
        match event:
            case SpeechEnded(utterance):
                turn.speech = utterance.end - utterance.start
            case Transcript(text):
                turn.heard = text
            case Passages(passages):
                turn.passages = [passage.id for passage in passages]
            case ClauseSpoken(text):
                turn.said.append(text)
            case Degraded(degradation):
                turn.degradations.append(degradation)
            case Interrupted(heard):
                turn.reached = heard
            case Failed():
                turn.failed = event
            case TurnEnded():
                event = replace(
                    event, spoke=self._spoke(event), outcome=_outcome(turn, event.marks)
                )
                self._end(turn, event)
        for observer in self._observers:
            observer.note(event)
        self._emit(event)

    def _spoke(self, end: TurnEnded) -> dict[str, Any]:
        mouth = self._mouth()
        chosen = mouth.options if isinstance(mouth, BoundSynthesizer) else {}
        return self.identity.as_json(**chosen, **end.spoke)

    def _end(self, turn: _TurnRecord, end: TurnEnded) -> None:
        number, id = self.number, self.request
        self.number, self._turn = number + 1, _TurnRecord()
        if not log.isEnabledFor(logging.INFO):
            return
        marks = end.marks
        record: dict[str, Any] = {"session": self._session, "number": number}
        record["outcome"] = end.outcome
        if turn.failed:
            record |= {"stage": turn.failed.stage, "reason": turn.failed.reason}
        record |= {
            "speech_s": round(turn.speech, 3),
            "heard": turn.heard,
            "said": " ".join(turn.said),
        }
        if turn.reached is not None:
            record["reached"] = turn.reached
        if turn.degradations:
            record["degradations"] = turn.degradations
        if turn.passages:
            record["passages"] = turn.passages
        record["marks"] = {name: round(at, 4) for name, at in marks.items()}
        record["spoke"] = end.spoke
        first = marks.get("speaker.first")
        sound = "" if first is None else f", first sound after {first:.2f} s"
        log.info("turn %s%s", end.outcome, sound, extra={"turn": record, "request": id})


def _outcome(turn: _TurnRecord, marks: dict[str, float]) -> Outcome:
    if turn.failed:
        return "failed"
    if turn.reached is not None:
        return "interrupted"
    if "end" not in marks:
        return "overtaken"
    if any(turn.said):
        return "answered"
    return "unanswered" if turn.heard else "nothing heard"
