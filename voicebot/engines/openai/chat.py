"""Replies from any server with OpenAI's chat completions: vLLM, TGI, llama-server, Ollama."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

from ...concurrency.worker import Stream
from ...errors import ContextExceeded, EngineError
from .. import Chance, Delta, Message, Tool, ToolCall
from ..call_options import new_seed
from ..chat.prompt import informing, shortened, turns, without_oldest
from ..chat.reasoning import ReasoningFilter
from ..chat.tool_calls import new_id, offered
from .client import DRAIN_S, HttpAnswer, RequestRejected, Server

logger = logging.getLogger(__name__)


def written(turn: Message) -> dict[str, Any]:
    """The turn as one of a request's `messages`."""
    if turn.role == "tool":
        return {"role": "tool", "tool_call_id": turn.call_id, "content": turn.text}
    if not turn.calls:
        return {"role": turn.role, "content": turn.text}
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for call in turn.calls
    ]
    return {"role": turn.role, "content": turn.text or None, "tool_calls": calls}


@dataclass(slots=True)
class _PartialCall:
    id: str
    name: str = ""
    arguments: str = ""


class ToolCallAssembler:
    """Puts calls together that come in pieces, to functions of these names."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        self._calls: list[_PartialCall] = []
        self._at: dict[int | None, _PartialCall] = {}

    def add(self, pieces: Sequence[Any]) -> None:
        """Take one chunk's `tool_calls`. What is no piece of a call is passed over."""
        for piece in pieces:
            if not isinstance(piece, dict):
                continue
            function = piece.get("function")
            if not isinstance(function, dict):
                function = {}
            index = piece.get("index")
            call = self._belongs(index if isinstance(index, int) else None, _text(piece.get("id")))
            call.name = call.name or _text(function.get("name"))
            arguments = function.get("arguments")
            if isinstance(arguments, dict):  # some servers do not write it as text
                arguments = json.dumps(arguments, ensure_ascii=False)
            call.arguments += _text(arguments)

    def whole(self) -> list[ToolCall]:
        """The calls that can be carried out, in order."""
        calls: list[ToolCall] = []
        for call in self._calls:
            arguments = call.arguments if call.arguments.strip() else "{}"
            if call.name in self._names and _is_object(arguments):
                calls.append(ToolCall(call.id or new_id(), call.name, arguments))
            else:
                logger.warning("no call to %r that can be made: %.200s", call.name, arguments)
        return calls

    def _belongs(self, index: int | None, id: str) -> _PartialCall:
        """The call a piece is of: that with its index, or none, unless it brings another id."""
        known = self._at.get(index)
        if known and (not id or id == known.id):
            return known
        call = self._at[index] = _PartialCall(id)
        self._calls.append(call)
        return call


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


_DISPENSABLE = ("seed", "stream_options")
_UNNAMED = re.compile(r"extra (?:inputs|fields)|unknown|unrecognized|unexpected", re.IGNORECASE)
"""How servers refuse a field without naming it."""


_Usage = tuple[int, int, int | None]
"""Tokens read, written, and of those read the ones that were cached, where that is told."""
_Piece = tuple[str, list[Any], str, _Usage | None, tuple[Chance, ...]]
"""Of a reply: text, calls, why it ended on its last piece, what it has cost, and how likely its
tokens were."""


class OpenAIChat:
    """A chat model behind `/chat/completions` of an OpenAI-compatible server."""

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
        self._refused: set[str] = set()
        """What the server takes none of: "seed" at Mistral's and Google's, "stream_options" at
        older ones."""
        self._begins_inside = False
        """Replies begin in the middle of a thought, which the chat template has opened."""

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
        schema: Mapping[str, Any] | None = None,
        chances: int | None = None,
    ) -> Stream[Delta]:
        asked = {"max_tokens": max_tokens, "temperature": temperature, "top_p": top_p}
        request: dict[str, Any] = {
            **self._request,
            **{name: value for name, value in asked.items() if value is not None},
        }
        if tools:
            request["tools"] = [offered(tool) for tool in tools]
            request["tool_choice"] = "required" if must_call else "auto"
        if schema is not None:
            request["response_format"] = _format(schema)
        if chances is not None:
            request |= {"logprobs": True, "top_logprobs": chances}
        if request["temperature"] > 0:
            request["seed"] = new_seed() if seed is None else seed
        request["stream_options"] = {"include_usage": True}
        for name in self._refused:
            request.pop(name, None)
        fragments = ToolCallAssembler(tool.name for tool in tools)
        told, forgotten, lost, begun = messages, 0, 0, False
        while True:
            kept = turns(without_oldest(told, forgotten), calling=True)
            request["messages"] = [written(turn) for turn in kept]
            try:
                async with aclosing(self._deltas(request, fragments)) as deltas:
                    async for delta in deltas:
                        if not begun and (lost or told is not messages):
                            yield Delta(passages=informing(told), forgotten=lost)
                        begun = True
                        yield replace(delta, seed=request.pop("seed", None))  # told once
                return
            except ContextExceeded:
                fewer = None if begun else shortened(told, forgotten, whole=whole)
                if fewer is None:
                    raise
                told, forgotten = fewer
                lost = max(lost, forgotten)

    async def _deltas(self, request: dict[str, Any], fragments: ToolCallAssembler) -> Stream[Delta]:
        thoughts, said = ReasoningFilter(perhaps=self._begins_inside), False
        async with self._post(request) as answer:
            finish, cost = "", None
            async with aclosing(self._choices(answer)) as choices:
                async for text, calls, finish, cost, chances in choices:
                    fragments.add(calls)
                    spoken = thoughts.without(text)
                    said = said or bool(spoken)
                    if spoken or chances:
                        yield Delta(spoken, chances=chances)
                    if finish:
                        cost = cost or await _cost(choices)
                        break
            if not finish and not answer.complete:
                raise self._server.error("broke off in the middle of the reply")
            await answer.drain()
        rest = thoughts.rest(cut=finish == "length")
        self._begins_inside = self._begins_inside or thoughts.began_inside
        if finish == "content_filter":
            raise self._server.error("withheld the reply (content_filter)")
        if rest:
            yield Delta(rest)
        called = fragments.whole()
        for call in called:
            yield Delta(call=call)
        if thoughts.thinking and not (said or called):
            logger.warning("%s", self._server.error("gave nothing but thoughts"))
        yield Delta(
            finish="tool_calls" if called else _ended(finish),
            tokens=cost and cost[:2],
            kept=cost and cost[2],
        )

    @asynccontextmanager
    async def _post(self, request: dict[str, Any]) -> AsyncIterator[HttpAnswer]:
        """Send it; again, without what the server does not take, where it can do without."""
        path = "/chat/completions"
        async with AsyncExitStack() as stack:
            while True:
                try:
                    answer = await stack.enter_async_context(self._server.post(path, json=request))
                    break
                except RequestRejected as refused:
                    sent = [name for name in _DISPENSABLE if name in request]
                    named = [name for name in sent if name in refused.reason]
                    names = named or (sent if _UNNAMED.search(refused.reason) else [])
                    if not names:
                        raise
                    for name in names:
                        del request[name]
                    self._refused |= set(names)  # nor will it take them for the next reply
            yield answer

    async def _choices(self, answer: HttpAnswer) -> Stream[_Piece]:
        if answer.kind == "application/json":  # it does not stream
            text, calls, finish, cost, chances = self._piece(await answer.document(), "message")
            yield text, calls, finish or "stop", cost, chances
            return
        async with aclosing(answer.events()) as events:
            async for event in events:
                yield self._piece(event, "delta")

    def _piece(self, event: dict[str, Any], part: str) -> _Piece:
        if event.get("choices") == []:
            return "", [], "", _usage(event), ()
        try:
            choice = event["choices"][0]
            said = choice.get(part) or {}
            text, calls = said.get("content") or "", said.get("tool_calls") or []
            finish = choice.get("finish_reason") or ""
            chances = _chances(choice)
        except (LookupError, TypeError, AttributeError):
            text = calls = finish = None
        if not (isinstance(text, str) and isinstance(calls, list) and isinstance(finish, str)):
            raise self._server.error("sent no chat completion", f": {event}")
        return text, calls, finish, _usage(event), chances


async def _cost(pieces: Stream[_Piece]) -> _Usage | None:
    """What the reply has cost, where the server tells it behind the reply and at once."""
    with suppress(TimeoutError, EngineError):
        async with asyncio.timeout(DRAIN_S):
            async for _, _, _, cost, _ in pieces:
                if cost:
                    return cost
    return None


def _usage(event: dict[str, Any]) -> _Usage | None:
    """What the event tells of tokens; None where that is nothing, or nothing we understand."""
    try:
        usage = event["usage"]
        details = usage.get("prompt_tokens_details") or {}
        told = usage["prompt_tokens"], usage["completion_tokens"], details.get("cached_tokens")
    except (LookupError, TypeError, AttributeError):
        return None
    read, written, kept = (n if type(n) is int and n >= 0 else None for n in told)
    return None if read is None or written is None else (read, written, kept)


def _format(schema: Mapping[str, Any]) -> dict[str, Any]:
    if schema == {"type": "object"}:  # which more servers know by this name
        return {"type": "json_object"}
    named = {"name": "reply", "schema": dict(schema), "strict": True}
    return {"type": "json_schema", "json_schema": named}


def _chances(choice: dict[str, Any]) -> tuple[Chance, ...]:
    """What a choice tells of how likely its tokens were; nothing where we do not understand it."""
    try:
        return tuple(
            Chance(
                _token(told),
                float(told["logprob"]),
                tuple((_token(o), float(o["logprob"])) for o in told.get("top_logprobs") or ()),
            )
            for told in (choice.get("logprobs") or {}).get("content") or ()
        )
    except (LookupError, TypeError, ValueError, AttributeError):
        return ()


def _token(told: dict[str, Any]) -> bytes:
    return bytes(told.get("bytes") or str(told["token"]).encode(errors="replace"))


def _ended(finish: str) -> Literal["stop", "length"]:
    return "length" if finish == "length" else "stop"
