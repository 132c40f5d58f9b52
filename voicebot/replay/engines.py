"""The outside of a recorded conversation: user, engines and speaker, doing again what they did."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from heapq import merge
from typing import Any, Literal

from ..audio import Audio, Samples, silence
from ..concurrency.virtual_clock import VirtualClockLoop
from ..concurrency.worker import Stream, T
from ..conversation import StopReply, Typed
from ..engines import ChatModel, Delta, Message, Segment, Speech, VoiceDetector
from ..engines.call_options import wanted
from ..errors import EngineError
from ..recording.taps import digest
from .read import Recorded, RecordedEngineCall, Sounded

LIKE = 0.5
"""Seconds that a stretch of speech may begin or end elsewhere than when it was recognised. More
takes what was said before or after for it; less finds nothing once [turn_detection] has changed."""
STRAGGLING = 1.0
"""Grace period after the recorded stop, in seconds, before the replayed call fails. The recording
holds nothing after that stop, and the replayed conversation may stop the engine a little later."""
BUFFER = 0.2
"""Seconds of sound that the speaker takes unheard, once it is not used as it was."""
SAME = 0.05
"""Seconds that a speaker may be silenced sooner or later and still have been heard as long."""


async def user(
    session: Recorded, sound: Iterable[Audio]
) -> AsyncGenerator[Audio | Typed | StopReply]:
    """Speak, type and hush when it was done. sound: of each window."""
    windows = ((at, audio) for (at, _), audio in zip(session.windows, sound, strict=False))
    inputs: Iterable[tuple[float, Audio | Typed | StopReply]] = session.inputs
    for at, given in merge(windows, inputs, key=lambda each: each[0]):
        await _until(at)
        yield given
    if session.cut:
        await asyncio.Event().wait()


def quiet(session: Recorded) -> Iterator[Audio]:
    """Windows for those who need not hear anything."""
    window = silence(session.window / session.rate, session.rate)
    return (window for _ in session.windows)


class ReplayedDetector:
    """Finds speech where it was found. It knows how much it has listened to."""

    def __init__(self, session: Recorded) -> None:
        self.rate, self.window = session.rate, session.window
        self._probabilities = iter([probability for _, probability in session.windows])
        self._fed = 0

    @property
    def heard(self) -> float:
        """Seconds listened to so far."""
        return self._fed / self.rate

    async def probability(self, window: Samples) -> float:
        self._fed += len(window)
        return next(self._probabilities, 0.0)


class ReplayedEngines:
    """All but the detector: each gives what it gave when it was asked the same."""

    def __init__(self, session: Recorded, detector: ReplayedDetector) -> None:
        self._calls, self._prerendered = session.calls.values(), session.prerendered
        self._detector = detector

    def transcribe(self, audio: Audio) -> Stream[Segment]:
        def unlike(call: RecordedEngineCall) -> float:
            end = abs(call.heard - self._detector.heard)
            return round(end + abs(call.seconds - audio.seconds), 3)

        found = self._best("stt", "", unlike)
        alike = found if found and unlike(found) <= LIKE else None
        return _again(alike, "stt", f"no {audio.seconds:.1f} s like these were recorded")

    def reply(self, messages: Sequence[Message], **_: Any) -> Stream[Delta]:
        """As it was, whatever is asked of it besides."""
        found = self._reply_to(messages)
        return _again(found, "llm", f"no answer to {messages[-1].text!r} was recorded")

    def seed(self, messages: Sequence[Message]) -> int | None:
        """What the reply to them was drawn with, where that is known."""
        found = self._reply_to(messages)
        told = [delta.seed for _, delta in found.items] if found else []
        return next((seed for seed in told if seed is not None), None)

    def synthesize(self, text: str) -> Stream[Speech]:
        return self.speak("tts", text)

    def speak(self, kind: Literal["tts", "second_voice"], text: str) -> Stream[Speech]:
        """In the usual voice, or in that in reserve."""
        found = self._best(kind, text, lambda call: 0)
        if kind == "tts":
            found = found or self._prerendered.get(text)
        return _again(found, "tts", f"no voice was recorded saying {text!r}")

    def _reply_to(self, messages: Sequence[Message]) -> RecordedEngineCall | None:
        history = digest(messages)
        return self._best("llm", messages[-1].text, lambda call: call.before != history)

    def _best(
        self, kind: str, text: str, unlike: Callable[[RecordedEngineCall], float]
    ) -> RecordedEngineCall | None:
        """The call most like it, of several one that was not found before, the nearest in time."""
        calls = [call for call in self._calls if call.kind == kind and call.text == text]

        def unfit(call: RecordedEngineCall) -> tuple[float, bool, float]:
            return unlike(call), call.used, abs(call.at - _now())

        best = min(calls, key=unfit, default=None)
        if best:
            best.used = True
        return best


class ReplayedFallback:
    """The voice in reserve."""

    def __init__(self, engines: ReplayedEngines) -> None:
        self._engines = engines

    def synthesize(self, text: str) -> Stream[Speech]:
        return self._engines.speak("second_voice", text)


class ReplayedSpeaker:
    """Takes sound as slowly as it was taken, and is heard as far as it was."""

    def __init__(self, session: Recorded) -> None:
        self._sounded = [each for each in session.sounded if each.plays]
        self._forget()

    def _forget(self) -> None:
        self._before: Sounded | None = None
        self._since: float | None = None
        self._played = 0
        self._seconds = self._ends = 0.0

    async def play(self, audio: Audio) -> None:
        now = _now()
        if self._since is None:
            self._since = now
            # By its time: of turns that are new, or missing, the others must not take the place.
            self._before = min(
                self._sounded, key=lambda each: abs(each.plays[0][1] - now), default=None
            )
        plays = self._before.plays if self._before else []
        self._ends = max(self._ends, now)
        if self._played < len(plays) and abs(plays[self._played][0] - audio.seconds) < 1e-6:
            _, offered, taken = plays[self._played]
            await asyncio.sleep(taken - offered)
        else:
            self._before = None
            await asyncio.sleep(max(0.0, self._ends - now - BUFFER))
        self._played += 1
        self._ends += audio.seconds
        self._seconds += audio.seconds

    async def drain(self) -> None:
        before = self._before
        if before and before.drained is not None and self._played == len(before.plays):
            await asyncio.sleep(before.drained)
        else:
            await asyncio.sleep(max(0.0, self._ends - _now()))
        self._forget()

    def stop(self) -> float:
        if self._since is None:
            return 0.0
        elapsed = _now() - self._since
        heard = min(self._seconds, elapsed)
        if self._before and self._before.stopped:
            at, before = self._before.stopped
            if abs(at - self._before.plays[0][1] - elapsed) <= SAME:
                heard = before
        self._forget()
        return heard


_METHODS = ("transcribe", "reply", "synthesize")


class RealTimeEngine:
    """A live engine: while it is at work, time passes on `loop` as it really does."""

    def __init__(self, engine: Any, loop: VirtualClockLoop) -> None:
        self._engine, self._loop = engine, loop
        for name in _METHODS:
            if method := getattr(engine, name, None):
                wrapped = functools.wraps(method)(functools.partial(self._call, method))
                setattr(self, name, wrapped)

    async def _call(
        self, method: Callable[..., Stream[T]], asked: Any, **options: Any
    ) -> Stream[T]:
        with self._loop.working():
            async with aclosing(method(asked, **options)) as items:
                async for item in items:
                    yield item


class RealTimeDetector:
    """A live detector, in the same way."""

    def __init__(self, vad: VoiceDetector, loop: VirtualClockLoop) -> None:
        self._vad, self._loop = vad, loop
        self.rate, self.window = vad.rate, vad.window

    async def probability(self, window: Samples) -> float:
        with self._loop.working():
            return await self._vad.probability(window)


class SeededChatModel:
    """A live chat model that draws each reply with what the recorded one was drawn with.

    plain: the model itself, which knows what options a call may have.
    """

    def __init__(self, llm: Any, plain: ChatModel, recorded: ReplayedEngines) -> None:
        self._llm, self._plain, self._recorded = llm, plain, recorded

    def reply(self, messages: Sequence[Message], **options: Any) -> Stream[Delta]:
        options |= wanted(self._plain.reply, seed=self._recorded.seed(messages))
        reply: Stream[Delta] = self._llm.reply(messages, **options)
        return reply


async def _again(call: RecordedEngineCall | None, stage: str, otherwise: str) -> Stream[Any]:
    """Yield what came of a call. otherwise: why nothing comes of none."""
    if call is None:
        raise EngineError(stage, otherwise)
    begun = _now()
    for seconds, item in call.items:
        await _until(begun + seconds)
        yield item
    if call.stopped:
        await _until(begun + call.ended + STRAGGLING)
        raise EngineError(stage, "it was stopped here, and the recording has no more of it")
    await _until(begun + call.ended)
    if call.error:
        stage, reason, kind = call.error
        error = EngineError(stage, reason)
        error.kind = kind
        raise error


async def _until(at: float) -> None:
    await asyncio.sleep(max(0.0, at - _now()))


def _now() -> float:
    return asyncio.get_running_loop().time()
