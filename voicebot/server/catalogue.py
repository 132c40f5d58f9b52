"""The models there are, under the names clients may call them by, and what exactly they are."""

from __future__ import annotations

import re
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .. import __version__, engines, weights
from ..assembly import Chosen, Parts
from ..engines import ChatModel, Kind
from ..engines.per_call import taken
from ..knowledge import Informed
from . import voices
from .refusals import Refusal

PLAIN = ":no-documents"
"""Put after the name of the chat model it means the same one without the user's documents."""

_OPENAI: dict[Kind, re.Pattern[str]] = {
    "stt": re.compile(r"whisper-1|gpt-[\w.-]*transcribe[\w.-]*"),
    "llm": re.compile(r"(?:chatgpt|gpt|o\d)(?:-[\w.-]+)?"),
    "tts": re.compile(r"tts-1[\w.-]*|gpt-[\w.-]*tts[\w.-]*"),
}
"""What OpenAI calls its own. Programs written for those get what we have."""


class Catalogue:
    """What a server's engines are called. There is one of each kind."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._chosen = {chosen.kind: chosen for chosen in parts.chosen}
        self._headers = {kind: _described(chosen) for kind, chosen in self._chosen.items()}
        self._since = int(time.time())
        self.names = {kind: _name(chosen) for kind, chosen in self._chosen.items()}
        """Of each kind of engine, what its model is called."""
        self.plain: ChatModel = parts.llm.llm if isinstance(parts.llm, Informed) else parts.llm
        """The chat model without the user's documents."""
        self.takes = {
            "stt": taken(parts.stt.transcribe),
            "llm": taken(self.plain.reply),
            "tts": taken(parts.tts.synthesize),
        }
        """Of each kind of engine, the options of one call."""
        self.voices: tuple[str, ...] = tuple(getattr(parts.tts, "voices", ()))

    def chat_model(self, name: str) -> ChatModel:
        """The one called that.

        Raises:
            Refusal: there is no such model.
        """
        plain = name.removesuffix(PLAIN)
        self.expect("llm", plain)
        return self._parts.llm if plain == name else self.plain

    def expect(self, kind: Kind, name: str) -> None:
        """
        Raises:
            Refusal: `name` is no model of this kind.
        """
        if name != self.names[kind] and not _OPENAI[kind].fullmatch(name):
            known = self.names[kind]
            raise _no_model(f"{name!r} is no model that {_DOES[kind]} here; {known!r} does")

    def option(self, kind: Kind, name: str, value: Any) -> dict[str, Any]:
        """The option of one call, where it was asked for.

        Raises:
            Refusal: the engine takes no such option.
        """
        if value is None:
            return {}
        if name not in self.takes[kind]:
            engine = self._chosen[kind].name
            raise Refusal(400, f"{engine}, which {_DOES[kind]} here, takes no {name}", param=name)
        return {name: value}

    def voice(self, name: str | None) -> dict[str, str]:
        """The option that asks for this voice; nothing for that of the settings.

        Raises:
            Refusal: there is no such voice.
        """
        if name is None or name == "default":
            return {}
        meant = voices.ours(name, self._chosen["tts"].name, self.voices)
        return self.option("tts", "voice", meant)

    def headers(self, *kinds: Kind) -> dict[str, str]:
        """What did the work, for the headers of an answer."""
        return {f"x-voicebot-{kind}": self._headers[kind] for kind in kinds}

    def models(self) -> list[dict[str, Any]]:
        """All of them as OpenAI lists models."""
        kinds: tuple[Kind, ...] = ("stt", "llm", "tts")
        found = {self.names[kind]: self._chosen[kind] for kind in kinds}
        if self.plain is not self._parts.llm:
            found[self.names["llm"] + PLAIN] = self._chosen["llm"]
        return [
            {"id": name, "object": "model", "created": self._since, "owned_by": chosen.name}
            for name, chosen in found.items()
        ]

    def model(self, name: str) -> dict[str, Any]:
        """The one called that, as OpenAI describes models.

        Raises:
            Refusal: there is no such model.
        """
        known = {model["id"]: model for model in self.models()}
        if name not in known:
            raise _no_model(f"there is no model {name!r}; there is {', '.join(known)}")
        return known[name]


def header(text: str) -> str:
    """The text as the value of a header, which ends at a new line and knows no other alphabet."""
    return re.sub(r"[^ -~]", "?", text).strip()


_DOES = {"stt": "transcribes", "llm": "answers", "tts": "speaks"}


def _no_model(message: str) -> Refusal:
    return Refusal(404, message, param="model", code="model_not_found")


def _name(chosen: Chosen) -> str:
    model = chosen.options.get("model")
    if not isinstance(model, str):
        return chosen.name
    # Weights are named after their file or folder; a server's model as the server calls it.
    return Path(model).name.removesuffix(".gguf") if _has_weights(chosen) else model


def _has_weights(chosen: Chosen) -> bool:
    return engines.find(chosen.kind, chosen.name).weights


def _described(chosen: Chosen) -> str:
    """Engine, version of its library, model and revision: "whisper/1.2.1 small@5d2f0c1"."""
    packages = engines.find(chosen.kind, chosen.name).packages
    # What does the work is the library of that name, or else we do.
    library = next((package for package in packages if chosen.name in package), "")
    said = f"{chosen.name}/{_version(library) if library else __version__}"
    if ":" in chosen.name:
        said = chosen.name
    if "model" in chosen.options:
        said += f" {_name(chosen)}"
        if _has_weights(chosen) and (commit := _commit(Path(str(chosen.options["model"])))):
            said += f"@{commit[:7]}"
    return header(said)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # its import name is not the one it is installed by
        return str(getattr(sys.modules.get(package), "__version__", "unknown"))


def _commit(model: Path) -> str:
    """Which one was pulled; empty where nobody wrote it down."""
    for folder in (model.parent, model.parent.parent):
        if lock := weights.locked(folder).get(model.parent.name) or weights.locked(folder).get(
            model.name
        ):
            return lock.commit
    return ""
