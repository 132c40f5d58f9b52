"""One turn as its user has it: a question in real time, the first sound, and a word in between."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ..audio import Audio, Samples, first_audible
from ..audio.resample import Resampler
from .observed import Mark
from .questions import RATE, Question

FRAME_S = 0.02
"""Seconds of sound sent at a time, as microphones and browsers do."""
PATIENCE_S = 10.0
"""Seconds after which no answer is expected any more."""
LISTEN_S = 1.0
"""Seconds of the answer that are heard before it is interrupted."""
CUT_IN_S = 1.0
"""Seconds for which is spoken over it: longer than anybody needs to understand that."""
GIVE_UP_S = 2.0
"""Seconds in which it should have fallen silent."""


class Ears:
    """What comes back to one user, and when. Times are the loop's."""

    def __init__(self) -> None:
        self.begun: list[float] = []
        """When sound that can be heard began after there was none."""
        self.decided: list[float] = []
        """When we were told that the user had finished."""
        self.silenced: list[float] = []
        """When sound was ended, or what was still to come of it."""
        self.marks: list[Mark] = []
        """What the engines did meanwhile; empty where nobody can tell."""
        self._until = 0.0
        self._audible = False
        """Something could be heard since sound last began."""
        self._now = asyncio.get_running_loop().time

    @property
    def sounding(self) -> float:
        """Seconds of sound that have come and are still to be played; none is below 0."""
        return self._until - self._now()

    def hear(self, audio: Audio) -> None:
        """More sound came, to be played after what came before."""
        if self.sounding <= 0:
            self._audible = False
        begins = max(self._until, self._now())
        if not self._audible and (silent := first_audible(audio)) is not None:
            self._audible = True
            self.begun.append(begins + silent)
        self._until = begins + audio.seconds

    def silence(self) -> None:
        """What has come and was not played never will be."""
        self.silenced.append(self._now())
        self._until = min(self._until, self._now())

    def decide(self) -> None:
        """The user is thought to have finished."""
        self.decided.append(self._now())


class Line(Protocol):
    """A conversation as its user has it."""

    ears: Ears
    rate: int
    """Samples per second it is sent."""

    async def send(self, audio: Audio) -> None:
        """Let it hear the next FRAME_S of the user's microphone, at `rate`."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one question got. All times are seconds after the true end of its speech."""

    question: str
    first_audio: float | None
    """The first sound of the answer; None where there was none, or it had begun before."""
    end_of_turn: float | None = None
    """When it was decided that the user had finished."""
    cut_in: bool = False
    """Sound came while the user was still speaking."""
    silence: float | None = None
    """From the beginning of the user's interruption; None where there was nothing to interrupt."""
    deaf: bool = False
    """The interruption changed nothing."""
    marks: dict[str, float] = field(default_factory=dict)
    """The boundaries of the stages on the way to the first sound; empty where nobody can tell."""
    clause: str = ""
    """What was spoken first."""


async def hold(line: Line, question: Question) -> Turn:
    """Ask the question in real time, hear the answer begin, and speak over it."""
    clock = asyncio.get_running_loop().time
    user = _User(line)
    end = user.now + question.end
    await user.say(question.audio.samples)
    ears = line.ears
    while not _after(ears.begun, end) and ears.sounding <= 0 and clock() < end + PATIENCE_S:
        await user.wait(FRAME_S)
    first = next(iter(_after(ears.begun, end)), None)
    silence, deaf = None, False
    if ears.sounding > 0:
        await user.wait(LISTEN_S)
    if ears.sounding > 0:
        silence = await _interrupted(user, question)
        deaf = silence is None and ears.sounding > 0
    return turn(question.name, ears, end, first, silence, deaf=deaf)


def turn(
    question: str,
    ears: Ears,
    end: float,
    first: float | None,
    silence: float | None,
    *,
    deaf: bool = False,
) -> Turn:
    """What came of a question whose speech truly ended at `end`."""
    before = first if first is not None else float("inf")
    decided = [at for at in ears.decided if at <= before]
    marks = _way(ears.marks, before)
    return Turn(
        question,
        None if first is None else first - end,
        decided[-1] - end if decided and first is not None else None,
        any(at < end for at in ears.begun),
        silence,
        deaf,
        {mark.name: mark.at - end for mark in marks} if first is not None else {},
        next((mark.text for mark in marks if mark.name == "tts.begun"), ""),
    )


def _way(marks: list[Mark], before: float) -> list[Mark]:
    """The boundaries between the last recognition begun `before` the first sound and that sound."""
    begun = [i for i, mark in enumerate(marks) if mark.name == "stt.begun" and mark.at <= before]
    if not begun:
        return []
    way: dict[str, Mark] = {}
    for mark in marks[begun[-1] :]:
        if mark.at <= before:
            way.setdefault(mark.name, mark)
    return list(way.values())


async def _interrupted(user: _User, question: Question) -> float | None:
    """Say the question again from its onset; seconds from there to silence, if it came."""
    ears, rate, onset = user.line.ears, question.audio.rate, question.onset
    spoken = user.now
    samples = question.audio.samples[round(onset * rate) : round((onset + CUT_IN_S) * rate)]
    await user.say(samples)
    while not _after(ears.silenced, spoken) and user.now < spoken + GIVE_UP_S:
        await user.wait(FRAME_S)
    await user.wait(0.1)  # what still comes after it was silenced would count
    silenced = _after(ears.silenced, spoken)
    return silenced[-1] - spoken if silenced else None


def _after(times: list[float], begin: float) -> list[float]:
    return [at for at in times if at >= begin]


class _User:
    """A microphone that is never late: what it sends next was recorded until `now`."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self._clock = asyncio.get_running_loop().time
        self.now = self._clock()

    async def say(self, samples: Samples) -> None:
        """Send these samples, which are at RATE, as fast as they are spoken."""
        rate = self.line.rate
        # All at once: a microphone has the line's rate, and a resampler would hold sound back.
        resampler = Resampler(rate)
        sound = np.concatenate([resampler.feed(Audio(samples, RATE)), resampler.finish()])
        size = round(FRAME_S * rate)
        for at in range(0, len(sound), size):
            frame = sound[at : at + size]
            padded = np.concatenate([frame, np.zeros(size - len(frame), np.float32)])
            self.now += FRAME_S
            # A frame can be sent once its last sample was spoken.
            await asyncio.sleep(max(0.0, self.now - self._clock()))
            await self.line.send(Audio(padded, rate))

    async def wait(self, seconds: float) -> None:
        await self.say(np.zeros(round(seconds * RATE), np.float32))
