"""A chat model that has the user's documents in view. It wraps any other."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import aclosing

from .. import prose
from ..engines import ChatModel, Delta, Message
from ..flow import Stream, Worker
from .index import Library


class Informed:
    """Looks up what is asked and lets `llm` answer with it; tells first what it found.

    It owns `library`: from now on only the thread of this object may use it. `llm` stays the
    caller's to close.
    """

    def __init__(self, llm: ChatModel, library: Library, passages: int = 4) -> None:
        self._llm, self._library, self._passages = llm, library, passages
        self._worker = Worker("library")

    async def reply(self, messages: Sequence[Message]) -> Stream[Delta]:
        """Yield the passages found for the last message, if any, then the reply of `llm` to it.

        Raises:
            EngineError: `llm` failed on these messages.
        """
        question = prose.asked([m.text for m in messages if m.role == "user"])
        search = self._library.search
        if found := tuple(await self._worker.run(search, question, self._passages)):
            yield Delta(passages=found)
            # They travel on the last message: what comes before stays the same from turn to
            # turn, and a model that remembers it need not read it again.
            messages = [*messages[:-1], dataclasses.replace(messages[-1], passages=found)]
        async with aclosing(self._llm.reply(messages)) as deltas:
            async for delta in deltas:
                yield delta

    def close(self) -> None:
        """End the thread, and close the library in it."""
        self._worker.close(self._library.close)
