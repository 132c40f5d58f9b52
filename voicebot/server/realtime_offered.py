"""What a server's engines can do of what a Realtime client asks: told before they are asked.

What an engine does not take is replaced by the nearest that it does, and the client is told; where
nothing is near, as with a language, the client's message is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..assembly import Parts
from ..conversation.choices import is_among
from ..engines import Synthesizer, Transcriber
from ..engines.per_call import OptionError, language, nearest_speed, taken
from . import voices
from .realtime_fields import Refused, Table


@dataclass(frozen=True, slots=True)
class Offered:
    """The options of one call that each engine takes."""

    stt: Transcriber
    tts: Synthesizer
    takes: frozenset[str]
    """Those of the chat model."""
    named: dict[str, str]
    """Of each kind of engine, what it is called."""

    @classmethod
    def of(cls, parts: Parts) -> Offered:
        # What wraps the model hands its options on.
        named: dict[str, str] = {chosen.kind: chosen.name for chosen in parts.chosen}
        return cls(parts.stt, parts.tts, taken(parts.plain.reply), named)

    def language(self, name: str, param: str) -> str:
        """The code of the language called that; empty to find it out.

        Raises:
            Refused: the recogniser does not understand it.
        """
        try:
            return language(self.stt, name)
        except OptionError as error:
            raise Refused("invalid_value", f"{param}: {error}", param) from None

    def voice(self, name: str) -> str | None:
        """The synthesizer's own name of a voice; None for that of its settings."""
        known: Sequence[str] = getattr(self.tts, "voices", ())
        if "voice" not in taken(self.tts.synthesize):
            return None
        meant = voices.ours(name, self.named["tts"], known)
        if meant is None or not known or is_among(meant, known):
            return meant
        return None

    def knows_voice(self, name: str) -> bool:
        """Whether a client that asks for it hears something that deserves the name."""
        return name in voices.OPENAI or self.voice(name) is not None

    def speed(self, wanted: float) -> float:
        """The nearest to it that can be had."""
        return nearest_speed(self.tts, wanted)

    def limits_tokens(self) -> bool:
        return "max_tokens" in self.takes

    def calls(self) -> bool:
        """The chat model may be given functions to call."""
        return "tools" in self.takes

    def must_call(self) -> bool:
        """It can be made to call one."""
        return {"tools", "must_call"} <= self.takes


def adjusted(param: str, asked: Any, used: Any, why: str) -> Table:
    """What a client is told of an option that is not as it asked."""
    return {"param": param, "asked": asked, "used": used, "why": why}
