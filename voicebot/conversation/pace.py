"""How fast a voice speaks and how much work that is, learnt while it speaks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from ..engines import Speech, Synthesizer
from ..engines.call_options import BoundSynthesizer

LETTER_S = 0.065
"""Seconds that a letter takes to say, until this voice has shown its own pace."""
DIGIT = 4
"""Letters that a digit counts for: it is a word."""
WORK = 0.5
"""Seconds of work a second of sound takes, until this voice has shown it: that of good voices on
small machines. Too much makes the second piece short, too little lets playback run dry once."""
FADES = 0.7
"""Part that what was learnt keeps with every piece. More is steadier; less notices sooner that
somebody else is at work on the machine."""
SAFETY = 1.25
"""Times the work that is reckoned with: that of pieces of one length differs by a fifth."""
MARGIN_S = 0.06
"""Seconds that a piece should be ready before the one before it ends."""
ENGINES = 4
"""Engines that are remembered: a reload may bring others."""


@dataclass(slots=True)
class Pace:
    """What one voice has shown, the latest most of all."""

    _letters: float = 10.0
    _seconds: float = 10.0 * LETTER_S
    """Of sound, for those letters."""
    _sound: float = 1.0
    _took: float = WORK
    """Seconds of work, for so much sound."""

    @property
    def shown(self) -> list[float]:
        """All that it knows: numbers above 0 to make another one of."""
        return [self._letters, self._seconds, self._sound, self._took]

    def learn(self, text: str, seconds: float, took: float) -> None:
        """A piece was made, of so many seconds of sound, in so many seconds."""
        if seconds <= 0:
            return
        self._letters = FADES * self._letters + _letters(text)
        self._seconds = FADES * self._seconds + seconds
        self._sound = FADES * self._sound + seconds
        self._took = FADES * self._took + took

    def seconds(self, text: str) -> float:
        """How long `text` will sound."""
        return _letters(text) * self._seconds / self._letters

    @property
    def work(self) -> float:
        """Seconds that it works on a second of sound."""
        return self._took / self._sound

    def head_start(self, text: str) -> float:
        """Seconds before `text` is to be heard that it has to be begun."""
        return MARGIN_S + SAFETY * self.work * self.seconds(text)


@dataclass(slots=True)
class Paces:
    """Those of all voices that speak here."""

    start: list[float] = field(default_factory=lambda: Pace().shown)
    """What a voice that is new is taken to have shown."""
    _known: list[tuple[Synthesizer, Pace]] = field(default_factory=list)

    def of(self, tts: Synthesizer) -> Pace:
        """What `tts` has shown so far, and where it is learnt. Voices of one engine share it."""
        tts = tts.tts if isinstance(tts, BoundSynthesizer) else tts
        pace = next((pace for known, pace in self._known if known == tts), None)
        if pace is None:
            pace = Pace(*self.start)
            self._known = [*self._known, (tts, pace)][-ENGINES:]
        return pace


class Timing:
    """How long the sound of a piece takes to be made, from now on."""

    def __init__(self) -> None:
        self._now = asyncio.get_running_loop().time
        self._begun = self._now()
        self.seconds = 0.0
        """Of its sound."""
        self.took = 0.0
        """Seconds until the last chunk so far had come."""

    def note(self, chunk: Speech) -> Speech:
        """The next chunk has come. Returns it."""
        self.took = self._now() - self._begun
        self.seconds += chunk.audio.seconds
        return chunk

    def teach(self, pace: Pace, text: str) -> None:
        """All of it has come. What came in no time was made before, and shows nothing."""
        if self.took > 0:
            pace.learn(text, self.seconds, self.took)


def _letters(text: str) -> float:
    return len(text) + (DIGIT - 1) * sum(map(str.isdigit, text))
