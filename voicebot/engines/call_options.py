"""What may be asked of an engine for one call only, by keyword; it takes any of these or none.

    transcribe(audio, *, language, translate, recorded)   a two-letter code; into English;
                                                          it is part of a recording
    reply(messages, *, max_tokens, temperature, top_p, seed, tools, must_call, whole, schema,
          chances)                                        a whole number that draws the same words
                                                          again; a Sequence[Tool]; it must call one;
                                                          refuse what is too long, forget nothing;
                                                          JSON Schema that the text follows; tell
                                                          chances, and so many others at each place
    synthesize(text, *, voice, speed)                     named as in the settings; 1 is normal

Its method's signature says which it takes, and only what somebody asked for is passed. An engine
that can list its voices has `voices`, a sequence of names; one that can list the languages it
understands has `languages`, a sequence of codes. A synthesizer whose speed has bounds has `speeds`,
the lowest and the highest. One that knows what its voices speak has `language_of(voice)`: a code as
"en-us" of the voice, or of that of its settings for None.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass
from random import randrange
from typing import Any

from .. import languages
from ..audio import Audio
from ..concurrency.worker import Stream
from ..errors import ConfigError, EngineError
from ..spelling import there_is
from .protocols import Segment, Speech, Synthesizer, Transcriber

active_degradations: ContextVar[frozenset[str]] = ContextVar(
    "active_degradations", default=frozenset()
)
"""What the turn in progress gives up because its time is short; `conversation.policy` says what
there is. An engine does what it can, and need not know any of them."""


class OptionError(ConfigError):
    """An option of one call has a value that the engine does not take."""

    def __init__(self, option: str, reason: str) -> None:
        super().__init__(reason)
        self.option = option

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.option, str(self))


BYTES_PER_TOKEN = 4
"""Of UTF-8: near what tokenizers make of English, and of Chinese."""


def estimated_tokens(*texts: str) -> int:
    """Tokens of the texts together, where no engine has counted them."""
    return -(-sum(len(text.encode(errors="replace")) for text in texts) // BYTES_PER_TOKEN)


def new_seed() -> int:
    """What a reply is drawn with if nobody asks for a seed: one that any server takes."""
    return randrange(2**31)


def taken(method: Callable[..., Any]) -> frozenset[str]:
    """The options this method of an engine takes."""
    parameters = inspect.signature(method).parameters.values()
    return frozenset(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)


def wanted(method: Callable[..., Any], **options: Any) -> dict[str, Any]:
    """Those of the options that this method of an engine takes; None is not asked for."""
    known = taken(method)
    return {name: v for name, v in options.items() if v is not None and name in known}


def language(stt: Transcriber, name: str) -> str:
    """The code of the language that is meant by `name`, for a call; empty to find it out.

    Raises:
        OptionError: the engine does not understand it, or takes no language at all.
    """
    known = getattr(stt, "languages", ())
    code = languages.code(name, known)
    if code and "language" not in taken(stt.transcribe):
        raise OptionError("language", "the language cannot be chosen here")
    # An engine that lists none is left to judge: it may be a server that knows more than we do.
    if code and known and code not in known:
        there = there_is(name[:40], known)
        raise OptionError("language", f"there is no language {name[:40]!r}; {there}")
    return code


def nearest_speed(tts: Synthesizer, speed: float) -> float:
    """The speed nearest to that one which the engine can be asked for; 1 if it can be for none."""
    if "speed" not in taken(tts.synthesize):
        return 1.0
    low, high = getattr(tts, "speeds", (speed, speed))
    return float(min(max(speed, low), high))


@dataclass(frozen=True, slots=True)
class BoundTranscriber:
    """A transcriber that is asked for the same in every call."""

    stt: Transcriber
    options: dict[str, Any]

    async def transcribe(self, audio: Audio) -> Stream[Segment]:
        """
        Raises:
            EngineError: as the engine has it, or it does not take an option.
        """
        try:
            async with aclosing(self.stt.transcribe(audio, **self.options)) as segments:
                async for segment in segments:
                    yield segment
        except OptionError as error:
            raise EngineError("stt", str(error)) from error


@dataclass(frozen=True, slots=True)
class BoundSynthesizer:
    """A synthesizer that is asked for the same in every call."""

    tts: Synthesizer
    options: dict[str, Any]

    async def synthesize(self, text: str) -> Stream[Speech]:
        """
        Raises:
            EngineError: as the engine has it, or it does not take an option.
        """
        try:
            async with aclosing(self.tts.synthesize(text, **self.options)) as speech:
                async for chunk in speech:
                    yield chunk
        except OptionError as error:
            raise EngineError("tts", str(error)) from error
