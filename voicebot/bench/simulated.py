"""Simulated engines with fixed latencies.

They wait as long as a model would take, and compute nothing. They are found like any engine that is
not built in: `engine = "voicebot.bench.simulated:Recogniser"`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from ..audio import Audio, Samples
from ..concurrency.worker import Stream
from ..config import EngineChoice
from ..engines import Delta, Message, Segment, Speech
from ..errors import ConfigError

QUESTION = "What is the time, please?"
REPLY = (
    "It is ten past three in the afternoon. The kettle is on, and the cake is ready. "
    "Shall I call everybody in now?"
)
"""23 words in three sentences; no comma helps the first one to be cut."""
RATE = 24000


@dataclass(frozen=True, slots=True)
class Costs:
    """What a turn's engines take.

    Raises:
        ConfigError: one of the numbers is out of its range.
    """

    recognition_s: float = 0.25
    """Seconds, once it has the whole utterance."""
    first_token_s: float = 0.30
    tokens_per_s: float = 25.0
    """Tokens after the first; a word is one."""
    synthesis: float = 0.30
    """Seconds of work for a second of sound, which comes once all of it is made."""
    character_s: float = 0.06
    """Seconds of sound in a character."""
    reply: str = REPLY

    def __post_init__(self) -> None:
        for name in ("recognition_s", "first_token_s", "synthesis", "character_s"):
            if not 0 <= getattr(self, name) < inf:
                raise ConfigError(f"{name} should be at least 0, not {getattr(self, name):g}")
        if not 0 < self.tokens_per_s < inf:
            raise ConfigError(f"tokens_per_s should be above 0, not {self.tokens_per_s:g}")

    def engines(self) -> dict[str, EngineChoice]:
        """Engines that cost this, by kind, as settings choose them."""
        options: dict[str, tuple[str, dict[str, Any]]] = {
            "stt": ("Recogniser", {"seconds": self.recognition_s}),
            "llm": (
                "Writer",
                {
                    "first_s": self.first_token_s,
                    "tokens_per_s": self.tokens_per_s,
                    "reply": self.reply,
                },
            ),
            "tts": ("Voice", {"pace": self.synthesis, "character_s": self.character_s}),
        }
        return {
            kind: EngineChoice(f"{__name__}:{name}", settings)
            for kind, (name, settings) in options.items()
        }

    def floor(self, clause: str) -> float:
        """Seconds from the end of speech to the first sound if nothing but these costs took time.

        Recognition begins at the very end of speech, the model reads the transcript as soon as it
        is there, the first clause is spoken once its last word is written, and its sound is heard
        once it is made. `clause` is what was given to be spoken first: a shorter one would have a
        lower floor, but might not sound whole.
        """
        written = self.first_token_s + (len(clause.split()) - 1) / self.tokens_per_s
        made = self.synthesis * self.character_s * len(clause)
        return self.recognition_s + written + made


FREE = Costs(0.0, 0.0, 1e9, 0.0)
"""Engines that answer at once: what is left is ours."""


class Recogniser:
    """A recogniser that hears one text in any sound."""

    def __init__(self, seconds: float = 0.25, text: str = QUESTION) -> None:
        """Hears `text` in any sound, `seconds` after it was given it."""
        self._seconds, self._text = seconds, text

    async def transcribe(self, audio: Audio) -> Stream[Segment]:
        await asyncio.sleep(self._seconds)
        yield Segment(self._text, 0.0, audio.seconds)


class Writer:
    """A chat model that replies the same to everything."""

    def __init__(
        self, first_s: float = 0.30, tokens_per_s: float = 25.0, reply: str = REPLY
    ) -> None:
        """Replies the same to everything: a first word after `first_s`, then so many a second."""
        self._first_s, self._pace, self._words = first_s, tokens_per_s, reply.split()

    async def reply(self, messages: Sequence[Message]) -> Stream[Delta]:
        loop = asyncio.get_running_loop()
        due = loop.time() + self._first_s
        for word in self._words:
            await asyncio.sleep(max(0.0, due - loop.time()))
            yield Delta(f"{word} ")
            due += 1 / self._pace
        yield Delta(finish="stop")


class Voice:
    """A voice that hums for as long as the text would take to say."""

    def __init__(self, pace: float = 0.30, character_s: float = 0.06) -> None:
        """Hums for `character_s` a character, `pace` times as long after it was given the text."""
        self._pace, self._character_s = pace, character_s

    async def synthesize(self, text: str) -> Stream[Speech]:
        seconds = self._character_s * len(text)
        await asyncio.sleep(self._pace * seconds)
        yield Speech(_hum(seconds))


class Loudness:
    """A voice detector that costs nothing: what is loud is speech."""

    rate = 16000
    window = 512

    async def probability(self, window: Samples) -> float:
        return float(np.abs(window).max() > 0.1)


def _hum(seconds: float) -> Audio:
    at = np.arange(round(seconds * RATE)) / RATE
    return Audio((0.1 * np.sin(2 * np.pi * 220 * at)).astype(np.float32), RATE)
