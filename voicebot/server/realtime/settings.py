"""What a Realtime session is set to, how a client changes it, and how it is told of it.

A setting that is accepted and echoed but changes nothing here is in `echoed`, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ... import languages
from ...assistant.assembly import EngineSet
from ...conversation import EndpointingSettings
from . import fields
from .capabilities import Capabilities, adjusted
from .fields import RATES, ProtocolError, Table
from .models import EARS, MODEL, NeededModel, choose, needed

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
_SESSION = (
    "type", "model", "instructions", "output_modalities", "tools", "tool_choice",
    "parallel_tool_calls", "max_output_tokens", "audio", *_ECHOED,
    # What a client has been told of a session, and may send back.
    "id", "object", "expires_at", "client_secret", "voicebot",
)  # fmt: skip
_INPUT = ("format", "noise_reduction", "transcription", "turn_detection")
_TURNS = (
    "type", "threshold", "prefix_padding_ms", "silence_duration_ms", "eagerness",
    "idle_timeout_ms", "create_response", "interrupt_response",
)  # fmt: skip
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

    def endpointing_settings(self, default: EndpointingSettings) -> EndpointingSettings:
        """The settings of the endpointer for this turn detection.

        semantic_vad scales the server's silence_duration_ms by EAGERNESS: below 1 for "high",
        above 1 for "low".
        """
        end = round(self.silence_duration_ms)
        if self.type == "semantic_vad":
            end = round(default.silence_duration_ms * EAGERNESS[self.eagerness])
        return replace(
            default,
            threshold=self.threshold,
            prefix_padding_ms=self.prefix_padding_ms,
            preemptive_silence_ms=min(default.preemptive_silence_ms, end),
            silence_duration_ms=end,
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
    endpointing: EndpointingSettings
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
    offered: Capabilities | None = None
    """What the engines can do of it; None where that is not known."""
    own_voice: str = ""
    """That of the server's settings."""
    adjusted: tuple[Table, ...] = ()
    """What of the last change is not as the client asked, because no engine could do it."""

    @property
    def listening(self) -> EndpointingSettings:
        return (
            self.turn_detection.endpointing_settings(self.endpointing)
            if self.turn_detection
            else self.endpointing
        )

    def merge(self, patch: Table) -> Settings:
        """With what `patch` changes; what it leaves out stays.

        Raises:
            ProtocolError: there is no such setting, or its value is wrong, or no engine here can
                do it. Nothing is changed then.
        """
        if not self.offered:
            return self._merged(patch)
        choice = choose(self.offered, patch, self.own_voice)
        merged = replace(self, offered=choice.offered)._merged(patch, self.offered)
        transcription = merged.transcription
        if transcription and EARS in choice.used:
            transcription = transcription | {"model": choice.used[EARS]}
        return replace(
            merged,
            model=choice.used.get(MODEL, merged.model),
            transcription=transcription,
            adjusted=(*choice.told, *merged.adjusted),
        )

    def engines(self, usual: EngineSet) -> EngineSet:
        """The engines that were chosen; the usual ones where that is not known."""
        return self.offered.parts if self.offered else usual

    def needed(self, patch: Table) -> list[NeededModel]:
        """What has to be loaded before `merge` can follow `patch`."""
        return needed(self.offered, patch) if self.offered else []

    def _merged(self, patch: Table, before: Capabilities | None = None) -> Settings:
        """before: what was offered until now."""
        fields.only(patch, _SESSION, "session.")
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
        fields.only(audio, ("input", "output"), "session.audio.")
        changes |= self._input(fields.table(audio.get("input", {}), "session.audio.input"))
        sounds = fields.table(audio.get("output", {}), "session.audio.output")
        fields.only(sounds, ("format", "voice", "speed"), "session.audio.output.")
        changes |= output(sounds, "session.")
        if sounds.get("speed") is not None:
            changes["speed"] = fields.number(sounds, "speed", *SPEEDS, "session.audio.output.")
        elif before and self.offered and before.tts is not self.offered.tts:
            changes["speed"] = self.speed  # which the other engine may not have
        return replace(self, **{**changes, **self._possible(changes)})

    def _possible(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What the engines can do instead of what is `asked`, and what the client is told of it.

        Raises:
            ProtocolError: nothing they can do is near to it.
        """
        told: list[Table] = []
        can: dict[str, Any] = {}
        if self.offered:
            for key, limited in _LIMITED.items():
                if key in asked and (limit := limited(self.offered, asked[key], self)):
                    can[key], param, why = limit
                    told.append(adjusted(f"session.{param}", asked[key], can[key], why))
            if asked.get("tools") and not self.offered.calls():
                told.append(adjusted("session.tools", "auto", "none", _NO_CALLS))
            if asked.get("tool_choice", "auto") not in ("auto", "none"):
                must_call(self.offered, "session.")
        return {**can, "adjusted": tuple(told)}

    def _transcription(self, patch: Table, where: str) -> Table:
        """As it is asked for, with the language as its code."""
        said = {key: patch[key] for key in patch if key not in ("language", "languages")}
        name = None
        if patch.get("language") is not None:
            name = fields.text(patch, "language", where)
        elif patch.get("languages") is not None:
            # One is expected; of several, which it is has to be found out.
            listed = fields.array(patch["languages"], where + "languages")
            texts = [fields.checked(each, str, "texts", where + "languages") for each in listed]
            said["languages"] = [self._language(text, where) for text in texts]
            name = texts[0] if len(texts) == 1 else None
        code = self._language(name or "", where)
        return {**said, "language": code} if code else said

    def _language(self, name: str, where: str) -> str:
        if self.offered:
            return self.offered.language(name, where + "language")
        return languages.code(name)

    def _input(self, patch: Table) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        where = "session.audio.input."
        fields.only(patch, _INPUT, where)
        if "format" in patch:
            changes["input_format"] = audio_format(patch["format"], where + "format")
        for key in ("transcription", "noise_reduction"):
            if key in patch:
                value = patch[key]
                changes[key] = None if value is None else fields.table(value, where + key)
        if changes.get("transcription"):
            said = changes["transcription"]
            changes["transcription"] = self._transcription(said, f"{where}transcription.")
        if "turn_detection" in patch:
            value = patch["turn_detection"]
            changes["turn_detection"] = None if value is None else self._turns(value)
        return changes

    def _turns(self, value: Any) -> TurnDetection:
        where = "session.audio.input.turn_detection"
        patch = fields.table(value, where)
        where += "."
        fields.only(patch, _TURNS, where)
        before = self.turn_detection or usual_turn_detection(self.endpointing)
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
            return {"type": self.type, "audio": {"input": hears}, **self.echoed, **self._told()}
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
            **self._told(),
        }

    def _told(self) -> Table:
        return {"voicebot": {"adjusted": list(self.adjusted)}} if self.adjusted else {}


def initial(
    model: str,
    voice: str,
    endpointing: EndpointingSettings,
    instructions: str,
    offered: Capabilities | None = None,
) -> Settings:
    """What a session is set to before its client says anything."""
    turns = usual_turn_detection(endpointing)
    return Settings(
        model,
        voice,
        endpointing,
        instructions,
        turn_detection=turns,
        offered=offered,
        own_voice=voice,
    )


_Limit = tuple[Any, str, str]
"""What is used instead, where it is asked for, and why."""


def _voice(offered: Capabilities, asked: str, settings: Settings) -> _Limit | None:
    if asked == settings.own_voice or offered.knows_voice(asked):
        return None
    return settings.own_voice, "audio.output.voice", "there is no such voice here"


def _speed(offered: Capabilities, asked: float, settings: Settings) -> _Limit | None:
    nearest = offered.speed(asked)
    if nearest == asked:
        return None
    return nearest, "audio.output.speed", f"{offered.named['tts']} speaks no other speed near it"


def _tokens(offered: Capabilities, asked: Any, settings: Settings) -> _Limit | None:
    if asked == "inf" or offered.limits_tokens():
        return None
    return "inf", "max_output_tokens", f"{offered.named['llm']} counts no tokens"


_LIMITED: dict[str, Callable[[Capabilities, Any, Settings], _Limit | None]] = {
    "voice": _voice,
    "speed": _speed,
    "max_output_tokens": _tokens,
}
"""For each setting that an engine may not take as it is, the nearest that it does take."""
_NO_CALLS = "the model here cannot call functions"


def must_call(offered: Capabilities, where: str) -> None:
    """
    Raises:
        ProtocolError: the model cannot be made to call a function.
    """
    if not offered.must_call():
        param = f"{where}tool_choice"
        reason = f"{param} may be auto or none: the model here cannot be made to call a function"
        raise ProtocolError("invalid_value", reason, param)


def possible(settings: Settings, asked: dict[str, Any]) -> dict[str, Any]:
    """What is done instead of what one response is asked to be, as far as no engine can do it.

    Raises:
        ProtocolError: nothing is near to it.
    """
    if not settings.offered:
        return {}
    if asked.get("tool_choice", "auto") not in ("auto", "none"):
        must_call(settings.offered, "response.")
    limits = {
        key: limited(settings.offered, asked[key], settings)
        for key, limited in _LIMITED.items()
        if key in asked
    }
    return {key: limit[0] for key, limit in limits.items() if limit}


def usual_turn_detection(endpointing: EndpointingSettings) -> TurnDetection:
    return TurnDetection(
        "server_vad",
        endpointing.threshold,
        endpointing.prefix_padding_ms,
        endpointing.silence_duration_ms,
    )


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
        raise ProtocolError(
            "invalid_value", f"{where}tools has at most {TOOLS} tools", where + "tools"
        )
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
