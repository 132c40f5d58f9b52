"""Trouble on purpose: any engine, but late, silent, broken or talking nonsense.

For drills: does the conversation go on, is the budget kept, does the alarm ring?
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Literal

import numpy as np

from ..audio import Audio
from ..concurrency.worker import Stream
from ..errors import ConfigError, EngineError
from .protocols import Delta, Segment, Speech

log = logging.getLogger(__name__)

Trouble = Literal["delay", "hang", "raise", "die", "garbage"]

_METHODS = {"stt": "transcribe", "llm": "reply", "tts": "synthesize"}


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong in an engine: its kind, and the seconds of a delay."""

    trouble: Trouble
    seconds: float = 0.0
    """How long a delay takes."""


@dataclass(frozen=True, slots=True)
class FaultSettings:
    """`[faults]`: faults injected into engines on purpose."""

    stt: str = ""
    """"delay 2" (seconds before anything comes), "hang", "raise", "die" (in the middle, and for
    ever), "garbage", or empty: no trouble. So for each kind of engine."""
    llm: str = ""
    tts: str = ""
    chance: float = 1.0
    """Of a call to be troubled."""
    seed: int = 1
    """The same troubles in the same order."""

    def __post_init__(self) -> None:
        for kind in _METHODS:
            self.fault(kind)
        if not 0 <= self.chance <= 1:
            raise ConfigError(f"[faults] chance should be from 0 to 1, not {self.chance:g}")

    def fault(self, kind: str) -> Fault | None:
        """
        Raises:
            ConfigError: what is set for this kind is no trouble.
        """
        words = getattr(self, kind, "").split()
        match words:
            case []:
                return None
            case ["delay", seconds] if _is_number(seconds):
                return Fault("delay", float(seconds))
            case ["hang" | "raise" | "die" | "garbage" as trouble]:
                return Fault(trouble)
        raise ConfigError(
            f"[faults] {kind} should be delay SECONDS, hang, raise, die or garbage, "
            f"not {' '.join(words)!r}"
        )

    def around(self, kind: str, engine: Any) -> Any:
        """The engine, in trouble if that is set for its kind."""
        if not (fault := self.fault(kind)):
            return engine
        log.warning("[faults] %s is in trouble on purpose: %s", kind, getattr(self, kind))
        return _FaultyEngine(kind, engine, fault, self.chance, self.seed)


class _FaultyEngine:
    """An engine whose one method is in trouble; all else is as it was."""

    def __init__(self, kind: str, engine: Any, fault: Fault, chance: float, seed: int) -> None:
        self._engine = engine
        name = _METHODS[kind]
        method = getattr(engine, name)
        # It keeps its signature, which says what options a call may have. It does not know us: in
        # a cycle, the engine and its connections would outlive their last user.
        call = functools.partial(_Faults(kind, fault, chance, Random(seed)).call, method)
        setattr(self, name, functools.wraps(method)(call))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


@dataclass(slots=True)
class _Faults:
    """What happens to the calls of one engine."""

    kind: str
    fault: Fault
    chance: float
    random: Random
    dead: bool = False

    async def call(self, method: Callable[..., Stream[Any]], *args: Any, **options: Any) -> Any:
        if self.dead:
            raise EngineError(self.kind, "fault injection: it has died")
        troubled = self.random.random() < self.chance
        trouble = self.fault.trouble if troubled else ""
        match trouble:
            case "delay":
                await asyncio.sleep(self.fault.seconds)
            case "hang":
                await asyncio.Event().wait()
            case "raise":
                raise EngineError(self.kind, "fault injection: it was told to fail")
        async with aclosing(method(*args, **options)) as items:
            async for item in items:
                yield _garbage(item, self.random) if trouble == "garbage" else item
                if trouble == "die":
                    self.dead = True
                    raise EngineError(self.kind, "fault injection: it died")


def _garbage(item: Any, random: Random) -> Any:
    """As much of the same kind, without a meaning."""
    match item:
        case Segment(text=text):
            return replace(item, text=_letters(text, random), words=())
        case Delta(text=text):
            return replace(item, text=_letters(text, random))
        case Speech(audio=audio):
            noise = np.random.default_rng(random.randrange(2**32)).uniform(
                -0.3, 0.3, audio.samples.shape
            )
            return replace(item, audio=Audio(noise.astype(np.float32), audio.rate), words=())
    return item


def _letters(text: str, random: Random) -> str:
    return "".join(chr(random.randrange(97, 123)) if c.isalnum() else c for c in text)


def _is_number(text: str) -> bool:
    try:
        return float(text) >= 0
    except ValueError:
        return False
