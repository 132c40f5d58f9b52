"""Sentences that are spoken before they are needed, to be had at once when they are."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from ..engines import Speech, Synthesizer
from ..errors import EngineError
from .pace import Pace, Timing
from .trim import trimmed

log = logging.getLogger(__name__)

VOICES = 16
"""Voices whose sentences are kept, half a megabyte or so each."""


@dataclass(slots=True, eq=False)
class _Voice:
    # A voice is a synthesizer with its options: comparable, but not hashable.
    tts: Synthesizer
    made: dict[str, tuple[Speech, ...]] = field(default_factory=dict)
    busy: bool = False


class PrerenderedSpeech:
    """The same few sentences in every voice that speaks here."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = [text for text in texts if text]
        self._voices: list[_Voice] = []

    def speech(self, tts: Synthesizer, text: str) -> tuple[Speech, ...]:
        """`text` in the voice of `tts`; nothing where it has not been made."""
        voice = self._of(tts)
        return voice.made.get(text, ()) if voice else ()

    async def make(self, tts: Synthesizer, pace: Pace | None = None) -> None:
        """Let `tts` speak the sentences that it has not, unless it is doing so.

        pace: learns how fast it is.

        Whatever ends this too early, a failure or whoever wanted it gone, is made up for by the
        next call.
        """
        voice = self._of(tts)
        if voice is None:
            voice = _Voice(tts)
            self._voices = [*self._voices, voice][-VOICES:]
        if voice.busy:
            return
        voice.busy = True
        try:
            for text in self._texts:
                if text not in voice.made:
                    timing = Timing()
                    async with aclosing(trimmed(tts.synthesize(text))) as speech:
                        voice.made[text] = tuple([timing.note(chunk) async for chunk in speech])
                    if pace:
                        timing.teach(pace, text)
        except EngineError as error:
            log.info("what is to be said when an answer is late cannot be kept ready: %s", error)
        finally:
            voice.busy = False

    def _of(self, tts: Synthesizer) -> _Voice | None:
        return next((voice for voice in self._voices if voice.tts == tts), None)
