"""`/v1/documents`: what the answers are drawn from, and what may be asked about it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ...assistant.assembly import EngineSet
from ...engines.extractive import Extractive
from ...knowledge import RetrievalChatModel


def route(parts: EngineSet) -> Route:
    async def listed(request: Request) -> Response:
        names: list[str] = []
        questions: list[str] = []
        if isinstance(parts.llm, RetrievalChatModel):
            names, questions = parts.llm.documents, await parts.llm.examples()
        about = {
            "object": "list",
            "data": [{"id": name, "object": "document"} for name in names],
            "questions": questions,
            "quotes": isinstance(parts.plain, Extractive),
        }
        return JSONResponse(about)

    return Route("/v1/documents", listed)
