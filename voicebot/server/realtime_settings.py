"""What a Realtime session is set to, how a client changes it, and how it is told of it.

A setting that is accepted and echoed but changes nothing here is in `echoed`, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ..conversation import ListenSettings
from . import realtime_fields as fields
from .realtime_fields import RATES, Refused, Table

EAGERNESS = {"low": 2.0, "medium": 1.0, "auto": 1.0, "high": 0.7}
"""How the silence that ends an utterance is stretched under semantic_vad, which here hears no
meaning. Longer interrupts fewer slow speakers."""

IDLE = (5_000, 30_000)
"""Milliseconds that a user may be silent before they are spoken to; the protocol's bounds."""
LONGEST_SILENCE = 10_000
"""Milliseconds: a client that asks for more wants manual commits."""

SPEEDS = (0.25, 1.5)
"""Of a voice, beside its normal one; the protocol's bounds."""

MOST_TOKENS = 4096
"""A reply may be limited to so many, or not at all: "inf"."""

TOOLS = 128
"""At most this many tools: each is read by the model before every reply."""

CHOICES = ("auto", "none", "required")

_ECHOED = ("include", "prompt", "reasoning", "tracing", "truncation")
Modality = Literal["audio", "text"]


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """When the user has finished, and what follows from it."""

    type: Literal["server_vad", "semantic_vad"]
    threshold: float
    prefix_padding_ms: int
    silence_duration_ms: int
    eagerness: str = "auto"
    idle_timeout_ms: int | None = None
    """Silence after an answer that brings another one; None waits for the user."""
    create_response: bool = True
    interrupt_response: bool = True

    def listen(self, default: ListenSettings) -> ListenSettings:
        """The same, as the listener takes it.

        An eager semantic_vad takes a shorter silence for the end, one that is not a longer one:
        the server's own end_ms times EAGERNESS.
        """
        end = round(self.silence_duration_ms)
        if self.type == "semantic_vad":
            end = round(default.end_ms * EAGERNESS[self.eagerness])
        return replace(
            default,
            threshold=self.threshold,
            before_ms=self.prefix_padding_ms,
            pause_ms=min(default.pause_ms, end),
            end_ms=end,
        )

    def as_json(self) -> Table:
        # Resolved to the last field: clients act on a missing one as if it were false.
        acts = {
            "create_response": self.create_response,
            "interrupt_response": self.interrupt_response,
        }
        if self.type == "semantic_vad":
            return {"type": self.type, "eagerness": self.eagerness, **acts}
        return {
            "type": self.type,
            "threshold": self.threshold,
            "prefix_padding_ms": self.prefix_padding_ms,
            "silence_duration_ms": self.silence_duration_ms,
            "idle_timeout_ms": self.idle_timeout_ms,
            **acts,
        }


@dataclass(frozen=True, slots=True)
class Settings:
    """The effective settings of a session."""

    model: str
    voice: str
    """Both as the client calls them, who may know no other names; the server takes its nearest."""
    listen: ListenSettings
    """Where turn detection begins from."""
    instructions: str = ""
    type: Literal["realtime", "transcription"] = "realtime"
    modality: Modality = "audio"
    input_format: str = "audio/pcm"
    output_format: str = "audio/pcm"
    transcription: Table | None = None
    turn_detection: TurnDetection | None = None
    tools: tuple[Table, ...] = ()
    tool_choice: Any = "auto"
    parallel_tool_calls: bool = True
    max_output_tokens: Any = "inf"
    speed: float = 1.0
    echoed: Table = field(default_factory=dict)
    noise_reduction: Table | None = None

    @property
    def listening(self) -> ListenSettings:
        return self.turn_detection.listen(self.listen) if self.turn_detection else self.listen

    def merge(self, patch: Table) -> Settings:
        """With what `patch` changes; what it leaves out stays, and what we do not know is nothing:
        the protocol grows, and a client of tomorrow should still be able to talk.

        Raises:
            Refused: a setting has the wrong value. Nothing is changed then.
        """
        changes: dict[str, Any] = {}
        if "type" in patch:
            kinds = ("realtime", "transcription")
            changes["type"] = fields.choice(patch["type"], kinds, "session.type")
        if "model" in patch:
            changes["model"] = fields.text(patch, "model", "session.")
        if "instructions" in patch:
            changes["instructions"] = fields.text(patch, "instructions", "session.")
        if "output_modalities" in patch:
            changes["modality"] = modality(patch["output_modalities"], "session.")
        if "tools" in patch:
            changes["tools"] = tools(patch["tools"], "session.")
        if "tool_choice" in patch:
            changes["tool_choice"] = tool_choice(patch["tool_choice"], "session.")
        key = "parallel_tool_calls"
        changes[key] = fields.flag(patch, key, self.parallel_tool_calls, "session.")
        if "max_output_tokens" in patch:
            changes["max_output_tokens"] = most_tokens(patch, "session.")
        changes["echoed"] = self.echoed | {key: patch[key] for key in _ECHOED if key in patch}
        audio = fields.table(patch.get("audio", {}), "session.audio")
        changes |= self._input(fields.table(audio.get("input", {}), "session.audio.input"))
        sounds = fields.table(audio.get("output", {}), "session.audio.output")
        changes |= output(sounds, "session.")
        if sounds.get("speed") is not None:
            changes["speed"] = fields.number(sounds, "speed", *SPEEDS, "session.audio.output.")
        return replace(self, **changes)

    def _input(self, patch: Table) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        where = "session.audio.input."
        if "format" in patch:
            changes["input_format"] = audio_format(patch["format"], where + "format")
        for key in ("transcription", "noise_reduction"):
            if key in patch:
                value = patch[key]
                changes[key] = None if value is None else fields.table(value, where + key)
        if "turn_detection" in patch:
            value = patch["turn_detection"]
            changes["turn_detection"] = None if value is None else self._turns(value)
        return changes

    def _turns(self, value: Any) -> TurnDetection:
        where = "session.audio.input.turn_detection"
        patch = fields.table(value, where)
        where += "."
        before = self.turn_detection or turn_detection(self.listen)
        kind = fields.choice(
            patch.get("type", before.type), ("server_vad", "semantic_vad"), where + "type"
        )
        changes: dict[str, Any] = {"type": kind}
        if patch.get("threshold") is not None:
            changes["threshold"] = fields.number(patch, "threshold", 0.01, 0.99, where)
        if patch.get("prefix_padding_ms") is not None:
            padding = fields.whole(patch, "prefix_padding_ms", 0, LONGEST_SILENCE, where)
            changes["prefix_padding_ms"] = max(1, padding)
        if patch.get("silence_duration_ms") is not None:
            silence = fields.whole(patch, "silence_duration_ms", 0, LONGEST_SILENCE, where)
            changes["silence_duration_ms"] = max(1, silence)
        if patch.get("eagerness") is not None:
            changes["eagerness"] = fields.choice(
                patch["eagerness"], tuple(EAGERNESS), where + "eagerness"
            )
        if "idle_timeout_ms" in patch:
            idle = patch["idle_timeout_ms"] is not None
            changes["idle_timeout_ms"] = (
                fields.whole(patch, "idle_timeout_ms", *IDLE, where) if idle else None
            )
        if kind == "semantic_vad":
            changes["idle_timeout_ms"] = None
        for key in ("create_response", "interrupt_response"):
            changes[key] = fields.flag(patch, key, getattr(before, key), where)
        return replace(before, **changes)

    def as_json(self) -> Table:
        """The whole of it, as `session.created` and `session.updated` tell it."""
        turns = self.turn_detection
        hears = {
            "format": format_json(self.input_format),
            "noise_reduction": self.noise_reduction,
            "transcription": self.transcription,
            "turn_detection": turns.as_json() if turns else None,
        }
        if self.type == "transcription":
            return {"type": self.type, "audio": {"input": hears}, **self.echoed}
        sounds = {
            "format": format_json(self.output_format),
            "voice": self.voice,
            "speed": self.speed,
        }
        return {
            "type": self.type,
            "model": self.model,
            "instructions": self.instructions,
            "output_modalities": [self.modality],
            "audio": {"input": hears, "output": sounds},
            "tools": list(self.tools),
            "tool_choice": self.tool_choice,
            "parallel_tool_calls": self.parallel_tool_calls,
            "max_output_tokens": self.max_output_tokens,
            "tracing": None,
            "truncation": "auto",
            **self.echoed,
        }


def initial(model: str, voice: str, listen: ListenSettings, instructions: str) -> Settings:
    """What a session is set to before its client says anything."""
    turns = turn_detection(listen)
    return Settings(model, voice, listen, instructions, turn_detection=turns)


def turn_detection(listen: ListenSettings) -> TurnDetection:
    return TurnDetection("server_vad", listen.threshold, listen.before_ms, listen.end_ms)


def modality(value: Any, where: str) -> Modality:
    """Sound, which always comes with its transcript, or only text."""
    wanted = fields.array(value, where + "output_modalities")
    if not wanted or any(each not in ("audio", "text") for each in wanted):
        raise fields.invalid(where + "output_modalities", '["audio"] or ["text"]', value)
    return "audio" if "audio" in wanted else "text"


def tools(value: Any, where: str) -> tuple[Table, ...]:
    """The functions a model may call."""
    listed = fields.array(value, where + "tools")
    if len(listed) > TOOLS:
        raise Refused("invalid_value", f"{where}tools has at most {TOOLS} tools", where + "tools")
    for i, tool in enumerate(listed):
        here = f"{where}tools[{i}]"
        fields.choice(fields.table(tool, here).get("type"), ("function",), f"{here}.type")
        fields.text(tool, "name", f"{here}.")
        if tool.get("description") is not None:
            fields.text(tool, "description", f"{here}.")
        if tool.get("parameters") is not None:
            fields.table(tool["parameters"], f"{here}.parameters")
    return tuple(listed)


def tool_choice(value: Any, where: str) -> Any:
    if isinstance(value, dict):
        fields.choice(value.get("type"), ("function",), where + "tool_choice.type")
        fields.text(value, "name", where + "tool_choice.")
        return value
    return fields.choice(value, CHOICES, where + "tool_choice")


def most_tokens(patch: Table, where: str) -> Any:
    if patch["max_output_tokens"] in ("inf", None):
        return "inf"
    return fields.whole(patch, "max_output_tokens", 1, MOST_TOKENS, where)


def output(patch: Table, where: str) -> dict[str, Any]:
    """How a reply should sound. A voice may have any name: the server takes its nearest."""
    changes: dict[str, Any] = {}
    if "format" in patch:
        changes["output_format"] = audio_format(patch["format"], f"{where}audio.output.format")
    if (voice := patch.get("voice")) is not None:
        if isinstance(voice, dict):
            voice = voice.get("id")
        changes["voice"] = fields.checked(voice, str, "a name", f"{where}audio.output.voice")
    return changes


def audio_format(value: Any, param: str) -> str:
    form = fields.table(value, param)
    kind = fields.choice(form.get("type"), tuple(RATES), f"{param}.type")
    if form.get("rate", RATES[kind]) != RATES[kind]:
        raise fields.invalid(f"{param}.rate", str(RATES[kind]), form["rate"])
    return kind


def format_json(kind: str) -> Table:
    return {"type": kind, "rate": RATES[kind]} if kind == "audio/pcm" else {"type": kind}
