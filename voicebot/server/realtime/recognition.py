"""A Realtime user's sound made text, each stretch once, whoever needs it first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ...audio import Audio
from ...conversation import Turn
from ...engines import Message
from ...errors import EngineError
from .engines import SessionEngines
from .input_audio import forget_later
from .items import Item, Part, messages
from .protocol import Protocol
from .response_params import ResponseParams


class Recognition:
    """Recognises a Realtime user's sound, each stretch of it once."""

    def __init__(self, protocol: Protocol, engines: SessionEngines) -> None:
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

    async def question(
        self,
        turn: Turn,
        wish: ResponseParams,
        but: Callable[[], Item | None] = lambda: None,
        new: Callable[[], Awaitable[str]] | None = None,
        instead: str = "",
    ) -> list[Message]:
        """What is to be answered, after all that was said before; nothing for a mere noise.

        new: gives what the user says now, which is no item yet.
        instead: what the model is told where there is no question.

        Raises:
            EngineError: the model failed on what is asked.
        """
        if wish.context is None:
            await self.all(turn, but)
        else:
            await self.read(turn, wish.context)
        told = messages(list(self._protocol.items) if wish.context is None else wish.context)
        if new:
            if not (text := await new()):
                return []
            told.append(Message("user", text))
        if not told or told[-1].role not in ("user", "tool"):
            # A client that asks for an answer to nothing wants its instructions carried out.
            told.append(Message("user", instead or wish.instructions))
        return [Message("system", wish.instructions), *told] if wish.instructions else told

    async def read(self, turn: Turn, items: list[Item]) -> None:
        """Give their text to items that the client will not be told of. Raises: as `text`."""
        for item in items:
            for part in item.content:
                if part.audio and part.is_unknown:
                    part.text = await self.text(turn, part.audio)
                    forget_later(self._protocol.items, item, part)

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
        forget_later(self._protocol.items, item, part)

    def failed(self, item: Item, part: Part, error: EngineError) -> None:
        """Tell that it could not be recognised. It will not be tried again."""
        self._protocol.hearing.not_transcribed(item, part, str(error))
        forget_later(self._protocol.items, item, part)
