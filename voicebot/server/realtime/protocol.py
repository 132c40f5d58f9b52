"""A Realtime session without its engines and its socket: messages in, actions and events out.

The server gives each message of its client to `receive` and does the actions it gets; it tells
what its engines do with the other methods; and it sends whatever `take` gives, in that order.
Nothing a client sends ends the session: what cannot be done is answered with an `error` event.
"""

from __future__ import annotations

import json
import secrets
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from itertools import chain, count, islice
from typing import TYPE_CHECKING, Any

from ...audio import Audio
from ..memory_budget import MemoryBudgetExceeded, Share
from . import beta, fields, items
from . import incremental as long
from .actions import (
    Action,
    Append,
    Cancel,
    Clear,
    Commit,
    Configure,
    Create,
    Load,
    Respond,
    Retrieve,
    Returned,
)
from .fields import ProtocolError, Table
from .incremental import IncrementalMessage
from .input_audio_events import InputAudioEvents
from .items import Item, Items
from .response import Response, Status, Tokens
from .response_params import ParseContext, ResponseParams
from .response_params import read as read_wish
from .settings import Settings

if TYPE_CHECKING:
    from .dependencies import SessionObserver

ASIDES = 4
"""Responses beside the conversation at once. More would keep the one that is spoken waiting."""

ID = 32
"""Characters of a request's id that are in ours: all of one that we made. Clients store 64."""


def new_id(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(10)}"


def root(request: str) -> str:
    """What only the ids of one session have in common, and which tells its request."""
    return "_".join(filter(None, (request[:ID], secrets.token_hex(4))))


def ids(root: str) -> Callable[[str], str]:
    """Makes ids with this in them: unique, at most 64 characters long, each kind in its order."""
    counted: dict[str, Iterator[int]] = defaultdict(lambda: count(1))
    return lambda kind: f"{kind}_{root}{next(counted[kind]):x}"


class Protocol:
    """One session.

    speaks_beta: the client asked for the first dialect; one that sends a session which only that
        dialect has is answered in it from then on.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        speaks_beta: bool = False,
        notice: str = "",
        new_id: Callable[[str], str] = new_id,
        on_change: Callable[[], None] = lambda: None,
        share: Share | None = None,
    ) -> None:
        """
        notice: what the client should know besides; it is told with its session.
        news: called when there is something to `take`.
        share: what it holds is counted on this.
        """
        self.settings = settings
        self._share = share or Share()
        self.items = Items(lambda size: self.hold("items", size))
        self.response: Response | None = None
        """The one that is being made."""
        self._returned = False
        """A function has since that one was begun."""
        self._covered = 0
        """Functions that have returned since, and that it knows of: no answer is owed for them."""
        self._answered: str | None = None
        """The last item of the last response."""
        self.asides: dict[str, Response] = {}
        """Those that are made beside it, by their ids."""
        self.queued: deque[ResponseParams] = deque()
        """Those that are to be spoken out of the conversation, where one voice speaks at a time."""
        self.watcher: SessionObserver | None = None
        self.id = new_id("sess")
        self._beta, self._notice = speaks_beta, notice
        self._new_id, self._on_change = new_id, on_change
        self._conversation_id = new_id("conv")
        self._waiting: list[Table] = []
        self.hearing = InputAudioEvents(
            self.items,
            self._add,
            lambda: self.settings.transcription is not None,
            new_id,
            self._send,
        )
        self._does: dict[str, Callable[[Table], Action | None]] = {
            "session.update": self._update,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": lambda message: Commit(_event_id(message)),
            "input_audio_buffer.clear": lambda _: Clear(),
            "output_audio_buffer.clear": lambda _: Cancel(),
            "conversation.item.create": self._create,
            "conversation.item.retrieve": self._retrieve,
            "conversation.item.delete": self._delete,
            "conversation.item.truncate": self._truncate,
            "response.create": self._respond,
            "response.cancel": self._cancel,
        }
        self._send("session.created", session=self._session())
        if speaks_beta:
            conversation = {"id": self._conversation_id, "object": "realtime.conversation"}
            self._send("conversation.created", conversation=conversation)

    @property
    def waiting(self) -> int:
        """How many events are to be taken."""
        return len(self._waiting)

    def take(self) -> list[Table]:
        """The events to be sent, oldest first; each is taken once."""
        events, self._waiting = self._waiting, []
        return events

    def receive(self, sent: str | IncrementalMessage) -> Action | None:
        """Take a message of the client's. Returns what the server has to do about it."""
        try:
            message = long.message(sent)
        except ProtocolError as refused:
            self.refuse(refused)
            return None
        action = self._do(message)
        if self.watcher:
            self.watcher.received(message, action, len(sent))
        return action

    def hear(self, audio: Audio) -> Action:
        """Take sound of the client's that came in no message."""
        action = Append(iter([audio]), None)
        if self.watcher:
            self.watcher.received({"type": "input_audio_buffer.append"}, action, 0)
        return action

    def output_buffer(self, change: str, response_id: str) -> None:
        """Sound of a response that goes to the client in no event has "started" to be heard, has
        "stopped", or was "cleared" before it had."""
        self._send(f"output_audio_buffer.{change}", response_id=response_id)

    def refuse(self, refused: ProtocolError, event_id: str | None = None) -> None:
        """Tell the client that what it asked for in the message `event_id` cannot be."""
        error = {"type": "invalid_request_error", "code": refused.code, "message": str(refused)}
        self._send("error", error={**error, "param": refused.param, "event_id": event_id})

    def hold(self, what: str, size: int) -> None:
        """Count `size` bytes as what is held of that now.

        Raises:
            ProtocolError: there is no room for more than before.
        """
        try:
            self._share.hold(what, size)
        except MemoryBudgetExceeded as full:
            raise ProtocolError("too_much_held", str(full)) from full

    # What the engines do

    def configure(self, patch: Table) -> Configure:
        """Change the settings; what they ask for is loaded.

        Raises:
            ProtocolError: as `Settings.merge`, or the settings take too much memory.
        """
        before = self.settings
        now = before.merge(patch)
        # Changed bit by bit, they may become more than fits into one message.
        self.hold("settings", fields.weight(now.as_json(), "the settings of a session"))
        self.settings = now
        self._send("session.updated", session=self._session())
        return Configure(before)

    def create(self, item: Item, after: str | None) -> None:
        """Keep an item of the client's, after the one named.

        Raises:
            ProtocolError: as `Items.add`, or too much sound would wait to be recognised.
        """
        self.items.expect(item)
        self._add(item, after)

    def retrieved(self, item: Item, sounds: dict[int, str]) -> None:
        """What the client asked for. sounds: base64 text, by the index of the content it is of."""
        told = item.as_json()
        for index, sound in sounds.items():
            told["content"][index]["audio"] = sound
        self._send("conversation.item.retrieved", item=told)

    def wish(self) -> ResponseParams:
        """A response as the session has it."""
        now = self.settings
        return ResponseParams(
            now.instructions, now.modality, now.output_format, now.voice, now.tools,
            now.tool_choice, now.parallel_tool_calls, now.max_output_tokens,
            whole=now.echoed.get("truncation") == "disabled",
        )  # fmt: skip

    def expect(self, wish: ResponseParams) -> None:
        """
        Raises:
            ProtocolError: there is no room for a response to this, or for what it will say.
        """
        if wish.in_conversation:
            self.items.expect_answer()
        self.hold("responses", self._weight + wish.weight)

    @property
    def _weight(self) -> int:
        """Bytes that clients have sent for the responses that are being made, or wait to be."""
        made = [self.response, *self.asides.values()]
        wishes = [*self.queued, *(response.wish for response in made if response)]
        return sum(wish.weight for wish in wishes)

    def _recount(self) -> None:
        self.hold("responses", self._weight)  # what was expected was counted already

    def begin(self, wish: ResponseParams, limits: list[Table]) -> Response:
        """A response begins; `end` ends it. limits: what is left of what the client may use."""
        self._returned = False
        if self.items.last != self._answered:
            self._covered = 0
        self.response = Response(
            wish, self._conversation_id, self._new_id, self._send, self.items.answer
        )
        self._recount()
        self._send("rate_limits.updated", rate_limits=limits)
        return self.response

    def queue(self, wish: ResponseParams) -> None:
        """Let it wait for the responses before it.

        Raises:
            ProtocolError: so many wait already.
        """
        if len(self.queued) >= ASIDES:
            reason = f"{ASIDES} responses wait until the one that is spoken is over; wait for one"
            raise ProtocolError("too_many_responses", reason)
        self.queued.append(wish)

    def begin_aside(self, wish: ResponseParams, limits: list[Table]) -> Response:
        """One begins that is no part of the conversation; `end_aside` follows its end."""
        response = Response(
            wish, self._conversation_id, self._new_id, self._send, self.items.answer
        )
        self.asides[response.id] = response
        self._recount()
        self._send("rate_limits.updated", rate_limits=limits)
        return response

    def end_aside(self, response: Response) -> None:
        """It has ended, and is none of `asides` any more."""
        del self.asides[response.id]
        self._recount()

    def end(
        self,
        status: Status,
        reason: str | None = None,
        *,
        error: str | None = None,
        code: str = "engine_failed",
        tokens: Tokens | None = None,
    ) -> None:
        """The response is over, as `Response.end` has it; nothing if there is none."""
        if self.response:
            self.response.end(status, reason, error=error, code=code, tokens=tokens)
            self._answered = self.response.last or self._answered
            self.response = None
            self._recount()

    # What the client asks for

    def _do(self, message: Table) -> Action | None:
        event_id = _event_id(message)
        try:
            if beta.is_spoken(message):
                self._beta = True
            message = beta.read(message, speaks_beta=self._beta)
            kind = fields.text(message, "type")
            if kind not in self._does:
                raise ProtocolError(
                    "unknown_event", f"there is no client event {kind[:60]!r}", "type"
                )
            return self._does[kind](message)
        except ProtocolError as refused:
            self.refuse(refused, event_id)
            return None

    def _update(self, message: Table) -> Configure | Load:
        patch = fields.table(message.get("session"), "session")
        if needed := self.settings.needed(patch):
            return Load(needed, patch, _event_id(message))
        return self.configure(patch)

    def _append(self, message: Table) -> Append:
        sounds = fields.sound(message.get("audio"), self.settings.input_format, "audio").pieces()
        # Rubbish is refused at once, unless it comes after a second of sound.
        first = list(islice(sounds, 1))
        return Append(chain(first, sounds), _event_id(message))

    def _create(self, message: Table) -> Create | Returned | None:
        given = fields.table(message.get("item"), "item")
        item = items.read(given, self.settings.input_format, self._new_id("item"))
        after = message.get("previous_item_id")
        if after is not None:
            fields.text(message, "previous_item_id")
        if item.is_encoded:
            return Create(item, after, _event_id(message))
        self.create(item, after)
        if item.type != "function_call_output" or not self.response:
            return None
        self._returned = True
        return Returned()

    def _retrieve(self, message: Table) -> Retrieve | None:
        item = self.items.find(fields.text(message, "item_id"))
        if any(part.audio for part in item.content):
            return Retrieve(item)
        self._send("conversation.item.retrieved", item=item.as_json())
        return None

    def _delete(self, message: Table) -> None:
        id = fields.text(message, "item_id")
        self.items.delete(id)
        self._send("conversation.item.deleted", item_id=id)

    def _truncate(self, message: Table) -> None:
        id = fields.text(message, "item_id")
        index = fields.whole(message, "content_index", 0, items.MAX_ITEMS)
        end = fields.number(message, "audio_end_ms", 0, float("inf"))
        kept = self.items.truncate(id, index, end / 1000)
        self._send(
            "conversation.item.truncated",
            item_id=id, content_index=index, audio_end_ms=round(kept * 1000),
        )  # fmt: skip

    def _respond(self, message: Table) -> Respond | None:
        if self.settings.type == "transcription":
            raise ProtocolError("unsupported", "a transcription session has no responses")
        given = fields.table(message.get("response") or {}, "response")
        known = ParseContext(self.items, self.settings, self._new_id)
        wish = read_wish(given, self.wish(), known)
        # What is written is heard by nobody; of two voices, the one that speaks is not cut short.
        if not wish.in_conversation and (wish.modality == "text" or self.response):
            if len(self.asides) >= ASIDES:
                reason = f"{ASIDES} responses are being made beside the conversation; wait for one"
                raise ProtocolError("too_many_responses", reason)
            return Respond(wish, _event_id(message), aside=True)
        # Clients ask for an answer after each of several functions that return together: the first
        # answers all that it can, and the others ask for what is there.
        if self.response:
            if wish != self.response.wish:
                raise self.busy()
            if self._covered:
                self._covered -= 1
                return None
            if self._returned:
                self._returned = False
                return Respond(wish, _event_id(message), follows=True)
            raise self.busy()
        if self._covered and not given and self.items.last == self._answered:
            self._covered -= 1
            return Respond(wish, _event_id(message), is_answered=True)
        return Respond(wish, _event_id(message))

    def cover(self) -> None:
        """The response that is being made knows what a function returned since it was begun."""
        self._returned = False
        self._covered += 1

    def busy(self) -> ProtocolError:
        """Why there is no other response now."""
        assert self.response
        return ProtocolError(
            "conversation_already_has_active_response",
            f"response {self.response.id} is being made; wait for it or cancel it",
        )

    def _cancel(self, message: Table) -> Cancel:
        wanted = message.get("response_id")
        if isinstance(wanted, str) and wanted in self.asides:
            return Cancel(aside=wanted)
        if self.response is None or wanted not in (None, self.response.id):
            raise ProtocolError("response_cancel_not_active", "there is no such response to cancel")
        return Cancel()

    def _add(self, item: Item, after: str | None = None) -> None:
        before = self.items.add(item, after)
        about = {"previous_item_id": before, "item": item.as_json()}
        self._send("conversation.item.added", **about)
        self._send("conversation.item.done", **about)

    def _session(self) -> Table:
        about = {"id": self.id, "object": "realtime.session", **self.settings.as_json()}
        if self._notice:
            about["voicebot"] = {**about.get("voicebot", {}), "notice": self._notice}
        return about

    def _send(self, type: str, **about: Any) -> None:
        event = {"type": type, "event_id": self._new_id("event"), **about}
        if self.watcher:
            self.watcher.told(event)
        if told := beta.told(event) if self._beta else event:
            self._waiting.append(told)
            self._on_change()


def _event_id(message: Table) -> str | None:
    id = message.get("event_id")
    return id if isinstance(id, str) else None


def as_text(event: Table) -> str:
    """An event as it is sent."""
    return json.dumps(event, separators=(",", ":"))
