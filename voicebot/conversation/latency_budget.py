"""How long each stage of a turn may take, so that the first sound comes in time. No I/O.

Time counts from the end of the user's speech. Two things must both be over before anything is
heard: the silence that proves the end, and the answer's first clause, which is begun at the first
pause (`ListenSettings.preemptive_silence_ms`) and made behind the gate.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import dropwhile
from typing import Literal, get_args, get_type_hints

from ..errors import ConfigError
from ..spelling import there_is
from .endpointing import EndpointingSettings

Stage = Literal["recognition", "retrieval", "first_token", "first_clause", "synthesis", "network"]
"""In the order a turn passes through them; each begins where the one before ends."""

Degradation = Literal[
    "fewer_passages", "short_clause", "single_decode", "filler", "fallback_voice", "apology"
]
"""What can be given up, the cheapest loss first."""

STAGES: tuple[Stage, ...] = get_args(Stage)
DEGRADATIONS: tuple[Degradation, ...] = get_args(Degradation)


@dataclass(frozen=True, slots=True)
class LatencySettings:
    """`[latency]`: when the first sound is due, the share of each stage, and what may be degraded.

    Raises ConfigError where a value is out of its range; `check` looks at the shares together.
    """

    first_audio_ms: int = 800
    """From the end of the user's speech to the first sound of the answer."""
    end_of_turn_ms: int = 480
    """Share of the silence that proves the end; it passes while the answer is being made."""
    recognition_ms: int = 200
    """From the first pause to the transcript."""
    retrieval_ms: int = 30
    """From that to the passages."""
    first_token_ms: int = 150
    """From that to the first token of the reply."""
    first_clause_ms: int = 90
    """From the first token to the end of the first piece worth speaking."""
    synthesis_ms: int = 110
    """From that to its first sound."""
    network_ms: int = 20
    """From the first sound to the speaker."""
    degradations: str = " ".join(DEGRADATIONS)
    """What may be given up when time is short, in this order, with spaces between."""
    filler: str = "Let me see."
    """Spoken while the answer is late. Short: the answer waits for its end."""
    apology: str = "Sorry, that did not work. Please ask me again."
    """Spoken when there is no answer."""

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self)).items():
            if kind is int and getattr(self, name) < 0:
                raise ConfigError(
                    f"[latency] {name} should not be below 0, not {getattr(self, name)}"
                )
        for degradation in self.degradations.split():
            if degradation not in DEGRADATIONS:
                raise ConfigError(
                    f"[latency] degradations: no degradation {degradation!r}; "
                    f"{there_is(degradation, DEGRADATIONS)}"
                )
            if self.degradations.split().count(degradation) > 1:
                raise ConfigError(f"[latency] degradations has {degradation!r} more than once")

    @property
    def enabled(self) -> tuple[Degradation, ...]:
        """The degradations one by one, in their order."""
        return tuple(
            degradation
            for name in self.degradations.split()
            for degradation in DEGRADATIONS
            if degradation == name
        )

    @property
    def sentences(self) -> list[str]:
        """What the policy may say in place of an answer."""
        said = {"filler": self.filler, "apology": self.apology}
        return [said[degradation] for degradation in self.enabled if degradation in said]

    def share(self, stage: Stage) -> float:
        """Seconds that a stage may take."""
        milliseconds: int = getattr(self, f"{stage}_ms")
        return milliseconds / 1000

    def needed(self, stage: Stage) -> float:
        """Seconds that `stage` and those after it may take, up to the first sound."""
        return sum(map(self.share, dropwhile(lambda s: s != stage, STAGES)))

    def deadline(self, endpointing: EndpointingSettings) -> float:
        """Seconds after the end of speech at which the first sound is due.

        A conversation that waits longer for the user to go on is given that time.
        """
        waits = max(0, endpointing.silence_duration_ms - self.end_of_turn_ms)
        return (self.first_audio_ms + waits) / 1000

    def check(self, endpointing: EndpointingSettings, engine_timeout_s: float) -> None:
        """See that the shares fit into the whole, and the whole into how long we ever wait.

        Raises:
            ConfigError: they do not.
        """
        stages = [
            endpointing.preemptive_silence_ms,
            *(round(self.share(stage) * 1000) for stage in STAGES),
        ]
        if sum(stages) > self.first_audio_ms:
            shares = " + ".join(map(str, stages))
            raise ConfigError(
                f"[latency] [turn_detection] preemptive_silence_ms and the shares from "
                f"recognition_ms to network_ms ({shares} = {sum(stages)}) do not fit "
                f"first_audio_ms ({self.first_audio_ms}); shorten one or raise the whole"
            )
        if self.end_of_turn_ms + self.network_ms > self.first_audio_ms:
            raise ConfigError(
                f"[latency] end_of_turn_ms + network_ms ({self.end_of_turn_ms} + "
                f"{self.network_ms}) do not fit first_audio_ms ({self.first_audio_ms})"
            )
        if endpointing.silence_duration_ms > self.end_of_turn_ms:
            raise ConfigError(
                f"[latency] end_of_turn_ms ({self.end_of_turn_ms}) is shorter than "
                f"[turn_detection] silence_duration_ms ({endpointing.silence_duration_ms}); "
                f"raise it, and first_audio_ms with it"
            )
        if self.first_audio_ms > engine_timeout_s * 1000:
            raise ConfigError(
                f"[latency] first_audio_ms ({self.first_audio_ms}) is longer than [assistant] "
                f"engine_timeout_s ({engine_timeout_s:g} s), after which a turn is given up"
            )
