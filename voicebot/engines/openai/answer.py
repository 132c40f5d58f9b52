"""What an OpenAI-compatible server answers, read as it comes: bytes, a document, or events."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from ...concurrency.worker import Stream
from ...errors import EngineError

if TYPE_CHECKING:
    import httpx

QUIET_S = 10.0
"""A stream silent for this long is dead. Less would give up on a server that swaps models."""
DRAIN_S = 0.1
"""How long a finished answer may take to end. Waiting saves the next turn a new connection."""
COMPLAINT = 20_000
"""Bytes of an error page worth reading."""


# What servers say of messages that are longer than their model can read: OpenAI and vLLM,
# llama-server, LM Studio, TGI, Anthropic.
TOO_LONG = re.compile(
    r"maximum context length|context_length_exceeded|context (?:length|size|window)|context the "
    r"overflows|inputs` tokens \+ `max_new_tokens`|prompt is too long",
    re.IGNORECASE,
)


class RequestRejected(EngineError):
    """The server understood the request and does not take it as it is."""

    kind = "refused"


class Answer:
    """One response. Every failure to read it is an EngineError made by `error`."""

    def __init__(
        self, response: httpx.Response, error: Callable[[str], EngineError], deadline: float
    ) -> None:
        self.status = response.status_code
        kind, _, self.parameters = response.headers.get("content-type", "").lower().partition(";")
        self.kind = kind.strip()
        """The media type, such as "text/event-stream"."""
        self.complete = False
        """The server said that no more events will come."""
        self._bytes = response.aiter_bytes()
        self._error, self._deadline = error, deadline

    async def chunks(self) -> Stream[bytes]:
        """The content as it arrives."""
        import httpx

        loop = asyncio.get_running_loop()
        limit = self._deadline
        while True:
            try:
                async with asyncio.timeout_at(limit):
                    chunk = await anext(self._bytes)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise self._error("stopped sending in the middle of its answer") from error
            except httpx.HTTPError as error:
                raise self._error(f"broke off its answer ({brief(error)})") from error
            yield chunk
            limit = loop.time() + QUIET_S

    async def document(self) -> dict[str, Any]:
        """The whole content, which has to be a JSON object."""
        async with aclosing(self.chunks()) as chunks:
            return self._object(b"".join([chunk async for chunk in chunks]))

    async def events(self) -> Stream[dict[str, Any]]:
        """The JSON object of each server-sent event; an error among them is raised."""
        async with aclosing(self._lines()) as lines:
            async for line in lines:
                field, _, value = line.partition(b":")
                if field != b"data" or not value.strip():
                    continue
                if value.strip() == b"[DONE]":
                    self.complete = True
                    return
                yield self._object(value)

    async def drain(self) -> None:
        """Read what is left after all that matters, so that the connection can be used again."""
        import httpx

        with suppress(TimeoutError, httpx.HTTPError):
            async with asyncio.timeout(DRAIN_S):
                async for _ in self._bytes:
                    pass

    async def _lines(self) -> Stream[bytes]:
        held = b""
        async with aclosing(self.chunks()) as chunks:
            async for chunk in chunks:
                *whole, held = (held + chunk).split(b"\n")
                for line in whole:
                    yield line.strip()
        yield held.strip()

    def _object(self, text: bytes) -> dict[str, Any]:
        try:
            value = json.loads(text)
        except ValueError as error:
            shown = text.decode(errors="replace").strip()
            raise self._error(f"sent what is not JSON: {shown!r}") from error
        if not isinstance(value, dict):
            raise self._error(f"sent {value!r} instead of an object")
        if value.get("error"):
            raise self._error(f"failed: {_words(value)}")
        return value


async def complaint(answer: Answer) -> str:
    """The server's own words about its status, as ": words"; empty if it has none."""
    text = b""
    async with aclosing(answer.chunks()) as chunks:
        async for chunk in chunks:
            text += chunk
            if len(text) > COMPLAINT:
                break
    try:
        said = _words(json.loads(text))
    except ValueError:
        said = text.decode(errors="replace")
    return f": {said}" if said.strip() else ""


def brief(error: Exception) -> str:
    """What the library says, or at least the error's name: some say nothing."""
    return str(error) or type(error).__name__


def _words(value: Any) -> str:
    """The message in an error as OpenAI ({"error": {"message": ...}}), FastAPI ({"detail": ...})
    or Ollama ({"error": ...}) write it."""
    while isinstance(value, dict):
        key = next((k for k in ("error", "message", "detail") if value.get(k)), None)
        if key is None:
            break
        value = value[key]
    return value if isinstance(value, str) else json.dumps(value)
