"""Whether the engines can answer: each is asked something small before anybody else asks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Container, Mapping

from ..audio import silence
from ..engines import Kind, Message, first_request
from ..errors import EngineError, VoicebotError
from .assembly import EngineSet

log = logging.getLogger(__name__)

READY = "ready"
LOADING = "loading"

AGAIN_S = 5.0
"""Seconds until an engine that failed is asked again: a server behind us may yet come up."""

LONGEST_S = 120.0
"""Seconds an engine may take over its first answer before what was there is kept instead of it:
more than any takes to load."""


class Warmup:
    """The state of each kind of engine: "loading", "ready", or why it failed.

    known: states of engines that were asked before.
    news: called when one of them has changed.
    """

    def __init__(
        self,
        parts: EngineSet,
        known: Mapping[Kind, str] | None = None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._parts, self._on_change = parts, on_change
        self._spoken = silence(1.0, 16000)
        # The voice goes before the ear, which then hears it: silence would reach no recogniser.
        self._questions: dict[Kind, Callable[[], Awaitable[None]]] = {
            "vad": self._detect,
            "tts": self._speak,
            "stt": self._listen,
            "llm": self._answer,
        }
        self.states: dict[Kind, str] = {**dict.fromkeys(self._questions, LOADING), **(known or {})}

    @property
    def ready(self) -> bool:
        """Whether each of them has answered."""
        return all(state == READY for state in self.states.values())

    async def warm(self) -> None:
        """Ask each engine until it has answered."""
        await self.once()
        while not self.ready:
            await asyncio.sleep(AGAIN_S)
            await self.once()

    async def once(self) -> None:
        """Ask each engine that has not answered yet, and have ready what helps a late one."""
        for kind, ask in self._questions.items():
            if self.states[kind] != READY:
                self.states[kind] = await _state(ask)
                self._on_change()
        if self.states["tts"] == READY:
            await _state(lambda: self._parts.fallbacks.keep_ready(self._parts.tts))

    async def require(self, kinds: Container[Kind]) -> None:
        """Ask the engines of these kinds once.

        Raises:
            EngineError: one of them does not answer, or not in time.
        """
        for kind, ask in self._questions.items():
            # Recognition is probed with the synthesized sample, so speech must be ready first.
            if kind in kinds or (kind == "tts" and "stt" in kinds and self.states[kind] == READY):
                try:
                    async with asyncio.timeout(LONGEST_S):
                        await ask()
                except TimeoutError:
                    raise EngineError(kind, f"gave nothing for {LONGEST_S:g} s") from None
                self.states[kind] = READY

    async def _detect(self) -> None:
        await first_request.detect(self._parts.vad())

    async def _speak(self) -> None:
        self._spoken = await first_request.speak(self._parts.tts) or self._spoken

    async def _listen(self) -> None:
        await first_request.listen(self._parts.stt, self._spoken)

    async def _answer(self) -> None:
        # With the instructions, which a model that remembers what it read need not read again.
        instructions = self._parts.assistant.instructions
        system = [Message("system", instructions)] if instructions else []
        await first_request.answer(self._parts.llm, system)


async def _state(ask: Callable[[], Awaitable[None]]) -> str:
    try:
        await ask()
    except VoicebotError as error:
        log.warning("%s", error)
        return f"failed: {error}"
    except Exception:  # an engine of anybody's own may raise anything
        log.exception("an engine failed while it was tried")
        return "failed: the log says why"
    return READY
