"""What the conversation needs from a model, and how a model is found by name.

An engine is any class with the right method; it need not inherit anything. Its constructor's
keyword arguments are its settings. It may have a `close()`, called once when voicebot ends, and
show as `worker` the `Worker` it computes in, so that the calls waiting there can be counted.
The library behind an engine is imported in its constructor, so that an engine can be looked at
(`voicebot engines`) where its library is not installed. Methods may take options of one call by
keyword; `call_options` lists them.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Collection
from importlib import import_module
from importlib.util import find_spec
from math import isfinite
from typing import Any, Literal, get_args, get_origin

from ..concurrency.worker import Worker
from ..errors import ConfigError, EngineError, MissingDependency
from ..spelling import there_is
from .call_options import OptionError
from .protocols import (
    Chance,
    ChatModel,
    Delta,
    Message,
    Segment,
    Speech,
    Synthesizer,
    Tool,
    ToolCall,
    Transcriber,
    VoiceDetector,
    Word,
)
from .registry import Entry, Kind, Registry

__all__ = [
    "ENGINES", "Chance", "ChatModel", "Delta", "EngineError", "Entry", "Kind", "Message",
    "OptionError", "Segment", "Speech", "Synthesizer", "Tool", "ToolCall", "Transcriber",
    "VoiceDetector", "Word", "Worker",
    "check", "complete", "find", "fits", "install", "lacking", "load", "options",
]  # fmt: skip

# Unless told not to before it is imported, onnxruntime gives the user an id, writes down what it
# runs and sends that to its makers.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# Threads of OpenMP, with which llama.cpp and torch compute, wait for each other by spinning. Beside
# a recogniser, a voice or anything else at work they take the core from the thread they wait for.
# It is read when the library is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

_BUILT_IN: dict[Kind, dict[str, Entry]] = {
    "vad": {
        "silero": Entry(
            "voicebot.engines.silero:Silero",
            "Silero VAD on onnxruntime",
            ("onnxruntime",),
            "silero",
        ),
    },
    "stt": {
        "whisper": Entry(
            "voicebot.engines.whisper.engine:Whisper",
            "Whisper on faster-whisper",
            ("faster_whisper", "onnxruntime"),
            "whisper",
            weights=True,
        ),
        "pocketsphinx": Entry(
            "voicebot.engines.pocketsphinx.engine:PocketSphinx",
            "PocketSphinx with its own English model",
            ("pocketsphinx", "onnxruntime"),
            "pocketsphinx",
        ),
        "openai": Entry(
            "voicebot.engines.openai.transcription:OpenAITranscriber",
            "any OpenAI-compatible transcription server",
            ("httpx",),
            "openai",
            native=False,
        ),
    },
    "llm": {
        "llama": Entry(
            "voicebot.engines.llama.engine:Llama",
            "any GGUF chat model on llama.cpp",
            ("llama_cpp",),
            "llama",
            weights=True,
        ),
        "extractive": Entry(
            "voicebot.engines.extractive:Extractive",
            "quotes your documents, no language model",
            native=False,
        ),
        "openai": Entry(
            "voicebot.engines.openai.chat:OpenAIChat",
            "any OpenAI-compatible chat server",
            ("httpx",),
            "openai",
            native=False,
        ),
    },
    "tts": {
        "kokoro": Entry(
            "voicebot.engines.kokoro.engine:Kokoro",
            "Kokoro-82M, on onnxruntime or torch",
            ("hibari", "onnxruntime"),
            "kokoro",
            weights=True,
        ),
        "hibari": Entry(
            "voicebot.engines.hibari:Hibari",
            "a small English voice that learnt from Kokoro's, on onnxruntime",
            ("hibari", "onnxruntime"),
            "hibari",
            more=True,
        ),
        "espeak": Entry(
            "voicebot.engines.espeak.engine:Espeak",
            "espeak-ng in a process of its own",
            ("espeakng_loader",),
            "espeak",
        ),
        "openai": Entry(
            "voicebot.engines.openai.speech:OpenAISynthesizer",
            "any OpenAI-compatible speech server",
            ("httpx",),
            "openai",
            native=False,
        ),
    },
}

ENGINES = Registry()
"""Every engine that has a name."""
for _kind, _entries in _BUILT_IN.items():
    for _name, _entry in _entries.items():
        ENGINES.register(_kind, _name, _entry)


def find(kind: Kind, name: str) -> Entry:
    """The engine called `name`: one of ENGINES, or anybody's own as "package.module:Class".

    Raises:
        ConfigError: no such engine.
    """
    known = ENGINES[kind]
    if entry := known.get(name):
        return entry
    if ":" in name:
        return Entry(name, "your own")
    raise ConfigError(f"[{kind}] no engine {name!r}; {there_is(name, ['auto', *known])}")


def lacking(entry: Entry) -> list[str]:
    """The packages the engine needs that are not installed. Imports none of them."""
    return [package for package in entry.packages if find_spec(package) is None]


def options(kind: Kind, name: str) -> dict[str, inspect.Parameter]:
    """The settings an engine takes, by name, from its constructor's signature."""
    parameters = inspect.signature(_class(kind, name), eval_str=True).parameters
    return {name: p for name, p in parameters.items() if p.kind is not p.VAR_KEYWORD}


def check(kind: Kind, name: str, settings: dict[str, Any]) -> None:
    """See that the engine called `name` takes these settings. Does not build it.

    Raises:
        ConfigError: no such engine, no such setting, or a value of the wrong type.
    """
    known = options(kind, name)
    for key, value in settings.items():
        if key not in known:
            raise ConfigError(
                f"[{kind}] {name} has no setting {key!r}; {there_is(key, [*known, 'engine'])}"
            )
        if not fits(value, hint := known[key].annotation):
            wanted = " or ".join(t.__name__ for t in get_args(hint) or (hint,))
            raise ConfigError(f"[{kind}] {key} should be {wanted}, not {value!r}")


def complete(kind: Kind, name: str, settings: Collection[str]) -> None:
    """See that these settings are all that the engine called `name` cannot do without.

    Raises:
        ConfigError: one is left out.
    """
    for key, parameter in options(kind, name).items():
        if parameter.default is parameter.empty and key not in settings:
            raise ConfigError(f"[{kind}] {name} needs the setting {key!r}")


def fits(value: Any, hint: Any) -> bool:
    """Whether a value from a settings file is what a parameter's annotation asks for."""
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_origin(hint) is tuple:  # of any length, of one type, as a list in TOML
        return isinstance(value, list) and all(fits(each, get_args(hint)[0]) for each in value)
    types = tuple(get_origin(t) or t for t in get_args(hint) or (hint,))
    if any(t in (Any, inspect.Parameter.empty) for t in types):
        return True
    if isinstance(value, bool):
        return bool in types
    if isinstance(value, float) and not isfinite(value):  # which TOML can write
        return False
    return isinstance(value, types) or (float in types and isinstance(value, int))


def load(kind: Kind, name: str, **settings: Any) -> Any:
    """Import and build the engine called `name`. A synthesizer comes with what reads for it.

    Raises:
        ConfigError: no such engine, or it does not take these settings.
        MissingDependency: its packages are not installed.
    """
    check(kind, name, settings)
    complete(kind, name, settings)
    entry = find(kind, name)
    if absent := lacking(entry):
        raise MissingDependency(f"[{kind}] {name} needs {absent[0]}; {install(entry)}")
    engine = _class(kind, name)(**settings)
    if kind != "tts":
        return engine
    from .read_aloud import ReadAloud  # whose numbers only a voice needs

    return ReadAloud(engine)


def install(entry: Entry) -> str:
    """The command that installs the engine's packages."""
    if entry.distribution:
        extra = f"[{entry.extra}]" if entry.extra else ""
        return f"pip install '{entry.distribution}{extra}'"
    return f"voicebot install {entry.extra}"


def _class(kind: Kind, name: str) -> Any:
    module, _, attribute = find(kind, name).path.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"[{kind}] engine {name!r} cannot be imported: {error}") from error
