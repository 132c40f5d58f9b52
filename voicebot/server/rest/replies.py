"""A reply of the chat model, whichever of OpenAI's text routes it was asked for on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from starlette.types import Scope

from ...concurrency.worker import Stream
from ...engines import Chance, ChatModel, Delta, Message, Tool, ToolCall
from ...engines.call_options import OptionError, estimated_tokens
from ...errors import ContextExceeded
from ..auth.middleware import charge
from ..errors import ApiError
from ..model_catalog import ServedEngine
from ..tool_choice import ToolChoiceError, offer, without_calls
from .stop_sequences import until


@dataclass(frozen=True, slots=True)
class ReplyParams:
    """What is asked of the model beside the conversation."""

    max_tokens: int | None = None
    sampling: dict[str, Any] | None = None
    """temperature, top_p and seed, as far as they were given."""
    tools: Sequence[Tool] = ()
    choice: Any = "auto"
    stops: Sequence[str] = ()
    one_call: bool = False
    """The first call ends the reply."""
    schema: dict[str, Any] | None = None
    """JSON Schema that the reply follows."""
    chances: int | None = None
    """Tell how likely each token was, and of so many others at its place."""
    may_forget: bool = False
    """The oldest exchanges of a conversation that is too long; else it is refused."""
    schema_at: str = "response_format"
    """The field that asked for it."""


@dataclass(slots=True)
class ReplyUsage:
    """What is known of a reply beside what it tells; complete once it has ended."""

    finish: str = "stop"
    read: int = 0
    written: int | None = None
    """As far as the engine has told."""
    kept: int = 0
    chances: list[Chance] = field(default_factory=list)
    """Of the tokens so far, as the engine tells them; whoever passes them on takes them out."""
    seed: int | None = None
    """What it is drawn with, once the engine has told."""

    @property
    def headers(self) -> dict[str, str]:
        """What is told of it beside the body."""
        return {} if self.seed is None else {"x-voicebot-seed": str(self.seed)}

    @property
    def usage(self) -> dict[str, Any]:
        """As chat completions have it."""
        written = self.written or 0
        return {
            "prompt_tokens": self.read,
            "completion_tokens": written,
            "total_tokens": self.read + written,
            "prompt_tokens_details": {"cached_tokens": self.kept, "audio_tokens": 0},
        }


def reply(
    model: ServedEngine,
    messages: list[Message],
    wish: ReplyParams,
    account: ReplyUsage,
    scope: Scope,
) -> Stream[str | ToolCall]:
    """The words and calls of the model's reply to `messages`; what else it tells is in `account`.

    However it ends, it is on the client's account.

    Raises:
        ApiError: the model cannot do what is asked.
    """
    options = _options(model, wish)
    if "tools" not in model.takes:
        messages = without_calls(messages)
    account.read = estimated_tokens(*(message.text for message in messages))
    return _told(model.parts.llm, messages, options, wish, account, scope)


def _options(model: ServedEngine, wish: ReplyParams) -> dict[str, Any]:
    options = model.option("max_tokens", wish.max_tokens)
    takes = model.takes
    if (
        "whole" in takes and not wish.may_forget
    ):  # its client keeps the conversation, and would not know what is lost
        options["whole"] = True
    if wish.schema is not None:
        if "schema" not in takes:
            says = f"{model.name} cannot write JSON to order; a language model can"
            raise ApiError(400, says, param=wish.schema_at)
        options["schema"] = wish.schema
    if wish.chances is not None:
        if "chances" not in takes:
            says = f"{model.name} does not tell how likely its words are"
            raise ApiError(400, says, param="logprobs")
        options["chances"] = wish.chances
    options |= {name: v for name, v in (wish.sampling or {}).items() if name in takes}
    try:
        return options | offer(wish.tools, wish.choice, takes)
    except ToolChoiceError as unsuitable:
        raise ApiError(400, str(unsuitable), param="tool_choice") from unsuitable


async def _told(
    llm: ChatModel,
    messages: list[Message],
    options: dict[str, Any],
    wish: ReplyParams,
    account: ReplyUsage,
    scope: Scope,
) -> Stream[str | ToolCall]:
    ask: Any = llm.reply
    deltas: Stream[Delta] = ask(messages, **options)

    async def pieces() -> Stream[str | ToolCall]:
        async with aclosing(deltas):
            async for delta in deltas:
                account.chances += delta.chances
                if delta.seed is not None:
                    account.seed = delta.seed
                if delta.finish:
                    account.finish = delta.finish
                if delta.tokens:
                    account.read, account.written = delta.tokens
                if delta.kept is not None:
                    account.kept = delta.kept
                if delta.text:
                    yield delta.text
                if delta.call:
                    account.finish = "tool_calls"
                    yield delta.call
                    if wish.one_call:
                        return

    said = ""
    try:
        async with aclosing(until(pieces(), wish.stops)) as told:
            async for piece in told:
                said += piece if isinstance(piece, str) else piece.arguments
                yield piece
    except OptionError as error:
        if error.option != "schema":
            raise
        raise ApiError(400, str(error), param=wish.schema_at) from error
    except ContextExceeded:
        account.read = 0  # nobody has read it
        raise
    finally:
        if account.written is None:
            account.written = estimated_tokens(said)
        charge(scope, tokens=account.read + account.written)


T = TypeVar("T")

Piece = tuple[int, str | ToolCall | None]
"""Of which of several replies it is; words, a call, or None at the end of that reply."""


async def in_turn(replies: Sequence[Stream[str | ToolCall]]) -> Stream[Piece]:
    """One reply after the other: an engine would make them no sooner at once."""
    async with AsyncExitStack() as closing:
        for reply in replies:
            await closing.enter_async_context(aclosing(reply))
        for index, reply in enumerate(replies):
            async for piece in reply:
                yield index, piece
            yield index, None


async def whole(told: Stream[T]) -> list[T]:
    """All of it, once it has ended."""
    async with aclosing(told):
        return [piece async for piece in told]


def another(wish: ReplyParams, index: int) -> ReplyParams:
    """The wish for another reply to the same, which is drawn anew."""
    drawn = dict(wish.sampling or {})
    if "seed" in drawn:
        drawn["seed"] += index
    return replace(wish, sampling=drawn)


def usage(accounts: Sequence[ReplyUsage], prompts: int = 1) -> dict[str, Any]:
    """What several replies to so many prompts have cost: each prompt is read once."""
    told = [account.usage for account in accounts]
    first, *others = told[:: len(told) // prompts]
    for other in others:
        first["prompt_tokens"] += other["prompt_tokens"]
    first["completion_tokens"] = sum(each["completion_tokens"] for each in told)
    first["total_tokens"] = first["prompt_tokens"] + first["completion_tokens"]
    return first


def sampling(fields: dict[str, Any]) -> dict[str, Any]:
    """How the words shall be drawn, as far as a request says it."""
    kinds = {"temperature": float, "top_p": float, "seed": int}
    return {name: kind(fields[name]) for name, kind in kinds.items() if name in fields}
