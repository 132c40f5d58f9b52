"""What a language has for reading figures aloud: its nouns, its small words and its rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from . import numbers
from .numbers import Gender

DIGITS = 40
"""Most digits that are read one by one. Of a longer number only its length is told."""


class Noun(NamedTuple):
    """What is counted."""

    one: str
    many: str
    gender: Gender = ""


Rule = tuple[str, Callable[["Grammar", re.Match[str]], str | None]]
"""A regular expression for what is written, and what is said for its match; None for: not this."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """One language. Its own rules are tried before those that all languages share."""

    code: str
    group: str
    """Characters that stand between groups of three digits."""
    decimal: str
    words: Mapping[str, str]
    """What signs are called, and the words that join figures; the keys are in `marks` and
    `figures`."""
    units: Mapping[str, Noun]
    currencies: Mapping[str, tuple[Noun, Noun]]
    """By sign or code: the coin and its hundredth."""
    magnitudes: Mapping[str, Noun]
    """By what is written between a number and its currency."""
    abbreviations: Mapping[str, str]
    """By what is written, with its dots, in small letters."""
    announcement: str
    """Said in place of a block of code."""
    money: Callable[[str, int, Noun], str]
    """The whole coins in words, how many hundredths, and what these are called."""
    rules: Sequence[Rule] = ()
    starters: frozenset[str] = frozenset()
    """Words in small letters at which one of `rules` may begin."""
    endings: tuple[str, ...] = ()
    """Ends of words at which one of `rules` may begin."""
    pairs: bool = False
    """Decimals are read as one number: "trois virgule quatorze"."""
    articles: frozenset[str] = frozenset()
    """Behind these an amount of money in front of a noun has no plural: "a twenty dollar bill"."""
    hyphen_plural: bool = False
    """Units behind a hyphen keep their plural; English: "a ten-kilometer run"."""
    plural_from_two: bool = False
    """"1,5 kilomètre" has no plural yet."""

    @property
    def number(self) -> str:
        """A regular expression for a number without its sign."""
        group, point = re.escape(self.group), re.escape(self.decimal)
        return rf"(?:\d{{1,3}}(?:[{group}]\d{{3}})+(?!\d)|\d+)(?:{point}\d+)?"

    def says(self, number: int, gender: Gender = "") -> str:
        return numbers.cardinal(number, self.code, gender)

    def ordinal(self, number: int) -> str:
        return numbers.ordinal(number, self.code)

    def year(self, number: int) -> str:
        return numbers.year(number, self.code)

    def digits(self, figures: str) -> str:
        count = sum(figure.isdecimal() for figure in figures)
        if count > DIGITS:
            return self.words["digits"].format(self.says(count))
        return numbers.digits(figures, self.code)

    def value(self, figures: str) -> float:
        """What is written, as far as a float can tell; for choosing between one and many."""
        whole, part = self.parted(figures)
        return float(f"{whole[:20] or 0}.{part[:20] or 0}")

    def parted(self, figures: str) -> tuple[str, str]:
        """The digits before the decimal sign, and those behind it."""
        whole, _, part = figures.partition(self.decimal)
        return "".join(c for c in whole if c.isdecimal()), part

    def amount(self, figures: str, gender: Gender = "") -> str:
        """A number as it is written in this language, in words."""
        whole, part = self.parted(figures)
        if len(whole) > len(str(numbers.READ_BY_DIGITS_FROM)) - 1 or (
            len(whole) > 1 and whole[0] == "0"
        ):
            said = self.digits(whole)
        else:
            said = self.says(int(whole or 0), "" if part else gender)
        return (
            f"{said} {self.words['point']} {self.behind_the_point(part, gender)}" if part else said
        )

    def behind_the_point(self, part: str, gender: Gender) -> str:
        if not self.pairs or len(part) > 2 or not int(part):
            return self.digits(part)
        nought = f"{self.says(0)} " if part[0] == "0" and len(part) > 1 else ""
        return nought + self.says(int(part), gender)

    def count(self, figures: str, noun: Noun) -> str:
        """An amount and what it is of: "five kilometers"."""
        return f"{self.amount(figures, noun.gender)} {self.of(figures, noun)}"

    def of(self, figures: str, noun: Noun) -> str:
        value = self.value(figures)
        return noun.one if value == 1 or (self.plural_from_two and value < 2) else noun.many


def among(words: str) -> frozenset[str]:
    """The words of a text, as a set to look others up in."""
    return frozenset(words.split())


def before(match: re.Match[str]) -> str:
    """The word before the match, without what stands around it; empty at the beginning."""
    words = match.string[max(0, match.start() - 40) : match.start()].split()
    return words[-1].strip("\"'“”‘’()[],;:") if words else ""


def after(match: re.Match[str]) -> str:
    """The word behind the match."""
    words = match.string[match.end() : match.end() + 40].split(None, 1)
    return words[0].strip("\"'“”‘’()[],;:.!?") if words else ""
