"""How long each stage of a turn may take, so that the first sound comes in time. No I/O.

Time counts from the end of the user's speech. Two things must both be over before anything is
heard: the silence that proves the end, and the answer's first clause, which is begun at the first
pause (`ListenSettings.pause_ms`) and made behind the gate.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import dropwhile
from typing import Literal, get_args, get_type_hints

from ..errors import ConfigError
from ..spelling import there_is
from .endpointing import ListenSettings

Stage = Literal["recognition", "retrieval", "first_token", "first_clause", "synthesis", "network"]
"""In the order a turn passes through them; each begins where the one before ends."""

Rung = Literal["fewer_passages", "short_clause", "single_pass", "filler", "light_voice", "apology"]
"""What can be given up, the cheapest loss first."""

STAGES: tuple[Stage, ...] = get_args(Stage)
RUNGS: tuple[Rung, ...] = get_args(Rung)


@dataclass(frozen=True, slots=True)
class BudgetSettings:
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
    ladder: str = " ".join(RUNGS)
    """What may be given up when time is short, in this order, with spaces between."""
    filler: str = "Let me see."
    """Spoken while the answer is late. Short: the answer waits for its end."""
    apology: str = "Sorry, that did not work. Please ask me again."
    """Spoken when there is no answer."""

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self)).items():
            if kind is int and getattr(self, name) < 0:
                raise ConfigError(
                    f"[budget] {name} should not be below 0, not {getattr(self, name)}"
                )
        for rung in self.ladder.split():
            if rung not in RUNGS:
                raise ConfigError(f"[budget] ladder has no rung {rung!r}; {there_is(rung, RUNGS)}")
            if self.ladder.split().count(rung) > 1:
                raise ConfigError(f"[budget] ladder has {rung!r} more than once")

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """The ladder, rung by rung."""
        return tuple(rung for name in self.ladder.split() for rung in RUNGS if rung == name)

    @property
    def sentences(self) -> list[str]:
        """What the ladder may say in place of an answer."""
        said = {"filler": self.filler, "apology": self.apology}
        return [said[rung] for rung in self.rungs if rung in said]

    def share(self, stage: Stage) -> float:
        """Seconds that a stage may take."""
        milliseconds: int = getattr(self, f"{stage}_ms")
        return milliseconds / 1000

    def needed(self, stage: Stage) -> float:
        """Seconds that `stage` and those after it may take, up to the first sound."""
        return sum(map(self.share, dropwhile(lambda s: s != stage, STAGES)))

    def deadline(self, listen: ListenSettings) -> float:
        """Seconds after the end of speech at which the first sound is due.

        A conversation that waits longer for the user to go on is given that time.
        """
        waits = max(0, listen.end_ms - self.end_of_turn_ms)
        return (self.first_audio_ms + waits) / 1000

    def check(self, listen: ListenSettings, patience_s: float) -> None:
        """See that the shares fit into the whole, and the whole into how long we ever wait.

        Raises:
            ConfigError: they do not.
        """
        stages = [listen.pause_ms, *(round(self.share(stage) * 1000) for stage in STAGES)]
        if sum(stages) > self.first_audio_ms:
            shares = " + ".join(map(str, stages))
            raise ConfigError(
                f"[budget] [listen] pause_ms and the shares from recognition_ms to network_ms "
                f"({shares} = {sum(stages)}) do not fit first_audio_ms ({self.first_audio_ms}); "
                f"shorten one or raise the whole"
            )
        if self.end_of_turn_ms + self.network_ms > self.first_audio_ms:
            raise ConfigError(
                f"[budget] end_of_turn_ms + network_ms ({self.end_of_turn_ms} + "
                f"{self.network_ms}) do not fit first_audio_ms ({self.first_audio_ms})"
            )
        if listen.end_ms > self.end_of_turn_ms:
            raise ConfigError(
                f"[budget] end_of_turn_ms ({self.end_of_turn_ms}) is shorter than [listen] end_ms "
                f"({listen.end_ms}); raise it, and first_audio_ms with it"
            )
        if self.first_audio_ms > patience_s * 1000:
            raise ConfigError(
                f"[budget] first_audio_ms ({self.first_audio_ms}) is longer than [assistant] "
                f"patience_s ({patience_s:g} s), after which a turn is given up"
            )
