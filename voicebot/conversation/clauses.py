"""Cut a reply, as it is written, into pieces worth speaking. No I/O.

The first piece may be a clause, because somebody is waiting for it; after that a whole sentence
sounds better, unless it is so long that the speaker would run dry while it is being made.
"""

from __future__ import annotations

import re
from contextlib import aclosing

from ..flow import Stream

FIRST = 2
"""Words a first clause has at least: "Well," alone would be followed by an audible gap."""
LONG = 24
"""Words after which a sentence is cut at its next comma: about eight seconds of speech."""

_SENTENCE = r"[.!?…]+[\"'”’)\]]*(?=\s)|[。！？]+[」』”]?|\n+"
_CLAUSE = r"[,;:][\"'”’)\]]*(?=\s)|\s[—–-](?=\s)|[，、；：]"
_END = re.compile(f"(?P<sentence>{_SENTENCE})|(?P<clause>{_CLAUSE})")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'])(?:mr|mrs|ms|dr|prof|st|vs|etc|approx|no|vol|fig|inc|ltd|jr|sr|ca|z|bzw"
    r"|[a-z]|(?:[a-z]\.)+[a-z])\.$",
    re.IGNORECASE,
)
_LIST_NUMBER = re.compile(r"(?:^|\n)\s*\d+\.$")
_MARKUP = [  # what language models write for screens and nobody wants to hear
    (re.compile(r"!?\[([^\]]*)\]\([^)]*\)"), r"\1"),  # [text](address)
    (re.compile(r"^\s*(?:[-*•]\s+|#+\s+|>\s+)", re.MULTILINE), ""),
    (re.compile(r"(?<!\w)[*_~]+(?=\w)|(?<=[\w.,;:!?])[*_~]+(?!\w)|`+|\*\*"), ""),
]


class Clauses:
    """Feed it text as it is written; it gives back each piece once its end is certain."""

    def __init__(self) -> None:
        self._pending = ""
        self._begun = False

    def feed(self, text: str) -> list[str]:
        self._pending += text
        pieces, start = [], 0
        for end in _END.finditer(self._pending):
            piece = self._pending[start : end.end()]
            if self._cuts(piece, is_clause=end.lastgroup == "clause"):
                pieces += self._speakable(piece)
                start = end.end()
        self._pending = self._pending[start:]
        return pieces

    def flush(self) -> list[str]:
        """The reply is complete: what is left is the last piece."""
        rest, self._pending = self._pending, ""
        return self._speakable(rest)

    def _cuts(self, piece: str, *, is_clause: bool) -> bool:
        if not is_clause:
            return not (_ABBREVIATION.search(piece) or _LIST_NUMBER.search(piece))
        words = len(piece.split())
        return words >= (LONG if self._begun else FIRST)

    def _speakable(self, piece: str) -> list[str]:
        for pattern, plain in _MARKUP:
            piece = pattern.sub(plain, piece)
        piece = " ".join(piece.split())
        if not any(c.isalnum() for c in piece):
            return []
        self._begun = True
        return [piece]


async def clauses(text: Stream[str]) -> Stream[str]:
    """Yield each piece as soon as the start of the next one has been seen."""
    cutter = Clauses()
    async with aclosing(text):
        async for more in text:
            for piece in cutter.feed(more):
                yield piece
    for piece in cutter.flush():
        yield piece
