"""OpenAI's text routes: a reply to a conversation, and which models there are."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Scope

from ..engines import Delta, ToolCall
from ..engines.per_call import estimated_tokens
from ..errors import ContextExceeded
from ..flow import Stream
from . import chat_fields as chat
from .catalogue import Catalogue
from .doorkeeper import charge
from .functions import Unsuitable, offer, without_calls
from .house import House, InHouse
from .intake import document
from .refusals import Refusal
from .stops import until
from .streamed import Streamed, begun, events, unless_gone


def routes(catalogue: Catalogue, house: House) -> Sequence[BaseRoute]:
    replies = _Chat(catalogue)

    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": catalogue.models()})

    async def model(request: Request) -> Response:
        return JSONResponse(catalogue.model(request.path_params["model"]))

    return [
        Route(
            "/v1/chat/completions",
            replies.completions,
            methods=["POST"],
            middleware=[Middleware(InHouse, house)],
        ),
        Route("/v1/models", models),
        # Names of models hold slashes.
        Route("/v1/models/{model:path}", model),
    ]


@dataclass(slots=True)
class _Reply:
    """What is known of a reply beside what it tells."""

    id: str
    created: int
    model: str
    many: bool
    """Otherwise the first call ends it."""
    finish: str = "stop"
    read: int = 0
    written: int | None = None
    """As far as the engine has told."""
    kept: int = 0
    old: bool = False
    """It was asked in the old form: a call is `function_call`."""
    seed: int | None = None
    """What it is drawn with, once the engine has told."""

    def head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    @property
    def headers(self) -> dict[str, str]:
        """What is told of it beside the body."""
        return {} if self.seed is None else {"x-voicebot-seed": str(self.seed)}

    @property
    def usage(self) -> dict[str, Any]:
        written = self.written or 0
        return {
            "prompt_tokens": self.read,
            "completion_tokens": written,
            "total_tokens": self.read + written,
            "prompt_tokens_details": {"cached_tokens": self.kept, "audio_tokens": 0},
        }


class _Chat:
    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def completions(self, request: Request) -> Response:
        fields = await document(request, chat.CHAT)
        llm: Any = self._catalogue.chat_model(fields["model"])
        messages, options = chat.messages(fields), self._options(fields)
        if "tools" not in self._catalogue.takes["llm"]:
            messages = without_calls(messages)
        stops = fields.get("stop") or []
        reply = _Reply(
            f"chatcmpl-{uuid4().hex}",
            int(time.time()),
            fields["model"],
            many=fields.get("parallel_tool_calls") is not False,
            old="functions" in fields and "tools" not in fields,
        )
        reply.many = reply.many and not reply.old
        reply.read = estimated_tokens(*(message.text for message in messages))
        told = _told(
            llm.reply(messages, **options),
            [stops] if isinstance(stops, str) else stops,
            reply,
            request.scope,
        )
        headers = self._catalogue.headers("llm")
        if not fields.get("stream"):
            whole = await unless_gone(request, _whole(told))
            return JSONResponse(_completion(reply, whole), headers=headers | reply.headers)
        async with AsyncExitStack() as stack:
            told = await begun(told, stack)
            with_usage = (fields.get("stream_options") or {}).get("include_usage", False)
            chunks = events(_chunks(reply, told, with_usage), last="[DONE]")
            return Streamed(chunks, "text/event-stream", headers | reply.headers, stack.pop_all())
        raise AssertionError("an exit stack of ours swallows nothing")

    def _options(self, fields: dict[str, Any]) -> dict[str, Any]:
        limit = fields.get("max_completion_tokens") or fields.get("max_tokens")
        options = self._catalogue.option("llm", "max_tokens", limit and int(limit))
        takes = self._catalogue.takes["llm"]
        if "whole" in takes:  # its client keeps the conversation, and would not know what is lost
            options["whole"] = True
        for name, kind in (("temperature", float), ("top_p", float), ("seed", int)):
            if fields.get(name) is not None and name in takes:
                options[name] = kind(fields[name])
        try:
            return options | offer(chat.tools(fields), chat.tool_choice(fields), takes)
        except Unsuitable as unsuitable:
            raise Refusal(400, str(unsuitable), param="tool_choice") from unsuitable


async def _told(
    deltas: Stream[Delta], stops: Sequence[str], reply: _Reply, scope: Scope
) -> Stream[str | ToolCall]:
    """The words and calls of a reply; what else it told is in `reply` once it has ended.

    However it ends, it is on the client's account.
    """

    async def pieces() -> Stream[str | ToolCall]:
        async with aclosing(deltas):
            async for delta in deltas:
                if delta.seed is not None:
                    reply.seed = delta.seed
                if delta.finish:
                    called = delta.finish == "tool_calls"
                    reply.finish = "function_call" if called and reply.old else delta.finish
                if delta.tokens:
                    reply.read, reply.written = delta.tokens
                if delta.kept is not None:
                    reply.kept = delta.kept
                if delta.text:
                    yield delta.text
                if delta.call:
                    reply.finish = "function_call" if reply.old else "tool_calls"
                    yield delta.call
                    if not reply.many:
                        return

    said = ""
    try:
        async with aclosing(until(pieces(), stops)) as told:
            async for piece in told:
                said += piece if isinstance(piece, str) else piece.arguments
                yield piece
    except ContextExceeded:
        reply.read = 0  # nobody has read it
        raise
    finally:
        if reply.written is None:
            reply.written = estimated_tokens(said)
        charge(scope, tokens=reply.read + reply.written)


async def _whole(told: Stream[str | ToolCall]) -> list[str | ToolCall]:
    async with aclosing(told):
        return [piece async for piece in told]


def _completion(reply: _Reply, told: Sequence[str | ToolCall]) -> dict[str, Any]:
    text = "".join(piece for piece in told if isinstance(piece, str))
    calls = [_call(piece) for piece in told if isinstance(piece, ToolCall)]
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if calls:
        message["content"] = text or None
        message |= {"function_call": calls[0]["function"]} if reply.old else {"tool_calls": calls}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reply.finish}
    return {**reply.head("chat.completion"), "choices": [choice], "usage": reply.usage}


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


async def _chunks(
    reply: _Reply, told: Stream[str | ToolCall], with_usage: bool
) -> Stream[dict[str, Any]]:
    head = reply.head("chat.completion.chunk")
    if with_usage:
        head["usage"] = None

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {**head, "choices": [choice]}

    yield chunk({"role": "assistant", "content": ""})
    calls = 0
    async with aclosing(told):
        async for piece in told:
            if isinstance(piece, str):
                yield chunk({"content": piece})
            else:
                call = _call(piece)
                yield chunk(
                    {"function_call": call["function"]}
                    if reply.old
                    else {"tool_calls": [{"index": calls, **call}]}
                )
                calls += 1
    yield chunk({}, reply.finish)
    if with_usage:
        yield {**head, "choices": [], "usage": reply.usage}
