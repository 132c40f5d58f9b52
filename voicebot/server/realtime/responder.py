"""What a Realtime client is answered: one response at a time, perhaps begun before it is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from math import inf
from typing import Any

from ... import context
from ...audio import Audio
from ...concurrency.worker import background, buffered, due
from ...conversation import Turn
from ...conversation.conversation import MIN_UTTERANCE_S
from ...conversation.timeline import Timeline
from ...engines import Message, Synthesizer
from ...errors import ContextExceeded, EngineError, Wordless
from ...events import ClauseSpoken, Event, Failed, Interrupted, Transcript, TurnEnded
from ..auth.rate_limits import Quota, RateLimitExceeded
from ..tool_choice import ToolChoiceError
from .asides import OutOfBandResponses
from .dependencies import SessionDependencies
from .engines import SessionEngines, TrackedChatModel
from .fields import ProtocolError
from .items import Item
from .output_audio import RealtimeSpeaker
from .playout import Playout
from .protocol import Protocol
from .recognition import Recognition
from .response import Response, Status, Tokens
from .response_params import ResponseParams

Start = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]

SILENT = "(The user has been silent for a while.)"
"""What the model is told of a user whose silence has timed out."""


@dataclass(slots=True, eq=False)
class _Pending:
    """A turn, and what it answers."""

    turn: Turn
    wish: ResponseParams
    audio: Audio | None = None
    """The user's words, where they are still to be recognised."""
    item: Item | None = None
    """The item those words have become."""
    instead: str = ""
    """What the model is told where there is no question."""


class Responder:
    """Answers one client.

    allowance: what the client may use.
    start: makes a task of whoever holds the conversation.
    playout: where sound goes that does not go to the client in events.
    """

    def __init__(
        self,
        outside: SessionDependencies,
        protocol: Protocol,
        quota: Quota,
        start: Start,
        playout: Playout | None = None,
    ) -> None:
        self._protocol, self._quota, self._start = protocol, quota, start
        self._outside, self._fallbacks = outside, outside.fallbacks
        self._engines = SessionEngines(outside)
        self._recognition = Recognition(protocol, self._engines)
        self._speaker: RealtimeSpeaker | Playout = RealtimeSpeaker(self._sound, outside.heard)
        self._cut = Response.cut
        if playout:
            self._speaker, self._cut = playout, Response.truncate
            playout.serve(self._spoke, protocol.output_buffer, self._cut, outside.heard)
        self.asides = OutOfBandResponses(outside, protocol, quota, self._engines, self._recognition)
        self.speaks_beside = playout is None
        """The sound of each response is in events of its own: a track carries one voice."""
        self.account = outside.parts.account(self._accounted, lambda: self._mouth)
        """It is told what we do not see ourselves: when the user speaks."""
        self._timeline: Timeline | None = None
        """Of the response that is being made."""
        self._tokens = Tokens()
        """What the response that is being made has cost so far."""
        self._mouth: Synthesizer = outside.tts
        """What the last response was spoken with."""
        self._answer: _Pending | None = None
        self._last: _Pending | None = None
        """What was spoken last."""
        self._held: _Pending | None = None
        """What the user spoke over, until it is known whether they said a word."""
        self._follows: ResponseParams | None = None
        """How the answer should be that comes after the one that is being made."""
        self._over: Response | None = None
        """The response that was cut short then."""
        self._sounding: Response | None = None
        """What the speaker was given last; it may be over and still be heard."""
        self.idle = asyncio.Event()
        """Set while there is no response."""
        self.idle.set()

    @property
    def is_free(self) -> bool:
        """Whether nothing is being answered."""
        return self._answer is None and self._protocol.response is None

    @property
    def is_over(self) -> bool:
        """Whether the last thing that happened is that an answer was heard to its end."""
        return self.is_free and self._sounding is not None and self._speaker.is_silent

    @property
    def is_unheard(self) -> bool:
        """Whether an answer is being made of which the client does not know."""
        return self._answer is not None and not self._answer.turn.gate.is_set()

    def transcribe(self) -> None:
        """Recognise what nobody answers, if the client wants to know."""
        if self._protocol.settings.transcription is not None:
            self._start(self._recognition.all(self._turn(0.0)))

    async def keep_ready(self) -> None:
        """Have what helps when an answer is late spoken before it is needed."""
        due.set(lambda: inf)
        await self._fallbacks.keep_ready(self._speaks(self._protocol.wish()))

    def _speaks(self, wish: ResponseParams) -> Synthesizer:
        return self._engines.speaks(wish, self._protocol.settings.speed)

    def _turn(self, late: float) -> Turn:
        return Turn(
            self._speaker,
            self._tell,
            late,
            self._outside.parts.assistant.engine_timeout_s,
            deadline=self._fallbacks.policy.budget.deadline(self._protocol.settings.listening),
            fallbacks=self._fallbacks,
        )

    def begin(self, wish: ResponseParams, audio: Audio | None = None, late: float = 0.0) -> None:
        """Make an answer that is heard only if it is opened. audio: the question, if it is new."""
        answer = self._answer = _Pending(self._turn(late), wish, audio)
        self._sounding, self._tokens = None, Tokens()
        self._last = answer
        self._speaker.begin(wish.output_format)
        answer.turn.task = self._start(self._carry_out(answer))

    async def returned(self) -> None:
        """A function has returned: a response of which nothing was sent yet is made anew."""
        response, answer = self._protocol.response, self._answer
        if not (response and response.is_empty and answer):
            return
        await self._hush()
        # What was read in vain was read all the same.
        self._quota.charge(_now(), tokens=self._tokens.read)
        sounding = self._sounding
        self.begin(response.wish, answer.audio if answer.item is None else None)
        assert self._answer
        self._sounding, self._timeline = sounding, self._answer.turn.timeline
        self._protocol.cover()
        self._answer.turn.open()

    def follow(self, wish: ResponseParams) -> None:
        """Give another answer after the one that is being made."""
        self._follows = wish

    async def follow_up(self) -> None:
        """Begin what was to come after the answer that is over, if any was."""
        while self.is_free and (self._follows or self._protocol.queued):
            wish, self._follows = self._follows or self._protocol.queued.popleft(), None
            self.begin(wish)
            await self.open()

    async def prompt(self) -> None:
        """Say something to a user who says nothing."""
        self.begin(self._protocol.wish())
        assert self._answer
        self._answer.instead = SILENT
        await self.open()

    async def open(self, item: Item | None = None) -> None:
        """The answer that was begun is wanted for sure. item: what its question has become.

        It is given unless the client has used up its share.
        """
        assert self._answer
        answer, self._answer.item = self._answer, item
        self._timeline = answer.turn.timeline
        exceeded = self._exceeded()
        if exceeded:
            await self.forget()
            await self.let_go()
        self.idle.clear()
        self._sounding = self._protocol.begin(answer.wish, self._quota.told(_now()))
        if exceeded:
            self.account.note(Failed("limits", str(exceeded), "refused"))
            self._end("failed", error=str(exceeded), code="rate_limit_exceeded")
            self.transcribe()
        else:
            answer.turn.open()

    def _exceeded(self) -> RateLimitExceeded | None:
        try:
            self._quota.admit(_now())
        except RateLimitExceeded as exceeded:
            return exceeded
        return None

    def _end(
        self,
        status: Status,
        reason: str | None = None,
        *,
        error: str | None = None,
        code: str = "engine_failed",
    ) -> None:
        """The response is over, if there is one."""
        if response := self._protocol.response:
            if status == "cancelled":
                self.account.note(Interrupted(response.text))
            response.about = {"request": self.account.request}
            assert self._timeline
            self._fallbacks.policy.learn_from(self._timeline)
            self.account.note(self._timeline.end())
            self._protocol.end(status, reason, error=error, code=code, tokens=self._tokens)
            self._quota.charge(_now(), tokens=response.tokens, audio_s=response.seconds)
            self.idle.set()

    async def forget(self) -> None:
        """Drop an answer that nobody has heard of."""
        if self.is_unheard:
            await self._hush()

    async def interrupt(self, reason: str, *, may_go_on: bool = False) -> None:
        """Stop answering. may_go_on: the user speaks; if it holds no word, the rest is said."""
        self._follows = None
        if not may_go_on:
            await self.let_go()
        elif self._sounding and self._answer and self._answer.turn.hold():
            self._held, self._answer = self._answer, None
            self._over = self._sounding
        elif self._sounding and self.is_free and not self._speaker.is_silent:
            self._held, self._over = self._last, self._sounding
        await self._hush()
        self._speaker.clear()
        if self._sounding:
            self._cut(self._sounding, self._speaker.stop())
        if self._protocol.response:
            self._end("cancelled", reason)
            self.transcribe()
        while (
            reason == "turn_detected" and self._protocol.queued
        ):  # who speaks over it wants none of it
            self._protocol.begin(self._protocol.queued.popleft(), self._quota.told(_now()))
            self._protocol.end("cancelled", reason)

    async def let_go(self) -> None:
        """The user has said something over the answer, which does not go on."""
        held, self._held = self._held, None
        if held:
            await held.turn.hush()

    def _go_on(self, answer: _Pending) -> bool:
        """What was asked held no word: say the rest of what it had stopped.

        Whether another task does it, which made the beginning.
        """
        held, self._held = self._held, None
        assert held
        assert self._over
        heard, self._response.is_rest = self._over.heard, True
        self._tokens = Tokens()  # they were counted for its beginning
        if held.turn.is_held:
            self._answer = self._last = held
            held.turn.resume(answer.turn.timeline, heard)
            return True
        answer.turn.take_over(held.turn, heard)
        return False

    async def _hush(self) -> None:
        answer, self._answer = self._answer, None
        if answer:
            await answer.turn.hush()

    async def _carry_out(self, answer: _Pending) -> None:
        turn = answer.turn
        context.begin_turn(self.account.number)
        turn.begin()
        try:
            model = self._engines.writes(answer.wish)
            self._tokens = model.tokens
            async with background(self._fill(answer)):
                if asked := await self._question(answer):
                    await self.let_go()
                    turn.is_question = True
                    await self._reply(answer, model, asked)
            await turn.gate.wait()
            if self._held and not asked and self._go_on(answer):
                return
            await turn.drain()
            turn.timeline.mark("end")
            for call in model.calls:
                self._response.call(call)
        except ToolChoiceError as error:
            await turn.gate.wait()
            self.account.note(Failed("llm", str(error), "refused"))
            self._end("failed", error=str(error), code="invalid_value")
            self.transcribe()
        except EngineError as error:
            if not turn.is_held:
                await self.let_go()
            await turn.allowed()
            if answer.item and (part := answer.item.content[0]).is_unknown:
                self._recognition.failed(answer.item, part, error)
            self.account.note(Failed(error.stage, error.reason, error.kind))
            if answer.wish.modality == "audio":
                await turn.play_apology(self._speaks(answer.wish))
                await self._speaker.drain()
            if error.kind == ContextExceeded.kind:  # the client's conversation is to blame
                self._tokens = Tokens()  # nobody has read it
                self._protocol.refuse(ProtocolError(error.kind, error.reason))
                self._end("failed", error=error.reason, code=error.kind)
            else:
                self._end("failed", error=str(error))
        else:
            if model.finish == "length":
                self._end("incomplete", "max_output_tokens")
            else:
                self._end("completed")
        self._answer = None
        await self.follow_up()

    async def _fill(self, answer: _Pending) -> None:
        if answer.wish.modality == "audio":
            long = not answer.audio or answer.audio.seconds >= MIN_UTTERANCE_S
            # While an answer may go on, nothing else is said instead.
            answer.turn.is_question = long and not self._held
            await answer.turn.fill(self._speaks(answer.wish))

    async def _question(self, answer: _Pending) -> list[Message]:
        turn, audio = answer.turn, answer.audio

        async def new() -> str:
            assert audio
            text = await self._recognition.text(turn, audio)
            turn.tell(Transcript(text))
            return text

        return await self._recognition.question(
            turn,
            answer.wish,
            but=lambda: answer.item,
            new=new if audio else None,
            instead=answer.instead,
        )

    async def _reply(self, answer: _Pending, model: TrackedChatModel, asked: list[Message]) -> None:
        turn, wish = answer.turn, answer.wish
        written = turn.write(model, asked)
        if wish.modality == "audio":
            self._mouth = self._speaks(wish)
            await turn.speak(self._mouth, written)
            if turn.is_wordless and not model.calls:
                raise Wordless("llm", "the reply holds nothing that can be said")
            return
        text = ""
        async with buffered(written, items=0) as pieces:
            async for piece in pieces:
                await turn.gate.wait()
                self._response.write(piece)
                text += piece
        self.account.note(ClauseSpoken(text))

    @property
    def _response(self) -> Response:
        """The one that is being made, which whoever asks knows to be."""
        assert self._protocol.response
        return self._protocol.response

    def _tell(self, event: Event) -> None:
        """What the turn that is being answered tells, once it may."""
        assert self._answer
        self.account.note(event)
        match event:
            case Transcript(text) if self._answer.item:
                part = self._answer.item.content[0]
                self._recognition.done(self._answer.item, part, text)
            case ClauseSpoken(text):
                self._response.say(text, self._answer.turn.spoken)

    def _accounted(self, event: Event) -> None:
        self._outside.happened(event)
        if isinstance(event, TurnEnded):
            self._response.about["spoke"] = event.spoke

    def _sound(self, data: bytes) -> None:
        self._response.sound(data)

    def _spoke(self, seconds: float) -> Response:
        self._response.spoke(seconds)
        return self._response


def _now() -> float:
    return asyncio.get_running_loop().time()
