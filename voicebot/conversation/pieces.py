"""The pieces of a reply, each chosen in the moment that the voice is free to speak it.

A piece is to be ready before what is already made has been heard: while little is queued it is
short, and it grows with the queue to whole sentences. Where the reply is written more slowly than
it is spoken, a part of a sentence waits for the rest as long as the queue allows.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from .clauses import Clause, Clauses
from .pace import Pace
from .pauses import SpeechSettings
from .playout_estimate import PlayoutEstimate

SECOND_S = 0.8
"""Seconds that a second piece lasts at least: the first has to be long enough to make it in."""
PATIENT_WORDS = 4
"""Words without a pause behind them that are spoken although the rest is not written yet. Fewer
would sound like dictation."""

SOON_S = 0.01
"""Seconds that it is not worth to wait for more text."""


class Pieces:
    """Feed it the reply while `next` is waited for in another task."""

    def __init__(
        self, pace: Pace, lead: PlayoutEstimate, speech: SpeechSettings, *, at_once: bool = True
    ) -> None:
        """pace: of the voice. lead: says when the listener would hear silence.

        at_once: somebody waits for the first sound and hears it as it is made; otherwise every
        piece is a sentence.
        """
        self._at_once = at_once
        self.text = Clauses(at_once=at_once)
        self._pace, self._lead, self._speech = pace, lead, speech
        self._came = asyncio.Event()
        self._error: Exception | None = None
        self._ended = False

    def feed(self, text: str) -> None:
        self.text.feed(text)
        self._came.set()

    def end(self, error: Exception | None = None, *, cut_off: bool = False) -> None:
        """No more is written.

        error: why, if it should have gone on: what has its end already is spoken.
        cut_off: it was to go on, but must not: it ends with its last whole sentence.
        """
        self._error, self._ended = error, True
        if not error:
            self.text.finish()
        if self.text.loop is not None:
            self.text.keep(self.text.loop)
        elif cut_off:
            self.text.keep_whole()
        self._came.set()

    async def next(self) -> Clause | None:
        """The next piece to be spoken, as soon as it should be begun; None behind the last.

        Raises:
            Exception: that `end` was given.
        """
        while True:
            self._came.clear()
            if piece := self._take():
                return piece
            if self._ended:
                if self._error:
                    raise self._error
                return None
            part = self.text.part(self._room) if self._at_once else None
            if part and len(part.words) < PATIENT_WORDS and part.kind == "word":
                part = None
            if part and (waits := self._room(part.said)) <= SOON_S:
                return self.text.take_part(part)
            with suppress(TimeoutError):
                async with asyncio.timeout(waits if part else None):
                    await self._came.wait()

    def _take(self) -> Clause | None:
        # A voice that is slower than speech is late with every piece: better where a pause is.
        room = self._room if self._at_once and self._pace.work < 1 else None
        return self.text.take(room, self._enough)

    def _room(self, text: str) -> float:
        """Seconds that are left until it has to be begun."""
        pause = self._speech.seconds(self.text.pause)
        heard = self._lead.sound() + pause - asyncio.get_running_loop().time()
        return heard - self._pace.head_start(text)

    def _enough(self, text: str) -> bool:
        """Whether another piece can be made while `text` sounds."""
        return self._pace.seconds(text) >= min(1.0, self._pace.work) * SECOND_S
