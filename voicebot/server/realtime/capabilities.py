"""What a server's engines can do of what a Realtime client asks: told before they are asked.

What an engine does not take is replaced by the nearest that it does, and the client is told; where
nothing is near, as with a language, the client's message is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...assistant.assembly import EngineSet
from ...conversation.voice_options import is_among
from ...engines import Kind, Synthesizer, Transcriber
from ...engines.call_options import OptionError, language, nearest_speed, taken
from ...model_names import PLAIN
from .. import voice_aliases as voices
from ..model_catalog import CatalogModel, ModelCatalog, ServedEngine
from .fields import ProtocolError, Table


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The options of one call that each engine takes."""

    stt: Transcriber
    tts: Synthesizer
    takes: frozenset[str]
    """Those of the chat model."""
    named: dict[str, str]
    """Of each kind of engine, what it is called."""
    parts: EngineSet
    """What has these engines."""
    catalogue: ModelCatalog
    """What else there is to choose from."""
    chosen: Mapping[Kind, CatalogModel] = field(default_factory=dict)
    """What was chosen, by its kind."""
    informed: bool = True
    """The chat model has the user's documents in view."""

    @classmethod
    def of(cls, parts: EngineSet) -> Capabilities:
        """What a server does of itself."""
        return cls._of(parts, ModelCatalog(parts), {}, informed=True)

    @classmethod
    def _of(
        cls,
        parts: EngineSet,
        catalogue: ModelCatalog,
        chosen: Mapping[Kind, CatalogModel],
        *,
        informed: bool,
    ) -> Capabilities:
        # What wraps the model hands its options on.
        takes = taken(parts.plain.reply)
        named: dict[str, str] = {chosen.kind: chosen.name for chosen in parts.chosen}
        return cls(parts.stt, parts.tts, takes, named, parts, catalogue, chosen, informed)

    def choosing(
        self, changes: Mapping[Kind, CatalogModel], *, informed: bool | None = None
    ) -> Capabilities:
        """The same with these models, which are loaded.

        informed: whether the chat model has the documents in view; None leaves that as it is.
        """
        chosen = {**self.chosen, **changes}
        informed = self.informed if informed is None else informed
        if chosen == self.chosen and informed == self.informed:
            return self
        parts = self.catalogue.parts(chosen.values(), informed=informed)
        return self._of(parts, self.catalogue, chosen, informed=informed)

    def model(self, kind: Kind, name: str) -> CatalogModel:
        """The model called that.

        Raises:
            ApiError: there is no such model.
        """
        return self.catalogue.find(kind, name.removesuffix(PLAIN) if kind == "llm" else name)

    def speaks(self, voice: str) -> list[CatalogModel]:
        """What may be meant to speak by the name of a voice: the usual one if it has that voice,
        else those that have it; some may first have to be loaded to tell."""
        usual, *others = self.catalogue.of("tts")
        if not others or self._has_voice(usual, voice):
            return [usual]
        return [each for each in others if not each.is_loaded or self._has_voice(each, voice)]

    def _has_voice(self, model: CatalogModel, voice: str) -> bool:
        return ServedEngine("tts", model.name, self.catalogue.parts([model])).has_voice(voice)

    def language(self, name: str, param: str) -> str:
        """The code of the language called that; empty to find it out.

        Raises:
            ProtocolError: the recogniser does not understand it.
        """
        try:
            return language(self.stt, name)
        except OptionError as error:
            raise ProtocolError("invalid_value", f"{param}: {error}", param) from None

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
