"""English words in misaki's phonemes, by the text front end in the package hibari-tts.

That is misaki's dictionaries and rules with a tagger of parts of speech, which tells "a record"
from "to record", and a small network for words that no dictionary has (Apache-2.0; 0.5 to 1 ms a
sentence, no spaCy, no espeak-ng). It gives phonemes for a line; here each written word keeps its
own, so that times can be told word by word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any

from ..errors import EngineError
from .phonemes import Spoken, sounding

_LONGEST = 40
"""Characters of a word that are read at once. The longest English words have fewer; the patterns
that take a word apart need time that grows with its square."""

_DIGITS = 15
"""A row of more digits is read digit by digit: there are no words for such numbers."""


_AT_ONCE = 100
"""Pieces read in one go, about 20 ms of work: sentences without an end come in more."""


@cache  # 60 MB and 0.4 s of CPU, the same for every voice
def english(british: bool = False) -> English:
    """The reader of American or British English; call it where it is to be loaded.

    Raises:
        ImportError: hibari-tts is not installed.
    """
    return English(british)


class English:
    """Reads a text aloud on paper."""

    def __init__(self, british: bool) -> None:
        from hibari import Hibari
        from hibari.g2p import G2P
        from hibari.g2p.token import Tok

        self._g2p: Any = G2P(british=british)
        self._token: Any = Tok
        self._split: Any = Hibari.split_sentences
        assert self._g2p.oov  # loaded now and not at the first word that no dictionary has

    def read(self, text: str) -> list[Spoken]:
        """As `sentences`, all in one list."""
        return [spoken for sentence in self.sentences(text) for spoken in sentence]

    def sentences(self, text: str) -> Iterator[list[Spoken]]:
        """The words of the text as they are said, sentence by sentence, each when asked for.

        One for each of `text.split()`, in order; of one that no person wrote there may be pieces,
        of which only the last has its text. What says nothing comes with its neighbours, so that
        each sentence says something; nothing comes if nothing does.

        Raises:
            EngineError: a word could not be read.
        """
        held: list[Spoken] = []
        for pieces in self._cut(text):
            read = self._read(pieces)
            if sounding(held) and sounding(read):
                yield held
                held = []
            held += read
        if sounding(held):
            yield held

    def _cut(self, text: str) -> Iterator[list[tuple[str, str]]]:
        """The sentences of the text: of each piece of a word the text that ends there, and it."""
        words = iter(text.split())
        counts = [len(sentence.split()) for sentence in self._split(text)]
        for count in counts:
            sentence = []
            for word in islice(words, count):
                *before, last = _pieces(word)
                sentence += [*(("", piece) for piece in before), (word, last)]
                while len(sentence) > _AT_ONCE:
                    yield sentence[:_AT_ONCE]
                    sentence = sentence[_AT_ONCE:]
            yield sentence

    def _read(self, pieces: list[tuple[str, str]]) -> list[Spoken]:
        try:
            said = self._phonemes([piece for _, piece in pieces])
        except Exception as error:  # rules that meet what nobody thought of
            text = " ".join(piece for _, piece in pieces)
            raise EngineError("tts", f"cannot read {text[:60]!r}: {error}") from error
        return [
            Spoken(word, f"{phonemes} " if phonemes else "")
            for (word, _), phonemes in zip(pieces, said, strict=True)
        ]

    def _phonemes(self, pieces: list[str]) -> list[str]:
        """What is said for each piece."""
        split = [[token for token in self._g2p.tokenizer.split(piece) if token] for piece in pieces]
        tags = iter(self._g2p.tagger([token for tokens in split for token in tokens]))
        tokens = [
            self._token(token, next(tags), " " if place == len(within) else "")
            for within in split
            for place, token in enumerate(within, 1)
        ]
        # Tokens may be joined, but never across a space: each one that has it ends a piece.
        said: list[str] = []
        run = ""
        for token in self._g2p.phonemize_tokens(tokens):
            run += token.phonemes or ""
            if token.whitespace:
                said.append(run.strip())
                run = ""
        return said


def _pieces(word: str) -> Iterator[str]:
    """The word, or what is read at once of one that no person wrote."""
    for run in re.findall(rf"\d{{{_DIGITS + 1},}}|(?:(?!\d{{{_DIGITS + 1}}}).)+", word):
        if run.isdigit() and len(run) > _DIGITS:
            yield from run
        else:
            for at in range(0, len(run), _LONGEST):
                yield run[at : at + _LONGEST]
