"""A Realtime session, whichever way its client is connected: by a websocket or by WebRTC."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, nullcontext

from ...assistant.assembly import EngineSet
from ...concurrency.worker import Stream
from ..admission import AdmissionControl
from ..auth.rate_limits import Quota
from ..memory_budget import Share
from .actions import Action
from .conversation import RealtimeConversation
from .dependencies import SessionDependencies, SessionOptions
from .fields import Table
from .incremental import IncrementalMessage
from .playout import Playout
from .protocol import Protocol, ids
from .recording import SessionRecorder
from .settings import Settings

BEHIND = 256
"""Events a client may have waiting before we hear no more of what it says."""


class Session:
    """What a client says and is told, and the conversation behind it."""

    def __init__(
        self, parts: EngineSet, opening: SessionOptions, opened: Settings, share: Share
    ) -> None:
        """
        opened: what it is set to at first. share: what it may hold in memory.
        """
        self._parts, self._opening = parts, opening
        self.on_change = asyncio.Event()
        """Set when there may be something to take."""
        self._read = asyncio.Event()
        self.protocol = Protocol(
            opened,
            speaks_beta=opening.speaks_beta,
            notice=str(parts.recorder or ""),
            new_id=ids(opening.root),
            on_change=self.on_change.set,
            share=share,
        )

    def begin(self, key: Quota, playout: Playout | None = None) -> None:
        """Call this before `converse` and `closed`. playout: as `RealtimeConversation` has it."""
        outside = SessionDependencies.of(self.protocol.settings.engines(self._parts))
        self._recording: AbstractContextManager[None] = nullcontext()
        if recorder := self._parts.recorder:
            recorded = SessionRecorder(recorder, outside, self.protocol, self._opening, key.limits)
            self._recording = recorded.session()
        self._call = RealtimeConversation(outside, self.protocol, key, playout)

    async def converse(self, actions: Stream[Action]) -> None:
        """Do what the client asks for until it asks for nothing more."""
        with self._recording:
            await self._call.run(actions)

    async def closed(self, admission: AdmissionControl) -> None:
        """Wait until the house closes, and the reply that is being made has ended."""
        await admission.closing.wait()
        await self._call.idle.wait()

    async def caught_up(self, sent: str | IncrementalMessage) -> None:
        """Wait until the client has read most of its events, once it has `sent` that."""
        # What a large message is answered with may be as large.
        most = BEHIND if isinstance(sent, str) else 0
        while self.protocol.waiting > most:
            self._read.clear()
            await self._read.wait()

    def take(self) -> list[Table]:
        """What the client has to be told since this was asked last."""
        self.on_change.clear()
        self._read.set()
        return self.protocol.take()
