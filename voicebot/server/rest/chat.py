"""OpenAI's text routes: a reply to a conversation, and which models there are."""

from __future__ import annotations

import base64
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

from ...assistant.assembly import EngineSet
from ...concurrency.worker import Stream
from ...engines import ToolCall
from ..admission import AdmissionControl, AdmissionMiddleware
from ..http.bodies import DOCUMENT, UPLOAD, document
from ..http.streaming import CancellableStreamingResponse, begun, events, unless_gone
from ..model_catalog import ModelCatalog, ServedEngine
from . import chat_audio
from . import chat_schema as chat
from .chat_audio import AudioOutput
from .replies import ReplyParams, ReplyUsage, another, in_turn, reply, sampling, usage, whole
from .responses_store import ResponseStore


def routes(
    parts: EngineSet, catalogue: ModelCatalog, admission: AdmissionControl, kept: ResponseStore
) -> Sequence[BaseRoute]:
    """kept: the words of answers that were read aloud."""
    replies = _Chat(parts, catalogue, kept)

    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": catalogue.models()})

    async def model(request: Request) -> Response:
        return JSONResponse(catalogue.model(request.path_params["model"]))

    async def audio_models(request: Request) -> Response:
        return JSONResponse(catalogue.audio_models())

    async def voices(request: Request) -> Response:
        return JSONResponse(await catalogue.listed_voices(request.query_params.get("model")))

    return [
        Route(
            "/v1/chat/completions",
            replies.completions,
            methods=["POST"],
            middleware=[Middleware(AdmissionMiddleware, admission)],
        ),
        Route("/v1/models", models),
        Route("/v1/audio/models", audio_models),
        # Those of a model that is not loaded yet are known once it is.
        Route("/v1/audio/voices", voices, middleware=[Middleware(AdmissionMiddleware, admission)]),
        # Names of models hold slashes.
        Route("/v1/models/{model:path}", model),
    ]


LEAST = -9999.0
"""A logarithm for what has no chance: JSON knows no infinity. It is OpenAI's."""


@dataclass(slots=True)
class _ChatCompletion:
    """What is the same in every piece of an answer, and what its replies have cost."""

    id: str
    created: int
    model: str
    old: bool
    """It was asked in the old form: a call is `function_call`."""
    likely: bool
    """How likely its tokens are is told."""
    aloud: AudioOutput | None
    """How it is read aloud, if it is."""
    accounts: list[ReplyUsage]
    """One for each choice."""

    def head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def finish(self, index: int) -> str:
        finish = self.accounts[index].finish
        return "function_call" if self.old and finish == "tool_calls" else finish

    @property
    def headers(self) -> dict[str, str]:
        return self.accounts[0].headers


class _Chat:
    def __init__(self, parts: EngineSet, catalogue: ModelCatalog, kept: ResponseStore) -> None:
        self._parts, self._catalogue, self._kept = parts, catalogue, kept

    async def completions(self, request: Request) -> Response:
        most = DOCUMENT + UPLOAD * 4 // 3
        fields = await document(request, chat.CHAT, most, chat_audio.size)
        model, aloud = await unless_gone(request, self._chosen(fields, request))
        chat_audio.recalled(fields, self._kept, request)
        await unless_gone(request, chat_audio.listened(self._parts, fields, request.scope))
        messages, wish = chat.messages(fields), _wish(fields)
        answer = _ChatCompletion(
            f"chatcmpl-{uuid4().hex}",
            int(time.time()),
            fields["model"],
            old="functions" in fields and "tools" not in fields,
            likely=wish.chances is not None,
            aloud=aloud,
            accounts=[ReplyUsage() for _ in range(int(fields.get("n", 1)))],
        )
        # All of them now, so that what cannot be done is said before anything is.
        replies = [
            reply(model, messages, another(wish, index), account, request.scope)
            for index, account in enumerate(answer.accounts)
        ]
        told: Stream[chat_audio.Heard] = in_turn(replies)
        headers = model.headers("llm")
        if aloud:
            headers |= aloud.tts.headers("tts")
            told = aloud.read(told)
        if not fields.get("stream"):
            pieces = await unless_gone(request, whole(told))
            if aloud:
                aloud.remember(self._kept, _text(pieces, 0))
            return JSONResponse(_completion(answer, pieces), headers=headers | answer.headers)
        async with AsyncExitStack() as stack:
            told = await begun(request, told, stack)
            with_usage = fields.get("stream_options", {}).get("include_usage", False)
            chunks = events(_chunks(answer, told, with_usage, self._kept), last="[DONE]")
            return CancellableStreamingResponse(
                chunks, "text/event-stream", headers | answer.headers, stack.pop_all()
            )
        raise AssertionError("an exit stack of ours swallows nothing")

    async def _chosen(
        self, fields: dict[str, Any], request: Request
    ) -> tuple[ServedEngine, AudioOutput | None]:
        """What answers, and how it is read aloud if it is."""
        model = await self._catalogue.served("llm", fields["model"])
        return model, await chat_audio.aloud(fields, self._catalogue, request.scope)


def _wish(fields: dict[str, Any]) -> ReplyParams:
    stops = fields.get("stop", [])
    limit = fields.get("max_completion_tokens") or fields.get("max_tokens")
    return ReplyParams(
        limit and int(limit),
        sampling(fields),
        chat.tools(fields),
        chat.tool_choice(fields),
        [stops] if isinstance(stops, str) else stops,
        one_call=fields.get("parallel_tool_calls") is False or "functions" in fields,
        schema=chat.schema(fields.get("response_format")),
        chances=int(fields.get("top_logprobs", 0)) if fields.get("logprobs") else None,
    )


def _text(told: Sequence[chat_audio.Heard], index: int) -> str:
    return "".join(piece for at, piece in told if at == index and isinstance(piece, str))


def _completion(answer: _ChatCompletion, told: Sequence[chat_audio.Heard]) -> dict[str, Any]:
    choices = []
    for index in range(len(answer.accounts)):
        pieces = [piece for at, piece in told if at == index]
        text = _text(told, index)
        calls = [_call(piece) for piece in pieces if isinstance(piece, ToolCall)]
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        if answer.aloud:
            message |= {"content": None, "audio": answer.aloud.whole(told, answer.created)}
        if calls:
            message["content"] = None if answer.aloud else text or None
            message |= (
                {"function_call": calls[0]["function"]} if answer.old else {"tool_calls": calls}
            )
        choices.append(
            {
                "index": index,
                "message": message,
                "logprobs": _logprobs(answer.accounts[index], answer.likely),
                "finish_reason": answer.finish(index),
            }
        )
    return {**answer.head("chat.completion"), "choices": choices, "usage": usage(answer.accounts)}


def _logprobs(account: ReplyUsage, wanted: bool) -> dict[str, Any] | None:
    """How likely the tokens were that have come since this was asked; None where nobody asked."""
    if not wanted:
        return None
    chances = [*account.chances]
    account.chances.clear()
    told = [
        _likely(chance.token, chance.logprob)
        | {"top_logprobs": [_likely(*other) for other in chance.others]}
        for chance in chances
    ]
    return {"content": told, "refusal": None}


def _likely(token: bytes, logprob: float) -> dict[str, Any]:
    text = token.decode(errors="replace")
    return {"token": text, "logprob": max(logprob, LEAST), "bytes": [*token]}


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


async def _chunks(
    answer: _ChatCompletion, told: Stream[chat_audio.Heard], with_usage: bool, kept: ResponseStore
) -> Stream[dict[str, Any]]:
    head = answer.head("chat.completion.chunk")
    if with_usage:
        head["usage"] = None

    def chunk(index: int, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        likely = answer.likely and bool(delta.get("content") or finish)
        logprobs = _logprobs(answer.accounts[index], likely)
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return {**head, "choices": [choice]}

    for index in range(len(answer.accounts)):
        first: dict[str, Any] = {"role": "assistant", "content": ""}
        if answer.aloud:
            first = {"role": "assistant", "audio": {"id": answer.aloud.id, "transcript": ""}}
        yield chunk(index, first)
    words = ""
    calls = 0
    async with aclosing(told):
        async for index, piece in told:
            if isinstance(piece, bytes):
                yield chunk(index, {"audio": {"data": base64.b64encode(piece).decode()}})
            elif answer.aloud and isinstance(piece, str):
                words += piece
                yield chunk(index, {"audio": {"transcript": piece}})
            elif piece is None:
                if answer.aloud:
                    answer.aloud.remember(kept, words)
                    expires = answer.created + chat_audio.GOOD_S
                    yield chunk(index, {"audio": {"expires_at": expires}})
                yield chunk(index, {}, answer.finish(index))
                calls = 0
            elif isinstance(piece, str):
                yield chunk(index, {"content": piece})
            elif answer.old:
                yield chunk(index, {"function_call": _call(piece)["function"]})
            else:
                yield chunk(index, {"tool_calls": [{"index": calls, **_call(piece)}]})
                calls += 1
    if with_usage:
        yield {**head, "choices": [], "usage": usage(answer.accounts)}
