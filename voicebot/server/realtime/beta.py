"""The Realtime protocol's first dialect, which older clients speak, to and from the present one.

In this dialect a session is flat, and some events and kinds of content have other names.
"""

from __future__ import annotations

from typing import Any

from . import fields
from .fields import Table

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
_WITHOUT_EFFECT = ("temperature",)

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
_LONG = {
    "assistant": {short: long for long, short in _CONTENT.items()},
    "user": {"text": "input_text", "audio": "input_audio"},
    "system": {"text": "input_text"},
}

TEMPERATURE = 0.8
"""What the dialect requires a session to have and none of our models is asked for."""


def is_flat(session: Any) -> bool:
    """Whether a session object can only be of this dialect."""
    return isinstance(session, dict) and "type" not in session and any(k in session for k in _FLAT)


def is_spoken(message: Table) -> bool:
    """Whether a client that sends this can only speak this dialect."""
    return message.get("type") == "transcription_session.update" or is_flat(message.get("session"))


def read(message: Table, *, speaks_beta: bool = True) -> Table:
    """A client's message as the present dialect has it, whichever names it uses.

    speaks_beta: a session that does not say its type is one of speech.
    """
    kind = message.get("type")
    if kind == "session.update":
        session = nested(fields.table(message.get("session"), "session"), "session.")
        return message | {"session": session | {"type": "realtime"} if speaks_beta else session}
    if kind == "transcription_session.update":
        session = nested(fields.table(message.get("session"), "session"), "session.")
        return message | {
            "type": "session.update",
            "session": session | {"type": "transcription"},
        }
    if kind == "conversation.item.create" and isinstance(message.get("item"), dict):
        return message | {"item": _long(message["item"])}
    if kind == "response.create" and isinstance(message.get("response"), dict):
        response = nested(message["response"], "response.")
        if isinstance(response.get("input"), list):
            response["input"] = [_long(item) for item in response["input"]]
        return message | {"response": response}
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


def nested(given: Table, where: str) -> Table:
    """A session, or a response, with what it has under names of this dialect in its present place.

    What is there already stays: a client that knows the present name means that.

    Raises:
        ProtocolError: a format is none.
    """
    found = {key: v for key, v in given.items() if key not in _FLAT and key not in _WITHOUT_EFFECT}
    for key, path in _FLAT.items():
        if key in given:
            value = given[key]
            if path[-1] == "format" and not isinstance(value, dict):
                if value is None:
                    continue
                value = {"type": _FORMATS[fields.choice(value, tuple(_FORMATS), where + key)]}
            into = found
            for step in path[:-1]:
                into[step] = dict(fields.table(into.get(step, {}), where + step))
                into = into[step]
            into.setdefault(path[-1], value)
    return found


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


def _long(item: Any) -> Any:
    """An item of a client's, its content by its present names; whatever it is if it is none."""
    role = item.get("role") if isinstance(item, dict) else None
    return _item(item, _LONG.get(role, {}) if isinstance(role, str) else {})


def _item(item: Any, names: dict[str, str]) -> Any:
    """The item with its content called by `names`; whatever it is if it is none."""
    if not isinstance(item, dict) or not isinstance(item.get("content"), list):
        return item
    return item | {"content": [_part(part, names) for part in item["content"]]}


def _part(part: Any, names: dict[str, str]) -> Any:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        return part
    return part | {"type": names.get(part["type"], part["type"])}
