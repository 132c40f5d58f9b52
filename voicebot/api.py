"""An assistant in a program of your own. Import its names from `voicebot`: see docs/api.md."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from math import inf
from os import PathLike
from typing import Any, Self, TypeVar

from . import config as settings
from . import overrides
from .assistant.assembly import EngineSet, SpeechInput, build, ears, mouth
from .audio import Audio, join
from .audio.recordings import recording
from .config import Config
from .conversation import Conversation, Speaker
from .conversation.aloud import aloud
from .conversation.fallbacks import Fallbacks
from .conversation.pauses import SpeechSettings
from .engines import Kind, Segment, Synthesizer
from .engines.call_options import OptionError, taken
from .errors import EngineError
from .events import ClauseSpoken, Event, Failed, Passage, Passages
from .transcription.transcribe import RATE, segments
from .weights import manifest as weights

T = TypeVar("T")

Settings = Config | str | PathLike[str] | None
"""Settings, the file they are in, or None for those that the `voicebot` command would use."""


@dataclass(frozen=True, slots=True)
class Transcription:
    """What was said in a recording."""

    segments: tuple[Segment, ...]
    """About a sentence each, with seconds from the start of the recording."""

    @property
    def text(self) -> str:
        """All of it on one line; empty where no speech was found."""
        return " ".join(segment.text.strip() for segment in self.segments)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The reply to one question, as text and as sound."""

    text: str
    audio: Audio
    """Of the rate that the voice has."""
    engines: dict[Kind, str]
    """The engine of each kind, by the name that `voicebot engines` lists."""
    passages: tuple[Passage, ...]
    """Of the user's documents, those that the reply was drawn from."""


class Assistant:
    """Loaded engines that hear, answer and speak. Any number of calls may share one."""

    def __init__(self, engines: EngineSet) -> None:
        self._engines = engines

    @classmethod
    def from_config(
        cls, config: Settings = None, *, models: str | PathLike[str] | None = None
    ) -> Self:
        """Load the engines that these settings mean. `close`, or a `with` block, unloads them.

        models: the folder of the weights; by default $VOICEBOT_MODELS, or the user's own.

        Raises:
            ConfigError: a setting is unknown or has a wrong value.
            MissingDependency: a package or the weights of an engine are not on this machine.
            EngineError: an engine cannot answer.
        """
        return cls(build(_config(config), weights.folder(None if models is None else str(models))))

    @property
    def engines(self) -> dict[Kind, str]:
        """The engine of each kind, by the name that `voicebot engines` lists."""
        return {chosen.kind: chosen.name for chosen in self._engines.chosen}

    def transcribe(self, path: str | PathLike[str]) -> Transcription:
        """Write down what is said in a recording of any usual format.

        It returns when all is heard: on an event loop, call it with `asyncio.to_thread`.

        Raises:
            InputError: there is no such file, or it cannot be read as sound.
            EngineError: the recogniser failed on it.
        """
        return _finished(_transcribed(self._engines, path))

    def synthesize(self, text: str, *, voice: str = "") -> Audio:
        """Read a text aloud.

        It returns when all is spoken: on an event loop, call it with `asyncio.to_thread`.

        voice: one of the engine's; empty for that of the settings.

        Raises:
            ConfigError: there is no such voice, or nothing in the text can be said.
            EngineError: the voice failed on it.
        """
        return _finished(
            _synthesized(self._engines.tts, text, voice, self._engines.fallbacks.speech)
        )

    async def ask(self, question: str) -> Answer:
        """Answer one question, which knows of none before: `conversation` remembers.

        Raises:
            EngineError: an engine failed, or the reply holds no word.
        """
        collected, passages = _Collected(), list[Passage]()
        said, failed = list[str](), list[Failed]()

        def emit(event: Event) -> None:
            match event:
                case ClauseSpoken(text):
                    said.append(text)
                case Passages(found):
                    passages[:] = found
                case Failed():
                    failed.append(event)

        conversation = self.conversation(collected, emit)
        conversation.at_once = False
        # Nobody waits for the first sound: nothing is given up to have it sooner.
        conversation.fallbacks = Fallbacks(speech=self._engines.fallbacks.speech)
        await conversation.ask(question)
        if failed:
            raise EngineError(failed[0].stage, failed[0].reason)
        return Answer(" ".join(said), join(collected.parts), self.engines, tuple(passages))

    def conversation(self, speaker: Speaker, emit: Callable[[Event], None]) -> Conversation:
        """A live conversation with one user; `run` it on the sound of their microphone.

        speaker: where the answers are played.
        emit: called with each of `voicebot.events` as it happens.
        """
        return self._engines.conversation(speaker, emit)

    def close(self) -> None:
        """Unload the engines."""
        self._engines.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def load_config(path: str | PathLike[str] | None = None) -> Config:
    """Read settings: of this file, or else those that the `voicebot` command would use.

    Those are in ./voicebot.toml or else in the user's own file, and the defaults without either.
    Variables like VOICEBOT_SERVER__PORT go before the file.

    Raises:
        ConfigError: there is no such file, or a setting is unknown or has a wrong value.
    """
    return settings.read(settings.find(None if path is None else str(path)), overrides.given([]))


def transcribe(path: str | PathLike[str], config: Settings = None) -> Transcription:
    """As `Assistant.transcribe`, with a recogniser that is loaded for this call alone.

    Raises:
        ConfigError, MissingDependency: as `Assistant.from_config`.
        InputError, EngineError: as `Assistant.transcribe`.
    """
    with ears(_config(config), weights.folder()) as listening:
        return _finished(_transcribed(listening, path))


def synthesize(text: str, config: Settings = None, *, voice: str = "") -> Audio:
    """As `Assistant.synthesize`, with a voice that is loaded for this call alone.

    Raises:
        ConfigError, MissingDependency: as `Assistant.from_config`; also as `Assistant.synthesize`.
        EngineError: the voice failed on it.
    """
    read = _config(config)
    with mouth(read, weights.folder()) as (_, tts):
        return _finished(_synthesized(tts, text, voice, read.speech))


def _config(given: Settings) -> Config:
    return given if isinstance(given, Config) else load_config(given)


async def _transcribed(listening: SpeechInput, path: str | PathLike[str]) -> Transcription:
    async with aclosing(segments(listening, recording(str(path), RATE))) as heard:
        return Transcription(tuple([segment async for segment in heard]))


async def _synthesized(tts: Synthesizer, text: str, voice: str, pauses: SpeechSettings) -> Audio:
    if voice and "voice" not in taken(tts.synthesize):
        raise OptionError("voice", f"there is no voice {voice!r}; the engine has one alone")
    async with aclosing(aloud(text, tts, pauses, voice=voice)) as sound:
        return join([audio async for audio in sound])


def _finished(work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns, waited for: in a thread where this one's event loop is running."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


class _Collected:
    """Takes sound as fast as it is made; all of it counts as heard."""

    def __init__(self) -> None:
        self.parts: list[Audio] = []

    async def play(self, audio: Audio) -> None:
        self.parts.append(audio)

    async def drain(self) -> None:
        pass

    def stop(self) -> float:
        return inf
