"""A voice assistant that runs on your own machine.

The names in `__all__` are the public API, with `voicebot.engines` for those who write an engine and
`voicebot.testing` for those who test one. Each is imported when it is first used, so that
`import voicebot` takes no time. docs/api.md has examples.
"""

__version__ = "0.1.0"

__all__ = [
    "Answer", "Assistant", "Audio", "Conversation", "Transcription",
    "load_config", "synthesize", "transcribe",
]  # fmt: skip

TYPE_CHECKING = False  # as type checkers know it, without importing typing
if TYPE_CHECKING:
    from .api import Answer, Assistant, Transcription, load_config, synthesize, transcribe
    from .audio import Audio
    from .conversation import Conversation

_ELSEWHERE = {"Audio": "audio", "Conversation": "conversation"}
"""The module of each public name that does not come from `api`."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_ELSEWHERE.get(name, 'api')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
