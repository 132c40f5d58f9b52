"""A chat model that has the user's documents in view. It wraps any other."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import aclosing
from copy import copy
from itertools import chain, zip_longest
from typing import Any

from .. import prose
from ..concurrency.worker import Stream, Worker
from ..engines import ChatModel, Delta, Message
from ..engines.call_options import active_degradations
from ..events import Passage
from .index import DocumentIndex

FEW = 2
"""Passages where time is short. Fewer are read sooner; more hold the answer oftener: the first
one alone holds it for nine questions in ten."""


LETTERS = 6000
"""Characters of all passages together, some 1500 tokens: more would leave a context of 4096, which
is what most servers give a model, too little for a conversation, and they cut silently."""


MOST_EXAMPLES = 4
"""Questions that are offered as examples: they fit on a phone, and are read at a glance."""
_NO_MORE = object()


class RetrievalChatModel:
    """Looks up what is asked and lets `llm` answer with it; tells first what it found.

    It owns `library`: from now on only the thread of this object may use it. `llm` stays the
    caller's to close.
    """

    def __init__(self, llm: ChatModel, library: DocumentIndex, passages: int = 4) -> None:
        self.llm = llm
        """The one that answers; asked itself, it knows nothing of the library."""
        self._library, self._passages = library, passages
        self._worker = Worker("library")
        self._examples: list[str] | None = None

    async def reply(self, messages: Sequence[Message], **options: Any) -> Stream[Delta]:
        """Yield the passages found for the last message, if any, then the reply of `llm` to it.

        options: as `llm` takes them.

        Raises:
            EngineError: `llm` failed on these messages.
        """
        questions = [message.text for message in messages if message.role == "user"]
        most = (
            min(FEW, self._passages)
            if "fewer_passages" in active_degradations.get()
            else self._passages
        )
        if found := await self._worker.run(self._find, questions, most):
            if not getattr(self.llm, "tells_passages", False):
                yield Delta(passages=found)
            # They travel on the last message: what comes before stays the same from turn to
            # turn, and a model that remembers it need not read it again.
            # What a function returned may be there already.
            *before, last = messages
            together = (*last.passages, *found)
            messages = [*before, dataclasses.replace(last, passages=together)]
        async with aclosing(self.llm.reply(messages, **options)) as deltas:
            async for delta in deltas:
                # What functions returned is a passage to the model, and none of the library's.
                given = tuple(passage for passage in delta.passages if passage in found)
                yield (
                    delta if given == delta.passages else dataclasses.replace(delta, passages=given)
                )

    def informing(self, llm: ChatModel) -> RetrievalChatModel:
        """Another model with the same documents in view, as long as this one is not closed."""
        other = copy(self)
        other.llm = llm
        return other

    @property
    def settings(self) -> dict[str, Any]:
        """What its answers depend on, as JSON's values."""
        return {"documents": self._library.digest, "passages": self._passages}

    @property
    def documents(self) -> list[str]:
        """The names of the documents, in order."""
        return self._library.documents

    async def examples(self) -> list[str]:
        """At most MOST_EXAMPLES questions that the documents answer, drawn once and kept."""
        if self._examples is None:
            found: list[str] = []
            drawn = self._library.questions()
            # One at a time: somebody's question may be waiting for the same thread.
            while len(found) < MOST_EXAMPLES:
                question = await self._worker.run(next, drawn, _NO_MORE)
                if question is _NO_MORE:
                    break
                if isinstance(question, str):
                    found.append(question)
            self._examples = found
        return self._examples

    def _find(self, questions: Sequence[str], most: int) -> tuple[Passage, ...]:
        """The passages for the last of `questions`, at most so many.

        A pronoun in it may stand for what the one before was about, or for nothing. So it is
        looked up both ways, and the finds take turns: where it does point back that finds 99
        of 100 passages instead of 86, where it does not 92 instead of 95.
        """
        alone = self._library.search(prose.asked(questions), most)
        if len(questions) < 2 or not prose.points_back(questions[-1]):
            return _bounded(alone)
        together = self._library.search(" ".join(questions[-2:]), most)
        found: dict[str, Passage] = {}
        for passage in chain.from_iterable(zip_longest(together, alone)):
            if passage:
                found.setdefault(passage.id, passage)
        return _bounded([*found.values()][:most])

    def close(self) -> None:
        """End the thread, and close the library in it."""
        self._worker.close(self._library.close)


def _bounded(passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """The best of the passages, of which the best come first, that are not too long together."""
    kept, letters = list(passages), sum(len(passage.text) for passage in passages)
    while letters > LETTERS and len(kept) > 1:
        letters -= len(kept.pop().text)
    return tuple(kept)
