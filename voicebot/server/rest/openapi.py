"""The description of our HTTP API, with the schemas that requests are checked by."""

from __future__ import annotations

from typing import Any

from ... import __version__
from ...audio.encode import FORMS
from ..http.json_schema import Schema, listed, or_null, record
from ..model_catalog import TASKS
from ..realtime import schema as realtime
from .audio import SPEECH, TRANSCRIPTION, TRANSCRIPTION_JSON, TRANSLATION
from .chat_schema import CHAT
from .completions import COMPLETION
from .responses_schema import RESPONSE

_TEXT: Schema = {"type": "string"}
_BOTH = or_null(_TEXT)
_NUMBER: Schema = {"type": "number"}
_WHOLE: Schema = {"type": "integer"}
_ERROR = record({"error": record({"message": _TEXT, "type": _TEXT, "param": _BOTH, "code": _BOTH})})
_MODEL = record(
    {
        "id": _TEXT,
        "object": _TEXT,
        "created": _WHOLE,
        "owned_by": _TEXT,
        "task": {"type": "string", "enum": [*TASKS.values()]},
        "loaded": {"type": "boolean", "description": "Others are when they are first asked for."},
    },
    {"root": _TEXT | {"description": "The name of ours that another was taken for."}},
)
_USAGE = record(
    {
        "prompt_tokens": _WHOLE,
        "completion_tokens": _WHOLE,
        "total_tokens": _WHOLE,
        "prompt_tokens_details": record({"cached_tokens": _WHOLE, "audio_tokens": _WHOLE}),
    }
)
_FINISH: Schema = {"type": "string", "enum": ["stop", "length", "tool_calls", "function_call"]}
_CALL = record(
    {"id": _TEXT, "type": _TEXT, "function": record({"name": _TEXT, "arguments": _TEXT})}
)
_COMPLETION = record(
    {
        "id": _TEXT,
        "object": _TEXT,
        "created": _WHOLE,
        "model": _TEXT,
        "choices": listed(
            record(
                {
                    "index": _WHOLE,
                    "message": record(
                        {"role": _TEXT, "content": _BOTH},
                        {
                            "tool_calls": listed(_CALL),
                            "function_call": {"type": "object"},
                            "audio": record({"id": _TEXT, "data": _TEXT, "transcript": _TEXT}),
                        },
                    ),
                    "finish_reason": _FINISH,
                }
            )
        ),
        "usage": _USAGE,
    }
)
_COMPLETED = record(
    {
        "id": _TEXT,
        "object": _TEXT,
        "created": _WHOLE,
        "model": _TEXT,
        "choices": listed(record({"index": _WHOLE, "text": _TEXT, "finish_reason": _FINISH})),
        "usage": _USAGE,
    }
)
_ITEM = record({"id": _TEXT, "type": _TEXT})
_RESPONSE = record(
    {
        "id": _TEXT,
        "object": _TEXT,
        "created_at": _WHOLE,
        "status": {"type": "string", "enum": ["completed", "incomplete"]},
        "model": _TEXT,
        "output": listed(_ITEM),
        "usage": record({"input_tokens": _WHOLE, "output_tokens": _WHOLE, "total_tokens": _WHOLE}),
    }
)
_SHORT = {"text": _TEXT, "usage": record({"type": _TEXT, "seconds": _WHOLE})}
_SEGMENT = record(
    {
        "id": _WHOLE,
        "start": _NUMBER,
        "end": _NUMBER,
        "text": _TEXT,
        "avg_logprob": _NUMBER,
        "compression_ratio": _NUMBER,
    }
)
_WORD = record({"word": _TEXT, "start": _NUMBER, "end": _NUMBER})
_TRANSCRIPT = record(
    _SHORT,
    {
        "task": {"type": "string", "enum": ["transcribe", "translate"]},
        "language": _TEXT,
        "duration": _NUMBER,
        "segments": listed(_SEGMENT),
        "words": listed(_WORD),
    },
)
_STATES = record(
    {
        "ready": {"type": "boolean"},
        "engines": {"type": "object", "additionalProperties": _TEXT},
        "reload": _TEXT,
    }
)

_REASONS = {
    400: "Something about the request is wrong; `param` names the field.",
    401: "A key is needed, and this is none.",
    403: "A page or a host that may not talk to this server.",
    404: "There is no such model, or no such call.",
    408: "The body stopped coming.",
    413: "The body is too large.",
    415: "The body is of another type.",
    429: "The key has used what it may; Retry-After says when there is more.",
    500: "An engine failed.",
    501: "What it needs is not installed; the message says how to install it.",
    503: "All places are taken, the model cannot be loaded, or the server is shutting down.",
}
_RETRY = {"Retry-After": {"description": "Seconds to wait.", "schema": _WHOLE}}
_ID = {
    "x-request-id": {"description": "The id in the logs.", "schema": _TEXT},
    "x-voicebot-ignored": {"description": "Fields that are not known here.", "schema": _TEXT},
}


def _json(schema: Schema) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _answer(says: str, content: dict[str, Any], headers: dict[str, Any] | None = None) -> Any:
    return {"description": says, "headers": _ID | (headers or {}), "content": content}


def _errors(*statuses: int) -> dict[str, Any]:
    return {
        str(status): _answer(
            _REASONS[status], _json({"$ref": "#/components/schemas/Error"}), _retry(status)
        )
        for status in statuses
    }


def _retry(status: int) -> dict[str, Any] | None:
    return _RETRY if status in (429, 503) else None


def _post(
    says: str, body: str, schema: Schema, answer: dict[str, Any], told: tuple[str, ...]
) -> Any:
    headers = {f"x-voicebot-{name}": {"schema": _TEXT} for name in told}
    return {
        "post": {
            "summary": says,
            "requestBody": {"required": True, "content": {body: {"schema": schema}}},
            "responses": {
                "200": _answer("What was asked for.", answer, headers),
                **_errors(400, 401, 403, 404, 408, 413, 415, 429, 500, 503),
            },
        }
    }


def _secret(says: str, body: Schema, answer: Schema) -> Any:
    return {
        "post": {
            "summary": says,
            "requestBody": {"content": {"application/json": {"schema": body}}},
            "responses": {
                "200": _answer("A key for a browser, and the session it opens.", _json(answer)),
                **_errors(400, 401, 403, 408, 413, 429),
            },
        }
    }


def _call() -> Any:
    offer = _TEXT | {"description": "The client's offer, in SDP."}
    session = _TEXT | {
        "description": "JSON, as `session` of a client secret; a type with the rest."
    }
    sent = {"application/sdp": {"schema": offer}}
    sent["multipart/form-data"] = {"schema": record({"sdp": offer}, {"session": session})}
    place = {"Location": {"description": "The call, to be hung up.", "schema": _TEXT}}
    answer = {"application/sdp": {"schema": _TEXT}}
    return {
        "post": {
            "summary": "Open a Realtime session over WebRTC, its events on a data channel.",
            "requestBody": {"required": True, "content": sent},
            "responses": {
                "201": _answer("The server's answer, in SDP.", answer, place),
                **_errors(400, 401, 403, 408, 413, 415, 429, 501, 503),
            },
        }
    }


def _hang_up() -> Any:
    call = {"name": "call_id", "in": "path", "required": True, "schema": _TEXT | {"minLength": 1}}
    ended = {"description": "The call ends.", "headers": _ID}
    return {
        "parameters": [call],
        "post": {
            "summary": "End a call.",
            "responses": {"200": ended, **_errors(401, 403, 404, 429)},
        },
    }


def _get(says: str, schema: Schema, more: dict[str, Any] | None = None) -> Any:
    responses = {"200": _answer("What was asked for.", _json(schema)), **_errors(403)}
    responses |= more or {}
    return {"get": {"summary": says, "responses": responses}}


def _kept(operations: dict[str, Any]) -> dict[str, Any]:
    id = {"name": "id", "in": "path", "required": True, "schema": _TEXT | {"minLength": 1}}
    return {"parameters": [id], **operations}


def description() -> dict[str, Any]:
    """The whole of it, as OpenAPI 3.1."""
    form, json = "multipart/form-data", "application/json"
    plain = {"text/plain": {"schema": _TEXT}}
    stream = {"text/event-stream": {"schema": record({"data": _TEXT})}}
    written = _json(_TRANSCRIPT) | plain | {"text/vtt": {"schema": _TEXT}}
    sound: dict[str, Any] = {kind: {"schema": {}} for kind, _ in FORMS.values()}
    guarded = _errors(401, 429)
    absent = guarded | _errors(404)
    deleted = record({"id": _TEXT, "deleted": {"type": "boolean"}})
    by_name = _get("One model.", _MODEL, guarded | _errors(404))
    by_name["parameters"] = [
        {"name": "model", "in": "path", "required": True, "schema": _TEXT | {"minLength": 1}}
    ]
    voices = _get(
        "The voices of a model.",
        record({"voices": listed(record({"id": _TEXT, "name": _TEXT}))}),
        absent | _errors(503),
    )
    voices["get"]["parameters"] = [
        {"name": "model", "in": "query", "schema": _TEXT, "description": "The usual one's if none."}
    ]
    transcription = _post(
        "Write down a recording.", form, TRANSCRIPTION, written | stream, ("vad", "stt")
    )
    transcription["post"]["requestBody"]["content"] |= _json(TRANSCRIPTION_JSON)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "voicebot",
            "version": __version__,
            "description": "Speech and text in OpenAI's forms, by the engines of one machine.",
        },
        "paths": {
            "/v1/audio/transcriptions": transcription,
            "/v1/audio/translations": _post(
                "Write down a recording, in English.", form, TRANSLATION, written, ("vad", "stt")
            ),
            "/v1/audio/speech": _post(
                "Speak a text.", json, SPEECH, sound | stream, ("tts", "voice")
            ),
            "/v1/chat/completions": _post(
                "Reply to a conversation.", json, CHAT, _json(_COMPLETION) | stream, ("llm", "seed")
            ),
            "/v1/completions": _post(
                "Reply to a prompt.",
                json,
                COMPLETION,
                _json(_COMPLETED) | stream,
                ("llm", "seed"),
            ),
            "/v1/responses": _post(
                "Reply to a conversation, in items.",
                json,
                RESPONSE,
                _json(_RESPONSE) | stream,
                ("llm", "seed"),
            ),
            "/v1/responses/{id}": _kept(_get("A response that is kept.", _RESPONSE, absent))
            | {"delete": _get("Forget it.", deleted, absent)["get"]},
            "/v1/responses/{id}/input_items": _kept(
                _get("What it answers.", record({"data": listed(_ITEM)}), absent)
            ),
            "/v1/realtime/client_secrets": _secret(
                "Let a browser open a Realtime session.", realtime.ASKED, realtime.ANSWER
            ),
            "/v1/realtime/sessions": _secret(
                "The same, in the protocol's first dialect.",
                realtime.FLAT_SESSION,
                realtime.FLAT_ANSWER,
            ),
            "/v1/realtime/transcription_sessions": _secret(
                "The same, for a session that only transcribes.",
                realtime.FLAT_SESSION,
                realtime.FLAT_ANSWER,
            ),
            "/v1/realtime/calls": _call(),
            "/v1/realtime/calls/{call_id}/hangup": _hang_up(),
            "/v1/models": _get("The models there are.", record({"data": listed(_MODEL)}), guarded),
            "/v1/models/{model}": by_name,
            "/v1/audio/models": _get(
                "Those that hear or speak.", record({"data": listed(_MODEL)}), guarded
            ),
            "/v1/audio/voices": voices,
            "/v1/documents": _get(
                "What answers are drawn from, what may be asked about it, and whether the answers "
                "only quote it.",
                record(
                    {
                        "data": listed(record({"id": _TEXT})),
                        "questions": listed(_TEXT),
                        "quotes": {"type": "boolean"},
                    }
                ),
                guarded,
            ),
            "/metrics": {
                "get": {
                    "summary": "What was done since the start, for Prometheus.",
                    "responses": {
                        "200": _answer("The figures, in its text format.", plain),
                        **_errors(401, 403, 429),
                    },
                }
            },
            "/health": _get("Whether the server is alive.", record({"status": _TEXT})),
            "/ready": _get(
                "Whether every engine has answered, and which has not.",
                _STATES,
                {"503": _answer("Not yet, or no longer.", _json(_STATES), _RETRY)},
            ),
        },
        "components": {
            "schemas": {"Error": _ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        # Where the server is reached from its own machine alone, none is needed.
        "security": [{}, {"key": []}],
    }
