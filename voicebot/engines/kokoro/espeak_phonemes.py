"""Text to Kokoro's phonemes by espeak-ng, word by word, so that times can be told for each word.

For the languages other than English, which `english` reads. espeak-ng, in its own process, drops
punctuation, so it is given the text clause by clause and the marks are put back around its words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Protocol

from ... import languages
from ...errors import ConfigError
from ..phonemes import PUNCTUATION, SpokenWords, pieces

LANGUAGES = {
    "a": "en-us",
    "b": "en-gb",
    "e": "es",
    "f": "fr",
    "h": "hi",
    "i": "it",
    "p": "pt-br",
}
"""What a voice speaks, by the first letter of its name."""
_UNREAD = {"j": "ja", "z": "zh"}
_ESPEAK = {"fr": "fr-fr"}
_TIE = "^"

_LONGEST = 40
"""Words of a clause that are told apart at once: the work grows with the square of them."""

# How espeak-ng's sounds are written in the alphabet Kokoro learnt, longer ones first.
_SOUNDS = (
    ("a^ɪ", "I"), ("a^ʊ", "W"), ("d^z", "ʣ"), ("d^ʒ", "ʤ"), ("e^ɪ", "A"), ("o^ʊ", "O"),
    ("ə^ʊ", "Q"), ("s^s", "S"), ("t^s", "ʦ"), ("t^ʃ", "ʧ"), ("ɔ^ɪ", "Y"), ("-", ""),
)  # fmt: skip
_MARKS = str.maketrans({"«": "“", "»": "”", "’": "'"})


class EspeakPhonemes(Protocol):
    """What the phonemizer needs of espeak-ng."""

    def phonemes(self, text: str, voice: str = "en-us", tie: str = "") -> str: ...


def language(name: str, voice: str) -> str:
    """The language asked for by `name`, or else the one `voice` speaks.

    Raises:
        ConfigError: Kokoro speaks it and we cannot read it, or nobody knows it.
    """
    code = languages.code(name, LANGUAGES.values())
    code = code or LANGUAGES.get(voice[:1]) or _UNREAD.get(voice[:1], "")
    code = {"en": "en-us", "fr-fr": "fr", "pt": "pt-br"}.get(code, code)
    if code in LANGUAGES.values():
        return code
    choices = ", ".join(LANGUAGES.values())
    if code[:2] in _UNREAD.values():
        raise ConfigError(
            f"[tts] kokoro cannot read Japanese and Chinese aloud here; it reads {choices}"
        )
    raise ConfigError(
        f"[tts] kokoro has no language {code!r}; set language to {choices}"
        if code
        else f"[tts] kokoro cannot tell what voice {voice!r} speaks; set language to {choices}"
    )


class EspeakPhonemizer:
    """Reads texts of one language."""

    def __init__(self, language: str, espeak: EspeakPhonemes) -> None:
        self._espeak = espeak
        self._voice = _ESPEAK.get(language, language)

    def read(self, text: str) -> list[SpokenWords]:
        """One for each of `text.split()`, in order; as `phonemes.pieces` of what is too long.

        Raises:
            EngineError: espeak-ng failed.
        """
        words = [piece for word in text.translate(_MARKS).split() for piece in pieces(word)]
        said = self._say([_items(piece) for _, piece in words])
        texts = iter(text.split())  # as it was, with the marks of its own
        return [
            SpokenWords(next(texts) if word else "", phonemes)
            for (word, _), phonemes in zip(words, said, strict=True)
        ]

    def _say(self, items: list[list[str]]) -> list[str]:
        said = [list(word) for word in items]
        for clause in _clauses(items):
            texts = [items[word][place] for word, place in clause]
            for (word, place), phonemes in zip(clause, self._clause(texts), strict=True):
                said[word][place] = phonemes
        return [_join(parts) for parts in said]

    def _clause(self, words: list[str]) -> list[str]:
        """The phonemes of each word, said in one go: neighbours change each other."""
        together = self._ask(" ".join(words))
        apart = together.split()
        if len(apart) == len(words):
            return apart
        # It runs little words together ("ʌvðə") and reads figures as several. Where each word
        # ends is where what it is alone ends in what they are together.
        alone = [self._ask(word) for word in words]
        changes = SequenceMatcher(None, " ".join(alone), together, autojunk=False).get_opcodes()
        cuts, end = [0], -1
        for word in alone[:-1]:
            end += len(word) + 1
            start, _, into, until = next(c[1:] for c in changes if c[1] <= end < c[2])
            cuts.append(min(into + end - start, until))
        return [
            together[start:stop].strip()
            for start, stop in zip(cuts, [*cuts[1:], len(together)], strict=True)
        ]

    def _ask(self, text: str) -> str:
        ipa = self._espeak.phonemes(text, self._voice, _TIE)
        for sound, letter in _SOUNDS:
            ipa = ipa.replace(sound, letter)
        return ipa.replace(_TIE, "")


def _items(word: str) -> list[str]:
    """A word without the marks around it, between those marks."""
    word = word.replace("...", "…")
    core = word.strip("".join(PUNCTUATION) + "¿¡'*_")
    if not any(character.isalnum() for character in core):
        return ["—"] if word in ("-", "–", "--", "—") else [m for m in word if m in PUNCTUATION]
    head, _, tail = word.partition(core)
    return [
        *(mark for mark in head if mark in PUNCTUATION),
        core,
        *(mark for mark in tail if mark in PUNCTUATION),
    ]


def _clauses(items: list[list[str]]) -> Iterator[list[tuple[int, int]]]:
    """Where the words between two marks are: (word, place in it)."""
    clause: list[tuple[int, int]] = []
    for word, parts in enumerate(items):
        for place, item in enumerate(parts):
            if item not in PUNCTUATION:
                clause.append((word, place))
            if clause and (item in PUNCTUATION or len(clause) == _LONGEST):
                yield clause
                clause = []
    if clause:
        yield clause


def _join(parts: list[str]) -> str:
    """The parts of a word with spaces between, none inside brackets, one after."""
    line = " ".join(part for part in parts if part)
    line = re.sub(r"([(“]) ", r"\1", re.sub(r" (?=[;:,.!?…)”])", "", line))
    return f"{line} " if line else ""
