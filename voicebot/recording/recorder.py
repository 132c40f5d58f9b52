"""Record conversations: what each was given, what its engines gave, and what came of it.

A conversation is recorded where it meets the outside: at its voice detector (whose windows are
the user's sound as it was listened to), its other engines, its speaker and its events. Nothing of
it changes by that, and nothing waits: what happened is handed to the archive's thread.
`voicebot.replay` holds it again. `server.realtime.recording` does the same with those of Realtime
clients, which are no `Conversation`.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import asdict, replace
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import context
from ..audio import Audio, Samples
from ..conversation import Conversation, EndpointingSettings, StopReply, Typed
from ..conversation.fallbacks import Fallbacks
from ..engines import Synthesizer, VoiceDetector
from ..events import Degraded, Event, Failed, as_json
from .archive import Archive, Line, RecordingHandle
from .taps import RecordedDetector, RecordedEngine, RecordedSpeaker, as_plain

if TYPE_CHECKING:
    from ..config import RecordSettings

VERSION = 1
"""Of what is written."""
WINDOWS = 32
"""Windows of sound written at once: a second. More would lose more if we are killed."""

Given = Audio | Typed | StopReply


class Recorder:
    """Records the conversations of one process.

    Raises:
        ConfigError: as `Archive`.
    """

    def __init__(self, settings: RecordSettings) -> None:
        self.settings = settings
        self._archive = Archive(settings.folder, settings.size_mb * 10**6)

    def record(self, conversation: Conversation, **about: Any) -> None:
        """Record a conversation that is about to begin. about: what else to write down of it."""
        _Conversation(self.recording(), conversation, about)

    def recording(self) -> Recording:
        """An empty one, for whoever has something to write down."""
        return Recording(self._archive, self.settings.failed_only)

    def close(self) -> None:
        self._archive.close()

    def __str__(self) -> str:
        fails = " in which a turn fails" if self.settings.failed_only else ""
        return f"[record] keeps every conversation{fails}, with all its sound"


class Recording:
    """What is written of one conversation while it goes on; before and after, nothing is."""

    def __init__(self, archive: Archive, failed_only: bool) -> None:
        self._archive, self._failed_only = archive, failed_only
        self._handle: RecordingHandle | None = None  # while it goes on
        self._zero = 0.0
        self._failed = False
        self._calls = count(1)
        self._rate = 1
        self._windows: list[tuple[float, float]] = []
        self._sound: list[Samples] = []
        self._heard = 0

    @contextmanager
    def session(
        self,
        vad: VoiceDetector,
        endpointing: EndpointingSettings,
        patience: float,
        fallbacks: Fallbacks,
        tts: Synthesizer,
        **about: Any,
    ) -> Iterator[None]:
        """The whole of a conversation that has these. about: what else to write down of it."""
        self._zero, self._handle = asyncio.get_running_loop().time(), RecordingHandle(self._archive)
        self._rate = vad.rate
        self.write(
            "session",
            VERSION,
            request=context.current(),
            rate=vad.rate,
            window=vad.window,
            second_voice=fallbacks.second_voice is not None,
            preemptive=sorted(fallbacks.policy.preemptive),
            pace=fallbacks.paces.of(tts).shown,
            settings={
                "turn_detection": asdict(endpointing),
                "budget": asdict(fallbacks.policy.budget),
                "speech": asdict(fallbacks.speech),
                "assistant": {"engine_timeout_s": patience},
            },
            **about,
        )
        cut = True
        try:
            yield
            cut = False
        except Exception:
            self._failed = True
            raise
        finally:
            self._flush()
            self.write("over", cut)
            self._handle.end(keep=self._failed or not self._failed_only)
            self._handle = None

    def write(
        self,
        what: str,
        value: Any,
        sound: Audio | None = None,
        track: str = "",
        size: int = 0,
        **more: Any,
    ) -> None:
        """Write down that something happened now. sound, track, size: as `Tape.write` has them."""
        if self._handle:
            self._handle.write({"at": self.now, what: value, **more}, sound, track, size)

    def listened(self, samples: Samples, probability: float) -> None:
        """So much more was listened to, and it is speech as probably as that."""
        self._sound.append(samples)
        self.weighed(samples, probability)

    def weighed(self, samples: Samples, probability: float) -> None:
        """The same of sound that is kept otherwise."""
        self._windows.append((self.now, probability))
        self._heard += len(samples)
        if len(self._windows) == WINDOWS:
            self._flush()

    def happened(self, event: Event) -> None:
        self._failed = self._failed or isinstance(event, Failed)
        self.write("event", as_json(event))

    def helped(self, degradation: str, fallbacks: Fallbacks, voice: Synthesizer) -> None:
        """What is said in `voice` where an answer is late was perhaps made before all began."""
        budget = fallbacks.policy.budget
        text = {"filler": budget.filler, "apology": budget.apology}.get(degradation, "")
        if speech := fallbacks.prerendered.speech(voice, text):
            self.write("prerendered", text, speech=[as_plain(chunk) for chunk in speech])

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
            audio = Audio(np.concatenate(sound), self._rate) if sound else None
            self.write("windows", windows, audio, "heard")


class _Conversation:
    """Has all of a conversation pass through a recording."""

    def __init__(self, recording: Recording, conversation: Conversation, about: Line) -> None:
        self._recording, self._about = recording, about
        conversation.vad = RecordedDetector(conversation.vad, recording.listened)
        conversation.stt = RecordedEngine("stt", conversation.stt, recording)
        conversation.llm = RecordedEngine("llm", conversation.llm, recording)
        conversation.tts = RecordedEngine("tts", conversation.tts, recording)
        if second_voice := conversation.fallbacks.second_voice:
            second_voice = RecordedEngine("second_voice", second_voice, recording)
            conversation.fallbacks = replace(conversation.fallbacks, second_voice=second_voice)
        conversation.speaker = RecordedSpeaker(conversation.speaker, recording)
        conversation.emit = functools.partial(self._tell, conversation, conversation.emit)
        # Not kept here: what is made in a voice, and kept with us, outlives the conversation.
        conversation.through = functools.partial(self._session, conversation)

    @asynccontextmanager
    async def _session(
        self, conversation: Conversation, user: AsyncGenerator[Given]
    ) -> AsyncIterator[AsyncGenerator[Given]]:
        """The whole of the conversation, and what its user gives."""
        with self._recording.session(
            conversation.vad,
            conversation.endpointing,
            conversation.patience,
            conversation.fallbacks,
            conversation.tts,
            interim=conversation.interim,
            **self._about,
        ):
            async with aclosing(user):
                yield self._seen(user)

    async def _seen(self, user: AsyncGenerator[Given]) -> AsyncGenerator[Given]:
        async with aclosing(user):
            async for given in user:
                if isinstance(given, Typed):
                    self._recording.write("typed", given.text)
                elif isinstance(given, StopReply):
                    self._recording.write("hush", True)
                yield given

    def _tell(
        self, conversation: Conversation, emit: Callable[[Event], None], event: Event
    ) -> None:
        if isinstance(event, Degraded):
            self._recording.helped(event.degradation, conversation.fallbacks, conversation.tts)
        self._recording.happened(event)
        emit(event)
