"""How a client wants one response to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from . import fields, items
from .fields import ProtocolError, Table
from .items import Item, Items
from .settings import (
    Modality,
    Settings,
    modality,
    most_tokens,
    output,
    possible,
    tool_choice,
    tools,
)

_WHERE = "response."
_RESPONSE = (
    "instructions", "output_modalities", "audio", "tools", "tool_choice", "parallel_tool_calls",
    "max_output_tokens", "metadata", "input", "conversation", "prompt", "reasoning",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ResponseParams:
    """How a response should be: the session's settings, but for what was asked of this one."""

    instructions: str
    modality: Modality
    output_format: str
    voice: str
    tools: tuple[Table, ...]
    tool_choice: Any
    parallel_tool_calls: bool
    """Otherwise the first call ends the response."""
    max_output_tokens: Any
    metadata: Table | None = None
    in_conversation: bool = True
    """Otherwise its items are told but not kept."""
    context: list[Item] | None = None
    """What to answer, instead of the conversation."""
    weight: int = field(default=0, compare=False)
    """Bytes of what was sent for this response alone."""
    whole: bool = False
    """Fail where the conversation is too long for the model; else its beginning is forgotten."""


@dataclass(frozen=True, slots=True)
class ParseContext:
    """What a wish may refer to."""

    items: Items
    settings: Settings
    new_id: Callable[[str], str]


def read(given: Table, default: ResponseParams, known: ParseContext) -> ResponseParams:
    """The wish in a `response.create`; what it leaves out is as in `default`.

    Raises:
        ProtocolError: a field has the wrong value, or refers to no item.
    """
    # A null is what leaving it out is: clients send every field they know.
    given = {key: value for key, value in given.items() if value is not None}
    fields.only(given, _RESPONSE, _WHERE)
    changes: dict[str, Any] = {}
    if "instructions" in given:
        changes["instructions"] = fields.text(given, "instructions", _WHERE)
    if "output_modalities" in given:
        changes["modality"] = modality(given["output_modalities"], _WHERE)
    if "tools" in given:
        changes["tools"] = tools(given["tools"], _WHERE)
    if "tool_choice" in given:
        changes["tool_choice"] = tool_choice(given["tool_choice"], _WHERE)
    key = "parallel_tool_calls"
    changes[key] = fields.flag(given, key, default.parallel_tool_calls, _WHERE)
    if "max_output_tokens" in given:
        changes["max_output_tokens"] = most_tokens(given, _WHERE)
    if "metadata" in given:
        changes["metadata"] = fields.table(given["metadata"], "response.metadata")
    if "input" in given:
        changes["context"] = _context(fields.array(given["input"], "response.input"), known)
    conversation = given.get("conversation", "auto")
    fields.choice(conversation, ("auto", "none"), "response.conversation")
    changes["in_conversation"] = conversation == "auto"
    audio = fields.table(given.get("audio", {}), "response.audio")
    fields.only(audio, ("output",), "response.audio.")
    sounds = fields.table(audio.get("output", {}), "response.audio.output")
    fields.only(sounds, ("format", "voice"), "response.audio.output.")
    changes |= output(sounds, _WHERE)
    own = fields.weight([given.get(key) for key in _RESPONSE if key != "input"], "a response")
    return replace(default, **{**changes, **possible(known.settings, changes)}, weight=own)


def _context(given: list[Any], known: ParseContext) -> list[Item]:
    if len(given) > items.MAX_ITEMS:
        raise ProtocolError("too_many_items", f"an input has at most {items.MAX_ITEMS} items")
    context: list[Item] = []
    parts = characters = 0
    for i, value in enumerate(given):
        where = f"response.input[{i}]"
        table = fields.table(value, where)
        if table.get("type") == "item_reference":
            context.append(known.items.find(fields.text(table, "id", f"{where}.")))
        else:
            form = known.settings.input_format
            context.append(items.read(table, form, known.new_id("item"), where))
        # One item may be referred to as often as another is written.
        parts += len(context[-1].content)
        characters += context[-1].characters
        if parts > items.MAX_ITEMS or characters > items.WRITTEN:
            reason = f"an input has at most {items.MAX_ITEMS} parts and {items.WRITTEN} characters"
            raise ProtocolError("too_many_items", reason, "response.input")
    return context
