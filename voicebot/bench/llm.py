"""`voicebot bench llm`: how long a prompt takes to be read, and a reply to be written."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import cycle, islice

from .. import engines
from ..engines import ChatModel, Message
from ..engines.call_options import wanted
from .job import Done, Job, Reading
from .tts import TEXTS

LOADS = "loading the model"
FIRST = "process start to first token"
MADE = "tokens written in a second, all sessions, prompts included", ""
WORDS = (20, 80, 320)
"""Of a system message: a sentence, instructions, and instructions with two passages."""
TOKENS = 48
"""Of a reply: two spoken sentences."""
QUESTIONS = "What is the time?", "Who has taken the blue cups?"


@dataclass(frozen=True, slots=True)
class Reply:
    """How a reply came."""

    first: float
    """Seconds until its first text."""
    last: float
    """Seconds until its last."""
    read: int | None
    """Tokens of the prompt; None where the engine does not count."""
    written: int
    """Tokens, or pieces of text where the engine does not count."""

    @property
    def token(self) -> float | None:
        """Seconds a token took after the first; None if there was one only."""
        return (self.last - self.first) / (self.written - 1) if self.written > 1 else None


def load(job: Job) -> ChatModel:
    loaded: ChatModel = engines.load("llm", job.engine, **job.options)
    return loaded


async def first(engine: ChatModel, given: int) -> None:
    await _reply(engine, prompt(given, "", QUESTIONS[0]), 1)


async def once(engine: ChatModel, given: int, nth: int) -> Done:
    # The number comes first: from there on nothing was ever read before.
    cold = await _reply(engine, prompt(given, f"{nth}. ", QUESTIONS[0]), 1)
    warm = await _reply(engine, prompt(given, f"{nth}. ", QUESTIONS[1]), TOKENS)
    words = f"{given} words"
    readings = []
    if cold:
        readings.append(Reading(f"first token, {words} unread", "ms", words, cold.first * 1000))
    if warm:
        what = f"first token, {words} read before"
        readings.append(Reading(what, "ms", words, warm.first * 1000))
        if warm.read is not None:
            readings.append(Reading(f"tokens in such a prompt, {words}", "", words, warm.read))
        if warm.token:
            readings.append(Reading("each further token", "ms", words, warm.token * 1000))
            readings.append(Reading("tokens in a second", "/s", words, 1 / warm.token))
    return Done(readings, sum(reply.written for reply in (cold, warm) if reply))


def prompt(words: int, mark: str, question: str) -> list[Message]:
    """A system message of so many words behind `mark`, and a question."""
    system = " ".join(islice(cycle(TEXTS[-1].split()), words))
    return [Message("system", f"{mark}{system}"), Message("user", question)]


async def _reply(engine: ChatModel, messages: Sequence[Message], most: int) -> Reply | None:
    began = time.perf_counter()
    came: list[float] = []
    tokens: tuple[int, int] | None = None
    options = wanted(engine.reply, max_tokens=most)
    async with aclosing(engine.reply(messages, **options)) as deltas:
        async for delta in deltas:
            if delta.text:
                came.append(time.perf_counter() - began)
            tokens = delta.tokens or tokens
    if not came:
        return None
    read, written = tokens or (None, len(came))
    return Reply(came[0], came[-1], read, written)
