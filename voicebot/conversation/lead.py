"""How long an answer, as far as it is made, keeps its listener busy: what is due after that.

Engines are shared, and of the turns that want one the soonest to fall silent goes first.
"""

from __future__ import annotations

import asyncio

PROMISED = 0.8
"""Seconds from the end of speech to the first sound, where nobody has set a deadline."""

LETTER = 0.06
"""Seconds it takes to say a character. Voices differ by a third, which only shifts the moment at
which one model's turn passes to another conversation."""


class Lead:
    """Times are on the loop's clock. `sound` and `text` are what `flow.due` asks for."""

    def __init__(self, promised: float) -> None:
        """promised: when the first sound is due."""
        self._silent = promised
        """When all that was given to the speaker will have been heard."""
        self._sounds = False
        self._made = 0.0
        """Seconds of sound made and not yet given to the speaker."""
        self._written = 0.0
        """Seconds that it will take to say what is written and not yet made."""

    def sound(self) -> float:
        """When the listener hears silence, if no more sound is made."""
        return self._silent + self._made

    def text(self) -> float:
        """When the listener hears silence, if no more is written."""
        return self.sound() + self._written

    def wrote(self, text: str) -> None:
        """A piece to be spoken in one go has been written."""
        self._written += LETTER * len(text)

    def made(self, seconds: float) -> None:
        """So much more sound is there."""
        self._made += seconds

    def spoke(self, text: str) -> None:
        """All the sound of a piece is made."""
        self._written -= LETTER * len(text)

    def begins(self) -> float:
        """When sound that goes to the speaker now will be heard."""
        now = asyncio.get_running_loop().time()
        return max(self._silent, now) if self._sounds else now

    def gave(self, seconds: float) -> None:
        """So much of the sound goes to the speaker, which plays it once it has played the rest."""
        self._silent = self.begins() + seconds
        self._sounds = True
        self._made -= seconds
