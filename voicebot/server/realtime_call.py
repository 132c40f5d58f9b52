"""A conversation with a Realtime client: what it asks for, done with our engines.

The items of the protocol are the history; a turn answers what they say. When the user speaks
and pauses, a turn is begun at once behind its gate, as in any conversation here: only when the
silence has lasted does the client hear of a response.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from ..assembly import Parts
from ..audio import Audio
from ..conversation import ListenSettings, Turn
from ..engines import Message
from ..errors import EngineError
from ..events import (
    Event,
    Heard,
    Said,
    SpeechEnded,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
)
from ..flow import Stream, ahead
from .realtime_actions import Action, Append, Cancel, Clear, Commit, Configure, Respond
from .realtime_ears import Ears
from .realtime_engines import Engines, Writes
from .realtime_fields import Refused
from .realtime_items import Item, messages
from .realtime_protocol import Protocol
from .realtime_recognition import Recognition
from .realtime_response import Response
from .realtime_settings import Settings
from .realtime_speaker import RealtimeSpeaker
from .realtime_wish import Wish


@dataclass(slots=True, eq=False)
class _Answer:
    """A turn, and what it answers."""

    turn: Turn
    wish: Wish
    audio: Audio | None = None
    """The user's words, where they are still to be recognised."""
    item: Item | None = None
    """The item those words have become."""


class Call:
    """One client's session. Engines may be shared."""

    def __init__(self, parts: Parts, protocol: Protocol) -> None:
        self._protocol = protocol
        self._patience = parts.assistant.patience_s
        self._engines = Engines(parts)
        self._speaker = RealtimeSpeaker(self._sound)
        self._ears = Ears(parts.vad(), _listening(protocol.settings))
        self._answer: _Answer | None = None
        self._sounding: Response | None = None
        """What the speaker was given last; it may be over and still be heard."""
        self.idle = asyncio.Event()
        """Set while there is no response."""
        self.idle.set()
        self._recognition = Recognition(protocol, self._engines)
        self._tasks = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()

    async def run(self, actions: Stream[Action]) -> None:
        """Do what the client asks for until it asks for nothing more; then all is stopped."""
        async with self._tasks, aclosing(actions):
            async for action in actions:
                await self._do(action)
            for task in self._running:
                task.cancel()

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._tasks.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _do(self, action: Action) -> None:
        match action:
            case Append(audio, event_id):
                await self._hear(audio, event_id)
            case Commit(event_id):
                try:
                    await self._commit()
                except Refused as refused:
                    self._protocol.refuse(refused, event_id)
            case Clear():
                self._ears.clear()
                await self._forget()
                self._protocol.cleared()
            case Configure(before):
                now = _listening(self._protocol.settings)
                if now != _listening(before):
                    self._ears.listen(now)
                    await self._forget()
            case Respond(wish):
                await self._forget()
                self._respond(wish)
            case Cancel():
                await self._interrupt("client_cancelled")

    # What the user says

    async def _hear(self, audio: Audio, event_id: str | None) -> None:
        try:
            for event in self._ears.hear(audio):
                if event:
                    await self._heard(event)
                await asyncio.sleep(0)  # a minute in one message must not keep others waiting
        except Refused as refused:
            self._protocol.refuse(refused, event_id)

    async def _heard(
        self, event: SpeechStarted | SpeechPaused | SpeechResumed | SpeechEnded
    ) -> None:
        detection = self._protocol.settings.turn_detection
        match event:
            case SpeechStarted(at):
                self._protocol.speech_started(at)
                if detection and detection.interrupt_response:
                    await self._interrupt("turn_detected")
            case SpeechResumed():
                await self._forget()
            case SpeechPaused(said) if self._answers():
                self._begin(self._protocol.wish(), said.audio, self._ears.now - said.end)
            case SpeechEnded(said):
                self._protocol.speech_stopped(said.end)
                await self._said(said.audio, self._ears.now - said.end)

    async def _said(self, audio: Audio, late: float) -> None:
        """The user has finished."""
        if self._answers():
            self._begin(self._protocol.wish(), audio, late)
        item = self._protocol.committed(audio)
        if self._answer and not self._answer.turn.gate.is_set():
            self._answer.item = item
            self._open(self._answer)
        else:
            self._transcribe()

    async def _commit(self) -> None:
        committed = self._ears.commit()
        if isinstance(committed, SpeechEnded):
            await self._heard(committed)
        else:
            self._protocol.committed(committed)
            self._transcribe()

    def _answers(self) -> bool:
        """Whether what the user says is answered of itself, and not being answered already."""
        settings = self._protocol.settings
        detection = settings.turn_detection
        wanted = settings.type == "realtime" and detection and detection.create_response
        return bool(wanted) and self._answer is None and self._protocol.response is None

    def _transcribe(self) -> None:
        """Recognise what nobody answers, if the client wants to know."""
        if self._protocol.settings.transcription is not None:
            self._start(self._recognition.all(self._turn(0.0)))

    # What is answered

    def _respond(self, wish: Wish) -> None:
        """The client wants an answer."""
        self._open(self._begin(wish, None, late=0.0))

    def _turn(self, late: float) -> Turn:
        return Turn(self._speaker, self._tell, late, self._patience)

    def _begin(self, wish: Wish, audio: Audio | None, late: float) -> _Answer:
        answer = self._answer = _Answer(self._turn(late), wish, audio)
        self._sounding = None
        self._speaker.begin(wish.output_format)
        answer.turn.task = self._start(self._carry_out(answer))
        return answer

    def _open(self, answer: _Answer) -> None:
        """The answer is wanted for sure."""
        self.idle.clear()
        self._sounding = self._protocol.begin(answer.wish, [])
        answer.turn.open()

    async def _forget(self) -> None:
        """Drop an answer that nobody has heard of."""
        if self._answer and not self._answer.turn.gate.is_set():
            answer, self._answer = self._answer, None
            await answer.turn.hush()

    async def _interrupt(self, reason: str) -> None:
        """Stop answering."""
        answer, self._answer = self._answer, None
        if answer:
            await answer.turn.hush()
        if self._sounding:
            self._sounding.cut(self._speaker.stop())
        if self._protocol.response:
            self._protocol.end("cancelled", reason)
            self.idle.set()
            self._transcribe()

    async def _carry_out(self, answer: _Answer) -> None:
        turn, model = answer.turn, self._engines.writes(answer.wish)
        try:
            if asked := await self._question(answer):
                await self._reply(answer, model, asked)
            await turn.gate.wait()
            await self._speaker.drain()
        except EngineError as error:
            await turn.gate.wait()
            if answer.item and (part := answer.item.content[0]).audio:
                self._protocol.not_transcribed(answer.item, part, str(error))
            self._protocol.end("failed", error=str(error))
        else:
            if model.finish == "length":
                self._protocol.end("incomplete", "max_output_tokens", read=model.read)
            else:
                self._protocol.end("completed", read=model.read)
        self._answer = None
        self.idle.set()

    async def _question(self, answer: _Answer) -> list[Message]:
        """What is to be answered, after all that was said before; nothing for a mere noise."""
        turn, wish = answer.turn, answer.wish
        if wish.context is None:
            await self._recognition.all(turn, but=lambda: answer.item)
        else:
            await self._recognition.read(turn, wish.context)
        told = messages(list(self._protocol.items) if wish.context is None else wish.context)
        if answer.audio:
            text = await self._recognition.text(turn, answer.audio)
            turn.tell(Heard(text))
            if not text:
                return []
            told.append(Message("user", text))
        if not told or told[-1].role != "user":
            # A client that asks for an answer to nothing wants its instructions carried out.
            told.append(Message("user", wish.instructions))
        return [Message("system", wish.instructions), *told] if wish.instructions else told

    async def _reply(self, answer: _Answer, model: Writes, asked: list[Message]) -> None:
        turn, wish = answer.turn, answer.wish
        written = turn.write(model, asked)
        if wish.modality == "audio":
            voice = self._engines.speaks(wish, self._protocol.settings.speed)
            await turn.speak(voice, written)
            return
        async with ahead(written, items=0) as pieces:
            async for piece in pieces:
                await turn.gate.wait()
                self._response.write(piece)

    @property
    def _response(self) -> Response:
        """The one that is being made, which whoever asks knows to be."""
        assert self._protocol.response
        return self._protocol.response

    def _tell(self, event: Event) -> None:
        """What the turn that is being answered tells, once it may."""
        assert self._answer
        match event:
            case Heard(text) if self._answer.item:
                part = self._answer.item.content[0]
                self._protocol.transcribed(self._answer.item, part, text)
            case Said(text):
                self._response.say(text, self._answer.turn.spoken)

    def _sound(self, data: bytes) -> None:
        self._response.sound(data)


def _listening(settings: Settings) -> ListenSettings | None:
    detection = settings.turn_detection
    return detection.listen(settings.listen) if detection else None
