"""OpenAI's `/v1/responses`: a reply as a list of items, which the next may go on from."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from typing import Any

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Scope

from ...concurrency.worker import Stream
from ...errors import EngineError
from ..admission import AdmissionControl, AdmissionMiddleware
from ..errors import ApiError, too_long
from ..http.bodies import DOCUMENT, document
from ..http.streaming import CancellableStreamingResponse, unless_gone
from ..http.streaming import begun as first_of
from ..model_catalog import ModelCatalog, ServedEngine
from . import responses_schema as fields_of
from .replies import ReplyParams, reply, sampling
from .responses_answer import Event, ResponseBuilder, Told, events
from .responses_store import ResponseStore, StoredResponse


def routes(responder: ResponsesService, admission: AdmissionControl) -> Sequence[BaseRoute]:
    made = _Responses(responder)
    one = "/v1/responses/{id}"
    return [
        Route(
            "/v1/responses",
            made.create,
            methods=["POST"],
            middleware=[Middleware(AdmissionMiddleware, admission)],
        ),
        Route(one, made.retrieve, methods=["GET"]),
        Route(one, made.delete, methods=["DELETE"]),
        Route(f"{one}/input_items", made.input_items, methods=["GET"]),
    ]


class ResponsesService:
    """Answers what is asked of `/v1/responses`, over HTTP or a websocket."""

    def __init__(self, catalogue: ModelCatalog, kept: ResponseStore) -> None:
        self._catalogue, self.kept = catalogue, kept

    async def model(self, answer: ResponseBuilder) -> ServedEngine:
        """What `answer` is to be made by.

        Raises:
            ApiError: there is no such model, or it cannot be loaded.
        """
        return await self._catalogue.served("llm", answer.fields["model"])

    def begin(
        self,
        answer: ResponseBuilder,
        model: ServedEngine,
        scope: Scope,
        connection: str | None = None,
    ) -> tuple[Told, Callable[[], None]]:
        """What `answer` is to be made of, and what keeps it once it is whole.

        connection: the id of the websocket it is asked for on, where a response that is not to be
            stored can be gone on from all the same.

        Raises:
            ApiError: it cannot be done.
        """
        fields = answer.fields
        before: list[dict[str, Any]] = []
        if previous := fields.get("previous_response_id"):
            before = self._previous(previous, scope, connection).conversation
        asked = fields_of.items(fields["input"])
        if len(before) + len(asked) > fields_of.ITEMS:
            says = f"the conversation has more than {fields_of.ITEMS} items"
            raise ApiError(400, says, param="input", code="context_length_exceeded")
        messages = fields_of.messages(fields.get("instructions"), [*before, *asked])
        if (letters := sum(len(message.text) for message in messages)) > DOCUMENT:
            says = f"the conversation has {letters} characters, and {DOCUMENT} are read at most"
            raise ApiError(400, says, param="input", code="context_length_exceeded")
        told = reply(model, messages, _wish(fields), answer.account, scope)

        def keep() -> None:
            if fields.get("store", True):
                self.kept.keep(owner(scope), StoredResponse(answer.whole(), before, asked))
            elif connection:
                self.kept.keep(connection, StoredResponse(answer.whole(), before, asked))

        return told, keep

    def _previous(self, id: str, scope: Scope, connection: str | None) -> StoredResponse:
        if connection:
            with suppress(ApiError):
                return self.kept.find(connection, id)
        return self.kept.find(owner(scope), id, "previous_response_id")


class _Responses:
    def __init__(self, responder: ResponsesService) -> None:
        self._responder, self._kept = responder, responder.kept

    async def create(self, request: Request) -> Response:
        fields = await document(request, fields_of.RESPONSE)
        answer = ResponseBuilder(fields)
        model = await unless_gone(request, self._responder.model(answer))
        told, keep = self._responder.begin(answer, model, request.scope)
        headers = model.headers("llm")
        if not fields.get("stream"):
            try:
                await unless_gone(request, _all(answer, told))
            except EngineError as failure:
                raise failed(failure) from failure
            keep()
            return JSONResponse(answer.whole(), headers=headers | answer.account.headers)
        async with AsyncExitStack() as stack:
            try:
                told = await first_of(request, told, stack)
            except EngineError as failure:
                raise failed(failure) from failure
            headers |= answer.account.headers
            lines = _lines(events(answer, told, keep))
            return CancellableStreamingResponse(
                lines, "text/event-stream", headers, stack.pop_all()
            )
        raise AssertionError("an exit stack of ours swallows nothing")

    async def retrieve(self, request: Request) -> Response:
        return JSONResponse(self._found(request).response)

    async def delete(self, request: Request) -> Response:
        id = request.path_params["id"]
        self._kept.delete(owner(request.scope), id)
        return JSONResponse({"id": id, "object": "response", "deleted": True})

    async def input_items(self, request: Request) -> Response:
        found = self._found(request)
        items = [*found.before, *found.asked]
        if request.query_params.get("order", "desc") == "desc":
            items.reverse()
        ends = {"first_id": items[0]["id"], "last_id": items[-1]["id"]} if items else {}
        return JSONResponse({"object": "list", "data": items, "has_more": False, **ends})

    def _found(self, request: Request) -> StoredResponse:
        return self._kept.find(owner(request.scope), request.path_params["id"])


def owner(scope: Scope) -> str | None:
    """The hash of the key it came with; None where no key is needed."""
    key: str | None = scope.get("key")
    return key


def failed(failure: EngineError) -> Exception:
    """A conversation that is too long stands in `input` here."""
    if getattr(failure, "kind", "") != "context_length_exceeded":
        return failure
    refusal = too_long(failure)
    refusal.param = "input"
    return refusal


def _wish(fields: dict[str, Any]) -> ReplyParams:
    choice = fields.get("tool_choice", "auto")
    limit = fields.get("max_output_tokens")
    return ReplyParams(
        limit and int(limit),
        sampling(fields),
        fields_of.tools(fields),
        choice,
        one_call=fields.get("parallel_tool_calls") is False,
        schema=fields_of.schema(fields),
        schema_at="text.format",
        may_forget=fields.get("truncation") == "auto",
    )


async def _all(answer: ResponseBuilder, told: Told) -> None:
    """Put the whole reply into `answer`."""
    async with aclosing(told):
        async for piece in told:
            for _ in answer.add(piece):
                pass
    for _ in answer.end():
        pass


async def _lines(told: Stream[Event]) -> Stream[bytes]:
    """The events as they are sent."""
    async with aclosing(told):
        async for event in told:
            data = json.dumps(event, ensure_ascii=False)
            yield f"event: {event['type']}\ndata: {data}\n\n".encode()
