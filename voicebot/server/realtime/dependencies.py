"""What a Realtime session meets outside of itself: engines, and whoever watches it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from ...assistant.assembly import EngineSet
from ...audio import Audio
from ...conversation.fallbacks import Fallbacks
from ...engines import ChatModel, Synthesizer, Transcriber, VoiceDetector
from ...engines.call_options import taken
from ...events import Event
from .actions import Action
from .capabilities import Capabilities
from .fields import ProtocolError, Table
from .settings import Settings, initial


class SessionObserver(Protocol):
    """Is told, on the loop, what happens in one session: it should take no time."""

    def received(self, message: Table, action: Action | None, size: int) -> None:
        """The client has sent this, so many characters, and that is done about it next."""

    def given(self, audio: Audio) -> None:
        """This sound was in what the client sent last."""

    def told(self, event: Table) -> None:
        """The client is told this, whatever its dialect calls it."""

    def happened(self, event: Event) -> None:
        """As in any conversation."""

    def heard(self, seconds: float) -> float:
        """Called on an interruption with an estimate of the seconds heard. Returns the seconds to
        believe, which a replay takes from its recording.
        """


@dataclass(slots=True)
class SessionDependencies:
    """What surrounds one session. Whoever wants another gives it before the session begins."""

    parts: EngineSet
    """Of the server, for all that has no place of its own here."""
    vad: VoiceDetector
    stt: Transcriber
    llm: ChatModel
    tts: Synthesizer
    fallbacks: Fallbacks
    takes: frozenset[str]
    """The options that a call of the chat model may have."""
    watcher: SessionObserver | None = None
    """Whoever watches the session is also the watcher of its protocol."""
    around: Callable[[str, Any], Any] = lambda stage, engine: engine
    """What an engine is wrapped in that the session goes over to."""

    @classmethod
    def of(cls, parts: EngineSet) -> SessionDependencies:
        """What a client of this server meets."""
        # What wraps the model hands its options on.
        takes = taken(parts.plain.reply)
        return cls(parts, parts.vad(), parts.stt, parts.llm, parts.tts, parts.fallbacks, takes)

    def have(self, parts: EngineSet) -> None:
        """Go over to the engines of these parts, as far as they are others."""
        before, self.parts = self.parts, parts
        if parts.stt is not before.stt:
            self.stt = self.around("stt", parts.stt)
        if parts.llm is not before.llm:
            self.llm = self.around("llm", parts.llm)
            self.takes = taken(parts.plain.reply)
        if parts.tts is not before.tts:
            self.tts = self.around("tts", parts.tts)

    def given(self, audio: Audio) -> None:
        if self.watcher:
            self.watcher.given(audio)

    def happened(self, event: Event) -> None:
        if self.watcher:
            self.watcher.happened(event)

    def heard(self, seconds: float) -> float:
        return self.watcher.heard(seconds) if self.watcher else seconds


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How a client opens a session."""

    changes: list[Table]
    """What it asks of the settings, one after the other."""
    speaks_beta: bool
    root: str
    """What the session's ids have in common."""
    has_track: bool = False
    """Answers are sent on a track of their own, as over WebRTC, in real time."""

    async def settings(self, parts: EngineSet) -> Settings:
        """What the session is set to then.

        Raises:
            ProtocolError: as `Settings.merge`.
        """
        return await opened(parts, self.changes)


async def opened(parts: EngineSet, changes: Iterable[Table]) -> Settings:
    """What a session is set to after these changes, with the models it can have of those it wants.

    Raises:
        ProtocolError: as `Settings.merge`.
    """
    now = settings(parts)
    for change in changes:
        for each in now.needed(change):
            with suppress(ProtocolError):  # the client is told with its session
                await each.load()
        now = now.merge(change)
    return now


def settings(parts: EngineSet) -> Settings:
    """What a session is set to before its client says anything."""
    named = {chosen.kind: chosen for chosen in parts.chosen}
    voice = str(named["tts"].options.get("voice", "default"))
    instructions, offered = parts.assistant.instructions, Capabilities.of(parts)
    return initial(
        parts.identity.revisions["llm"].name, voice, parts.settings, instructions, offered
    )
