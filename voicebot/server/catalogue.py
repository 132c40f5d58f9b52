"""The models there are, under the names clients may call them by, and what exactly they are."""

from __future__ import annotations

import re
import time
from typing import Any

from ..assembly import Parts
from ..conversation.choices import Choices
from ..engines import ChatModel, Kind
from ..engines.per_call import language, taken
from . import voices
from .refusals import Refusal

PLAIN = ":no-documents"
"""Put after the name of the chat model it means the same one without the user's documents."""

_MAKER = r"(?:[\w.-]+/)*"
_SIZE = r"(?:tiny|base|small|medium|large|turbo)"
_OTHERS: dict[Kind, re.Pattern[str]] = {
    "stt": re.compile(
        rf"gpt-[\w.-]*transcribe[\w.-]*|{_MAKER}(?:faster-)?(?:distil-)?whisper[\w.-]*"
        rf"|(?:distil-)?{_SIZE}(?:[.-][\w.-]+)?",
        re.IGNORECASE,
    ),
    "tts": re.compile(
        rf"tts-1[\w.-]*|gpt-[\w.-]*tts[\w.-]*|{_MAKER}(?:kokoro|piper|hibari|espeak)[\w.-]*",
        re.IGNORECASE,
    ),
    "llm": re.compile(
        r"(?:chatgpt|gpt|o\d)(?:-[\w.-]+)?"
        rf"|{_MAKER}(?:llama|meta-llama|mi[sx]tral|qwen|gemma|phi|deepseek|smollm)[\w.:-]*",
        re.IGNORECASE,
    ),
}
"""What OpenAI and others call models of each kind. Programs written for those get what we have,
and the headers of an answer say what that was."""


class Catalogue:
    """What a server's engines are called. There is one of each kind."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._chosen = {chosen.kind: chosen for chosen in parts.chosen}
        revisions = parts.identity.revisions
        self._headers = {kind: header(str(which)) for kind, which in revisions.items()}
        self._since = int(time.time())
        self.names = {kind: which.model or which.engine for kind, which in revisions.items()}
        """Of each kind of engine, what its model is called."""
        self.plain = parts.plain
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
        if not self._is_called(kind, name):
            known = self.names[kind]
            raise _no_model(f"{name!r} is no model that {_DOES[kind]} here; {known!r} does")

    def _is_called(self, kind: Kind, name: str) -> bool:
        ours = self.names[kind], self._chosen[kind].name
        return name in ours or bool(_OTHERS[kind].fullmatch(name))

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

    def language(self, name: str | None) -> dict[str, str]:
        """The option that expects this language; nothing for what the settings say.

        Raises:
            OptionError: the engine does not understand it.
        """
        code = language(self._parts.stt, name or "")
        return {"language": code} if code else {}

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
        if name in known:
            return known[name]
        for kind in _OTHERS:
            if self._is_called(kind, name):
                return known[self.names[kind]] | {"id": name, "root": self.names[kind]}
        raise _no_model(f"there is no model {name!r}; there is {', '.join(known)}")

    def audio_models(self) -> dict[str, Any]:
        """Those that hear or speak. Some clients look for them under one name, some another."""
        found = [self.model(self.names[kind]) for kind in ("stt", "tts")]
        return {"object": "list", "data": found, "models": found}

    def listed_voices(self) -> dict[str, Any]:
        """The voices as Open WebUI, Kokoro-FastAPI and speaches list them."""
        names = Choices(self._parts.stt, self._parts.tts).voices or ["default"]
        return {"voices": [{"id": name, "name": name} for name in names]}


def header(text: str) -> str:
    """The text as the value of a header, which ends at a new line and knows no other alphabet."""
    return re.sub(r"[^ -~]", "?", text).strip()


_DOES = {"stt": "transcribes", "llm": "answers", "tts": "speaks"}


def _no_model(message: str) -> Refusal:
    return Refusal(404, message, param="model", code="model_not_found")
