"""Replies from any server with OpenAI's chat completions: vLLM, TGI, llama-server, Ollama."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any, Literal

from ..errors import ContextExceeded
from ..flow import Stream
from . import Delta, Message, Tool
from .openai_answer import Answer, Refused
from .openai_calls import Fragments, written
from .openai_http import Server
from .per_call import new_seed
from .prompt import informing, shortened, turns, without_oldest
from .thoughts import Thoughts
from .tool_calls import offered


class OpenAIChat:
    def __init__(
        self,
        url: str,
        model: str,
        key_env: str = "OPENAI_API_KEY",
        temperature: float = 0.7,
        max_tokens: int = 256,
        timeout: float = 30.0,
    ) -> None:
        """A model on the server at `url`, which ends in /v1 on most.

        `key_env` names the environment variable with the key. 256 tokens are over a minute of
        speech. `timeout` is how many seconds the first word may take, tries and all: long enough
        for a server that loads the model first, longer than anybody listens to silence.

        Raises:
            ConfigError: the url is not one, or a number is out of its range.
        """
        self._server = Server("llm", url, key_env, timeout)
        self._request = {
            "model": model,
            "temperature": temperature,
            "max_tokens": max_tokens,
            "stream": True,
        }
        self._takes_seeds = True

    async def reply(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        tools: Sequence[Tool] = (),
        must_call: bool = False,
        whole: bool = False,
    ) -> Stream[Delta]:
        asked = {"max_tokens": max_tokens, "temperature": temperature, "top_p": top_p}
        request: dict[str, Any] = {
            **self._request,
            **{name: value for name, value in asked.items() if value is not None},
        }
        if tools:
            request["tools"] = [offered(tool) for tool in tools]
            request["tool_choice"] = "required" if must_call else "auto"
        if self._takes_seeds and request["temperature"] > 0:
            request["seed"] = new_seed() if seed is None else seed
        fragments = Fragments(tool.name for tool in tools)
        told, forgotten, begun = messages, 0, False
        while True:
            kept = turns(without_oldest(told, forgotten), calling=True)
            request["messages"] = [written(turn) for turn in kept]
            try:
                async with aclosing(self._deltas(request, fragments)) as deltas:
                    async for delta in deltas:
                        if not begun and (forgotten or told is not messages):
                            yield Delta(passages=informing(told), forgotten=forgotten)
                        begun = True
                        yield replace(delta, seed=request.pop("seed", None))  # told once
                return
            except ContextExceeded:
                fewer = None if begun else shortened(told, forgotten, whole=whole)
                if fewer is None:
                    raise
                told, forgotten = fewer

    async def _deltas(self, request: dict[str, Any], fragments: Fragments) -> Stream[Delta]:
        thoughts, said = Thoughts(), False
        async with self._post(request) as answer:
            finish = ""
            async with aclosing(self._choices(answer)) as choices:
                async for text, calls, finish in choices:
                    fragments.add(calls)
                    if spoken := thoughts.without(text):
                        said = True
                        yield Delta(spoken)
                    if finish:
                        break
            if not finish and not answer.complete:
                raise self._server.error("broke off in the middle of the reply")
            await answer.drain()
        rest = thoughts.rest()
        if finish == "content_filter":
            raise self._server.error("withheld the reply (content_filter)")
        if rest:
            yield Delta(rest)
        called = fragments.whole()
        for call in called:
            yield Delta(call=call)
        if thoughts.thinking and not (said or called):
            raise self._server.error("spent max_tokens on thinking and said nothing")
        yield Delta(finish="tool_calls" if called else _ended(finish))

    @asynccontextmanager
    async def _post(self, request: dict[str, Any]) -> AsyncIterator[Answer]:
        """Send it; without its seed to a server that takes none, as Mistral's and Google's."""
        path = "/chat/completions"
        async with AsyncExitStack() as stack:
            try:
                answer = await stack.enter_async_context(self._server.post(path, json=request))
            except Refused as refused:
                if "seed" not in request or "seed" not in refused.reason:
                    raise
                del request["seed"]
                answer = await stack.enter_async_context(self._server.post(path, json=request))
                self._takes_seeds = False  # nor will it for the next reply
            yield answer

    async def _choices(self, answer: Answer) -> Stream[tuple[str, list[Any], str]]:
        """Each piece of text and of calls, with why the reply ended on the last."""
        if answer.kind == "application/json":  # it does not stream
            text, calls, finish = self._choice(await answer.document(), "message")
            yield text, calls, finish or "stop"
            return
        async with aclosing(answer.events()) as events:
            async for event in events:
                if event.get("choices") != []:  # only what it cost
                    yield self._choice(event, "delta")

    def _choice(self, event: dict[str, Any], part: str) -> tuple[str, list[Any], str]:
        try:
            choice = event["choices"][0]
            said = choice.get(part) or {}
            text, calls = said.get("content") or "", said.get("tool_calls") or []
            finish = choice.get("finish_reason") or ""
        except (LookupError, TypeError, AttributeError):
            text = calls = finish = None
        if not (isinstance(text, str) and isinstance(calls, list) and isinstance(finish, str)):
            raise self._server.error(f"sent no chat completion: {event}")
        return text, calls, finish


def _ended(finish: str) -> Literal["stop", "length"]:
    return "length" if finish == "length" else "stop"
