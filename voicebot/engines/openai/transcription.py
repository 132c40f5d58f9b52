"""Text from any server with OpenAI's /audio/transcriptions: speaches, whisper.cpp, OpenAI."""

from __future__ import annotations

import io
import math
import re
import wave
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

from ... import languages
from ...audio import Audio, to_pcm16
from ...concurrency.worker import Stream
from .. import Segment, Word
from .client import HttpAnswer, RequestRejected, Server

SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")


class OpenAITranscriber:
    """A recogniser behind `/audio/transcriptions` of an OpenAI-compatible server."""

    def __init__(
        self,
        url: str,
        model: str,
        language: str = "",
        key_env: str = "OPENAI_API_KEY",
        timeout: float = 30.0,
    ) -> None:
        """A recogniser on the server at `url`, which ends in /v1 on most.

        `language` is a code or a name, empty to let the server find out. `key_env` names the
        environment variable with the key. `timeout` is how many seconds the first text may take,
        tries and all.

        Raises:
            ConfigError: the url is not one, or the time limit is not above 0.
        """
        self._server = Server("stt", url, key_env, timeout)
        self._language = language = languages.code(language)
        self._form: dict[str, Any] = {"model": model, "stream": "true"}
        if language:
            self._form["language"] = language
        self._detailed = True
        """Ask for times and words, until the server turns out not to give them."""

    async def transcribe(self, audio: Audio, *, language: str | None = None) -> Stream[Segment]:
        file = {"file": ("speech.wav", _wav(audio), "audio/wav")}
        asked = {**self._form, **({"language": language} if language else {})}
        if self._detailed:
            form = {
                **asked,
                "response_format": "verbose_json",
                "timestamp_granularities[]": ["word", "segment"],
            }
            try:
                async with aclosing(self._ask(form, file, audio.seconds)) as segments:
                    async for segment in segments:
                        yield segment
                return
            except RequestRejected:  # as newer models of OpenAI's do
                pass
        form = {**asked, "response_format": "json"}
        async with aclosing(self._ask(form, file, audio.seconds)) as segments:
            async for segment in segments:
                yield segment
        self._detailed = False  # it was the details that it had refused

    async def _ask(
        self, form: dict[str, Any], file: dict[str, Any], seconds: float
    ) -> Stream[Segment]:
        async with self._server.post("/audio/transcriptions", data=form, files=file) as answer:
            if answer.kind == "text/event-stream":
                async with aclosing(self._streamed(answer, seconds)) as segments:
                    async for segment in segments:
                        yield segment
            else:
                for segment in self._read(await answer.document(), seconds):
                    yield segment

    async def _streamed(self, answer: HttpAnswer, seconds: float) -> Stream[Segment]:
        """Each sentence as the next begins, or the segments of a server that sends those."""
        held, heard, done = "", False, False
        async with aclosing(answer.events()) as events:
            async for event in events:
                kind = event.get("type", "")
                if kind == "transcript.text.delta":
                    heard = True
                    *sentences, held = SENTENCE.split(held + self._text(event, "delta"))
                    for sentence in filter(None, sentences):
                        yield self._plain(sentence, seconds)
                elif kind == "transcript.text.done":
                    held, done = held if heard else self._text(event, "text"), True
                    break
                elif not kind:
                    done = True  # speaches: every event is complete in itself
                    for segment in self._read(event, seconds):
                        yield segment
        if not (done or answer.complete):
            raise self._server.error("broke off in the middle of the transcript")
        if held.strip():
            yield self._plain(held, seconds)
        await answer.drain()

    def _read(self, document: dict[str, Any], seconds: float) -> Iterator[Segment]:
        try:
            yield from self._segments(document, seconds)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise self._server.error("sent no transcription", f": {document}") from error

    def _segments(self, document: dict[str, Any], seconds: float) -> Iterator[Segment]:
        """Those the document lists; its words are OpenAI's beside the segments, others' in them."""
        named = str(document.get("language") or "")
        language = named if len(named) == 2 else self._language  # OpenAI writes "english"
        words = [_word(word) for word in document.get("words") or ()]
        parts = document.get("segments") or ()
        if not parts and document["text"].strip():
            end = words[-1].end if words else seconds
            start = words[0].start if words else 0.0
            text = document["text"].strip()
            yield Segment(text, start, end, tuple(words), _mean(words), language)
        for part in parts:
            start, end, text = float(part["start"]), float(part["end"]), part["text"].strip()
            own = [_word(word) for word in part.get("words") or ()] or [
                word for word in words if start <= (word.start + word.end) / 2 < end
            ]
            logprob = part.get("avg_logprob")
            confidence = min(1.0, math.exp(logprob)) if logprob is not None else _mean(own)
            if text:
                yield Segment(text, start, end, tuple(own), confidence, language)

    def _plain(self, text: str, seconds: float) -> Segment:
        # Without times from the server, all that is known is that it was somewhere in there.
        return Segment(text.strip(), 0.0, seconds, language=self._language)

    def _text(self, event: dict[str, Any], key: str) -> str:
        text = event.get(key)
        if not isinstance(text, str):
            raise self._server.error("sent no transcription", f": {event}")
        return text


def _word(word: dict[str, Any]) -> Word:
    chance = float(word.get("probability", 1.0))
    return Word(word["word"].strip(), float(word["start"]), float(word["end"]), chance)


def _mean(words: list[Word]) -> float:
    """Geometric mean of their confidence."""
    if not words:
        return 1.0
    return math.exp(sum(math.log(max(w.confidence, 1e-6)) for w in words) / len(words))


def _wav(audio: Audio) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(audio.rate)
        sound.writeframes(to_pcm16(audio))
    return file.getvalue()
