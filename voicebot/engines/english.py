"""English words in misaki's phonemes, by the text front end in the package hibari-tts.

That is misaki's dictionaries and rules with a tagger of parts of speech, which tells "a record"
from "to record", and a small network for words that no dictionary has (Apache-2.0; 0.5 to 1 ms a
sentence, no spaCy, no espeak-ng). It gives phonemes for a line; here each written word keeps its
own, so that times can be told word by word.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any

from ..errors import Quoting
from .phonemes import SpokenWords, pieces, sounding

log = logging.getLogger(__name__)

_DASHES = frozenset(("-", "–", "--", "—"))

_QUOTES = frozenset('"“”„«»')

_STOPS = frozenset(".!?…")

_AT_ONCE = 600
"""Characters read in one go, a few milliseconds of work: sentences without an end come in more."""


@cache  # 60 MB and 0.4 s of CPU, the same for every voice
def english(british: bool, /) -> English:  # by place: a cache tells names apart
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

    def read(self, text: str) -> list[SpokenWords]:
        """As `sentences`, all in one list."""
        return [spoken for sentence in self.sentences(text) for spoken in sentence]

    def sentences(self, text: str) -> Iterator[list[SpokenWords]]:
        """The words of the text as they are said, sentence by sentence, each when asked for.

        One for each of `text.split()`, in order; of one that no person wrote there may be pieces,
        of which only the last has its text. What says nothing comes with its neighbours, so that
        each sentence says something; nothing comes if nothing does.
        """
        held: list[SpokenWords] = []
        for sentence in self._cut(text):
            read = self._read(sentence)
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
            sentence: list[tuple[str, str]] = []
            length = 0
            for word in islice(words, count):
                for end, piece in pieces(word, _plain(word)):
                    if length > _AT_ONCE:
                        yield sentence
                        sentence, length = [], 0
                    sentence.append((end, piece))
                    length += len(piece)
            yield sentence

    def _read(self, sentence: list[tuple[str, str]]) -> list[SpokenWords]:
        texts = [piece for _, piece in sentence]
        try:
            said = self._phonemes(texts)
        except Exception:  # noqa: BLE001 - rules that meet what nobody thought of
            said = [self._alone(text) for text in texts]
        last = sentence[-1][1].rstrip("".join(_QUOTES) + ")'")
        if last.endswith(".") and said[-1] and not _STOPS.intersection(said[-1]):
            said[-1] += "."  # which it took for the abbreviation's alone: "at 6 p.m."
        return [
            SpokenWords(word, f"{phonemes} " if phonemes else "")
            for (word, _), phonemes in zip(sentence, said, strict=True)
        ]

    def _alone(self, text: str) -> str:
        """What is said for a text without its neighbours; nothing where it cannot be read."""
        try:
            return self._phonemes([text])[0]
        except Exception as error:  # noqa: BLE001 - one word less is better than no answer
            log.warning("%s", Quoting("a word cannot be read aloud", f": {text!r} ({error})"))
            return ""

    def _phonemes(self, texts: list[str]) -> list[str]:
        """What is said for each of the texts, which follow each other."""
        split = [[token for token in self._g2p.tokenizer.split(text) if token] for text in texts]
        # The tagger has not met quotation marks: it would make a word of one, which then joins
        # with its neighbour, and '"Yes."' is read as the plural of "Ye".
        words = [token for tokens in split for token in tokens if token not in _QUOTES]
        tags = iter(self._g2p.tagger(words))
        tokens = []
        for within in split:
            inside = False  # a word, where quotation marks close and do not open
            for token in within:
                mark = "''" if inside else "``"
                tokens.append(self._token(token, mark if token in _QUOTES else next(tags), ""))
                inside = inside or token.isalnum()
            tokens[-1].whitespace = " "
        # Tokens may be joined, but never across a space: each one that has it ends a piece.
        said: list[str] = []
        run = ""
        for token in self._g2p.phonemize_tokens(tokens):
            run += token.phonemes or ""
            if token.whitespace:
                said.append(run.strip())
                run = ""
        return said


def _plain(word: str) -> str:
    """The word with digits of all kinds as 0 to 9, which is what the rules can count with."""
    if word in _DASHES:
        return "—"
    return "".join(str(unicodedata.digit(c)) if c.isdigit() else c for c in word)
