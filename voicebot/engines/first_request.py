"""The first request an engine is given, small, before anybody waits for its answer."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any

import numpy as np

from ..audio import Audio, join
from . import ChatModel, Kind, Message, Synthesizer, Transcriber, VoiceDetector

SAYING = "Hello there."
_RATE = 16000
_VOWELS = ((730, 1090, 2440), (270, 2290, 3010), (570, 840, 2410), (530, 1840, 2480))
"""Formants in Hz of the vowels of "father", "see", "saw" and "bed" (Peterson and Barney, 1952)."""


async def detect(vad: VoiceDetector) -> None:
    """Have a window of silence judged."""
    await vad.probability(np.zeros(vad.window, np.float32))


async def listen(stt: Transcriber, spoken: Audio) -> None:
    """Have what was spoken recognised."""
    async with aclosing(stt.transcribe(spoken)) as segments:
        async for _ in segments:
            pass


async def answer(llm: ChatModel, instructions: Sequence[Message] = ()) -> None:
    """Have the first word of a reply made."""
    async with aclosing(llm.reply([*instructions, Message("user", SAYING)])) as deltas:
        async for delta in deltas:
            if delta.text:  # it can; nobody waits for the rest
                return


async def speak(tts: Synthesizer) -> Audio | None:
    """What it makes of two words."""
    async with aclosing(tts.synthesize(SAYING)) as speech:
        chunks = [chunk.audio async for chunk in speech]
    return join(chunks) if chunks else None


def hum(seconds: float = 1.2) -> Audio:
    """Vowels, from pulses of a voice through resonators: speech to a voice detector.

    Recognisers never see what is none. After D. Klatt, "Software for a cascade/parallel formant
    synthesizer", 1980.
    """
    count = int(seconds * _RATE)
    pitch = 120 + 20 * np.sin(np.linspace(0, 9, count))
    phase = np.cumsum(pitch / _RATE)
    source = np.diff(np.floor(phase), prepend=0.0)
    sound = np.zeros(count)
    for nth, vowel in enumerate(_VOWELS):
        part = slice(nth * count // len(_VOWELS), (nth + 1) * count // len(_VOWELS))
        made = source[part]
        for formant in vowel:
            made = _resonated(made, formant, 60 + formant / 20)
        sound[part] = made / max(1e-9, np.abs(made).max())
    return Audio((0.3 * sound).astype(np.float32), _RATE)


def _resonated(samples: np.ndarray[Any, Any], hertz: float, width: float) -> Any:
    turn = 2 * np.pi * hertz / _RATE
    size = np.exp(-np.pi * width / _RATE)
    times = np.arange(int(0.03 * _RATE))
    return np.convolve(samples, size**times * np.sin(turn * (times + 1)))[: len(samples)]


REQUESTS: dict[Kind, Callable[[Any], Coroutine[Any, Any, object]]] = {
    "vad": detect,
    "stt": lambda stt: listen(stt, hum()),
    "llm": answer,
    "tts": speak,
}
"""Of an engine alone, by its kind."""
