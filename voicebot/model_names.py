"""What models are called: in the settings, by their makers, and by programs written for OpenAI."""

from __future__ import annotations

import re

from .engines import Kind

_MAKER = r"(?:[\w.-]+/)*"
_SIZE = r"(?:tiny|base|small|medium|large|turbo)"
_USUAL: dict[Kind, re.Pattern[str]] = {
    "stt": re.compile(
        rf"gpt-[\w.-]*(?:transcribe|whisper)[\w.-]*|{_MAKER}(?:faster-)?(?:distil-)?whisper[\w.-]*"
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
and the headers of an answer say what that was. A name of two kinds is the first's."""

PLAIN = ":no-documents"
"""Put after the name of a chat model it means the same one without the user's documents."""

MAX_NAME_CHARACTERS = 200
"""Characters of a name that anything is called."""
_NAME = re.compile(r"[^\W_][\w.:/@+-]{0,63}", re.ASCII)


def usual(name: str) -> Kind | None:
    """The kind of engine that other servers have under this name; None for a name of nobody's."""
    return next((kind for kind in _USUAL if is_usual(kind, name)), None)


def is_usual(kind: Kind, name: str) -> bool:
    """Whether other servers have a model of this kind under the name."""
    # The time it takes grows with the square of the length, and a stranger may send a megabyte.
    return len(name) <= MAX_NAME_CHARACTERS and bool(_USUAL[kind].fullmatch(name))


def fault(name: str, kind: Kind) -> str:
    """Why the settings cannot call an engine of this kind so; empty if they can."""
    if not _NAME.fullmatch(name):
        return "a name has at most 64 letters, digits and - _ . : / @ +, the first no sign"
    if name.endswith(PLAIN):
        return f"names do not end in {PLAIN}, which leaves the documents out"
    if (other := usual(name)) and other != kind:
        return f"programs expect a model of [{other}] under this name; choose another"
    return ""


def plain(name: str) -> str:
    """The name without its maker and in one spelling, so that different ones can be compared.

    "Systran/faster-whisper-base.en" and "base.en" are one, and so are "llama3.2:3b" and
    "Llama3.2-3B".
    """
    bare = re.sub(r"[:_ ]", "-", name.lower().rpartition("/")[2])
    for begin in ("faster-", "whisper-"):
        bare = bare.removeprefix(begin)
    # A package index has another conversion of the same model.
    return bare.removesuffix(".gguf").removesuffix("-wheel")
