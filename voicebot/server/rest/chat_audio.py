"""Sound in chat completions: questions that are spoken, and answers read aloud."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.types import Scope

from ...assistant.assembly import EngineSet
from ...audio.encode import encoded
from ...concurrency.worker import Stream
from ...transcription.transcribe import RATE, segments
from ..auth.middleware import quota
from ..errors import ApiError
from ..http.uploads import LONGEST_S, foreign
from ..model_catalog import ModelCatalog, ServedEngine
from ..speaking import Counted, sound, spoken
from .audio import decoded, voice_named
from .replies import Piece
from .responses_store import ResponseStore, StoredResponse

GOOD_S = 3600
"""Seconds a client is told that it may name an answer's sound in place of its words."""

Heard = tuple[int, Any]
"""A piece of a reply, or bytes of its sound."""


def size(fields: dict[str, Any]) -> int:
    """Characters of the sound in a request."""
    return sum(len(part["input_audio"]["data"]) for _, part in _parts(fields))


async def listened(parts: EngineSet, fields: dict[str, Any], scope: Scope) -> None:
    """Put what was said in place of its sound, in the messages of a request.

    Raises:
        InputError: it is no sound.
    """
    for at, part in _parts(fields):
        field = f"messages[{at}].content"
        data = await asyncio.to_thread(decoded, part["input_audio"]["data"], field)
        longest = quota(scope).limits.recording(LONGEST_S)
        blocks = foreign(io.BytesIO(data), RATE, "input_audio", longest)
        counted = Counted(blocks, scope).blocks()
        async with aclosing(segments(parts, counted)) as heard:
            said = [segment.text.strip() async for segment in heard]
        part |= {"type": "text", "text": " ".join(said)}
        del part["input_audio"]


def _parts(fields: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    return [
        (at, part)
        for at, message in enumerate(fields["messages"])
        if isinstance(message.get("content"), list)
        for part in message["content"]
        if "input_audio" in part
    ]


def recalled(fields: dict[str, Any], kept: ResponseStore, request: Request) -> None:
    """Put the words in place of the sound of earlier answers that is named by its id.

    Raises:
        ApiError: it is not known, or not any more.
    """
    for at, message in enumerate(fields["messages"]):
        id = message.get("audio", {}).get("id")
        if message["role"] == "assistant" and "content" not in message and isinstance(id, str):
            found = kept.find(request.scope.get("key"), id, f"messages[{at}].audio.id")
            message["content"] = found.response["transcript"]


@dataclass(frozen=True, slots=True)
class AudioOutput:
    """How an answer is read aloud, and under which id it is remembered."""

    tts: ServedEngine
    form: str
    options: dict[str, Any]
    scope: Scope
    id: str

    async def read(self, told: Stream[Piece]) -> Stream[Heard]:
        """The same pieces, and the sound of their words as it is made."""
        waiting: list[Piece] = []

        async def words() -> Stream[str]:
            async with aclosing(told):
                async for index, piece in told:
                    waiting.append((index, piece))
                    if isinstance(piece, str):
                        yield piece

        speech = sound(spoken(self.tts.parts, words(), self.options))
        async with aclosing(encoded(Counted(speech, self.scope).blocks(), self.form)) as data:
            async for some in data:
                # The end of the reply is told behind its last sound.
                ended = [piece for piece in waiting if piece[1] is None]
                for piece in waiting:
                    if piece[1] is not None:
                        yield piece
                waiting[:] = ended
                yield 0, some
        for piece in waiting:
            yield piece

    def whole(self, heard: Sequence[Heard], created: int) -> dict[str, Any]:
        """The sound as a message holds it."""
        data = b"".join(piece for _, piece in heard if isinstance(piece, bytes))
        return {
            "id": self.id,
            "data": base64.b64encode(data).decode(),
            "transcript": "".join(piece for _, piece in heard if isinstance(piece, str)),
            "expires_at": created + GOOD_S,
        }

    def remember(self, kept: ResponseStore, words: str) -> None:
        told = {"id": self.id, "output": [], "transcript": words}
        kept.keep(self.scope.get("key"), StoredResponse(told, [], []))


async def aloud(
    fields: dict[str, Any], catalogue: ModelCatalog, scope: Scope
) -> AudioOutput | None:
    """How the answer is to be read aloud; None where nobody asks for it.

    Raises:
        ApiError: there is no such voice, or more than one answer is asked for.
    """
    if "audio" not in fields.get("modalities", ()):
        return None
    if fields.get("n", 1) > 1:
        raise ApiError(400, "of n answers none is read aloud; n should be 1", param="n")
    asked = fields.get("audio", {})
    form = asked.get("format", "wav")
    voice = voice_named(asked.get("voice"))
    tts = await catalogue.speaking(None, voice)
    id = f"audio_{uuid4().hex}"
    return AudioOutput(tts, "pcm" if form == "pcm16" else form, tts.voice(voice), scope, id)
