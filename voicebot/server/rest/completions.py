"""`/v1/completions`, OpenAI's first text route, which some programs still ask.

Chat models answer here as anywhere: a prompt is what the user says.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any
from uuid import uuid4

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ...concurrency.worker import Stream
from ...engines import Message
from ..admission import AdmissionControl, AdmissionMiddleware
from ..errors import ApiError
from ..http.bodies import document
from ..http.json_schema import Schema, listed
from ..http.streaming import CancellableStreamingResponse, begun, events, unless_gone
from ..http.unknown_fields import body
from ..model_catalog import ModelCatalog
from .chat_schema import CHOICES, MODEL, SAMPLING, STOP
from .replies import Piece, ReplyParams, ReplyUsage, another, in_turn, reply, sampling, usage, whole

_TEXT: Schema = {"type": "string"}
_PROMPTS = {"anyOf": [_TEXT, listed(_TEXT, 1, CHOICES)], "description": "What the user says."}
COMPLETION: Schema = body(
    {"model": MODEL, "prompt": _PROMPTS},
    {
        "max_tokens": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
        **SAMPLING,
        "stop": STOP,
        "n": {"type": "integer", "minimum": 1, "maximum": CHOICES},
        "stream": {"type": "boolean", "default": False},
        "stream_options": body({}, {"include_usage": {"type": "boolean", "default": False}}),
        # What changes the answer, and is not done here.
        "echo": {"type": "boolean", "enum": [False]},
        "logprobs": {"type": "null"},
        "suffix": {"type": "null"},
    },
)


def routes(catalogue: ModelCatalog, admission: AdmissionControl) -> Sequence[BaseRoute]:
    async def completions(request: Request) -> Response:
        return await _completions(request, catalogue)

    inside = [Middleware(AdmissionMiddleware, admission)]
    return [Route("/v1/completions", completions, methods=["POST"], middleware=inside)]


async def _completions(request: Request, catalogue: ModelCatalog) -> Response:
    fields = await document(request, COMPLETION)
    prompts = [fields["prompt"]] if isinstance(fields["prompt"], str) else fields["prompt"]
    count = int(fields.get("n", 1))
    if len(prompts) * count > CHOICES:
        raise ApiError(400, f"at most {CHOICES} replies to one request", param="n")
    model = await unless_gone(request, catalogue.served("llm", fields["model"]))
    wish, accounts, replies = _wish(fields), [], []
    for prompt in prompts:
        for index in range(count):
            accounts.append(account := ReplyUsage())
            asked = [Message("user", prompt)]
            drawn = another(wish, index)
            replies.append(reply(model, asked, drawn, account, request.scope))
    told = in_turn(replies)
    head = {
        "id": f"cmpl-{uuid4().hex}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": fields["model"],
    }
    headers = model.headers("llm")
    if not fields.get("stream"):
        pieces = await unless_gone(request, whole(told))
        choices = [
            _choice(index, "".join(_words(pieces, index)), account.finish)
            for index, account in enumerate(accounts)
        ]
        answer = {**head, "choices": choices, "usage": usage(accounts, len(prompts))}
        return JSONResponse(answer, headers=headers | accounts[0].headers)
    async with AsyncExitStack() as stack:
        told = await begun(request, told, stack)
        with_usage = fields.get("stream_options", {}).get("include_usage", False)
        chunks = _chunks(head, told, accounts, len(prompts) if with_usage else 0)
        headers |= accounts[0].headers
        sent = events(chunks, last="[DONE]")
        return CancellableStreamingResponse(sent, "text/event-stream", headers, stack.pop_all())
    raise AssertionError("an exit stack of ours swallows nothing")


def _wish(fields: dict[str, Any]) -> ReplyParams:
    stops = fields.get("stop", [])
    limit = fields.get("max_tokens")
    return ReplyParams(
        limit and int(limit),
        sampling(fields),
        stops=[stops] if isinstance(stops, str) else stops,
    )


def _words(pieces: Sequence[Piece], index: int) -> list[str]:
    return [piece for at, piece in pieces if at == index and isinstance(piece, str)]


def _choice(index: int, text: str, finish: str | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish}


async def _chunks(
    head: dict[str, Any], told: Stream[Piece], accounts: Sequence[ReplyUsage], prompts: int
) -> Stream[dict[str, Any]]:
    """prompts: how many there are, if what they cost is to be told."""
    async with aclosing(told):
        async for index, piece in told:
            if piece is None:
                yield {**head, "choices": [_choice(index, "", accounts[index].finish)]}
            elif isinstance(piece, str):
                yield {**head, "choices": [_choice(index, piece, None)]}
    if prompts:
        yield {**head, "choices": [], "usage": usage(accounts, prompts)}
