"""The Realtime protocol's first dialect, which older clients speak, to and from the present one.

In this dialect a session is flat, and some events and kinds of content have other names.
"""

from __future__ import annotations

from typing import Any

from . import realtime_fields as fields
from .realtime_fields import Table

_FORMATS = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}
_SHORT = {form: name for name, form in _FORMATS.items()}

_FLAT = {
    # in beta: where it is now
    "modalities": ("output_modalities",),
    "voice": ("audio", "output", "voice"),
    "speed": ("audio", "output", "speed"),
    "input_audio_format": ("audio", "input", "format"),
    "output_audio_format": ("audio", "output", "format"),
    "input_audio_transcription": ("audio", "input", "transcription"),
    "input_audio_noise_reduction": ("audio", "input", "noise_reduction"),
    "turn_detection": ("audio", "input", "turn_detection"),
    "max_response_output_tokens": ("max_output_tokens",),
}
_OURS = ("id", "object", "voicebot")
"""What a session has that no client sets."""
_SAME = ("model", "instructions", "tools", "tool_choice", "tracing", "include")
_OTHERWISE_IN_A_RESPONSE = ("conversation", "metadata", "input", "max_output_tokens")

_EVENTS = {
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "conversation.item.added": "conversation.item.created",
}
_CONTENT = {"output_text": "text", "output_audio": "audio"}
_LONG = {short: long for long, short in _CONTENT.items()}

TEMPERATURE = 0.8
"""What the dialect requires a session to have and none of our models is asked for."""


def is_flat(session: Any) -> bool:
    """Whether a session object can only be of this dialect."""
    return isinstance(session, dict) and "type" not in session and any(k in session for k in _FLAT)


def read(message: Table) -> Table:
    """A client's message as the present dialect has it."""
    kind = message.get("type")
    if kind == "session.update":
        session = fields.table(message.get("session"), "session")
        return message | {"session": _nested(session) | {"type": "realtime"}}
    if kind == "transcription_session.update":
        session = fields.table(message.get("session"), "session")
        return message | {
            "type": "session.update",
            "session": _nested(session) | {"type": "transcription"},
        }
    if kind == "conversation.item.create" and isinstance(message.get("item"), dict):
        return message | {"item": _item(message["item"], _LONG)}
    if kind == "response.create" and isinstance(message.get("response"), dict):
        response = message["response"]
        nested = _nested(response)
        nested |= {key: response[key] for key in _OTHERWISE_IN_A_RESPONSE if key in response}
        if isinstance(nested.get("input"), list):
            nested["input"] = [_item(item, _LONG) for item in nested["input"]]
        return message | {"response": nested}
    return message


def told(event: Table) -> Table | None:
    """A server's event as this dialect has it; None where it has none."""
    kind = event["type"]
    if kind == "conversation.item.done":
        return None
    event = event | {"type": _EVENTS.get(kind, kind)}
    if "session" in event:
        if event["session"]["type"] == "transcription":
            event["type"] = f"transcription_{event['type']}"
        event["session"] = _flat(event["session"])
    if "item" in event:
        event["item"] = _item(event["item"], _CONTENT)
    if "response" in event:
        event["response"] = _response(event["response"])
    return event


def _nested(flat: Table) -> Table:
    session: Table = {key: flat[key] for key in _SAME if key in flat}
    for key, path in _FLAT.items():
        if key in flat:
            value = flat[key]
            if path[-1] == "format":
                value = {"type": _FORMATS[fields.choice(value, tuple(_FORMATS), f"session.{key}")]}
            into = session
            for step in path[:-1]:
                into = into.setdefault(step, {})
            into[path[-1]] = value
    return session


def _flat(session: Table) -> Table:
    flat: Table = {key: session[key] for key in (*_OURS, *_SAME) if key in session}
    for key, path in _FLAT.items():
        value: Any = session
        for step in path:
            value = value.get(step, {}) if isinstance(value, dict) else None
        if value != {}:
            flat[key] = _SHORT[value["type"]] if path[-1] == "format" else value
    if "modalities" in flat:
        flat["modalities"] = _modalities(flat["modalities"])
        flat["temperature"] = TEMPERATURE
    return flat


def _modalities(modalities: list[str]) -> list[str]:
    # Sound always comes with its transcript, which this dialect counts as text.
    return ["audio", "text"] if "audio" in modalities else ["text"]


def _response(response: Table) -> Table:
    sound = response["audio"]["output"]
    kept = {key: response[key] for key in response if key not in ("audio", "output_modalities")}
    return {
        **kept,
        "output": [_item(item, _CONTENT) for item in response["output"]],
        "modalities": _modalities(response["output_modalities"]),
        "voice": sound["voice"],
        "output_audio_format": _SHORT[sound["format"]["type"]],
        "temperature": TEMPERATURE,
    }


def _item(item: Any, names: dict[str, str]) -> Any:
    """The item with its content called by `names`; whatever it is if it is none."""
    if not isinstance(item, dict) or not isinstance(item.get("content"), list):
        return item
    return item | {"content": [_part(part, names) for part in item["content"]]}


def _part(part: Any, names: dict[str, str]) -> Any:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        return part
    return part | {"type": names.get(part["type"], part["type"])}
