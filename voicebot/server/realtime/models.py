"""The models that a Realtime client chooses: by their names, or by the name of a voice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ...assistant.on_demand import OnDemand, Unavailable
from ...engines import Kind
from ...model_names import PLAIN
from ..errors import ApiError
from ..model_catalog import CatalogModel
from .capabilities import Capabilities, adjusted
from .fields import ProtocolError, Table

MODEL = "session.model"
EARS = "session.audio.input.transcription.model"
_VOICE = "session.audio.output.voice"


@dataclass(slots=True)
class ModelChoice:
    """What comes of a change of the settings."""

    offered: Capabilities
    """With the models it chooses."""
    used: dict[str, str] = field(default_factory=dict)
    """By the field: the name of what is used in place of what cannot be had."""
    told: list[Table] = field(default_factory=list)
    """What the client is told of that."""


@dataclass(frozen=True, slots=True)
class NeededModel:
    """A model to be loaded before settings can be changed."""

    param: str
    model: OnDemand

    async def load(self) -> None:
        """
        Raises:
            ProtocolError: it is asked for by its name, and cannot be loaded.
        """
        try:
            await self.model.get()
        except Unavailable as error:
            if self.param != _VOICE:  # which another may have
                raise ProtocolError("model_unavailable", error.reason, self.param) from error


def needed(offered: Capabilities, patch: Table) -> list[NeededModel]:
    """What a change of settings asks for that is not loaded."""
    by_name: tuple[tuple[str, Kind], ...] = ((MODEL, "llm"), (EARS, "stt"))
    found = [
        (param, model)
        for param, kind in by_name
        if (name := _named(patch, param)) and (model := _found(offered, kind, name))
    ]
    if voice := _named(patch, _VOICE):
        found += [(_VOICE, model) for model in offered.speaks(voice)]
    return [
        NeededModel(param, model.on_demand)
        for param, model in found
        if model.on_demand and not model.is_loaded
    ]


def choose(offered: Capabilities, patch: Table, own_voice: str) -> ModelChoice:
    """What a change of settings chooses of what is loaded.

    own_voice: that of the usual engine.
    """
    choice = ModelChoice(offered)
    changes: dict[Kind, CatalogModel] = {}
    informed = None
    if (name := _named(patch, MODEL)) and (model := _loaded(choice, "llm", name, MODEL)):
        changes["llm"] = model
        informed = not name.endswith(PLAIN)
    if "transcription" in _table(patch, "audio", "input"):
        name = _named(patch, EARS)
        usual = offered.catalogue.of("stt")[0]
        if model := _loaded(choice, "stt", name, EARS) if name else usual:
            changes["stt"] = model
    if voice := _named(patch, _VOICE):
        usual, *_ = offered.catalogue.of("tts")
        fitting: Sequence[CatalogModel] = ()
        if voice not in (own_voice, "default"):
            fitting = [model for model in offered.speaks(voice) if model.is_loaded]
        changes["tts"] = fitting[0] if len(fitting) == 1 else usual
    choice.offered = offered.choosing(changes, informed=informed)
    return choice


def _loaded(choice: ModelChoice, kind: Kind, name: str, param: str) -> CatalogModel | None:
    """The model of that name; None, and a word about it, where it cannot be had."""
    offered = choice.offered
    try:
        model = offered.model(kind, name)
    except ApiError as refusal:
        why = str(refusal)
    else:
        if model.is_loaded:
            return model
        assert model.on_demand
        why = model.on_demand.failure or f"{model.name} is not loaded"
    used = offered.chosen.get(kind, offered.catalogue.of(kind)[0]).name
    choice.used[param] = used
    choice.told.append(adjusted(param, name[:80], used, why))
    return None


def _found(offered: Capabilities, kind: Kind, name: str) -> CatalogModel | None:
    try:
        return offered.model(kind, name)
    except ApiError:
        return None


def _named(patch: Table, param: str) -> str | None:
    """The name in a field of the session; None where there is none, or no name."""
    *path, last = param.split(".")[1:]
    value: Any = _table(patch, *path).get(last)
    if isinstance(value, dict):  # a voice may be
        value = value.get("id")
    return value if isinstance(value, str) and value else None


def _table(patch: Any, *path: str) -> Table:
    """The table at the end of the path, empty where there is none."""
    for key in path:
        patch = patch.get(key) if isinstance(patch, dict) else None
    return patch if isinstance(patch, dict) else {}
