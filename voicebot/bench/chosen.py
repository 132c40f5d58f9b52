"""Which engines a benchmark runs on, and words for those on random weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from ..assistant import assembly
from ..assistant.assembly import EngineSet, EngineSpec
from ..audio import Audio
from ..concurrency.worker import Stream
from ..config import Config, DocumentSettings, EngineChoice
from ..engines import (
    ENGINES,
    ChatModel,
    Delta,
    Kind,
    Message,
    Segment,
    Transcriber,
    install,
    lacking,
)
from ..errors import MissingDependency
from .simulated import QUESTION, Costs

SIZES = ("miniature", "random")
"""Random weights: as small as they can be, or as large and slow as published ones."""
INSTEAD = ("filler", "apology")
"""Degradations that say something else than the answer."""
WEIGHTS: dict[Kind, tuple[str, str]] = {
    "stt": ("whisper", "whisper"),
    "llm": ("llama", "llama.gguf"),
    "tts": ("kokoro", "kokoro"),
}
"""By kind the engine, and where below `folder` its weights lie."""


def folder(models: Path, size: str) -> Path:
    """Where scripts/bench-weights puts weights of one of SIZES."""
    return models / f"bench-{size}"


def answering(config: Config, *, documents: bool = False) -> Config:
    """The settings without what is said in place of a late answer, with or without documents.

    A filler comes in time whatever the engines do: with it, nothing would be measured.
    """
    kept = " ".join(
        degradation for degradation in config.latency.enabled if degradation not in INSTEAD
    )
    budget = dataclasses.replace(config.latency, degradations=kept)
    kept_documents = config.documents if documents else DocumentSettings()
    return dataclasses.replace(config, documents=kept_documents, latency=budget)


def choose(config: Config, engines: str, costs: Costs, models: Path) -> tuple[Config, list[str]]:
    """The settings that mean these engines, and a line for each that is simulated instead.

    engines: "configured", "simulated" or one of SIZES.
    """
    if engines == "configured":
        return config, []
    picked: dict[str, EngineChoice] = costs.engines()
    missing = []
    for kind in WEIGHTS if engines in SIZES else ():
        try:
            random_weights = _random(kind, engines, models)
        except MissingDependency as error:
            missing.append(f"{error}; simulated instead")
        else:
            picked[kind] = EngineChoice(random_weights.name, random_weights.options)
    replaced: dict[str, Any] = {**picked}
    return dataclasses.replace(config, **replaced), missing


def one(kind: Kind, config: Config, engines: str, models: Path) -> EngineSpec:
    """The engine of one kind. `engines` is "configured" or one of SIZES.

    Raises:
        MissingDependency: it cannot run here; nothing is simulated instead.
        ConfigError: it does not exist.
    """
    if engines in SIZES:
        return _random(kind, engines, models)
    (chosen,) = assembly.choose(config, models, [kind])
    return chosen


def _random(kind: Kind, size: str, models: Path) -> EngineSpec:
    name, file = WEIGHTS[kind]
    path = folder(models, size) / file
    if absent := lacking(entry := ENGINES[kind][name]):
        raise MissingDependency(f"{kind}: {name} needs {absent[0]}; {install(entry)}")
    if not path.exists():
        makes = f"scripts/bench-weights {size} makes them"
        raise MissingDependency(f"{kind}: no {size} weights in {path}; {makes}")
    return EngineSpec(kind, name, {"model": str(path)})


def scripted(parts: EngineSet, costs: Costs) -> EngineSet:
    """The same engines, as slow as they are, but heard and written is what we say."""
    return dataclasses.replace(parts, stt=_Hearing(parts.stt), llm=_Writing(parts.llm, costs.reply))


class _Hearing:
    """Takes as long as `inner`, and has heard QUESTION."""

    def __init__(self, inner: Transcriber) -> None:
        self._inner = inner

    async def transcribe(self, audio: Audio) -> Stream[Segment]:
        async with aclosing(self._inner.transcribe(audio)) as segments:
            async for _ in segments:
                pass
        yield Segment(QUESTION, 0.0, audio.seconds)


class _Writing:
    """Writes a word of the reply for every token of `inner`; if that stops, the rest at once."""

    def __init__(self, inner: ChatModel, reply: str) -> None:
        self._inner, self._words = inner, reply.split()

    async def reply(self, messages: Sequence[Message]) -> Stream[Delta]:
        words = iter(self._words)
        async with aclosing(self._inner.reply(messages)) as deltas:
            async for delta in deltas:
                if not delta.text:
                    continue
                word = next(words, None)
                if word is None:
                    break
                yield Delta(f"{word} ")
        for word in words:
            yield Delta(f"{word} ")
        yield Delta(finish="stop")
