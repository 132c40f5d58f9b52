"""Estimates when playback will run out of audio, which is the deadline for the next engine call.

Engines are shared, and of the turns that want one the soonest to fall silent goes first.
"""

from __future__ import annotations

import asyncio

PROMISED = 0.8
"""Seconds from the end of speech to the first sound, where nobody has set a deadline."""

LETTER = 0.06
"""Seconds it takes to say a character. Voices differ by a third, which only shifts the moment at
which one model's turn passes to another conversation."""


class PlayoutEstimate:
    """Times are on the loop's clock. `sound` and `text` are what `flow.due` asks for."""

    def __init__(self, promised: float) -> None:
        """promised: when the first sound is due."""
        self._silent = promised
        """When all that was given to the speaker will have been heard."""
        self._sounds = False
        self.unplayed = 0.0
        """Seconds of sound made and not yet given to the speaker."""
        self._letters = self._spoke = 0
        """Characters of the reply that are written, and those whose sound is made."""

    def sound(self) -> float:
        """When the listener hears silence, if no more sound is made."""
        return self._silent + self.unplayed

    def text(self) -> float:
        """When the listener hears silence, if no more is written."""
        return self.sound() + LETTER * max(0, self._letters - self._spoke)

    def wrote(self, characters: int) -> None:
        """So many more have been written."""
        self._letters += characters

    def made(self, seconds: float) -> None:
        """So much more sound is there."""
        self.unplayed += seconds

    def spoke(self, characters: int) -> None:
        """The sound of so many characters of the reply is made by now."""
        self._spoke = characters

    def begins(self) -> float:
        """When sound that goes to the speaker now will be heard."""
        now = asyncio.get_running_loop().time()
        return max(self._silent, now) if self._sounds else now

    def silent(self) -> float:
        """Seconds for which the listener has heard silence, now that they should hear sound."""
        now = asyncio.get_running_loop().time()
        return max(0.0, now - self._silent) if self._sounds else 0.0

    def restart(self, seconds: float) -> None:
        """What was given was not heard to its end: so much of it goes to the speaker again now."""
        self._silent = asyncio.get_running_loop().time() + seconds

    def gave(self, seconds: float) -> None:
        """So much of the sound goes to the speaker, which plays it once it has played the rest."""
        self._silent = self.begins() + seconds
        self._sounds = True
        self.unplayed -= seconds
