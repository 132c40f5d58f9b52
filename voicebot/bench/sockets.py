"""How late a server hears, with nothing to wait for: one session, fifty, a hundred that listen.

A frame of sound makes the server decide that speech has begun, or ended, and tell so. Which frame
that is follows from the sound: the same listener hears the same frames here, beforehand. What is
measured is the time from sending that frame until the client has read what is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import numpy as np

from .. import engines
from ..audio import Audio, Samples, from_pcm16, to_pcm16
from ..audio.resample import Resampler, Windows
from ..config import Config
from ..conversation.endpointing import Endpointer, EndpointingSettings
from ..engines import VoiceDetector
from ..events import SpeechEnded, SpeechStarted
from . import questions as recorded
from .figures import percentiles
from .processes import status
from .questions import Question
from .realtime import RATE, Realtime, appending, calling
from .served import Served
from .simulated import Loudness
from .trial import FRAME_S

SECONDS = 16.0
"""Of sound in every session: some ten words and pauses."""
SCRIPTS = 8
"""Different ones for a hundred sessions: each has to be heard here beforehand, too."""
AFTER_S = 1.0
"""Seconds in which the last answer may still come."""
LATENCY_MS = {1: 3.0, 50: 15.0}
LATE_MS = 20.0
IDLE_KB = 300.0
STARTED, STOPPED = "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"
SOUND = "response.output_audio.delta"


class Script:
    """Sound as messages, and which of them make the server decide what."""

    def __init__(self, samples: Samples) -> None:
        """samples: at the rate of recorded questions."""
        resampled = Resampler(RATE).feed(Audio(samples, recorded.RATE))
        size = round(FRAME_S * RATE)
        count = len(resampled) // size
        self._cut = [Audio(resampled[i * size : (i + 1) * size], RATE) for i in range(count)]
        self.messages = [appending(frame) for frame in self._cut]
        self.decides: list[tuple[str, int]] = []
        """An event's type, and the message after which it is told; known once it was heard."""

    async def heard(self, vad: VoiceDetector, settings: EndpointingSettings) -> Script:
        """Find out what is decided where. Returns itself."""
        listener = Endpointer(vad.rate, vad.window, settings)
        windows = Windows(vad.rate, vad.window)
        for i, frame in enumerate(self._cut):
            # Through the wire's 16 bits, as the server hears it.
            for window in windows.feed(from_pcm16(to_pcm16(frame), RATE)):
                match listener.feed(window, await vad.probability(window)):
                    case SpeechStarted():
                        self.decides.append((STARTED, i))
                    case SpeechEnded():
                        self.decides.append((STOPPED, i))
        return self


async def latency(
    served: Served, settings: EndpointingSettings, sessions: int
) -> list[dict[str, Any]]:
    """Rows of what the socket layer adds, with engines and a voice detector that cost nothing."""
    loud = np.full(round(0.4 * recorded.RATE), 0.5, np.float32)
    quiet = np.zeros(round(1.6 * recorded.RATE), np.float32)
    script = await Script(np.tile(np.concatenate([loud, quiet]), 8)).heard(Loudness(), settings)
    delays = await _play(served, [script], sessions, session=None)
    late = [d for kind, d in delays if kind in (STARTED, STOPPED)]
    sound = [d for kind, d in delays if kind == SOUND]
    many = "1 session" if sessions == 1 else f"{sessions} sessions"
    limit = LATENCY_MS.get(sessions)
    return [
        row(f"frame sent to event read, {many}, p95", _p95(late), "ms", limit),
        row(f"last frame sent to first audio read, {many}, p95", _p95(sound), "ms", limit),
    ]


async def listening(
    served: Served, config: Config, questions: Sequence[Question], sessions: int
) -> list[dict[str, Any]]:
    """How late frames are handled while so many sessions listen to real speech; none answers."""
    # Every word after the first of a session is heard with what the detector remembers of it.
    scripts = []
    for first in range(min(SCRIPTS, len(questions))):
        name = "silero" if config.vad.engine == "auto" else config.vad.engine
        vad: VoiceDetector = engines.load("vad", name, **config.vad.options)
        samples = _one_after_another([*questions[first:], *questions[:first]])
        scripts.append(await Script(samples).heard(vad, config.turn_detection))
    quiet = {"type": "server_vad", "create_response": False, "interrupt_response": False}
    detect = {"audio": {"input": {"turn_detection": quiet}}}
    delays = await _play(served, scripts, sessions, session=detect)
    p95 = _p95([delay for _, delay in delays])
    what = f"frame handled late, {sessions} listening sessions, p95 of {len(delays)}"
    return [row(what, p95, "ms", LATE_MS)]


async def idle(served: Served, sessions: int) -> list[dict[str, Any]]:
    """The memory of a session that is open, has heard a second of silence, and waits."""
    # The first ones pay for what all share.
    async with AsyncExitStack() as opened:
        await _open(served, opened, 10)
    silence = [appending(Audio(np.zeros(round(RATE * FRAME_S), np.float32), RATE))] * 50
    before = status(served.pid, "VmRSS")
    async with AsyncExitStack() as opened:
        for line in await _open(served, opened, sessions):
            for message in silence:
                await line.append(message)
        await asyncio.sleep(AFTER_S)
        after = status(served.pid, "VmRSS")
    if not before:
        return [row("memory of an idle session", None, "kB", IDLE_KB)]
    return [row("memory of an idle session", (after - before) / sessions, "kB", IDLE_KB)]


async def _open(served: Served, opened: AsyncExitStack, count: int) -> list[Realtime]:
    return [await opened.enter_async_context(calling(served.url)) for _ in range(count)]


async def _play(
    served: Served, scripts: Sequence[Script], sessions: int, session: dict[str, Any] | None
) -> list[tuple[str, float]]:
    """Seconds from the deciding message to the event, with its type, in all sessions."""
    found: list[tuple[str, float]] = []

    async def one(number: int) -> None:
        await asyncio.sleep(2.0 * number / sessions)  # they do not speak in chorus
        script = scripts[number % len(scripts)]
        async with calling(served.url, session) as line:
            sent = await _in_real_time(line, script.messages)
            await asyncio.sleep(AFTER_S)
            found.extend(_delays(script, sent, line.events))

    async with asyncio.TaskGroup() as group:
        for number in range(sessions):
            group.create_task(one(number))
    return found


async def _in_real_time(line: Realtime, messages: Sequence[str]) -> list[float]:
    """Send them a frame's time apart; when each was."""
    clock = asyncio.get_running_loop().time
    began, sent = clock(), []
    for i, message in enumerate(messages):
        await asyncio.sleep(max(0.0, began + i * FRAME_S - clock()))
        sent.append(clock())
        await line.append(message)
    return sent


def _delays(
    script: Script, sent: Sequence[float], events: Sequence[tuple[str, float]]
) -> list[tuple[str, float]]:
    """The nth event of a type belongs to the nth message that decides it; sound to an end."""
    delays = []
    for kind, cause in ((STARTED, STARTED), (STOPPED, STOPPED), (SOUND, STOPPED)):
        told = [at for name, at in events if name == kind]
        due = [sent[i] for name, i in script.decides if name == cause]
        delays += [(kind, at - when) for at, when in zip(told, due, strict=False)]
    return delays


def _one_after_another(questions: Sequence[Question]) -> Samples:
    """SECONDS of them, with a second of silence after each."""
    parts: list[Samples] = []
    pause = np.zeros(recorded.RATE, np.float32)
    while sum(map(len, parts)) < SECONDS * recorded.RATE:
        for question in questions:
            parts += [question.audio.samples, pause]
    return np.concatenate(parts)[: round(SECONDS * recorded.RATE)]


def row(what: str, value: float | None, unit: str, limit: float | None) -> dict[str, Any]:
    """A figure with its limit beside it."""
    return {"what": what, "value": value, "unit": unit, "limit": limit}


def _p95(seconds: Sequence[float]) -> float | None:
    return percentiles(seconds).get("p95")
