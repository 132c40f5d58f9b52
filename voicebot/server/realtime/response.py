"""One response of a Realtime session: what is told of it, in the order clients rely on. No I/O."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from ...conversation.spoken import Spoken
from ...engines import ToolCall
from ...engines.call_options import estimated_tokens
from . import items
from .fields import Table
from .items import Item, Part
from .response_params import ResponseParams
from .settings import format_json

Status = Literal["completed", "cancelled", "incomplete", "failed"]

SPOKEN_PER_SECOND = 20
"""Tokens that the protocol counts for sound. What we hear, the model is given as text."""

_BLAMES = {
    "rate_limit_exceeded": "rate_limit_error",
    "invalid_value": "invalid_request_error",
    "context_length_exceeded": "invalid_request_error",
}
"""For each code of a failure that is the client's, the type it has."""


@dataclass(slots=True)
class Tokens:
    """Of text, that a response has cost."""

    read: int = 0
    """By the chat model."""
    written: int | None = None
    """None where it does not count them; then they are estimated."""
    kept: int = 0
    """Of those read, the ones it had read before and did not compute again."""


class Send(Protocol):
    """Sends one server event: its type, and its fields."""

    def __call__(self, type: str, **fields: Any) -> None:
        """Tell the client of an event."""


class Response:
    """A response from `response.created` to `response.done`.

    add: puts an item into the conversation and returns the one before it; None out of it.
    """

    def __init__(
        self,
        wish: ResponseParams,
        conversation_id: str,
        new_id: Callable[[str], str],
        send: Send,
        add: Callable[[Item], str | None],
    ) -> None:
        self.id = new_id("resp")
        self.wish = wish
        self.is_rest = False
        """It goes on with what one before it could not say."""
        self.about: Table = {}
        """What only we tell of a response that is over: its id in the log, and what spoke it."""
        self.status: Status | Literal["in_progress"] = "in_progress"
        self._conversation_id = conversation_id if wish.in_conversation else None
        self._new_id, self._send, self._add = new_id, send, add
        self._output: list[Item] = []
        self._part: Part | None = None
        self._voiced: Part | None = None
        self._before: str | None = None
        self._details: Table | None = None
        self._usage: Table | None = None
        self._spent = Tokens()
        send("response.created", response=self.as_json())

    def write(self, text: str) -> None:
        """A few more characters of a reply in text."""
        part = self._begin("output_text")
        part.text = (part.text or "") + text
        self._tell("response.output_text.delta", delta=text)

    def say(self, text: str, spoken: Spoken) -> None:
        """A clause whose sound follows; `spoken` knows which words sound when."""
        part = self._begin("output_audio")
        between = " " if part.spoken else ""
        self._voiced, part.spoken = part, spoken
        self._tell("response.output_audio_transcript.delta", delta=between + text)

    def sound(self, audio: bytes) -> None:
        """More of the sound, in the format that was wished for. Comes after `say`."""
        part = self._begin("output_audio")
        part.sent += items.seconds(audio, self.wish.output_format)
        self._tell("response.output_audio.delta", delta=base64.b64encode(audio).decode())

    def spoke(self, seconds: float) -> None:
        """More of the sound, which reaches the client another way. Comes after `say`."""
        self._begin("output_audio").sent += seconds

    def cut(self, seconds: float) -> None:
        """Only so much of the sound was heard, as far as we know; the client knows better.

        The response may be over: its sound is sent faster than it is played.
        """
        if self._voiced and not self._voiced.truncated:
            self._voiced.heard = min(seconds, self._voiced.sent)

    def truncate(self, seconds: float) -> None:
        """Only so much of the sound was heard, as we know ourselves and tell the client."""
        self.cut(seconds)
        part = self._voiced
        if part and not part.truncated and part.heard < part.sent and self.wish.in_conversation:
            part.truncated = True
            self._send(
                "conversation.item.truncated",
                item_id=next(item.id for item in self._output if part in item.content),
                content_index=0, audio_end_ms=round(part.heard * 1000),
            )  # fmt: skip

    def call(self, call: ToolCall) -> None:
        """The model calls a function, after all that it said."""
        self._finish("completed")
        named = {"call_id": call.id, "name": call.name, "arguments": ""}
        item = Item(self._new_id("item"), "function_call", status="in_progress", call=named)
        self._added(item)
        item.call["arguments"] = call.arguments
        about = {
            "response_id": self.id,
            "item_id": item.id,
            "output_index": len(self._output) - 1,
            "call_id": call.id,
        }
        event = "response.function_call_arguments"
        self._send(f"{event}.delta", **about, delta=call.arguments)
        self._send(f"{event}.done", **about, name=call.name, arguments=call.arguments)
        self._done(item, "completed")

    def end(
        self,
        status: Status,
        reason: str | None = None,
        *,
        error: str | None = None,
        code: str = "engine_failed",
        tokens: Tokens | None = None,
    ) -> None:
        """Finish whatever is unfinished.

        error, code: what went wrong. tokens: that it has cost; none by default.
        """
        self._finish("completed" if status == "completed" else "incomplete")
        self.status = status
        if status != "completed":
            failure = {"type": _BLAMES.get(code, "server_error"), "code": code, "message": error}
            given = {"type": status, "reason": reason, "error": failure if error else None}
            self._details = {key: value for key, value in given.items() if value is not None}
        self._spent = tokens or Tokens()
        self._usage = self._count()
        self._send("response.done", response=self.as_json())

    def as_json(self) -> Table:
        wish = self.wish
        sound = {"output": {"format": format_json(wish.output_format), "voice": wish.voice}}
        return {
            "id": self.id,
            "object": "realtime.response",
            "status": self.status,
            "status_details": self._details,
            "output": [item.as_json() for item in self._output],
            "conversation_id": self._conversation_id,
            "output_modalities": [wish.modality],
            "audio": sound,
            "max_output_tokens": wish.max_output_tokens,
            "metadata": wish.metadata,
            "usage": self._usage,
            **({"voicebot": self.about} if self.about else {}),
        }

    @property
    def text(self) -> str:
        """What it says, as far as it was heard or written."""
        return " ".join(part.said for item in self._output for part in item.content)

    def _begin(self, kind: str) -> Part:
        """The part that is being written; begun, with its item, if there is none."""
        if self._part is None:
            item = Item(
                self._new_id("item"), role="assistant", status="in_progress", is_rest=self.is_rest
            )
            self._added(item)
            self._part = Part(kind)
            item.content.append(self._part)
            self._tell("response.content_part.added", part=self._part_json(self._part))
        return self._part

    def _added(self, item: Item) -> None:
        self._output.append(item)
        index = len(self._output) - 1
        self._send(
            "response.output_item.added",
            response_id=self.id,
            output_index=index,
            item=item.as_json(),
        )
        if self.wish.in_conversation:
            self._before = self._add(item)
            self._send(
                "conversation.item.added", previous_item_id=self._before, item=item.as_json()
            )

    def _tell(self, type: str, **fields: Any) -> None:
        """An event of the part that is being written."""
        self._send(
            type,
            response_id=self.id,
            item_id=self._output[-1].id,
            output_index=len(self._output) - 1,
            content_index=0,
            **fields,
        )

    def _finish(self, status: Literal["completed", "incomplete"]) -> None:
        """End the part that is being written, if one is."""
        if self._part is None:
            return
        if self._part.type == "output_text":
            self._tell("response.output_text.done", text=self._part.said)
        else:
            self._tell("response.output_audio.done")
            self._tell("response.output_audio_transcript.done", transcript=self._part.said)
        self._tell("response.content_part.done", part=self._part_json(self._part))
        self._part = None
        self._done(self._output[-1], status)

    def _done(self, item: Item, status: Literal["completed", "incomplete"]) -> None:
        item.status = status
        index = len(self._output) - 1
        self._send(
            "response.output_item.done", response_id=self.id, output_index=index,
            item=item.as_json(),
        )  # fmt: skip
        if self.wish.in_conversation:
            self._send("conversation.item.done", previous_item_id=self._before, item=item.as_json())

    def _part_json(self, part: Part) -> Table:
        # Here, and here alone, the protocol calls them by their short names in both dialects.
        if part.type == "output_text":
            return {"type": "text", "text": part.said}
        return {"type": "audio", "transcript": part.said}

    @property
    def is_empty(self) -> bool:
        """Whether nothing of it was told yet."""
        return not self._output

    @property
    def last(self) -> str | None:
        """The id of the last of its items, if it has any."""
        return self._output[-1].id if self._output else None

    @property
    def heard(self) -> float:
        """Seconds of its last stretch of sound that reached the user, as far as is known."""
        return min(self._voiced.heard, self._voiced.sent) if self._voiced else 0.0

    @property
    def seconds(self) -> float:
        """Of sound, sent so far."""
        return sum(part.sent for item in self._output for part in item.content)

    @property
    def tokens(self) -> int:
        """Of text that were read and written, as near as we know, once the response is over."""
        return self._spent.read + self._written

    @property
    def _written(self) -> int:
        if self._spent.written is not None:
            return self._spent.written
        parts = (part.said for item in self._output for part in item.content)
        calls = (item.call.get("arguments", "") for item in self._output)
        return estimated_tokens(*parts, *calls)

    def _count(self) -> Table:
        sound, text, read = round(self.seconds * SPOKEN_PER_SECOND), self._written, self._spent.read
        kept = self._spent.kept
        return {
            "total_tokens": read + text + sound,
            "input_tokens": read,
            "output_tokens": text + sound,
            "input_token_details": {
                "text_tokens": read,
                "audio_tokens": 0,
                "cached_tokens": kept,
                "cached_tokens_details": {"text_tokens": kept, "audio_tokens": 0},
            },
            "output_token_details": {"text_tokens": text, "audio_tokens": sound},
        }
