"""A server's engines as one Realtime session, or one response of it, wants them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from ...concurrency.worker import Stream
from ...engines import ChatModel, Delta, Message, Tool, ToolCall
from ...engines.call_options import BoundSynthesizer, BoundTranscriber, estimated_tokens, wanted
from ..tool_choice import offer, without_calls
from .capabilities import Capabilities
from .dependencies import SessionDependencies
from .response import Tokens
from .response_params import ResponseParams
from .settings import Settings


@dataclass(slots=True)
class TrackedChatModel:
    """Remembers what a reply called and how it ended."""

    llm: ChatModel
    options: dict[str, Any]
    knows_calls: bool
    """The model can be told of functions and what they returned."""
    many: bool
    """Otherwise the first call ends the reply."""
    calls: list[ToolCall] = field(default_factory=list, init=False)
    finish: str = field(default="", init=False)
    tokens: Tokens = field(default_factory=Tokens, init=False)

    async def reply(self, messages: Sequence[Message]) -> Stream[Delta]:
        if not self.knows_calls:
            messages = without_calls(messages)
        self.tokens.read = estimated_tokens(*(message.text for message in messages))
        async with aclosing(self.llm.reply(messages, **self.options)) as deltas:
            async for delta in deltas:
                self.finish = delta.finish or self.finish
                if delta.tokens:
                    self.tokens.read, self.tokens.written = delta.tokens
                if delta.kept is not None:
                    self.tokens.kept = delta.kept
                if delta.call:
                    self.calls.append(delta.call)
                yield delta
                if delta.call and not self.many:
                    return


class SessionEngines:
    """The engines of a server, with whatever of a client's wishes they can fulfil."""

    def __init__(self, outside: SessionDependencies) -> None:
        self._outside = outside

    def listens(self, settings: Settings) -> BoundTranscriber:
        language = (settings.transcription or {}).get("language")
        stt = self._outside.stt
        return BoundTranscriber(stt, wanted(stt.transcribe, language=language))

    def writes(self, wish: ResponseParams) -> TrackedChatModel:
        """
        Raises:
            ToolChoiceError: a function must be called, and cannot be.
        """
        takes = self._outside.takes
        tools = [
            Tool(tool["name"], tool.get("description") or "", tool.get("parameters") or {})
            for tool in wish.tools
        ]
        options = offer(tools, wish.tool_choice, takes)
        if wish.max_output_tokens != "inf" and "max_tokens" in takes:
            options["max_tokens"] = wish.max_output_tokens
        if wish.whole and "whole" in takes:
            options["whole"] = True
        return TrackedChatModel(
            self._outside.llm, options, "tools" in takes, wish.parallel_tool_calls
        )

    def speaks(self, wish: ResponseParams, speed: float) -> BoundSynthesizer:
        voice = Capabilities.of(self._outside.parts).voice(wish.voice)
        tts = self._outside.tts
        # At its normal speed a voice is not asked for any: not every engine knows one.
        options = wanted(tts.synthesize, voice=voice, speed=None if speed == 1 else speed)
        return BoundSynthesizer(tts, options)
