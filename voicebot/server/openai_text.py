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

from ..engines import Delta, Message
from ..flow import Stream
from .catalogue import PLAIN, Catalogue
from .doorkeeper import charge
from .house import House, InHouse
from .intake import document
from .refusals import Refusal
from .schema import Schema
from .stops import until
from .streamed import Streamed, begun, events, unless_gone

_PART: Schema = {
    "type": "object",
    "required": ["type", "text"],
    "additionalProperties": False,
    "properties": {"type": {"type": "string", "enum": ["text"]}, "text": {"type": "string"}},
}
_MESSAGE: Schema = {
    "type": "object",
    "required": ["role", "content"],
    "additionalProperties": False,
    "properties": {
        "role": {"type": "string", "enum": ["system", "developer", "user", "assistant"]},
        "content": {
            "anyOf": [{"type": "string"}, {"type": "array", "items": _PART, "minItems": 1}]
        },
        "name": {"type": "string", "description": "Accepted, and without effect."},
    },
}
_COUNT: Schema = {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}
_IGNORED = "Accepted, and without effect."
_HINT = "Followed by engines that choose at random; others have nothing to apply it to."
CHAT: Schema = {
    "type": "object",
    "required": ["messages", "model"],
    "additionalProperties": False,
    "properties": {
        "messages": {
            "type": "array",
            "items": _MESSAGE,
            "minItems": 1,
            "maxItems": 1000,
            "description": "The last one is the user's.",
        },
        "model": {
            "type": "string",
            "description": "One of /v1/models, or what OpenAI calls one of this kind. With "
            f"{PLAIN} after it, it answers without looking into the user's documents.",
        },
        "stream": {"anyOf": [{"type": "boolean"}, {"type": "null"}], "default": False},
        "stream_options": {
            "anyOf": [
                {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "include_usage": {"type": "boolean", "default": False},
                        "include_obfuscation": {"type": "boolean", "description": _IGNORED},
                    },
                },
                {"type": "null"},
            ]
        },
        "max_tokens": {"anyOf": [_COUNT, {"type": "null"}]},
        "max_completion_tokens": {"anyOf": [_COUNT, {"type": "null"}]},
        "temperature": {
            "anyOf": [{"type": "number", "minimum": 0, "maximum": 2}, {"type": "null"}],
            "description": _HINT,
        },
        "top_p": {
            "anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "null"}],
            "description": _HINT,
        },
        "stop": {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {
                    "type": "array",
                    "items": {"type": "string", "minLength": 1},
                    "minItems": 1,
                    "maxItems": 4,
                },
                {"type": "null"},
            ]
        },
        "n": {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 1}, {"type": "null"}]},
        "response_format": {
            "type": "object",
            "required": ["type"],
            "additionalProperties": False,
            "properties": {"type": {"type": "string", "enum": ["text"]}},
        },
        "user": {"type": "string", "description": _IGNORED},
        "seed": {"anyOf": [{"type": "integer"}, {"type": "null"}], "description": _IGNORED},
        "metadata": {"anyOf": [{"type": "object"}, {"type": "null"}], "description": _IGNORED},
        "store": {"anyOf": [{"type": "boolean"}, {"type": "null"}], "description": _IGNORED},
        "presence_penalty": {
            "anyOf": [{"type": "number", "minimum": -2, "maximum": 2}, {"type": "null"}],
            "description": _IGNORED,
        },
        "frequency_penalty": {
            "anyOf": [{"type": "number", "minimum": -2, "maximum": 2}, {"type": "null"}],
            "description": _IGNORED,
        },
    },
}


def routes(catalogue: Catalogue, house: House) -> Sequence[BaseRoute]:
    chat = _Chat(catalogue)

    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": catalogue.models()})

    async def model(request: Request) -> Response:
        return JSONResponse(catalogue.model(request.path_params["model"]))

    return [
        Route(
            "/v1/chat/completions",
            chat.completions,
            methods=["POST"],
            middleware=[Middleware(InHouse, house)],
        ),
        Route("/v1/models", models),
        # Names of models hold slashes.
        Route("/v1/models/{model:path}", model),
    ]


@dataclass(slots=True)
class _Reply:
    """What is known of a reply beside its text."""

    id: str
    created: int
    model: str
    finish: str = "stop"
    read: int = 0
    written: int = 0

    def head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    @property
    def usage(self) -> dict[str, int]:
        return {
            "prompt_tokens": self.read,
            "completion_tokens": self.written,
            "total_tokens": self.read + self.written,
        }


class _Chat:
    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def completions(self, request: Request) -> Response:
        fields = await document(request, CHAT)
        llm: Any = self._catalogue.chat_model(fields["model"])
        messages = [_message(message) for message in fields["messages"]]
        if messages[-1].role != "user":
            raise Refusal(400, "the last of messages should be the user's", param="messages")
        stops = fields.get("stop") or []
        reply = _Reply(f"chatcmpl-{uuid4().hex}", int(time.time()), fields["model"])
        # Where the engine does not count tokens, words stand for them.
        reply.read = sum(len(message.text.split()) for message in messages)
        text = _text(
            llm.reply(messages, **self._options(fields)),
            [stops] if isinstance(stops, str) else stops,
            reply,
            request.scope,
        )
        headers = self._catalogue.headers("llm")
        if not fields.get("stream"):
            said = await unless_gone(request, _joined(text))
            return JSONResponse(_completion(reply, said), headers=headers)
        async with AsyncExitStack() as stack:
            text = await begun(text, stack)
            with_usage = (fields.get("stream_options") or {}).get("include_usage", False)
            chunks = events(_chunks(reply, text, with_usage), last="[DONE]")
            return Streamed(chunks, "text/event-stream", headers, stack.pop_all())
        raise AssertionError("an exit stack of ours swallows nothing")

    def _options(self, fields: dict[str, Any]) -> dict[str, Any]:
        limit = fields.get("max_completion_tokens") or fields.get("max_tokens")
        options = self._catalogue.option("llm", "max_tokens", limit and int(limit))
        for name in ("temperature", "top_p"):
            if fields.get(name) is not None and name in self._catalogue.takes["llm"]:
                options[name] = float(fields[name])
        return options


def _message(sent: dict[str, Any]) -> Message:
    content = sent["content"]
    if isinstance(content, list):
        content = "\n".join(part["text"] for part in content)
    return Message("system" if sent["role"] == "developer" else sent["role"], content)


async def _text(
    deltas: Stream[Delta], stops: Sequence[str], reply: _Reply, scope: Scope
) -> Stream[str]:
    """The words of a reply; what else it told is in `reply` once it has ended.

    However it ends, it is on the client's account.
    """

    async def words() -> Stream[str]:
        async with aclosing(deltas):
            async for delta in deltas:
                if delta.finish:
                    reply.finish = delta.finish
                if delta.tokens:
                    reply.read, reply.written = delta.tokens
                if delta.text:
                    yield delta.text

    said = 0
    try:
        async with aclosing(until(words(), stops)) as text:
            async for more in text:
                said += len(more.split())
                yield more
    finally:
        reply.written = reply.written or said
        charge(scope, tokens=reply.read + reply.written)


async def _joined(text: Stream[str]) -> str:
    async with aclosing(text):
        return "".join([more async for more in text])


def _completion(reply: _Reply, text: str) -> dict[str, Any]:
    return {
        **reply.head("chat.completion"),
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "logprobs": None,
                "finish_reason": reply.finish,
            }
        ],
        "usage": reply.usage,
    }


async def _chunks(reply: _Reply, text: Stream[str], with_usage: bool) -> Stream[dict[str, Any]]:
    head = reply.head("chat.completion.chunk")
    if with_usage:
        head["usage"] = None

    def chunk(delta: dict[str, str], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {**head, "choices": [choice]}

    yield chunk({"role": "assistant", "content": ""})
    async with aclosing(text):
        async for more in text:
            yield chunk({"content": more})
    yield chunk({}, reply.finish)
    if with_usage:
        yield {**head, "choices": [], "usage": reply.usage}
