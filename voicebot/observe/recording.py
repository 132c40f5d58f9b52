"""Record conversations: what each was given, what its engines gave, and what came of it.

A conversation is recorded where it meets the outside: at its voice detector (whose windows are
the user's sound as it was listened to), its other engines, its speaker and its events. Nothing of
it changes by that, and nothing waits: what happened is handed to the archive's thread.
`voicebot.replay` holds it again.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict, replace
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import request
from ..audio import Audio, Samples
from ..conversation import Conversation, Hush, Typed
from ..events import Event, Failed, RungTaken, as_json
from .archive import Archive, Line, Tape
from .taps import Engine, Speaker, Vad, as_plain

if TYPE_CHECKING:
    from ..config import RecordSettings

VERSION = 1
"""Of what is written."""
WINDOWS = 32
"""Windows of sound written at once: a second. More would lose more if we are killed."""

Given = Audio | Typed | Hush


class Recorder:
    """Records the conversations of one process.

    Those with Realtime clients are not among them: such a client says itself when a turn begins,
    and what is said in it, so that they are no `Conversation` and cannot be held again as one.

    Raises:
        ConfigError: as `Archive`.
    """

    def __init__(self, settings: RecordSettings) -> None:
        self.settings = settings
        self._archive = Archive(settings.folder, settings.size_mb * 10**6)

    def record(self, conversation: Conversation, **about: Any) -> None:
        """Record a conversation that is about to begin. about: what else to write down of it."""
        Recording(self._archive, conversation, self.settings.failed_only, about)

    def close(self) -> None:
        self._archive.close()

    def __str__(self) -> str:
        fails = " in which a turn fails" if self.settings.failed_only else ""
        return f"[record] keeps every conversation{fails}, with all its sound"


class Recording:
    """Has all of a conversation pass through itself."""

    def __init__(
        self, archive: Archive, conversation: Conversation, failed_only: bool, about: Line
    ) -> None:
        self._archive, self._failed_only, self._about = archive, failed_only, about
        self._rate = conversation.vad.rate
        self._tape: Tape | None = None  # while it goes on
        self._zero = 0.0
        self._failed = False
        self._calls = count(1)
        self._windows: list[tuple[float, float]] = []
        self._sound: list[Samples] = []
        self._heard = 0
        conversation.vad = Vad(conversation.vad, self)
        conversation.stt = Engine("stt", conversation.stt, self)
        conversation.llm = Engine("llm", conversation.llm, self)
        conversation.tts = Engine("tts", conversation.tts, self)
        if light := conversation.reserve.light:
            conversation.reserve = replace(conversation.reserve, light=Engine("light", light, self))
        conversation.speaker = Speaker(conversation.speaker, self)
        conversation.emit = functools.partial(self._tell, conversation, conversation.emit)
        # Not kept here: what is made in a voice, and kept with us, outlives the conversation.
        conversation.through = functools.partial(self._session, conversation)

    def write(
        self, what: str, value: Any, sound: Audio | None = None, track: str = "", **more: Any
    ) -> None:
        """Write down that something happened now."""
        if self._tape:
            self._tape.write({"at": self.now, what: value, **more}, sound, track)

    def listened(self, samples: Samples, probability: float) -> None:
        """So much more was listened to, and it is speech as probably as that."""
        self._windows.append((self.now, probability))
        self._sound.append(samples)
        self._heard += len(samples)
        if len(self._windows) == WINDOWS:
            self._flush()

    def call(self) -> int:
        """The number of a call that begins."""
        return next(self._calls)

    @property
    def heard(self) -> float:
        """Seconds of the user's sound so far."""
        return self._heard / self._rate

    @property
    def now(self) -> float:
        """Seconds since it began."""
        return asyncio.get_running_loop().time() - self._zero

    def _flush(self) -> None:
        windows, sound = self._windows, self._sound
        self._windows, self._sound = [], []
        if windows:
            audio = Audio(np.concatenate(sound), self._rate)
            self.write("windows", windows, audio, "heard")

    @asynccontextmanager
    async def _session(
        self, conversation: Conversation, user: AsyncGenerator[Given]
    ) -> AsyncIterator[AsyncGenerator[Given]]:
        """The whole of the conversation, and what its user gives."""
        self._zero, self._tape = asyncio.get_running_loop().time(), Tape(self._archive)
        ladder = conversation.reserve.ladder
        self.write(
            "session",
            VERSION,
            request=request.current(),
            rate=self._rate,
            window=conversation.vad.window,
            partial=conversation.partial,
            light=conversation.reserve.light is not None,
            ahead=sorted(ladder.ahead),
            settings={
                "listen": asdict(conversation.listen),
                "budget": asdict(ladder.budget),
                "assistant": {"patience_s": conversation.patience},
            },
            **self._about,
        )
        cut = True
        try:
            async with aclosing(user):
                yield self._seen(user)
            cut = False
        except Exception:
            self._failed = True
            raise
        finally:
            self._flush()
            self.write("over", cut)
            self._tape.end(keep=self._failed or not self._failed_only)
            self._tape = None

    async def _seen(self, user: AsyncGenerator[Given]) -> AsyncGenerator[Given]:
        async with aclosing(user):
            async for given in user:
                if isinstance(given, Typed):
                    self.write("typed", given.text)
                elif isinstance(given, Hush):
                    self.write("hush", True)
                yield given

    def _tell(
        self, conversation: Conversation, emit: Callable[[Event], None], event: Event
    ) -> None:
        self._failed = self._failed or isinstance(event, Failed)
        if isinstance(event, RungTaken):
            self._keep_canned(conversation, event.rung)
        self.write("event", as_json(event))
        emit(event)

    def _keep_canned(self, conversation: Conversation, rung: str) -> None:
        """What is said where an answer is late was perhaps made before the conversation began."""
        reserve = conversation.reserve
        budget = reserve.ladder.budget
        text = {"filler": budget.filler, "apology": budget.apology}.get(rung, "")
        if speech := reserve.canned.speech(conversation.tts, text):
            self.write("canned", text, speech=[as_plain(chunk) for chunk in speech])
