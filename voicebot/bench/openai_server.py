"""An OpenAI server in front of the simulated engines: the same costs, over HTTP.

    python -m voicebot.bench.openai_server '{"recognition_s": 0.25}'

It listens on loopback, prints its address, and then a line of JSON for each boundary of a stage.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from .. import engines
from ..audio import silence, to_pcm16
from ..engines import Kind, Message
from .observed import Mark, Observed
from .simulated import Costs


def main(settings: str) -> None:
    """Serve until we are ended. settings: a JSON object with fields of Costs."""
    door = socket.create_server(("127.0.0.1", 0))
    app = create(Costs(**json.loads(settings)))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    print(f"http://127.0.0.1:{door.getsockname()[1]}/v1", flush=True)
    asyncio.run(server.serve(sockets=[door]))


def create(costs: Costs) -> Starlette:
    """The three routes that engines for OpenAI's servers ask."""
    served = _Routes(costs)
    return Starlette(
        routes=[
            Route("/v1/audio/transcriptions", served.transcribe, methods=["POST"]),
            Route("/v1/chat/completions", served.reply, methods=["POST"]),
            Route("/v1/audio/speech", served.speak, methods=["POST"]),
        ]
    )


class _Routes:
    def __init__(self, costs: Costs) -> None:
        kinds: tuple[Kind, ...] = ("stt", "llm", "tts")
        chosen = costs.engines()
        stt, llm, tts = [engines.load(k, chosen[k].engine, **chosen[k].options) for k in kinds]
        self._engines = Observed(stt, llm, tts, _tell)

    async def transcribe(self, request: Request) -> Response:
        await request.body()  # the cost counts from when all of it has arrived
        async with aclosing(self._engines.transcribe(silence(1.0, 16000))) as segments:
            texts = [segment.text async for segment in segments]
        return JSONResponse({"text": " ".join(texts), "language": "en"})

    async def reply(self, request: Request) -> Response:
        await request.body()
        return StreamingResponse(self._chunks(), media_type="text/event-stream")

    async def _chunks(self) -> AsyncIterator[str]:
        async with aclosing(self._engines.reply([Message("user", "")])) as deltas:
            async for delta in deltas:
                content = {"content": delta.text} if delta.text else {}
                choice = {"index": 0, "delta": content, "finish_reason": delta.finish or None}
                yield f"data: {json.dumps({'choices': [choice]})}\n\n"
        yield "data: [DONE]\n\n"

    async def speak(self, request: Request) -> Response:
        asked = await request.json()
        async with aclosing(self._engines.synthesize(asked["input"])) as chunks:
            sound = b"".join([to_pcm16(chunk.audio) async for chunk in chunks])
        return Response(sound, media_type="audio/pcm")


def _tell(mark: Mark) -> None:
    told: dict[str, Any] = asdict(mark)
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
