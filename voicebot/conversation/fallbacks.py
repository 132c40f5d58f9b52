"""Audible fallbacks for a late or failed answer: filler, second voice, apology."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..engines import Speech, Synthesizer
from .degradation import DegradationPolicy
from .latency_budget import LatencySettings
from .pace import Paces
from .pauses import SpeechSettings
from .prerendered import PrerenderedSpeech

MIN_FILLER_GAIN_S = 0.35
"""Seconds later than usual an answer must be where answers usually come while a filler would still
be spoken. One before each of them would only make them later still."""


@dataclass(frozen=True, slots=True)
class Fallbacks:
    """Shared by the conversations on the same engines."""

    policy: DegradationPolicy = field(
        default_factory=lambda: DegradationPolicy(LatencySettings(degradations=""))
    )
    prerendered: PrerenderedSpeech = field(default_factory=lambda: PrerenderedSpeech([]))
    second_voice: Synthesizer | None = None
    """A voice that is quick and does not fail; worse, or it would be the usual one."""
    speech: SpeechSettings = field(default_factory=SpeechSettings)
    """The pauses that every voice makes."""
    paces: Paces = field(default_factory=Paces)
    """How fast each voice has shown to be."""

    async def keep_ready(self, tts: Synthesizer) -> None:
        """Have spoken in the voice of `tts` what helps when it is late, before that is needed."""
        await self.prerendered.make(tts, self.paces.of(tts))

    def filler(self, tts: Synthesizer) -> tuple[Speech, ...]:
        """What to say in the voice of `tts` while an answer is late; nothing where that is."""
        if "filler" not in self.policy.budget.enabled:
            return ()
        return self.prerendered.speech(tts, self.policy.budget.filler)

    def filler_at(self, deadline: float, filler: Sequence[Speech]) -> float:
        """Seconds after the end of speech at which `filler` is to be spoken, if there is still no
        answer, which is due at `deadline`."""
        usual = self.policy.usual
        over = deadline + sum(chunk.audio.seconds for chunk in filler)
        return usual + MIN_FILLER_GAIN_S if deadline < usual < over else deadline

    def fallback_voice(self) -> Synthesizer | None:
        """The voice that goes on where the usual one fails."""
        return self.second_voice if "fallback_voice" in self.policy.budget.enabled else None

    def apology(self) -> str:
        """What to say where there is no answer."""
        budget = self.policy.budget
        return budget.apology if "apology" in budget.enabled else ""
