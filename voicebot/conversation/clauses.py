"""Cut a reply, as it is written, into pieces worth speaking. No I/O.

The first piece is as short as still sounds whole, a clause or a phrase, because somebody is
waiting for it; after that a whole sentence sounds better, unless it is so long that the speaker
would run dry while it is being made.
"""

from __future__ import annotations

import re
from contextlib import aclosing
from dataclasses import dataclass

from ..engines.per_call import given_up
from ..flow import Stream
from ..normalize.markdown import Code, Markdown, plain
from .pauses import Pause, after

FIRST = 2
"""Words a first clause has at least: "Well," alone would be followed by an audible gap."""
PHRASE = 3
"""Words a first phrase has at least, for the same reason; it has no pause of its own to hide in."""
LONG = 24
"""Words after which a sentence is cut at its next comma: about eight seconds of speech."""
ENDLESS = 40
"""Words after which it is cut where a voice can rest: some models forget to write full stops, and
nothing more would be heard until the reply is complete."""

_SENTENCE = r"[.!?…]+[\"'”’)\]]*(?=\s)|[。！？]+[」』”]?|\n+"
_CLAUSE = r"[,;:][\"'”’)\]]*(?=\s)|\s[—–-](?=\s)|[，、；：]"
# English words that begin a phrase, so that the one before them may end. Not "of" and "to", which
# hold names and verbs together; languages without such a list wait for their first comma.
_JOINT = (
    "about|after|although|and|are|as|at|because|before|but|by|can|could|during|for|from|had|has"
    "|have|if|in|into|is|may|might|must|near|on|or|should|since|so|than|that|through|under|until"
    "|was|were|when|where|which|while|who|will|with|without|would"
)
_END = re.compile(
    rf"(?P<sentence>{_SENTENCE})|(?P<clause>{_CLAUSE})"
    rf"|(?P<phrase>[^\S\n]+(?=(?:{_JOINT})\s))|(?P<word>[^\S\n]+(?=\S))"
)
# English words that lean on the next one, so that a voice cannot rest there; and numbers, which
# may go on.
_LEANS = re.compile(
    r"(?:an?|the|this|that|these|those|my|your|his|her|its|our|their|of|to|in|on|at|by|for|from"
    r"|with|and|or|but|as|if|than|not|no|very|so|too|more|most|about|into|every|each|one|two|three"
    r"|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|\w+ty|hundred|thousand|million)",
    re.IGNORECASE,
)
_CLOSE = re.compile(r"[A-Z0-9]")  # a name or a number may go on behind the next word
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'])(?:mr|mrs|ms|dr|prof|st|vs|etc|approx|no|vol|fig|inc|ltd|jr|sr|ca|z|bzw"
    r"|[a-z]|(?:[a-z]\.)+[a-z])\.$",
    re.IGNORECASE,
)
_LIST_NUMBER = re.compile(r"(?:^|\n)\s*\d+\.$")


@dataclass(frozen=True, slots=True)
class Clause:
    """A piece of the reply, to be spoken in one go."""

    text: str
    goes_on: bool = False
    """It was cut in mid-sentence, where nothing shows that it is not the end."""
    pause: Pause = ""
    """What lies between the piece before it and this one."""
    silent: bool = False
    """It is code, to be seen and not heard."""

    @property
    def spoken(self) -> str:
        """What to give a synthesizer: a comma makes it hold its voice up for what follows."""
        if self.silent:
            return ""
        return f"{self.text}," if self.goes_on else self.text


class Clauses:
    """Feed it text as it is written; it gives back each piece once its end is certain."""

    def __init__(self) -> None:
        self.hurried = False
        """The first piece is to be as short as can be spoken at all."""
        self._markdown = Markdown()
        self._pending = ""
        self._begun = False
        self._pause: Pause = ""
        """What lies between the last piece and the next one."""
        self._newlines = 0
        """Since the last piece."""

    def feed(self, text: str) -> list[Clause]:
        return self._read(self._markdown.feed(text))

    def flush(self) -> list[Clause]:
        """The reply is complete: what is left is the last piece."""
        return [*self._read(self._markdown.flush()), *self._rest()]

    def _read(self, read: list[str | Code]) -> list[Clause]:
        pieces = []
        for each in read:
            if isinstance(each, str):
                pieces += self._cut(each)
            else:
                pieces += [*self._rest(), self._code(each)]
        return pieces

    def _code(self, code: Code) -> Clause:
        """Its first line stands for the announcement that normalize makes of it."""
        pause: Pause = "stop" if self._begun and code.opens else ""
        self._begun, self._pause, self._newlines = True, "stop", 0
        return Clause(code.text, pause=pause, silent=not code.opens)

    def _cut(self, text: str) -> list[Clause]:
        self._pending += text
        pieces, start = [], 0
        for end in _END.finditer(self._pending):
            piece = self._pending[start : end.end()]
            if self._cuts(piece, str(end.lastgroup)):
                pieces += self._speakable(piece, goes_on=end.lastgroup in ("phrase", "word"))
                start = end.end()
        self._pending = self._pending[start:]
        return pieces

    def _rest(self) -> list[Clause]:
        rest, self._pending = self._pending, ""
        return self._speakable(rest)

    def _cuts(self, piece: str, end: str) -> bool:
        if end == "sentence":
            return not (_ABBREVIATION.search(piece) or _LIST_NUMBER.search(piece))
        words = piece.split()
        if end == "clause":
            return len(words) >= (LONG if self._begun else FIRST)
        if not words or _CLOSE.search(words[-1]):
            return False
        if end == "phrase" and not self._begun and len(words) >= PHRASE:
            return True
        enough = FIRST if self.hurried and not self._begun else ENDLESS
        return len(words) >= enough and not _LEANS.fullmatch(words[-1])

    def _speakable(self, piece: str, goes_on: bool = False) -> list[Clause]:
        text = piece.rstrip()
        lines = piece.count("\n", len(text))
        piece = " ".join(plain(piece).split())
        if not any(c.isalnum() for c in piece):
            self._pass_over(lines)
            return []
        clause = Clause(piece, goes_on, self._pause)
        self._begun = True
        self._pause, self._newlines = "" if goes_on else after(text), 0
        self._pass_over(lines)
        return [clause]

    def _pass_over(self, newlines: int) -> None:
        """So many lines end before the next piece."""
        self._newlines += newlines
        if self._begun and self._newlines:
            self._pause = "stop" if self._newlines == 1 else "paragraph"


async def clauses(text: Stream[str]) -> Stream[Clause]:
    """Yield each piece as soon as the start of the next one has been seen."""
    cutter = Clauses()
    async with aclosing(text):
        async for more in text:
            cutter.hurried = "short_clause" in given_up.get()
            for piece in cutter.feed(more):
                yield piece
    for piece in cutter.flush():
        yield piece
