"""A Realtime user's sound made text, each stretch once, whoever needs it first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..audio import Audio
from ..conversation import Turn
from ..errors import EngineError
from .realtime_engines import Engines
from .realtime_items import Item, Part
from .realtime_kept import forget_later
from .realtime_protocol import Protocol


class Recognition:
    def __init__(self, protocol: Protocol, engines: Engines) -> None:
        self._protocol, self._engines = protocol, engines
        self._turns = asyncio.Lock()

    async def text(self, turn: Turn, audio: Audio) -> str:
        """What is said in `audio`.

        Raises:
            EngineError: the model failed on it.
        """
        return await turn.transcribe(self._engines.listens(self._protocol.settings), audio)

    async def all(self, turn: Turn, but: Callable[[], Item | None] = lambda: None) -> None:
        """See that every item has its text, and tell it, or why not.

        but: the item that somebody else is at; it may become one while we work.
        """
        async with self._turns:
            for item in list(self._protocol.items):
                for part in item.content:
                    if part.audio and part.is_unknown and item is not but():
                        await self._understand(turn, item, part, part.audio)

    async def read(self, turn: Turn, items: list[Item]) -> None:
        """Give their text to items that the client will not be told of. Raises: as `text`."""
        for item in items:
            for part in item.content:
                if part.audio and part.is_unknown:
                    part.text = await self.text(turn, part.audio)
                    forget_later(part)

    async def _understand(self, turn: Turn, item: Item, part: Part, audio: Audio) -> None:
        try:
            text = await self.text(turn, audio)
        except EngineError as error:
            self.failed(item, part, error)
        else:
            self.done(item, part, text)

    def done(self, item: Item, part: Part, text: str) -> None:
        """Tell what a user's sound says. The sound itself can be asked for a little longer."""
        self._protocol.hearing.transcribed(item, part, text)
        forget_later(part)

    def failed(self, item: Item, part: Part, error: EngineError) -> None:
        """Tell that it could not be recognised. It will not be tried again."""
        self._protocol.hearing.not_transcribed(item, part, str(error))
        forget_later(part)
