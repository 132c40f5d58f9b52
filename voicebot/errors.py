"""Everything that can go wrong, who should catch it, and the exit code it ends a command with.

VoicebotError
├── ConfigError       2  a setting or an argument; shown at start-up, never later
├── MissingDependency 4  a package, weights or a sound device that is not there
├── InputError        5  a recording that cannot be read
└── EngineError       1  a model failed; ends the turn, not the conversation
    ├── Silence         it gave nothing for too long
    ├── Wordless        it replied with nothing that can be said
    └── ContextExceeded the conversation is longer than it can read
"""

from __future__ import annotations


class VoicebotError(Exception):
    """Base of every error raised on purpose here. Its text is one line meant for the user."""

    exit_code = 1


class ConfigError(VoicebotError):
    """A setting is unknown or has the wrong value."""

    exit_code = 2


class MissingDependency(VoicebotError):
    """Something chosen is not on this machine; the message says how to get it."""

    exit_code = 4


class InputError(VoicebotError):
    """A file cannot be read as sound."""

    exit_code = 5


class Quoting(str):
    """A text that quotes what somebody said or sent, which a log may have to leave out."""

    bare: str
    """The same without it."""

    def __new__(cls, bare: str, quoted: str) -> Quoting:
        text = super().__new__(cls, bare + quoted)
        text.bare = bare
        return text

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.bare, self[len(self.bare) :])


class EngineError(VoicebotError):
    """A model could not do its work on this input."""

    kind = "failed"
    """A word for what went wrong, by which failures can be counted."""

    def __init__(self, stage: str, reason: str) -> None:
        super().__init__(f"{stage}: {reason}")
        self.stage = stage
        """Which kind of engine: vad, stt, llm or tts."""
        self.reason = reason

    @property
    def bare(self) -> str:
        """Its text without what its reason quotes."""
        reason = self.reason.bare if isinstance(self.reason, Quoting) else self.reason
        return f"{self.stage}: {reason}"

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        # An exception is rebuilt from `args`, which hold one string: crossing a process needs both.
        return type(self), (self.stage, self.reason)


class Silence(EngineError):
    """A model gave nothing for longer than anybody waits."""

    kind = "silent"


class ContextExceeded(EngineError):
    """The messages take more tokens than the model can read. The same would fail again."""

    kind = "context_length_exceeded"


class Wordless(EngineError):
    """A chat model's reply holds no word that can be said: it is empty, or only signs."""

    kind = "wordless"
