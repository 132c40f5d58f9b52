"""What was said, in each of the forms OpenAI gives it in."""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse, PlainTextResponse, Response

from ...concurrency.worker import Stream
from ...engines import Segment
from ...transcription.transcribe import FORMATS, clock

FORMS = ("json", "text", "srt", "verbose_json", "vtt")


@dataclass(frozen=True, slots=True)
class RecordingTranscript:
    """What was said in a recording, as the routes of `/v1/audio` answer it."""

    segments: Sequence[Segment]
    seconds: float
    """Of the whole recording."""
    task: str
    """transcribe or translate."""

    @property
    def text(self) -> str:
        return " ".join(segment.text.strip() for segment in self.segments)


def answer(transcript: RecordingTranscript, form: str, granularities: Collection[str]) -> Response:
    """The transcript in one of FORMS.

    granularities: what the verbose form times, "word" or "segment" or both; none is segments.
    """
    match form:
        case "json":
            return JSONResponse(short(transcript))
        case "verbose_json":
            return JSONResponse(verbose(transcript, granularities or ("segment",)))
        case "srt":
            return PlainTextResponse(FORMATS["srt"]("", transcript.segments))
        case "vtt":
            return PlainTextResponse(_vtt(transcript.segments), media_type="text/vtt")
    return PlainTextResponse(f"{transcript.text}\n")


def short(transcript: RecordingTranscript) -> dict[str, Any]:
    usage = {"type": "duration", "seconds": math.ceil(round(transcript.seconds, 3))}
    return {"text": transcript.text, "usage": usage}


def verbose(transcript: RecordingTranscript, granularities: Collection[str]) -> dict[str, Any]:
    segments = transcript.segments
    document: dict[str, Any] = {
        "task": transcript.task,
        "language": segments[0].language if segments else "",
        "duration": round(transcript.seconds, 3),
        **short(transcript),
    }
    if "segment" in granularities:
        document["segments"] = [_segment(i, segment) for i, segment in enumerate(segments)]
    if "word" in granularities:
        document["words"] = [
            {"word": word.text, "start": round(word.start, 3), "end": round(word.end, 3)}
            for segment in segments
            for word in segment.words
        ]
    return document


def _segment(number: int, segment: Segment) -> dict[str, Any]:
    text = segment.text.strip()
    packed = text.encode()
    return {
        "id": number,
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": text,
        "avg_logprob": round(math.log(max(segment.confidence, 1e-9)), 4),
        "compression_ratio": round(len(packed) / len(zlib.compress(packed)), 3),
        # What OpenAI's Whisper alone could tell: clients count on their being there.
        "seek": 0,
        "tokens": [],
        "temperature": 0.0,
        "no_speech_prob": 0.0,
    }


def _vtt(segments: Sequence[Segment]) -> str:
    cues = [f"{clock(s.start, '.')} --> {clock(s.end, '.')}\n{_cue(s.text)}\n\n" for s in segments]
    return "".join(["WEBVTT\n\n", *cues])


def _cue(text: str) -> str:
    # It is markup: these begin a tag, a character's name and a line of times.
    return text.strip().replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


async def deltas(segments: Stream[Segment]) -> Stream[dict[str, Any]]:
    """The events that tell a transcript as it is recognised."""
    text = ""
    async with aclosing(segments):
        async for segment in segments:
            more = f"{' ' if text else ''}{segment.text.strip()}"
            text += more
            yield {"type": "transcript.text.delta", "delta": more}
    yield {"type": "transcript.text.done", "text": text}
