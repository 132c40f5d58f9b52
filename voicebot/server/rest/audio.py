"""OpenAI's audio routes: what was said in a recording, and a text spoken."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any

from starlette.datastructures import UploadFile
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ...audio.encode import FORMS, encoded
from ...concurrency.worker import Stream
from ...engines import Segment, Speech
from ...engines.call_options import estimated_tokens
from ...transcription.transcribe import RATE, segments
from ..admission import AdmissionControl, AdmissionMiddleware
from ..auth.middleware import quota
from ..errors import ApiError
from ..http.bodies import FORM, UPLOAD, content_type, document, form
from ..http.json_schema import Schema
from ..http.streaming import CancellableStreamingResponse, begun, events, unless_gone
from ..http.unknown_fields import body
from ..http.uploads import LONGEST_S, foreign
from ..model_catalog import ModelCatalog, ServedEngine, header
from ..speaking import Counted, sound, spoken
from . import transcripts
from .transcripts import RecordingTranscript

TEXT = 4096
"""Characters of a text to speak, as at OpenAI: five minutes."""

_MODEL: Schema = {
    "type": "string",
    "description": "One of /v1/models, or what OpenAI calls one of this kind.",
}
_HEARD: Schema = {
    "file": {
        "type": "string",
        "format": "binary",
        "description": "A recording of at most 25 MiB and four hours.",
    },
    "model": _MODEL,
    "response_format": {"type": "string", "enum": [*transcripts.FORMS], "default": "json"},
    "prompt": {"type": "string", "description": "Accepted, and without effect."},
    "temperature": {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "description": "Accepted, and without effect: recognition is not random here.",
    },
}
TRANSLATION: Schema = {
    "type": "object",
    "required": ["file", "model"],
    "properties": _HEARD,
}
TRANSCRIPTION: Schema = {
    **TRANSLATION,
    "properties": {
        **_HEARD,
        "language": {
            "type": "string",
            "description": "A code or a name, as en or English; left out, the engine finds out.",
        },
        "stream": {
            "type": "boolean",
            "default": False,
            "description": "Server-sent events; only with json and text, as at OpenAI.",
        },
        "timestamp_granularities[]": {
            "type": "array",
            "items": {"type": "string", "enum": ["word", "segment"]},
            "description": "What verbose_json gives times of; segments if left out.",
        },
        "chunking_strategy": {
            "type": "string",
            "enum": ["auto"],
            "description": "Silence is always left out.",
        },
    },
}
_BASE64: Schema = {"type": "string", "description": "Base64, or a data URI of it."}
_TOLD = TRANSCRIPTION["properties"]
TRANSCRIPTION_JSON: Schema = body(
    {"model": _MODEL},
    {name: _TOLD[name] for name in _HEARD if name not in ("file", "model")}
    | {
        "file": _BASE64,
        "input_audio": body({"data": _BASE64}, {"format": {"type": "string"}}),
        "language": _TOLD["language"],
        "stream": _TOLD["stream"],
        "timestamp_granularities": _TOLD["timestamp_granularities[]"],
        "timestamp_granularities[]": _TOLD["timestamp_granularities[]"],
    },
)
SPEECH: Schema = body(
    {
        "input": {"type": "string", "minLength": 1, "maxLength": TEXT},
        "model": _MODEL,
    },
    {
        "voice": {
            "anyOf": [
                {"type": "string", "minLength": 1},
                body({"id": {"type": "string", "minLength": 1}}),
            ],
            "description": "One of the engine's, or of OpenAI's; left out, that of the settings.",
        },
        "response_format": {"type": "string", "enum": [*FORMS], "default": "mp3"},
        "speed": {"type": "number", "minimum": 0.25, "maximum": 4},
        "stream_format": {"type": "string", "enum": ["audio", "sse"], "default": "audio"},
        "instructions": {"type": "string", "description": "Accepted, and without effect."},
    },
)


def routes(catalogue: ModelCatalog, admission: AdmissionControl) -> Sequence[BaseRoute]:
    audio = _Audio(catalogue)
    inside = [Middleware(AdmissionMiddleware, admission)]
    return [
        Route(f"/v1/audio/{name}", endpoint, methods=["POST"], middleware=inside)
        for name, endpoint in (
            ("transcriptions", audio.transcriptions),
            ("translations", audio.translations),
            ("speech", audio.speech),
        )
    ]


class _Audio:
    def __init__(self, catalogue: ModelCatalog) -> None:
        self._catalogue = catalogue

    async def transcriptions(self, request: Request) -> Response:
        async with AsyncExitStack() as stack:
            if content_type(request) == "application/json":
                fields = await _sent_as_json(request)
            else:
                fields = await stack.enter_async_context(form(request, TRANSCRIPTION))
            stt = await unless_gone(request, self._catalogue.served("stt", fields["model"]))
            options = stt.language(fields.get("language"))
            return await self._heard(request, stt, fields, options, stack)

    async def translations(self, request: Request) -> Response:
        async with AsyncExitStack() as stack:
            fields = await stack.enter_async_context(form(request, TRANSLATION))
            stt = await unless_gone(request, self._catalogue.served("stt", fields["model"]))
            if "translate" not in stt.takes:
                raise ApiError(400, f"{stt.name} cannot translate; Whisper can", param="model")
            return await self._heard(request, stt, fields, {"translate": True}, stack)

    async def _heard(
        self,
        request: Request,
        stt: ServedEngine,
        fields: dict[str, Any],
        options: dict[str, Any],
        stack: AsyncExitStack,
    ) -> Response:
        style = fields.get("response_format", "json")
        granularities = fields.get("timestamp_granularities[]", ())
        if granularities and style != "verbose_json":
            raise ApiError(
                400,
                f"only verbose_json holds times, not {style}",
                param="timestamp_granularities[]",
            )
        headers = stt.headers("vad", "stt")
        file = fields["file"]
        longest = quota(request.scope).limits.recording(LONGEST_S)
        sound = foreign(file.file, RATE, file.filename or "file", longest)
        heard_of = Counted(sound, request.scope)
        heard = segments(stt.parts, heard_of.blocks(), **options)
        if fields.get("stream") and style in ("json", "text"):
            told = await begun(request, transcripts.deltas(heard), stack)
            return CancellableStreamingResponse(
                events(told), "text/event-stream", headers, stack.pop_all()
            )
        task = "translate" if options.get("translate") else "transcribe"
        found = await unless_gone(request, _all(heard))
        transcript = RecordingTranscript(found, heard_of.seconds, task)
        response = transcripts.answer(transcript, style, granularities)
        response.headers.update(headers)
        return response

    async def speech(self, request: Request) -> Response:
        fields = await document(request, SPEECH)
        style = fields.get("response_format", "mp3")
        named = voice_named(fields.get("voice"))
        tts = await unless_gone(request, self._catalogue.speaking(fields["model"], named))
        voice = tts.voice(named)
        options = voice | tts.option("speed", fields.get("speed"))
        headers = tts.headers("tts") | {"x-voicebot-voice": header(voice.get("voice", "default"))}
        async with AsyncExitStack() as stack:
            speech = await begun(request, _said(tts, fields["input"], options), stack)
            counted = Counted(sound(speech), request.scope).blocks()
            file = await begun(request, encoded(counted, style), stack)
            if fields.get("stream_format") == "sse":
                told = events(_told(file, fields["input"]))
                return CancellableStreamingResponse(
                    told, "text/event-stream", headers, stack.pop_all()
                )
            return CancellableStreamingResponse(file, FORMS[style][0], headers, stack.pop_all())
        raise AssertionError("an exit stack of ours swallows nothing")


async def _said(tts: ServedEngine, text: str, options: dict[str, Any]) -> Stream[Speech]:
    """
    Raises:
        ApiError: there is nothing in it to say.
    """
    silent = True
    async with aclosing(spoken(tts.parts, _once(text), options)) as speech:
        async for chunk in speech:
            silent = False
            yield chunk
    if silent:
        raise ApiError(400, "there is nothing in input that can be said", param="input")


async def _sent_as_json(request: Request) -> dict[str, Any]:
    """The fields of a transcription whose file is in Base64, perhaps as a data URI.

    Raises:
        ApiError: they are not as the schema says, or the file is no Base64.
    """
    fields = await document(request, TRANSCRIPTION_JSON, UPLOAD * 4 // 3 + FORM)
    at = "input_audio" if "input_audio" in fields else "file"
    sent = fields.pop(at, None)
    if sent is None:
        raise ApiError(400, "file is missing", param="file")
    data = await asyncio.to_thread(decoded, sent["data"] if isinstance(sent, dict) else sent, at)
    granularities = fields.pop("timestamp_granularities", None)
    if granularities:
        fields["timestamp_granularities[]"] = granularities
    return fields | {"file": UploadFile(io.BytesIO(data), filename="the recording")}


def decoded(text: str, field: str) -> bytes:
    """The bytes of Base64, or of a data URI of it.

    Raises:
        ApiError: it is none.
    """
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ApiError(400, f"{field} is no Base64", param=field) from error


def voice_named(voice: str | dict[str, str] | None) -> str | None:
    """What the voice is called, which clients write as a text or as an object with an id."""
    return voice["id"] if isinstance(voice, dict) else voice


async def _once(text: str) -> Stream[str]:
    yield text


async def _all(stream: Stream[Segment]) -> list[Segment]:
    async with aclosing(stream):
        return [segment async for segment in stream]


async def _told(sound: Stream[bytes], text: str) -> Stream[dict[str, Any]]:
    """The events that carry a sound file."""
    async with aclosing(sound):
        async for data in sound:
            yield {"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()}
    read = estimated_tokens(text)
    usage = {"input_tokens": read, "output_tokens": 0, "total_tokens": read}
    yield {"type": "speech.audio.done", "usage": usage}
