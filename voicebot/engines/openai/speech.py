"""Speech from any server with OpenAI's /audio/speech: Kokoro-FastAPI, speaches, OpenAI."""

from __future__ import annotations

import math
import re
import struct
from contextlib import aclosing

from ...audio import from_pcm16
from ...concurrency.worker import Stream
from ...errors import ConfigError
from .. import Speech
from .client import Server

PCM_RATE = 24000
"""Samples per second of response_format=pcm where the server names no other."""
UNDERSTOOD = ("", "audio/pcm", "audio/l16", "application/octet-stream")
WAV = ("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave")


class OpenAISynthesizer:
    """A voice behind `/audio/speech` of an OpenAI-compatible server."""

    speeds = (0.25, 4.0)

    def __init__(
        self,
        url: str,
        model: str,
        voice: str,
        key_env: str = "OPENAI_API_KEY",
        speed: float = 1.0,
        timeout: float = 30.0,
    ) -> None:
        """A voice of the server at `url`, which ends in /v1 on most.

        `key_env` names the environment variable with the key. `timeout` is how many seconds the
        first sound may take, tries and all.

        Raises:
            ConfigError: the url is not one, or a number is out of its range.
        """
        low, high = self.speeds
        if not low <= speed <= high:
            raise ConfigError(f"[tts] speed is {speed:g}; it must be from {low:g} to {high:g}")
        self._server = Server("tts", url, key_env, timeout)
        self._request = {"model": model, "voice": voice, "speed": speed, "response_format": "pcm"}

    async def synthesize(
        self, text: str, *, voice: str | None = None, speed: float | None = None
    ) -> Stream[Speech]:
        spoke = False
        asked = {"voice": voice, "speed": speed}
        request = {**self._request, **{k: v for k, v in asked.items() if v}, "input": text}
        async with self._server.post("/audio/speech", json=request) as answer:
            if answer.kind == "application/json":
                await answer.document()  # raises what the server has to say
            if answer.kind not in (*UNDERSTOOD, *WAV):
                raise self._server.error(f"sent {answer.kind}; only PCM and WAV can be played")
            rate = re.search(r"rate=(\d+)", answer.parameters)
            sound = _SoundStream(int(rate[1]) if rate else PCM_RATE)
            async with aclosing(answer.chunks()) as chunks:
                async for chunk in chunks:
                    try:
                        pcm = sound.whole(chunk)
                    except (ValueError, struct.error) as error:
                        raise self._server.error(f"sent a WAV file {error}") from error
                    if pcm:
                        spoke = True
                        yield Speech(from_pcm16(pcm, sound.rate))
        if not spoke:
            raise self._server.error("sent no sound")


class _SoundStream:
    """Whole samples of 16-bit mono PCM that arrives in pieces of any length, raw or as WAV.

    What it is shows in its first bytes, not in the media type: some servers call WAV PCM.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        """Samples per second; a WAV header changes it before the first sample."""
        self._held = b""
        self._left: float | None = None

    def whole(self, chunk: bytes) -> bytes:
        """The samples that `chunk` completes.

        Raises:
            ValueError: it is WAV of another format; says which.
        """
        self._held += chunk
        if self._left is None:
            self._left = self._begin()
            if self._left is None:
                return b""
        count = int(min(self._left, len(self._held))) // 2 * 2
        self._left -= count
        pcm, self._held = self._held[:count], self._held[count:]
        return pcm

    def _begin(self) -> float | None:
        """Take the header off: how many bytes of sound follow, None while that is unknown."""
        if len(self._held) < 4:
            return None
        if self._held[:4] != b"RIFF":
            return math.inf
        at = 12
        while len(self._held) >= at + 8:
            name, size = struct.unpack_from("<4sI", self._held, at)
            at += 8
            if name == b"data":
                self._held = self._held[at:]
                # A server that streams does not know the size: it writes 0, or the largest.
                return size or math.inf
            if len(self._held) < at + size:
                return None
            if name == b"fmt ":
                coding, channels, self.rate, _, _, bits = struct.unpack_from(
                    "<HHIIHH", self._held, at
                )
                if coding not in (1, 0xFFFE) or channels != 1 or bits != 16:
                    raise ValueError(
                        f"of {channels} channels and {bits} bits (coding {coding}); "
                        "16-bit mono PCM can be played"
                    )
            at += size + size % 2
        return None
