"""Which words of a reply have reached the user."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from ..engines import Speech, Word

PACE = 0.065
"""Seconds a character takes to say, until this voice has shown its own pace."""


@dataclass(slots=True)
class _SpokenClause:
    text: str
    seconds: float = 0.0
    words: list[Word] = field(default_factory=list)
    complete: bool = False
    """All of its sound was made; otherwise `seconds` covers only a part of `text`."""
    aside: bool = False
    begun: float = 0.0
    """Seconds of its sound that an earlier turn has said: `words` count from there."""

    def after(self, seconds: float, pace: float) -> _SpokenClause:
        """What is left of it once so many seconds of it were heard."""
        heard = len(self.within(seconds, pace))
        return _SpokenClause(
            " ".join(self.text.split()[heard:]),
            self.seconds - seconds,
            self.words[heard:],
            self.complete,
            self.aside,
            self.begun + seconds,
        )

    def within(self, seconds: float, pace: float) -> list[str]:
        """The words whose sound had ended after `seconds` of this clause."""
        if self.complete and seconds >= self.seconds:
            return [self.text] if self.text else []  # with the line breaks of code
        text = self.text.split()
        if self.words:
            return text[: sum(word.end - self.begun <= seconds for word in self.words)]
        # The engine does not tell when words are spoken: cut in proportion to their letters.
        whole = self.seconds if self.complete else max(self.seconds, pace * len(self.text))
        said = sum(map(len, text)) * min(seconds, self.seconds) / whole
        ends = accumulate(map(len, text))
        return text[: sum(end <= said for end in ends)]


class Spoken:
    """Clauses sent to the speaker, with how many seconds each takes."""

    def __init__(self) -> None:
        self._clauses: list[_SpokenClause] = []

    def begin(self, text: str, *, aside: bool = False) -> None:
        """What is added from now on speaks `text`. An aside is no part of the answer."""
        self._clauses.append(_SpokenClause(text, aside=aside))

    def end(self) -> None:
        """All the sound of what was begun last has been added; nothing if none was made."""
        if self._clauses:
            self._clauses[-1].complete = True

    def add(self, speech: Speech) -> None:
        clause = self._clauses[-1]
        clause.seconds += speech.audio.seconds
        clause.words += speech.words

    def pause(self, seconds: float) -> None:
        """Silence follows what was begun last, and is part of no clause."""
        self._clauses.append(_SpokenClause("", seconds, complete=True))

    def within(self, seconds: float) -> str:
        """The words spoken in the first `seconds` of sound."""
        return " ".join(word for _, words in self._heard(seconds) for word in words)

    def after(self, seconds: float) -> Spoken:
        """What is left to say, once so many seconds of sound were heard; it is spoken on there."""
        rest, pace = Spoken(), self._pace()
        for clause in self._clauses:
            # Of what is still being made, more follows, however much was heard.
            if not (clause.complete and clause.seconds <= seconds):
                rest._clauses.append(clause.after(min(seconds, clause.seconds), pace))
            seconds = max(0.0, seconds - clause.seconds)
        return rest

    @property
    def texts(self) -> list[str]:
        """Of each clause, what it says."""
        return [clause.text for clause in self._clauses if clause.text]

    def answers_within(self, seconds: float) -> bool:
        """Whether a word of them was the answer's."""
        return any(words and not clause.aside for clause, words in self._heard(seconds))

    def _pace(self) -> float:
        """Seconds a character of it takes to say."""
        complete = [clause for clause in self._clauses if clause.complete and clause.text]
        letters = sum(len(clause.text) for clause in complete)
        return sum(clause.seconds for clause in complete) / letters if letters else PACE

    def _heard(self, seconds: float) -> Iterator[tuple[_SpokenClause, list[str]]]:
        pace = self._pace()
        for clause in self._clauses:
            yield clause, clause.within(seconds, pace)
            if (seconds := seconds - clause.seconds) < 0:
                break
