"""From written words to what a voice is given, one reading for each written word.

The text is read once from left to right. Where a token begins, the rules of the language are tried
in order; the first that fits says what its whole match is called, be it a part of a word or
several words. What no rule knows stays as it is, for the voice itself to read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module

from . import figures, marks
from .clean import clean
from .grammar import Grammar

LANGUAGES = {"en": "english", "de": "german", "fr": "french", "es": "spanish"}
"""Those with a grammar, and the module that has it."""

MAX_WORD_CHARACTERS = 100
"""ASCII characters a word may have. No word has more; keys and encoded data do, and a voice would
be busy with them for minutes."""
UNSPACED = 1000
"""Characters of any kind that are read without a space between them; some scripts have none."""

_FENCE = re.compile(r"\s*(```|~~~)")
_LONG = re.compile(rf"[!-~]{{{MAX_WORD_CHARACTERS + 1},}}")
_LONG_BUT_READ = re.compile(r"[(<\"'\[]*(?:https?://|www\.)|\d+(?:[.,]\d{3})*$")
_TOKEN = re.compile(r"[^\W_]+(?:'[^\W\d_]+)*")
_SIMPLE = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*(?=[\s,;!?]|:(?!/)|\.?$|\.\s)")
_PAUSES = frozenset(".,;:!?…—–-\"'“”„«»()¿¡。，、！？：；「」")
_Rule = tuple[re.Pattern[str], Callable[[Grammar, re.Match[str]], str | None]]


@dataclass(frozen=True, slots=True)
class Reading:
    """A word as it is written, and as it is said."""

    written: str
    spoken: str
    """Any number of words; empty where the word before says it too, or nothing is to be said."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of text that is said in one way."""

    start: int
    end: int
    spoken: str
    read: bool = False
    """A rule made it, so that it is a word by itself."""


def readings(text: str, language: str) -> list[Reading]:
    """What is said for each word of `text.split()`, in order.

    language: a code as "en" or "en-gb". In a language without a grammar only what cannot be
        spoken at all is taken out.
    """
    written = text.split()
    grammar = _grammar(language)
    _read.add(language)
    if written and _FENCE.match(text):
        said = grammar.announcement if grammar else ""
        return [Reading(written[0], said), *(Reading(word, "") for word in written[1:])]
    plain = [clean(word) for word in written]
    if grammar is None:
        return [Reading(w, _bounded(p, "")) for w, p in zip(written, plain, strict=True)]
    spoken = _spoken([_bounded(p, grammar.words["long"]) for p in plain], grammar, _rules(grammar))
    return [Reading(w, s) for w, s in zip(written, spoken, strict=True)]


def is_ready(language: str) -> bool:
    """Whether a text in it has been read before; the first one takes 50 ms or so more."""
    return language in _read


_read: set[str] = set()


@lru_cache
def _grammar(language: str) -> Grammar | None:
    code, _, region = language.lower().replace("_", "-").partition("-")
    if code not in LANGUAGES:
        return None
    grammar: Grammar = import_module(f".{LANGUAGES[code]}", __package__).grammar(region)
    return grammar


_COMPILED: dict[int, tuple[_Rule, ...]] = {}


def _rules(grammar: Grammar) -> tuple[_Rule, ...]:
    if id(grammar) not in _COMPILED:  # grammars live as long as the process
        written = [*grammar.rules, *marks.rules(grammar), *figures.rules(grammar)]
        _COMPILED[id(grammar)] = tuple((re.compile(rule), say) for rule, say in written)
    return _COMPILED[id(grammar)]


def _spoken(words: list[str], grammar: Grammar, rules: tuple[_Rule, ...]) -> list[str]:
    text = " ".join(words)
    said = ["" for _ in words]
    owner = 0  # the word that what was read last belongs to
    at, number, end = 0, 0, len(words[0]) if words else 0
    covered, read = 0, False
    for piece in _pieces(text, grammar, rules):
        while piece.start > end:  # on to the word that it begins in
            number += 1
            at = end + 1
            end = at + len(words[number])
        # What is left of a word that figures before it took a part of goes with them.
        if covered <= at:
            owner = number
        if not (piece.spoken == "." and read and said[owner].endswith(".")):  # "at 6 A.M."
            said[owner] = _joined(said[owner], piece)
        read = piece.read
        covered = max(covered, piece.end) if piece.read else covered
    return [_speakable(word) for word in said]


def _joined(said: str, piece: _Piece) -> str:
    if not piece.spoken:
        return said
    if said and said[-1].isalnum() and (piece.read or piece.spoken[0].isalnum()):
        return f"{said} {piece.spoken}"
    return said + piece.spoken


def _pieces(text: str, grammar: Grammar, rules: tuple[_Rule, ...]) -> Iterator[_Piece]:
    at = 0
    while at < len(text):
        if text[at] == " ":
            at += 1
            continue
        simple = _SIMPLE.match(text, at)
        if simple and not _needs_rule(simple[0], grammar):
            yield _Piece(at, simple.end(), simple[0])
            at = simple.end()
            continue
        for rule, say in rules:
            match = rule.match(text, at)
            if match and match.end() > at and (spoken := say(grammar, match)) is not None:
                yield _Piece(at, match.end(), spoken, read=True)
                at = match.end()
                break
        else:
            token = _TOKEN.match(text, at)
            stop = token.end() if token else at + 1
            yield _Piece(at, stop, text[at:stop])
            at = stop


def _needs_rule(word: str, grammar: Grammar) -> bool:
    """Whether a word of letters alone is anything but a plain word."""
    if len(word) > 1 and not word[1:].islower():
        return True
    low = word.lower()
    if low in grammar.starters or (grammar.endings and low.endswith(grammar.endings)):
        return True
    return not word.replace("'", "").isalpha()


def _bounded(word: str, instead: str) -> str:
    """The word, or what is said instead where nobody could follow it."""
    if len(word) <= MAX_WORD_CHARACTERS or (instead and _LONG_BUT_READ.match(word)):
        return word[:UNSPACED] if "/" in word else word
    return _LONG.sub(f" {instead} ", word).strip()[:UNSPACED]


def _speakable(word: str) -> str:
    """Nothing, if only signs are left that a voice would name, as in ":-)" or "|"."""
    if any(c.isalnum() for c in word):
        return " ".join(word.split())
    if word == "-":
        return "—"
    return word if all(c in _PAUSES for c in word) and word != "'" else ""
