"""The responses that can be gone on from with `previous_response_id`: the latest of each key."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from ..errors import ApiError

MAX_RESPONSES = 1000
"""Responses kept of a key."""
BYTES = 8 * 2**20
"""Of all kept of a key, as JSON: each holds its conversation, so that any may be deleted."""
ALTOGETHER = 64 * 2**20
"""Bytes of all keys together; beyond it the oldest of any go."""


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response, and what it answers."""

    response: dict[str, Any]
    before: list[dict[str, Any]]
    """The items of the conversation that it went on from."""
    asked: list[dict[str, Any]]
    """The items that came with it."""

    @property
    def conversation(self) -> list[dict[str, Any]]:
        """What the next one goes on from."""
        return [*self.before, *self.asked, *self.response["output"]]


class ResponseStore:
    """Nobody finds what another key's owner has asked. Lost at a restart."""

    def __init__(
        self, most: int = MAX_RESPONSES, size: int = BYTES, altogether: int = ALTOGETHER
    ) -> None:
        self._most, self._size, self._altogether = most, size, altogether
        # As text: objects take several times the memory.
        self._texts: OrderedDict[tuple[str | None, str], bytes] = OrderedDict()

    def keep(self, owner: str | None, kept: StoredResponse) -> None:
        text = json.dumps([kept.response, kept.before, kept.asked]).encode()
        if len(text) > self._size:
            return
        self._texts[owner, kept.response["id"]] = text
        own = [key for key in self._texts if key[0] == owner]
        size = sum(len(self._texts[key]) for key in own)
        while len(own) > self._most or size > self._size:
            size -= len(self._texts.pop(own.pop(0)))
        total = sum(map(len, self._texts.values()))
        while total > self._altogether:
            total -= len(self._texts.popitem(last=False)[1])

    def find(self, owner: str | None, id: str, param: str | None = None) -> StoredResponse:
        """
        Raises:
            ApiError: there is none, or not any more.
        """
        if text := self._texts.get((owner, id)):
            return StoredResponse(*json.loads(text))
        says = f"there is no response {id!r}; the latest are kept, in memory, unless store is false"
        code = "previous_response_not_found" if param else None
        raise ApiError(400 if param else 404, says, param=param, code=code)

    def delete(self, owner: str | None, id: str) -> None:
        """
        Raises:
            ApiError: there is none, or not any more.
        """
        self.find(owner, id)
        del self._texts[owner, id]

    def forget(self, owner: str) -> None:
        """Delete all of a key's."""
        for key in [key for key in self._texts if key[0] == owner]:
            del self._texts[key]
