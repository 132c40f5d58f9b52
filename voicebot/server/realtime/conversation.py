"""A conversation with a Realtime client: what it asks for, done with our engines.

The items of the protocol are the history; a turn answers what they say. When the user speaks
and pauses, a turn is begun at once behind its gate, as in any conversation here: only when the
silence has lasted does the client hear of a response.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from ...audio import Audio
from ...concurrency.worker import Stream
from ...conversation import EndpointingSettings
from ...conversation.conversation import WORDLESS_S
from ...events import SpeechEnded, SpeechPaused, SpeechResumed, SpeechStarted
from ..auth.rate_limits import Quota
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
from .dependencies import SessionDependencies
from .fields import ProtocolError
from .input_audio import MAX_COMMIT_S, InputAudioBuffer, as_text, decode
from .items import Item
from .playout import Playout
from .protocol import Protocol
from .responder import Responder
from .response_params import ResponseParams
from .settings import Settings

SAMPLE = 4
"""Bytes of a sample of what is decoded."""


class RealtimeConversation:
    """One client's session. Engines may be shared.

    allowance: what the client may use.
    playout: where sound goes that does not go to the client in events.
    """

    def __init__(
        self,
        outside: SessionDependencies,
        protocol: Protocol,
        quota: Quota,
        playout: Playout | None = None,
    ) -> None:
        self._outside, self._protocol, self._quota = outside, protocol, quota
        longest = quota.limits.utterance(MAX_COMMIT_S)
        hold = partial(protocol.hold, "what was appended")
        self._ears = InputAudioBuffer(
            outside.vad, self._listening(protocol.settings), longest, hold
        )
        self._answers = Responder(outside, protocol, quota, self._start, playout)
        self._silent_since: float | None = None  # seconds of the user's sound
        self._tasks = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()

    @property
    def idle(self) -> asyncio.Event:
        """Set while there is no response."""
        return self._answers.idle

    async def run(self, actions: Stream[Action]) -> None:
        """Do what the client asks for until it asks for nothing more; then all is stopped."""
        async with self._tasks, aclosing(actions):
            self._start(self._answers.keep_ready())
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
                with self._refusing(event_id):
                    await self._commit()
            case Clear():
                self._ears.clear()
                await self._answers.forget()
                await self._answers.let_go()
                self._protocol.hearing.cleared()
            case Retrieve(item):
                await self._retrieve(item)
            case Load(needed, patch, event_id):
                with self._refusing(event_id):
                    for each in needed:
                        await each.load()
                    await self._do(self._protocol.configure(patch))
            case Configure(before):
                if offered := self._protocol.settings.offered:
                    self._outside.have(offered.parts)
                    self._answers.account.identity = offered.parts.identity
                now = self._listening(self._protocol.settings)
                if now != self._listening(before):
                    self._ears.listen(now)
                    await self._answers.forget()
                    await self._answers.let_go()
                self._start(self._answers.keep_ready())
            case Create(item, after, event_id):
                with self._refusing(event_id):
                    await self._decode([item])
                    self._protocol.create(item, after)
            case Returned():
                await self._answers.returned()
            case Respond(wish, follows=True):
                self._answers.follow(wish)
            case Respond(wish, is_answered=True):
                self._protocol.begin(wish, self._quota.told(_now()))
                self._protocol.end("completed")
            case Respond(wish, event_id, aside=is_aside):
                with self._refusing(event_id):
                    wish = await self._expected(wish)
                    if is_aside and (wish.modality == "text" or self._answers.speaks_beside):
                        self._answers.asides.begin(wish, self._start)
                    elif is_aside and self._protocol.response:
                        self._protocol.queue(wish)
                    else:
                        await self._answers.forget()
                        await self._answers.let_go()
                        self._answers.begin(wish)
                        await self._answers.open()
            case Cancel(aside) if aside:
                self._answers.asides.cancel(aside)
            case Cancel():
                await self._answers.interrupt("client_cancelled")
                await self._answers.follow_up()

    async def _hear(self, sounds: Iterator[Audio], event_id: str | None) -> None:
        with self._refusing(event_id):
            for audio in sounds:
                self._charge(audio)
                async with aclosing(self._ears.hear(audio)) as events:
                    async for event in events:
                        if event:
                            await self._heard(event)
                        if self._protocol.hearing.is_speech and self._ears.speaking >= WORDLESS_S:
                            await self._answers.let_go()
                        await self._mind_silence()

    async def _decode(self, items: list[Item]) -> None:
        """Raises: Refused, as `decode`, the key has used up its sound, or there is no room."""
        sounds = [part.encoded for item in items for part in item.content if part.encoded]
        self._protocol.hold("what is decoded", sum(sound.samples for sound in sounds) * SAMPLE)
        try:
            for item in items:
                await decode(item, self._quota.limits, self._charge)
        finally:
            self._protocol.hold("what is decoded", 0)

    async def _expected(self, wish: ResponseParams) -> ResponseParams:
        """The wish for a response that may begin now, its sound decoded.

        Raises:
            ProtocolError: as `_decode`, or there is no room for it.
        """
        if wish.context is not None:
            await self._decode(wish.context)
            own = [item for item in wish.context if not self._protocol.items.holds(item)]
            wish = replace(wish, weight=wish.weight + sum(item.size for item in own))
        self._protocol.expect(wish)
        return wish

    def _charge(self, audio: Audio) -> None:
        if used_up := self._quota.exhausted(_now()):
            raise ProtocolError("rate_limit_exceeded", f"this key has used its {used_up}", "audio")
        self._quota.charge(_now(), audio_s=audio.seconds)
        self._outside.given(audio)

    @contextmanager
    def _refusing(self, event_id: str | None) -> Iterator[None]:
        try:
            yield
        except ProtocolError as refused:
            self._protocol.refuse(refused, event_id)

    async def _heard(
        self, event: SpeechStarted | SpeechPaused | SpeechResumed | SpeechEnded
    ) -> None:
        detection = self._protocol.settings.turn_detection
        self._answers.account.note(event)
        match event:
            case SpeechStarted(at):
                self._protocol.hearing.started(at)
                if detection and detection.interrupt_response:
                    # Where the client asks for its answers, it says what comes next.
                    goes_on = detection.create_response
                    await self._answers.interrupt("turn_detected", may_go_on=goes_on)
            case SpeechResumed():
                await self._answers.forget()
            case SpeechPaused(said) if self._is_wanted():
                self._answers.begin(self._protocol.wish(), said.audio, self._ears.now - said.end)
            case SpeechEnded(said):
                self._protocol.hearing.stopped(said.end)
                await self._said(said.audio, self._ears.now - said.end)

    async def _mind_silence(self) -> None:
        """Go on of ourselves where the user has been silent since our answer for too long.

        As all that is timed here, it is measured in sound: a muted microphone has to send silence.
        """
        detection = self._protocol.settings.turn_detection
        limit = detection.idle_timeout_ms if detection and self._is_wanted() else None
        if limit is None or self._protocol.hearing.is_speech or not self._answers.is_over:
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = self._ears.now
        elif self._ears.now - self._silent_since >= limit / 1000:
            self._protocol.hearing.timed_out(self._silent_since, self._ears.now)
            await self._answers.prompt()

    async def _said(self, audio: Audio, late: float) -> None:
        """The user has finished."""
        if self._is_wanted():
            self._answers.begin(self._protocol.wish(), audio, late)
        item = self._protocol.hearing.committed(audio)
        if self._answers.is_unheard:
            await self._answers.open(item)
        else:
            self._answers.transcribe()

    async def _retrieve(self, item: Item) -> None:
        form = self._protocol.settings.input_format
        sounds = {
            index: await as_text(part.audio, form)
            for index, part in enumerate(item.content)
            if part.audio
        }
        self._protocol.retrieved(item, sounds)

    async def _commit(self) -> None:
        committed = await self._ears.commit()
        if isinstance(committed, SpeechEnded):
            await self._heard(committed)
        else:
            self._protocol.hearing.committed(committed)
            self._answers.transcribe()

    def _is_wanted(self) -> bool:
        """Whether what the user says is answered of itself, and not being answered already."""
        settings = self._protocol.settings
        detection = settings.turn_detection
        wanted = settings.type == "realtime" and detection and detection.create_response
        return bool(wanted) and self._answers.is_free

    def _listening(self, settings: Settings) -> EndpointingSettings | None:
        """How speech is found for this key; None where the client commits by hand."""
        listening = settings.listening if settings.turn_detection else None
        return listening and self._quota.limits.listening(listening)


def _now() -> float:
    return asyncio.get_running_loop().time()
