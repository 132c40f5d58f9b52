"""Cut a reply, as it is written, into pieces worth speaking. No I/O.

The first piece is as short as still sounds whole, a clause or a phrase, because somebody is
waiting for it; after that a whole sentence sounds better, unless it is so long that the speaker
would run dry while it is being made: then a part of it that the voice can make in time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass

from ..concurrency.worker import Stream
from ..normalize.markdown import Code, Markdown, plain
from . import sentences
from .pauses import Pause, after
from .repetition import Repetition

MIN_CLAUSE_WORDS = 2
"""Words a first clause has at least: "Well," alone would be followed by an audible gap."""
MIN_PHRASE_WORDS = 3
"""Words a first phrase has at least, for the same reason; it has no pause of its own to hide in."""
LONG_SENTENCE_WORDS = 24
"""Words after which a sentence is cut at its next comma: about eight seconds of speech."""
ENDLESS_SENTENCE_WORDS = 40
"""Words after which it is cut where a voice can rest: some models forget to write full stops, and
nothing more would be heard until the reply is complete."""
PART = 2
"""Words that a part of a sentence has at least, and what is left of the sentence behind it: a
single word has no melody."""
SOUNDS = {"sentence": 1.0, "clause": 1.0, "phrase": 0.7, "word": 0.4}
"""How well a part sounds that ends there, beside its length: a clause is worth as much as a string
of words two and a half times as long."""

_SENTENCE = (
    r"[.!?…]+[\"'”’)\]]*(?=\s)|[。！？]+[」』”]?|\n+"
    # Small models forget the space: "It is.Then". Not "vue.js" and "file.Name".
    r"|(?<=[a-zà-ÿ]{3})[.!?](?=(?:[A-Z][a-z]+|I|A)[\s,'’])"
)
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


@dataclass(frozen=True, slots=True)
class Cut:
    """A place where the text may be cut."""

    at: int
    kind: str
    """"sentence", "clause", "phrase" or "word"."""
    words: list[str]
    """Those before it."""

    @property
    def said(self) -> str:
        return " ".join(self.words)


Room = Callable[[str], float]
"""Seconds to spare if a text is begun to be spoken now; below 0 it will be late."""


class Clauses:
    """Feed it text as it is written, and take from it what is to be spoken next."""

    def __init__(self, *, at_once: bool = True) -> None:
        """at_once: somebody waits for the first piece, so that it is to be short."""
        self.degraded = False
        """The first piece is to be as short as can be spoken at all."""
        self.taken = 0
        """Characters of the text that have been taken."""
        self.pause: Pause = ""
        """What lies between the last piece and the next one."""
        self.loop: int | None = None
        """Characters before the point from which on the text only repeats itself, once it does."""
        self._at_once = at_once
        self._markdown, self._repetition = Markdown(), Repetition()
        self._pending = ""
        self._later: list[str | Code] = []
        """What follows behind `_pending`: a block of code, and what is behind that."""
        self._complete = False
        self._begun = False
        self._sentences = 0
        """That have been taken to their end."""
        self._last = ""
        """The last word that was taken of the sentence that `_pending` goes on with, if any was."""
        self._newlines = 0
        """Since the last piece."""

    @property
    def is_first(self) -> bool:
        """Somebody waits for the next piece, because it is the first."""
        return self._at_once and not self._begun

    def feed(self, text: str) -> None:
        self._add(self._markdown.feed(text))

    def finish(self) -> None:
        """No more is written: what is left may be taken to its end."""
        self._add(self._markdown.flush())
        self._complete = True

    def _add(self, read: list[str | Code]) -> None:
        for each in read:
            if isinstance(each, str):
                found = self._repetition.feed(each)
                self.loop = found if self.loop is None else self.loop
            if not self._later and isinstance(each, str):
                self._pending += each
            elif self._later and isinstance(each, str) and isinstance(self._later[-1], str):
                self._later[-1] += each
            else:
                self._later.append(each)

    def keep(self, characters: int) -> None:
        """The text ends after so many, or where the sentence ends of which a part is taken."""
        left = max(0, characters - self.taken)
        if self._last and not left:
            left = next(_sentence_ends(self._pending), len(self._pending))
        kept: list[str | Code] = []
        room = left - len(self._pending)
        for each in self._later:
            if room <= 0:
                break
            kept.append(each[:room] if isinstance(each, str) else each)
            room -= len(each) if isinstance(each, str) else 0
        self._pending, self._later = self._pending[:left], kept

    def keep_whole(self) -> None:
        """The text was cut off: it ends with its last whole sentence, if there is one."""
        if self._later:
            if isinstance(last := self._later[-1], str):
                self._later[-1] = last[: max(_sentence_ends(last), default=0)]
            return
        ends = [*_sentence_ends(self._pending)]
        if ends or (self._sentences and not self._last):
            self._pending = self._pending[: ends[-1] if ends else 0]

    def take(
        self, room: Room | None = None, enough: Callable[[str], bool] | None = None
    ) -> Clause | None:
        """The next piece; None while there is none whose end is certain.

        room: where it is given, a piece that would be late is cut shorter, if that helps.
        enough: whether a first piece is long enough for the voice to make the next one meanwhile.
        """
        while self._pending or self._later:
            if not self._pending:
                following = self._later.pop(0)
                if isinstance(following, Code):
                    return self._code(following)
                self._pending = following
            cuts: list[Cut] = []
            whole = self._whole(cuts, enough)
            if whole is None:
                if not self._is_written:
                    return None
                whole = Cut(len(self._pending), "sentence", self._pending.split())
            if room and not self.is_first and room(whole.said) < 0:
                whole = _best(self._parts(cuts, whole), room) or whole
            if clause := self._cut_off(whole):
                return clause
        return None

    @property
    def _is_written(self) -> bool:
        """`_pending` grows no more."""
        return self._complete or bool(self._later)

    def _code(self, code: Code) -> Clause:
        """Its first line stands for the announcement that normalize makes of it."""
        pause: Pause = "stop" if self._begun and code.opens else ""
        self._begun, self.pause, self._newlines, self._last = True, "stop", 0, ""
        return Clause(code.text, pause=pause, silent=not code.opens)

    def part(self, room: Room) -> Cut | None:
        """What could be taken of a sentence that is still being written, and so is not `take`n."""
        if self.is_first or self._is_written:
            return None
        return _best(self._parts([*self._cuts()], None), room)

    def take_part(self, part: Cut) -> Clause | None:
        """Take it, though the rest of its sentence is not written yet."""
        return self._cut_off(part)

    def _cuts(self) -> Iterator[Cut]:
        """Where what is written may be cut, in order, as far as that is certain."""
        for end in _END.finditer(self._pending):
            kind, at = str(end.lastgroup), end.end()
            if kind == "sentence" and "\n" not in end.group():
                is_end = self._is_end(self._pending, at)
                if is_end is None:
                    return
                if not is_end:
                    continue
            yield Cut(at, kind, self._pending[:at].split())

    def _is_end(self, text: str, at: int) -> bool | None:
        before = f"{self._last} {text[:at]}" if self._last else text[:at]
        return sentences.ends(before, text[at:], complete=self._is_written)

    def _whole(self, cuts: list[Cut], enough: Callable[[str], bool] | None) -> Cut | None:
        """The first place where a piece should end; those before it are added to `cuts`."""
        for cut in self._cuts():
            if self._should(cut) and (
                not self.is_first or not enough or cut.kind == "sentence" or enough(cut.said)
            ):
                return cut
            cuts.append(cut)
        return None

    def _should(self, cut: Cut) -> bool:
        words = cut.words
        if cut.kind == "sentence":
            return True
        if cut.kind == "clause":
            return len(words) >= (MIN_CLAUSE_WORDS if self.is_first else LONG_SENTENCE_WORDS)
        if not _may_rest(words):
            return False
        if cut.kind == "phrase" and self.is_first and len(words) >= MIN_PHRASE_WORDS:
            return True
        enough = MIN_CLAUSE_WORDS if self.degraded and self.is_first else ENDLESS_SENTENCE_WORDS
        return len(words) >= enough and not _LEANS.fullmatch(words[-1])

    def _parts(self, cuts: list[Cut], whole: Cut | None) -> list[Cut]:
        """Those of `cuts` where a piece may end that has to be shorter than `whole`."""
        return [
            cut
            for cut in cuts
            if len(cut.words) >= PART
            and (whole is None or len(whole.words) - len(cut.words) >= PART)
            and (cut.kind == "clause" or _may_rest(cut.words) or _is_number(cut))
            and (cut.kind != "word" or not _LEANS.fullmatch(cut.words[-1]))
        ]

    def _cut_off(self, cut: Cut) -> Clause | None:
        piece, self._pending = self._pending[: cut.at], self._pending[cut.at :]
        self.taken += cut.at
        self._last = "" if cut.kind == "sentence" else [self._last, *cut.words][-1]
        clause = self._speakable(piece, goes_on=cut.kind in ("phrase", "word"))
        self._sentences += bool(clause) and cut.kind == "sentence"
        return clause

    def _speakable(self, piece: str, *, goes_on: bool) -> Clause | None:
        text = piece.rstrip()
        lines = piece.count("\n", len(text))
        piece = " ".join(plain(piece).split())
        if not any(c.isalnum() for c in piece):
            self._pass_over(lines)
            return None
        clause = Clause(piece, goes_on, self.pause)
        self._begun = True
        self.pause, self._newlines = "" if goes_on else after(text), 0
        self._pass_over(lines)
        return clause

    def _pass_over(self, newlines: int) -> None:
        """So many lines end before the next piece."""
        self._newlines += newlines
        if self._begun and self._newlines:
            self.pause = "stop" if self._newlines == 1 else "paragraph"


def _may_rest(words: list[str]) -> bool:
    """Whether a voice can rest behind them: not within a name, a number or an abbreviation."""
    return bool(words) and not _CLOSE.search(words[-1]) and not words[-1].endswith(".")


def _is_number(cut: Cut) -> bool:
    """Whether it is behind a number that does not go on: "in 1931 | by a gardener"."""
    return cut.kind == "phrase" and cut.words[-1].isdecimal()


def _best(parts: list[Cut], room: Room) -> Cut | None:
    """The part that sounds best of those in time, or else the one that is the least late."""
    timely = [cut for cut in parts if room(cut.said) >= 0]
    if not timely:
        return parts[0] if parts else None
    return max(timely, key=lambda cut: SOUNDS[cut.kind] * cut.at)


def _sentence_ends(text: str) -> Iterator[int]:
    """Where the whole sentences of a text end that was cut off."""
    if not re.search(r"\d\.$", text):  # which may have been "3.50"
        text += " "
    for end in _END.finditer(text):
        if end.lastgroup == "sentence" and (
            "\n" in end.group()
            or sentences.ends(text[: end.end()], text[end.end() :], complete=False)
        ):
            yield end.end()


async def clauses(text: Stream[str]) -> Stream[Clause]:
    """Yield each piece as soon as the start of the next one has been seen."""
    cutter = Clauses()
    async with aclosing(text):
        async for more in text:
            cutter.feed(more)
            while piece := cutter.take():
                yield piece
    cutter.finish()
    while piece := cutter.take():
        yield piece
