"""Sentences that are spoken before they are needed, to be had at once when they are."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import aclosing

from ..engines import Speech, Synthesizer
from ..errors import EngineError

log = logging.getLogger(__name__)

VOICES = 16
"""Voices whose sentences are kept, half a megabyte or so each."""


class Canned:
    """The same few sentences in every voice that speaks here."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = [text for text in texts if text]
        # A voice is a synthesizer with its options: comparable, but not hashable.
        self._voices: list[tuple[Synthesizer, dict[str, tuple[Speech, ...]]]] = []

    def speech(self, tts: Synthesizer, text: str) -> tuple[Speech, ...]:
        """`text` in the voice of `tts`; nothing where it has not been made."""
        return self._of(tts).get(text, ())

    async def make(self, tts: Synthesizer) -> None:
        """Let `tts` speak the sentences, unless it has, or is doing so."""
        if any(voice == tts for voice, _ in self._voices):
            return
        made: dict[str, tuple[Speech, ...]] = {}
        self._voices = [*self._voices, (tts, made)][-VOICES:]
        for text in self._texts:
            try:
                async with aclosing(tts.synthesize(text)) as speech:
                    made[text] = tuple([chunk async for chunk in speech])
            except EngineError as error:
                log.info("%r cannot be kept ready: %s", text, error)

    def _of(self, tts: Synthesizer) -> dict[str, tuple[Speech, ...]]:
        return next((made for voice, made in self._voices if voice == tts), {})
