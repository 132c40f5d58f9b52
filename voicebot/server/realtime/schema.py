"""What the routes that give browsers a secret for the Realtime protocol are sent and answer."""

from __future__ import annotations

from ..auth.ephemeral_keys import ANCHOR, LONGEST, SHORTEST, USUAL
from ..http.json_schema import Schema, listed, one_of, or_null, record
from .fields import RATES
from .settings import CHOICES, EAGERNESS, IDLE, LONGEST_SILENCE, MOST_TOKENS, SPEEDS, TOOLS

_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer"}
_FLAG = or_null({"type": "boolean"})
_ANY: Schema = {"type": "object"}


def _number(low: float, high: float, kind: str = "number") -> Schema:
    return {"type": kind, "minimum": low, "maximum": high}


_TOOL = record(
    {"type": one_of("function"), "name": _TEXT},
    {"description": or_null(_TEXT), "parameters": or_null(_ANY, description="JSON Schema.")},
)
_TURNS = or_null(
    record(
        {},
        {
            "type": one_of("server_vad", "semantic_vad"),
            "threshold": or_null(_number(0.01, 0.99)),
            "prefix_padding_ms": or_null(_number(0, LONGEST_SILENCE, "integer")),
            "silence_duration_ms": or_null(_number(0, LONGEST_SILENCE, "integer")),
            "idle_timeout_ms": or_null(_number(*IDLE, "integer")),
            "eagerness": or_null(one_of(*EAGERNESS)),
            "create_response": _FLAG,
            "interrupt_response": _FLAG,
        },
    ),
    description="Null: what is appended is a message once it is committed.",
)
_VOICE: Schema = {"anyOf": [_TEXT, record({"id": _TEXT}), {"type": "null"}]}
_SPEED = or_null(_number(*SPEEDS))
_TOKENS: Schema = {
    "anyOf": [_number(1, MOST_TOKENS, "integer"), one_of("inf"), {"type": "null"}],
}
_MODALITIES = listed(one_of("audio", "text"), 1)
_BOTH_DIALECTS: dict[str, Schema] = {
    "model": _TEXT,
    "instructions": _TEXT,
    "tools": listed(_TOOL, most=TOOLS),
    "tool_choice": {
        "anyOf": [one_of(*CHOICES), record({"type": one_of("function"), "name": _TEXT})],
    },
}
_FORMAT = record({"type": one_of(*RATES)}, {"rate": _WHOLE})
SESSION = record(
    {},
    {
        **_BOTH_DIALECTS,
        "type": one_of("realtime", "transcription"),
        "output_modalities": _MODALITIES,
        "parallel_tool_calls": _FLAG,
        "max_output_tokens": _TOKENS,
        "audio": record(
            {},
            {
                "input": record(
                    {},
                    {
                        "format": _FORMAT,
                        "transcription": or_null(_ANY),
                        "noise_reduction": or_null(_ANY),
                        "turn_detection": _TURNS,
                    },
                ),
                "output": record({}, {"format": _FORMAT, "voice": _VOICE, "speed": _SPEED}),
            },
        ),
    },
) | {"description": "As in `session.update`; what is left out is as in the server's settings."}
FLAT_SESSION = record(
    {},
    {
        **_BOTH_DIALECTS,
        "modalities": _MODALITIES,
        "voice": _VOICE,
        "speed": _SPEED,
        "input_audio_format": one_of("pcm16", "g711_ulaw", "g711_alaw"),
        "output_audio_format": one_of("pcm16", "g711_ulaw", "g711_alaw"),
        "input_audio_transcription": or_null(_ANY),
        "input_audio_noise_reduction": or_null(_ANY),
        "turn_detection": _TURNS,
        "max_response_output_tokens": _TOKENS,
    },
) | {"description": "A session of the first dialect."}
ASKED = record(
    {},
    {
        "session": or_null(SESSION),
        "expires_after": or_null(
            record(
                {},
                {
                    "anchor": one_of(ANCHOR),
                    "seconds": _number(SHORTEST, LONGEST, "integer") | {"default": USUAL},
                },
            )
        ),
    },
)
SECRET = record({"value": _TEXT, "expires_at": _WHOLE})
ANSWER = record({**SECRET["properties"], "session": _ANY})
FLAT_ANSWER = record({"id": _TEXT, "object": _TEXT, "client_secret": SECRET})
