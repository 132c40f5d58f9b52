"""Which functions a chat model is offered and told of, whichever protocol its client speaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..engines import Message, Tool
from ..errors import VoicebotError
from ..events import Passage


class ToolChoiceError(VoicebotError):
    """No function can be called as the client demands."""


def offer(
    tools: Sequence[Tool], choice: str | Mapping[str, Any], takes: frozenset[str]
) -> dict[str, Any]:
    """The options of a call that let a model use `tools`: none where it cannot and need not.

    choice: "auto", "none", "required", or an object with the `name` of the one to be called.
    takes: the options that the model's `reply` takes.

    Raises:
        ToolChoiceError: a function must be called that is not there, or by a model that calls none.
    """
    if isinstance(choice, Mapping):
        named = [tool for tool in tools if tool.name == choice["name"]]
        if not named:
            there = ", ".join(tool.name for tool in tools) or "none"
            raise ToolChoiceError(
                f"tool_choice names {choice['name']!r}, and of tools there is {there}"
            )
        tools = named
    if choice == "none":
        return {}
    if choice == "auto":
        return {"tools": tools} if tools and "tools" in takes else {}
    if not tools:
        raise ToolChoiceError("tool_choice requires a call, and there are no tools")
    if not {"tools", "must_call"} <= takes:
        raise ToolChoiceError(
            "the model here cannot be made to call a function; tool_choice may be auto or none"
        )
    for tool in tools:
        if not tool.name.isprintable():
            raise ToolChoiceError(
                f"no model can be made to call {tool.name!r}: it holds no plain text"
            )
    return {"tools": tools, "must_call": True}


def without_calls(messages: Sequence[Message]) -> list[Message]:
    """The same for a model that calls no functions: what one returned informs the question."""
    names = {call.id: call.name for message in messages for call in message.calls}
    told: list[Message] = []
    for message in messages:
        if message.role == "tool":
            _inform(told, Passage(names.get(message.call_id, "function"), message.text))
        elif message.text or not message.calls:
            told.append(replace(message, calls=()))
    return told


def _inform(told: list[Message], passage: Passage) -> None:
    """Give `passage` to the user's last message, which is asked again if it was answered since."""
    for before in reversed(told):
        if before.role == "user":
            again = replace(before, passages=(*before.passages, passage))
            if before is told[-1]:
                told.pop()
            told.append(again)
            return
    told.append(Message("user", "", (passage,)))
