"""A response of `/v1/responses` while it is made: its items, and the events that tell of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from ...concurrency.worker import Stream
from ...engines import ToolCall
from ...errors import ContextExceeded, EngineError
from .replies import ReplyUsage

log = logging.getLogger(__name__)

Event = dict[str, Any]
Told = Stream[str | ToolCall]


@dataclass(slots=True)
class ResponseBuilder:
    """A response while it is made."""

    fields: dict[str, Any]
    account: ReplyUsage = field(default_factory=ReplyUsage)
    id: str = field(default_factory=lambda: f"resp_{uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))
    output: list[dict[str, Any]] = field(default_factory=list)
    """The items so far; the last may still grow."""
    status: str = "in_progress"
    error: dict[str, str] | None = None
    told: int = 0
    """Events so far."""

    def whole(self) -> dict[str, Any]:
        """All of it, as OpenAI writes a response."""
        asked = self.fields
        cut = self.status == "incomplete"
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": self.status,
            "background": False,
            "error": self.error,
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "instructions": asked.get("instructions"),
            "max_output_tokens": asked.get("max_output_tokens"),
            "model": asked["model"],
            "output": self.output,
            "parallel_tool_calls": asked.get("parallel_tool_calls", True),
            "previous_response_id": asked.get("previous_response_id"),
            "reasoning": {"effort": None, "summary": None},
            "store": asked.get("store", True),
            "temperature": asked.get("temperature"),
            "text": {"format": {"type": "text"}} | asked.get("text", {}),
            "tool_choice": asked.get("tool_choice", "auto"),
            "tools": asked.get("tools", []),
            "top_p": asked.get("top_p"),
            "truncation": asked.get("truncation", "disabled"),
            "usage": None if self.status == "in_progress" else self._usage(),
            "user": None,
            "metadata": asked.get("metadata", {}),
        }

    def _usage(self) -> dict[str, Any]:
        usage = self.account.usage
        return {
            "input_tokens": usage["prompt_tokens"],
            "input_tokens_details": {
                "cached_tokens": usage["prompt_tokens_details"]["cached_tokens"],
                "cache_write_tokens": 0,
            },
            "output_tokens": usage["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage["total_tokens"],
        }

    def begin(self) -> Iterator[Event]:
        for kind in ("created", "in_progress"):
            yield self._event(kind, response=self.whole())

    def add(self, piece: str | ToolCall) -> Iterator[Event]:
        """Take a piece of the reply; the events that tell of it."""
        if isinstance(piece, str):
            if not self._is_speaking:
                yield from self._begin_message()
            self.output[-1]["content"][0]["text"] += piece
            yield self._of_part("output_text.delta", delta=piece, logprobs=[])
            return
        yield from self._end_message()
        item = {
            "id": f"fc_{uuid4().hex}",
            "type": "function_call",
            "status": "in_progress",
            "call_id": piece.id,
            "name": piece.name,
            "arguments": "",
        }
        self.output.append(item)
        yield self._of_item("output_item.added", item=dict(item))
        kind = "function_call_arguments"
        yield self._of_item(f"{kind}.delta", item_id=item["id"], delta=piece.arguments)
        item |= {"status": "completed", "arguments": piece.arguments}
        yield self._of_item(
            f"{kind}.done", item_id=item["id"], name=piece.name, arguments=piece.arguments
        )
        yield self._of_item("output_item.done", item=item)

    def end(self) -> Iterator[Event]:
        cut = self.account.finish == "length"
        yield from self._end_message("incomplete" if cut else "completed")
        self.status = "incomplete" if cut else "completed"
        yield self._event(self.status, response=self.whole())

    def fail(self, failure: EngineError) -> Iterator[Event]:
        yield from self._end_message("incomplete")
        self.status, self.error = "failed", {"code": "server_error", "message": str(failure)}
        yield self._event("failed", response=self.whole())

    def cancel(self) -> Iterator[Event]:
        """End it where it is. OpenAI has no event of its own for that: clients know this one."""
        if not self.told:
            yield from self.begin()
        yield from self._end_message("incomplete")
        self.status = "cancelled"
        yield self._event("incomplete", response=self.whole())

    @property
    def _is_speaking(self) -> bool:
        return bool(self.output) and self.output[-1]["status"] == "in_progress"

    def _begin_message(self) -> Iterator[Event]:
        item: dict[str, Any] = {
            "id": f"msg_{uuid4().hex}",
            "type": "message",
            "status": "in_progress",
            "role": "assistant",
            "content": [],
        }
        self.output.append(item)
        yield self._of_item("output_item.added", item=dict(item, content=[]))
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        item["content"] = [part]
        yield self._of_part("content_part.added", part=dict(part))

    def _end_message(self, status: str = "completed") -> Iterator[Event]:
        if not self._is_speaking:
            return
        item = self.output[-1]
        item["status"] = status
        (part,) = item["content"]
        yield self._of_part("output_text.done", text=part["text"], logprobs=[])
        yield self._of_part("content_part.done", part=part)
        yield self._of_item("output_item.done", item=item)

    def _event(self, kind: str, **more: Any) -> Event:
        event = {"type": f"response.{kind}", "sequence_number": self.told, **more}
        self.told += 1
        return event

    def _of_item(self, kind: str, **more: Any) -> Event:
        return self._event(kind, output_index=len(self.output) - 1, **more)

    def _of_part(self, kind: str, **more: Any) -> Event:
        id = self.output[-1]["id"]
        return self._of_item(kind, item_id=id, content_index=0, **more)


async def events(answer: ResponseBuilder, told: Told, keep: Callable[[], None]) -> Stream[Event]:
    """All events of a response; it is kept before the last is told.

    Raises:
        Refusal, ContextExceeded: it cannot be made; then nothing of it was said.
    """
    for event in answer.begin():
        yield event
    try:
        async with aclosing(told):
            async for piece in told:
                for event in answer.add(piece):
                    yield event
        last = answer.end()
    except EngineError as failure:
        if isinstance(failure, ContextExceeded) and not answer.output:
            raise
        log.warning("%s", failure)
        last = answer.fail(failure)
    for event in last:
        if answer.status in ("completed", "incomplete"):
            keep()
        yield event
