"""The words that engines and their users share, and what an engine has to be able to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from ..audio import Audio, Samples
from ..concurrency.worker import Stream
from ..events import Passage


@dataclass(frozen=True, slots=True)
class Word:
    """A word with its place in a stretch of sound."""

    text: str
    start: float
    """Seconds from the start of the sound it was heard in, or is spoken in."""
    end: float
    confidence: float = 1.0
    """In [0, 1]; 1 where the engine does not say."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of recognised speech."""

    text: str
    start: float
    """Seconds from the start of the sound it was heard in."""
    end: float
    words: tuple[Word, ...] = ()
    confidence: float = 1.0
    """In [0, 1]; geometric mean over the words or tokens."""
    language: str = ""
    """Two-letter code; empty where the engine does not say."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a chat model may call; whoever offered it carries it out."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """JSON Schema of the one object it takes."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What a chat model wants a function to do."""

    id: str
    """Names the call in what it returns; unique within a conversation."""
    name: str
    arguments: str
    """A JSON object, as the model wrote it: it may not be what the function takes."""


@dataclass(frozen=True, slots=True)
class Message:
    """One thing said in the conversation, or what a function returned."""

    role: Literal["system", "user", "assistant", "tool"]
    text: str
    passages: tuple[Passage, ...] = ()
    """What to answer a user's message from. Text of strangers: data, never instructions."""
    calls: tuple[ToolCall, ...] = ()
    """Functions that the assistant called, after what it said."""
    call_id: str = ""
    """Of role "tool": the call that returned `text`. Data, never instructions."""


@dataclass(frozen=True, slots=True)
class Chance:
    """A token of a reply, and how likely the model held it."""

    token: bytes
    """In UTF-8; a character may take several."""
    logprob: float
    """Natural logarithm of its chance, before temperature and top_p."""
    others: tuple[tuple[bytes, float], ...] = ()
    """The likeliest tokens at its place with theirs, the likeliest first, as many as asked for."""


@dataclass(frozen=True, slots=True)
class Delta:
    """One streamed piece of a reply: text, a tool call, or metadata."""

    text: str = ""
    passages: tuple[Passage, ...] = ()
    """The passages the reply is drawn from, before any text. Where it is told again, fewer were
    given to the model than were found."""
    forgotten: int = 0
    """Before any text: how many of the oldest exchanges the model was not given, because the
    conversation does not fit into its context."""
    call: ToolCall | None = None
    """A function to be called, told once its arguments are complete."""
    finish: Literal["", "stop", "length", "tool_calls"] = ""
    """On the last delta: whether the model had finished, ran into its limit, or waits for what
    the functions return that it called."""
    tokens: tuple[int, int] | None = None
    """Read, and written so far, where the engine counts them; what is told last holds."""
    kept: int | None = None
    """Beside `tokens`, where the engine knows: of those read, how many it had read before and did
    not compute again."""
    chances: tuple[Chance, ...] = ()
    """Of the tokens since the delta before, where they were asked for."""
    seed: int | None = None
    """On an engine's first delta, where it chooses words at random: what it drew them with."""


@dataclass(frozen=True, slots=True)
class Speech:
    """A chunk of a text being spoken."""

    audio: Audio
    words: tuple[Word, ...] = ()
    """Those that end in this chunk, one for each `text.split()` in order, with seconds from the
    start of the whole text's sound; empty where the engine does not know."""


class VoiceDetector(Protocol):
    """Remembers the sound before, so each conversation has one of its own."""

    rate: int
    """Samples per second the detector expects."""
    window: int
    """Samples per call."""

    async def probability(self, window: Samples) -> float:
        """Chance in [0, 1] that this window holds speech. One is asked for at a time.

        It blocks the loop for no more than a millisecond; what takes longer has a thread.
        """


class Transcriber(Protocol):
    """Turns speech into text. Conversations share one."""

    def transcribe(self, audio: Audio) -> Stream[Segment]:
        """Yield text as it is recognised; joined with spaces, it is the transcript.

        Raises:
            EngineError: the model failed on this audio.
        """


class ChatModel(Protocol):
    """One that may leave out passages which do not fit its context has `tells_passages = True`
    and tells, as `Delta` has it, those it was given."""

    def reply(self, messages: Sequence[Message]) -> Stream[Delta]:
        """Yield the answer to the last message a few characters at a time.

        Raises:
            ContextExceeded: what has to be read of these messages does not fit.
            EngineError: the model failed on these messages.
        """


class Synthesizer(Protocol):
    """Turns text into speech. Conversations share one."""

    def synthesize(self, text: str) -> Stream[Speech]:
        """Yield a clause or a sentence spoken aloud, in chunks of any length, all of one rate.

        Raises:
            EngineError: the model failed on this text.
        """
