"""OpenAI's `/v1/responses`: a reply as a list of items, which the next may go on from."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ..engines import ToolCall
from ..errors import EngineError
from ..flow import Stream
from . import responses_fields as fields_of
from .catalogue import Catalogue
from .house import House, InHouse
from .intake import DOCUMENT, document
from .refusals import Refusal, too_long
from .replies import Account, Wish, reply, sampling
from .responses_kept import Kept, KeptResponses
from .streamed import Streamed, begun, unless_gone

log = logging.getLogger(__name__)

Event = dict[str, Any]
Told = Stream[str | ToolCall]


def routes(catalogue: Catalogue, house: House, kept: KeptResponses) -> Sequence[BaseRoute]:
    made = _Responses(catalogue, kept)
    one = "/v1/responses/{id}"
    return [
        Route(
            "/v1/responses", made.create, methods=["POST"], middleware=[Middleware(InHouse, house)]
        ),
        Route(one, made.retrieve, methods=["GET"]),
        Route(one, made.delete, methods=["DELETE"]),
        Route(f"{one}/input_items", made.input_items, methods=["GET"]),
    ]


class _Responses:
    def __init__(self, catalogue: Catalogue, kept: KeptResponses) -> None:
        self._catalogue, self._kept = catalogue, kept

    async def create(self, request: Request) -> Response:
        fields = await document(request, fields_of.RESPONSE)
        before: list[dict[str, Any]] = []
        if previous := fields.get("previous_response_id"):
            at = "previous_response_id"
            before = self._kept.find(_owner(request), previous, at).conversation
        asked = fields_of.items(fields["input"])
        if len(before) + len(asked) > fields_of.ITEMS:
            says = f"the conversation has more than {fields_of.ITEMS} items"
            raise Refusal(400, says, param="input", code="context_length_exceeded")
        messages = fields_of.messages(fields.get("instructions"), [*before, *asked])
        if (letters := sum(len(message.text) for message in messages)) > DOCUMENT:
            says = f"the conversation has {letters} characters, and {DOCUMENT} are read at most"
            raise Refusal(400, says, param="input", code="context_length_exceeded")
        answer = _Answer(fields, Account())
        told = reply(self._catalogue, messages, _wish(fields), answer.account, request.scope)
        headers = self._catalogue.headers("llm")

        def keep() -> None:
            if fields.get("store", True):
                self._kept.keep(_owner(request), Kept(answer.whole(), before, asked))

        if not fields.get("stream"):
            try:
                await unless_gone(request, _all(answer, told))
            except EngineError as failure:
                raise _failed(failure) from failure
            keep()
            return JSONResponse(answer.whole(), headers=headers | answer.account.headers)
        async with AsyncExitStack() as stack:
            try:
                told = await begun(request, told, stack)
            except EngineError as failure:
                raise _failed(failure) from failure
            headers |= answer.account.headers
            lines = _lines(answer, told, keep)
            return Streamed(lines, "text/event-stream", headers, stack.pop_all())
        raise AssertionError("an exit stack of ours swallows nothing")

    async def retrieve(self, request: Request) -> Response:
        return JSONResponse(self._found(request).response)

    async def delete(self, request: Request) -> Response:
        id = request.path_params["id"]
        self._kept.delete(_owner(request), id)
        return JSONResponse({"id": id, "object": "response", "deleted": True})

    async def input_items(self, request: Request) -> Response:
        found = self._found(request)
        items = [*found.before, *found.asked]
        if request.query_params.get("order", "desc") == "desc":
            items.reverse()
        ends = {"first_id": items[0]["id"], "last_id": items[-1]["id"]} if items else {}
        return JSONResponse({"object": "list", "data": items, "has_more": False, **ends})

    def _found(self, request: Request) -> Kept:
        return self._kept.find(_owner(request), request.path_params["id"])


def _owner(request: Request) -> str | None:
    """The hash of the key it came with; None where no key is needed."""
    owner: str | None = request.scope.get("key")
    return owner


def _failed(failure: EngineError) -> Exception:
    """A conversation that is too long stands in `input` here."""
    if getattr(failure, "kind", "") != "context_length_exceeded":
        return failure
    refusal = too_long(failure)
    refusal.param = "input"
    return refusal


def _wish(fields: dict[str, Any]) -> Wish:
    choice = fields.get("tool_choice", "auto")
    limit = fields.get("max_output_tokens")
    return Wish(
        fields["model"],
        limit and int(limit),
        sampling(fields),
        fields_of.tools(fields),
        choice,
        one_call=fields.get("parallel_tool_calls") is False,
        schema=fields_of.schema(fields),
        schema_at="text.format",
        may_forget=fields.get("truncation") == "auto",
    )


@dataclass(slots=True)
class _Answer:
    """A response while it is made."""

    fields: dict[str, Any]
    account: Account
    id: str = field(default_factory=lambda: f"resp_{uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))
    output: list[dict[str, Any]] = field(default_factory=list)
    """The items so far; the last may still grow."""
    status: str = "in_progress"
    error: dict[str, str] | None = None

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
            yield {"type": f"response.{kind}", "response": self.whole()}

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
        yield {"type": f"response.{self.status}", "response": self.whole()}

    def fail(self, failure: EngineError) -> Iterator[Event]:
        yield from self._end_message("incomplete")
        self.status, self.error = "failed", {"code": "server_error", "message": str(failure)}
        yield {"type": "response.failed", "response": self.whole()}

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

    def _of_item(self, kind: str, **more: Any) -> Event:
        return {"type": f"response.{kind}", "output_index": len(self.output) - 1, **more}

    def _of_part(self, kind: str, **more: Any) -> Event:
        id = self.output[-1]["id"]
        return self._of_item(kind, item_id=id, content_index=0, **more)


async def _all(answer: _Answer, told: Told) -> None:
    """Put the whole reply into `answer`."""
    async with aclosing(told):
        async for piece in told:
            for _ in answer.add(piece):
                pass
    for _ in answer.end():
        pass


async def _lines(answer: _Answer, told: Told, keep: Any) -> Stream[bytes]:
    """The events of a response, numbered; it is kept before the last is sent."""
    number = 0

    def line(event: Event) -> bytes:
        nonlocal number
        event = {"type": event["type"], "sequence_number": number, **event}
        number += 1
        return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()

    for event in answer.begin():
        yield line(event)
    try:
        async with aclosing(told):
            async for piece in told:
                for event in answer.add(piece):
                    yield line(event)
        last = answer.end()
    except EngineError as failure:
        log.warning("%s", failure)
        last = answer.fail(failure)
    for event in last:
        if answer.status in ("completed", "incomplete"):
            keep()
        yield line(event)
