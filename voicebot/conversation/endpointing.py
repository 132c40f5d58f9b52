"""Find where the user's speech starts, pauses and ends. No I/O and no clock of its own."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from ..audio import Audio, Samples
from ..errors import ConfigError
from ..events import SpeechEnded, SpeechPaused, SpeechResumed, SpeechStarted, Utterance

SOFT = 0.35
"""Probability at which speech goes on, however high it must be to begin: words end softly."""


@dataclass(frozen=True, slots=True)
class EndpointingSettings:
    """`[turn_detection]`: when speech begins, when an answer is begun, and when the turn ends.

    `threshold`, `prefix_padding_ms` and `silence_duration_ms` mean what they mean in the Realtime
    protocol. Raises ConfigError where a value is out of its range.
    """

    threshold: float = 0.3
    """Probability from which on a window counts as speech. Higher hears soft beginnings late, and
    three minutes of dishes, taps, cats and trumpets pass for speech at neither 0.3 nor 0.5."""
    min_speech_ms: int = 64
    """Speech needed before we believe it. Shorter is a click: at 32 ms a beep passes for speech if
    it is loud. Longer is a late barge-in: of 156 words spoken over a reply one in twenty takes
    over 0.26 s at 96 ms, over 0.22 s at 64 ms, and no noise passes for speech at either."""
    preemptive_silence_ms: int = 128
    """Silence after which an answer is begun, unheard. Shorter wastes work on short pauses: of 68
    spoken questions one in eight is begun twice, at 64 ms three in four."""
    silence_duration_ms: int = 480
    """Silence that ends an utterance. No reply is heard before it has passed."""
    prefix_padding_ms: int = 320
    """Sound kept from before speech was detected, so first consonants survive."""
    max_utterance_s: float = 30.0
    """Speech is cut here, and what follows is the same question going on: bounds memory."""

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ConfigError(
                f"[turn_detection] threshold should be between 0 and 1, not {self.threshold}"
            )
        if not 0 < self.preemptive_silence_ms <= self.silence_duration_ms:
            raise ConfigError(
                f"[turn_detection] preemptive_silence_ms should be above 0 and at most "
                f"silence_duration_ms ({self.silence_duration_ms}), "
                f"not {self.preemptive_silence_ms}"
            )
        for name in ("min_speech_ms", "prefix_padding_ms", "max_utterance_s"):
            if getattr(self, name) <= 0:
                raise ConfigError(
                    f"[turn_detection] {name} should be above 0, not {getattr(self, name)}"
                )


class Endpointer:
    """Turn windows of sound and their speech probabilities into events.

    Feed it every window in order; time is counted in samples fed.
    """

    def __init__(self, rate: int, window: int, settings: EndpointingSettings) -> None:
        self.rate = rate
        self._threshold = settings.threshold
        ms = window * 1000 / rate
        self._start = max(1, round(settings.min_speech_ms / ms))
        self._pause = max(1, round(settings.preemptive_silence_ms / ms))
        self._end = max(self._pause, round(settings.silence_duration_ms / ms))
        self._longest = max(self._start + 1, round(settings.max_utterance_s * 1000 / ms))
        self._recent: deque[Samples] = deque(
            maxlen=round(settings.prefix_padding_ms / ms) + self._start
        )
        self._speech: list[Samples] = []
        self._loud = 0  # consecutive windows of speech
        self._quiet = 0  # windows since speech was last believed
        self._paused = False
        self._fed = 0

    @property
    def now(self) -> float:
        """Seconds of sound fed so far."""
        return self._fed / self.rate

    @property
    def speaking(self) -> float:
        """Seconds of sound since the user began to speak; 0 while they are silent."""
        return sum(map(len, self._speech)) / self.rate if not self._quiet else 0.0

    def so_far(self) -> Audio:
        """What has been said of an utterance that has begun."""
        return Audio(np.concatenate(self._speech), self.rate)

    def feed(
        self, window: Samples, probability: float
    ) -> SpeechStarted | SpeechPaused | SpeechResumed | SpeechEnded | None:
        """Take the next window and the chance that it holds speech; tell what it changed."""
        self._fed += len(window)
        self._recent.append(window)
        needed = min(self._threshold, SOFT) if self._speech else self._threshold
        self._loud = self._loud + 1 if probability >= needed else 0
        return self._during(window) if self._speech else self._waiting()

    def finish(self) -> SpeechEnded | None:
        """The microphone has closed: what was being said ends here."""
        return self._ended() if self._speech else None

    def _waiting(self) -> SpeechStarted | None:
        if self._loud < self._start:
            return None
        self._speech, self._quiet = list(self._recent), 0
        return SpeechStarted(at=self.now)

    def _during(self, window: Samples) -> SpeechPaused | SpeechResumed | SpeechEnded | None:
        self._speech.append(window)
        # After a pause, a click must not pass for speech: it takes as long as at the start.
        if self._loud >= (self._start if self._paused else 1):
            self._quiet = 0
            if self._paused:
                self._paused = False
                return SpeechResumed(at=self.now)
        else:
            self._quiet += 1
        if len(self._speech) >= self._longest or (self._quiet >= self._end and not self._loud):
            return self._ended()
        if self._quiet >= self._pause and not self._paused:
            self._paused = True
            return SpeechPaused(self._utterance())
        return None

    def _ended(self) -> SpeechEnded:
        event = SpeechEnded(self._utterance())
        self._speech, self._paused = [], False
        while len(self._recent) > self._quiet:  # what comes next must not repeat what was said
            self._recent.popleft()
        return event

    def _utterance(self) -> Utterance:
        audio = self.so_far()
        end = self.now - self._quiet * len(self._speech[-1]) / self.rate
        return Utterance(audio, self.now - audio.seconds, end)
