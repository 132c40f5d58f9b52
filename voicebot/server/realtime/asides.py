"""Responses beside the one that is spoken: what a client asks with `conversation: "none"`.

Titles, moderation, a tool's own question: they run while others do, are not heard over the user's
voice, and nothing of them enters the conversation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from ...conversation import Turn
from ...errors import ContextExceeded, EngineError, Wordless
from ...events import ClauseSpoken, Event
from ..auth.rate_limits import Quota, RateLimitExceeded
from ..tool_choice import ToolChoiceError
from .dependencies import SessionDependencies
from .engines import SessionEngines, TrackedChatModel
from .output_audio import RealtimeSpeaker
from .protocol import Protocol
from .recognition import Recognition
from .response import Response, Tokens
from .response_params import ResponseParams


class OutOfBandResponses:
    """Those of one client that are being made."""

    def __init__(
        self,
        outside: SessionDependencies,
        protocol: Protocol,
        quota: Quota,
        engines: SessionEngines,
        recognition: Recognition,
    ) -> None:
        self._outside, self._protocol, self._quota = outside, protocol, quota
        self._engines, self._recognition = engines, recognition
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, wish: ResponseParams, start: Callable[..., asyncio.Task[None]]) -> None:
        """Make one. start: makes a task of whoever holds the conversation."""
        response = self._protocol.begin_aside(wish, self._quota.told(_now()))
        try:
            self._quota.admit(_now())
        except RateLimitExceeded as exceeded:
            response.end("failed", error=str(exceeded), code="rate_limit_exceeded")
            self._protocol.end_aside(response)
            return
        task = start(self._carry_out(response))
        self._tasks[response.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(response.id))

    def cancel(self, id: str) -> None:
        """The client wants no more of that one."""
        if task := self._tasks.get(id):
            task.cancel()

    async def _carry_out(self, response: Response) -> None:
        wish, tokens = response.wish, Tokens()
        try:
            model = self._engines.writes(wish)
            tokens = model.tokens
            await self._reply(response, model)
        except asyncio.CancelledError:
            # Told even if all ends: whoever cancels one goes on.
            response.end("cancelled", "client_cancelled", tokens=tokens)
            raise
        except ToolChoiceError as error:
            response.end("failed", error=str(error), code="invalid_value")
        except ContextExceeded as error:
            response.end("failed", error=error.reason, code=error.kind)
        except EngineError as error:
            response.end("failed", error=str(error), tokens=tokens)
        else:
            cut = model.finish == "length"
            status = ("incomplete", "max_output_tokens") if cut else ("completed", None)
            response.end(*status, tokens=tokens)
        finally:
            self._protocol.end_aside(response)
            self._quota.charge(_now(), tokens=response.tokens, audio_s=response.seconds)

    async def _reply(self, response: Response, model: TrackedChatModel) -> None:
        wish = response.wish

        def tell(event: Event) -> None:
            if isinstance(event, ClauseSpoken):
                response.say(event.text, turn.spoken)

        speaker = RealtimeSpeaker(response.sound)
        speaker.begin(wish.output_format)
        turn = Turn(speaker, tell, 0.0, self._outside.parts.assistant.engine_timeout_s)
        turn.open()
        asked = await self._recognition.question(turn, wish)
        written = turn.write(model, asked)
        if wish.modality == "audio":
            await turn.speak(self._engines.speaks(wish, self._protocol.settings.speed), written)
            await turn.drain()
            if turn.is_wordless and not model.calls:
                raise Wordless("llm", "the reply holds nothing that can be said")
        else:
            async with aclosing(written) as pieces:
                async for piece in pieces:
                    response.write(piece)
        for call in model.calls:
            response.call(call)


def _now() -> float:
    return asyncio.get_running_loop().time()
