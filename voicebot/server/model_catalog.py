"""The models there are, under the names clients may call them by, and what exactly they are."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..assistant.assembly import EngineSet
from ..assistant.on_demand import AGAIN_S, OnDemand, Unavailable
from ..conversation.voice_options import VoiceOptions
from ..engines import Kind
from ..engines.call_options import language, taken
from ..model_names import PLAIN, is_usual, plain
from ..spelling import there_is
from . import voice_aliases as voices
from .errors import ApiError

KINDS: tuple[Kind, ...] = ("stt", "llm", "tts")
TASKS: dict[Kind, str] = {
    "stt": "automatic-speech-recognition",
    "llm": "text-generation",
    "tts": "text-to-speech",
}
"""What a model of each kind does, in the words of Hugging Face, which speaches lists too."""
_BY_NAME: tuple[Kind, ...] = ("stt", "tts", "llm")
"""The order in which a kind is guessed from a name: OpenAI calls speech models gpt-..., too."""
_DOES = {"stt": "transcribes", "llm": "answers", "tts": "speaks"}


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """One that may be chosen."""

    kind: Kind
    name: str
    engine: str
    weights: tuple[str, ...] = ()
    """What its weights are called, if it has some."""
    on_demand: OnDemand | None = None
    """How it is loaded; None for the usual one of its kind, which is."""

    @property
    def is_loaded(self) -> bool:
        return self.on_demand is None or self.on_demand.loaded is not None

    def is_also(self, name: str) -> bool:
        """Whether the name, in another spelling, is that of its weights."""
        return plain(name) in map(plain, (self.name, *self.weights))

    def has_engine(self, name: str) -> bool:
        """Whether the name is that of its engine; voices are often called so with their size."""
        spelt = plain(name)
        return spelt == self.engine or (self.kind == "tts" and spelt.startswith(self.engine))


@dataclass(frozen=True, slots=True)
class ServedEngine:
    """A model that is loaded, for one request."""

    kind: Kind
    name: str
    parts: EngineSet
    """With this model for the usual one of its kind."""

    @property
    def takes(self) -> frozenset[str]:
        """The options of one call."""
        engine = self.parts.engine(self.kind)
        # What wraps a chat model hands its options on.
        method = {"stt": "transcribe", "llm": "reply", "tts": "synthesize"}[self.kind]
        return taken(getattr(engine, method))

    def option(self, name: str, value: Any) -> dict[str, Any]:
        """The option of one call, where it was asked for.

        Raises:
            ApiError: the engine takes no such option.
        """
        if value is None:
            return {}
        if name not in self.takes:
            engine = self._engine_name
            says = f"{engine}, which {_DOES[self.kind]} here, takes no {name}"
            raise ApiError(400, says, param=name)
        return {name: value}

    def language(self, name: str | None) -> dict[str, str]:
        """The option that expects this language; nothing for what the settings say.

        Raises:
            OptionError: the engine does not understand it.
        """
        code = language(self.parts.stt, name or "")
        return {"language": code} if code else {}

    def voice(self, name: str | None) -> dict[str, str]:
        """The option that asks for this voice; nothing for that of the settings.

        Raises:
            ApiError: the engine has only one.
        """
        if name is None or name == "default":
            return {}
        known = getattr(self.parts.tts, "voices", ())
        return self.option("voice", voices.ours(name, self._engine_name, known))

    def has_voice(self, name: str) -> bool:
        """Whether the engine lists this voice, or knows one of OpenAI's by this name."""
        known = getattr(self.parts.tts, "voices", ())
        return "voice" in self.takes and voices.is_known(name, known)

    def headers(self, *kinds: Kind) -> dict[str, str]:
        """What did the work, for the headers of an answer."""
        revisions = self.parts.identity.revisions
        return {f"x-voicebot-{kind}": header(str(revisions[kind])) for kind in kinds}

    @property
    def _engine_name(self) -> str:
        return next(each.name for each in self.parts.chosen if each.kind == self.kind)


class ModelCatalog:
    """What a server's models are called: of each kind the usual one, and those it has by name."""

    def __init__(self, parts: EngineSet) -> None:
        self._parts = parts
        self._since = int(time.time())
        revisions = parts.identity.revisions
        self._usual = {
            kind: CatalogModel(
                kind, which.name, which.engine, (which.model,) if which.model else ()
            )
            for kind, which in revisions.items()
        }
        self._further = [*map(_described, parts.further)]

    def of(self, kind: Kind) -> list[CatalogModel]:
        """Those of a kind, the usual one first."""
        return [self._usual[kind], *(each for each in self._further if each.kind == kind)]

    def find(self, kind: Kind, name: str) -> CatalogModel:
        """The one called that: by the settings, by its weights or engine, or by other servers.

        Raises:
            ApiError: there is no such model.
        """
        if found := self.named(kind, name):
            return found
        known = self.of(kind)
        for fits in (CatalogModel.is_also, CatalogModel.has_engine):
            if fitting := [model for model in known if fits(model, name)]:
                return fitting[0]
        if is_usual(kind, name):
            return known[0]
        there = there_is(name[:80], [model.name for model in known])
        raise _no_model(f"{name[:80]!r} is no model that {_DOES[kind]} here; {there}")

    def named(self, kind: Kind, name: str) -> CatalogModel | None:
        """The one called exactly that, but for upper and lower case."""
        # The usual one last: of what "auto" finds nobody knows the name beforehand.
        known = reversed(self.of(kind))
        return next((model for model in known if model.name.lower() == name.lower()), None)

    async def served(self, kind: Kind, name: str) -> ServedEngine:
        """The model called that, once it is loaded.

        Raises:
            ApiError: there is no such model, or it cannot be loaded.
        """
        bare = name.removesuffix(PLAIN) if kind == "llm" else name
        return await self.loaded(self.find(kind, bare), informed=bare == name)

    async def usual(self, kind: Kind) -> ServedEngine:
        """The usual one of a kind."""
        return await self.loaded(self._usual[kind])

    async def loaded(self, model: CatalogModel, *, informed: bool = True) -> ServedEngine:
        """Raises: Refusal: it cannot be loaded."""
        if model.on_demand:
            try:
                await model.on_demand.get()
            except Unavailable as error:
                raise _unavailable(error) from error
        return ServedEngine(model.kind, model.name, self.parts([model], informed=informed))

    def parts(self, models: Iterable[CatalogModel], *, informed: bool = True) -> EngineSet:
        """The server's engines, with these models, which are loaded, for those of their kinds."""
        further = [model.on_demand for model in models if model.on_demand]
        return self._parts.having(*further, informed=informed)

    async def speaking(self, name: str | None, voice: str | None) -> ServedEngine:
        """What speaks in this voice.

        name: the model that was asked for. Where it is none of ours by its own name, another
            that has the voice speaks, if the usual one has not.

        Raises:
            ApiError: there is no such model, it cannot be loaded, or several others have the voice.
        """
        tts = await (self.served("tts", name) if name else self.usual("tts"))
        if not voice or voice == "default" or tts.has_voice(voice):
            return tts
        if name and self.named("tts", name):
            return tts
        others = await self._having_voice(voice)
        if len(others) > 1:
            which = " and ".join(each.name for each in others)
            raise ApiError(
                400, f"{which} have a voice {voice!r}; choose one as model", param="model"
            )
        return others[0] if others else tts

    async def _having_voice(self, voice: str) -> list[ServedEngine]:
        """Those beside the usual one that list the voice. They are loaded to be asked."""
        found = []
        for model in self.of("tts")[1:]:
            try:
                tts = await self.loaded(model)
            except ApiError:
                continue  # it is told where that model is asked for
            if tts.has_voice(voice):
                found.append(tts)
        return found

    def models(self) -> list[dict[str, Any]]:
        """All of them as OpenAI lists models, and what each does."""
        return [*{entry["id"]: entry for entry in self._listed(KINDS)}.values()]

    def model(self, name: str) -> dict[str, Any]:
        """The one called that, as OpenAI describes models.

        Raises:
            ApiError: there is no such model.
        """
        known = {entry["id"]: entry for entry in self.models()}
        if name in known:
            return known[name]
        for kind in _BY_NAME:
            try:
                found = self.find(kind, name)
            except ApiError:
                continue
            return self._entry(found, name) | {"root": found.name}
        raise _no_model(f"there is no model {name[:80]!r}; {there_is(name[:80], known)}")

    def audio_models(self) -> dict[str, Any]:
        """Those that hear or speak. Some clients look for them under one name, some another."""
        found = [*self._listed(("stt", "tts"))]
        return {"object": "list", "data": found, "models": found}

    async def listed_voices(self, model: str | None) -> dict[str, Any]:
        """The voices as Open WebUI, Kokoro-FastAPI and speaches list them.

        Raises:
            ApiError: there is no such model, or it cannot be loaded.
        """
        tts = await (self.served("tts", model) if model else self.usual("tts"))
        names = VoiceOptions(tts.parts.stt, tts.parts.tts).voices or ["default"]
        return {"voices": [{"id": name, "name": name} for name in names]}

    def _listed(self, kinds: tuple[Kind, ...]) -> Iterator[dict[str, Any]]:
        has_documents = self._parts.plain is not self._parts.llm
        for kind in kinds:
            for model in self.of(kind):
                yield self._entry(model, model.name)
                if kind == "llm" and has_documents:
                    yield self._entry(model, model.name + PLAIN)

    def _entry(self, model: CatalogModel, name: str) -> dict[str, Any]:
        return {
            "id": name,
            "object": "model",
            "created": self._since,
            "owned_by": model.engine,
            "task": TASKS[model.kind],
            "loaded": model.is_loaded,
        }


def _described(model: OnDemand) -> CatalogModel:
    return CatalogModel(model.kind, model.name, model.engine_name, model.weights, model)


def header(text: str) -> str:
    """The text as the value of a header, which ends at a new line and knows no other alphabet."""
    return re.sub(r"[^ -~]", "?", text).strip()


def _unavailable(error: Unavailable) -> ApiError:
    again = round(AGAIN_S)
    return ApiError(503, error.reason, param="model", code="model_unavailable", retry_after=again)


def _no_model(message: str) -> ApiError:
    return ApiError(404, message, param="model", code="model_not_found")
