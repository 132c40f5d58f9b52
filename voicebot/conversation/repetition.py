"""Notice that a chat model says the same again and again. No I/O.

Small models fall into loops of a sentence or of a few words, and end only at their limit. A
refrain, a list and a poem repeat themselves too, but with something in between, or not for long.
"""

from __future__ import annotations

import re

SENTENCES = 4
"""Sentences that a loop has at most."""
TIMES = 3
"""Times that sentences come one after the other before they are a loop."""
TIMES_SHORT = 4
"""The same for fewer than LONG words: a chorus says short lines thrice."""
LONG = 6
LEAST = 3
"""Words that a loop of sentences has at least: "No. No. No." is said by people."""
PHRASE = 8
"""Words that a loop within a sentence has at most."""
PHRASE_TIMES = 6
PHRASE_WORDS = 24
"""Words that such loops have said in all before they are one."""

_SENTENCE = re.compile(r"[^.!?…\n]*[.!?…\n]+")
_WORD = re.compile(r"\w+(?:['’]\w+)*")


class Repetition:
    """Feed it a reply as it is written; it tells from where on it is a loop."""

    def __init__(self) -> None:
        self._text = ""
        self._read = 0
        """Characters of whole sentences."""
        self._sentences: list[tuple[tuple[str, ...], int]] = []
        """The words of each, and where it begins."""

    def feed(self, text: str) -> int | None:
        """How many characters of the reply come before the loop it is in; None if it is in none.

        What is said for the first time is not part of the loop.
        """
        self._text += text
        for match in _SENTENCE.finditer(self._text, self._read):
            if match.end() == len(self._text):
                break  # its end may go on
            self._read = match.end()
            if words := _words(match.group()):
                self._sentences.append((words, match.start()))
                if (start := self._loop_of_sentences()) is not None:
                    return start
        return self._loop_of_words()

    def _loop_of_sentences(self) -> int | None:
        said = self._sentences
        for size in range(1, SENTENCES + 1):
            cycle = [words for words, _ in said[-size:]]
            length = sum(map(len, cycle))
            times = TIMES if length >= LONG else TIMES_SHORT
            if length < LEAST or len(said) < times * size:
                continue
            if [words for words, _ in said[-times * size :]] == cycle * times:
                return said[-(times - 1) * size][1]
        return None

    def _loop_of_words(self) -> int | None:
        """Within the sentence that is being written."""
        written = [*_WORD.finditer(self._text, self._read)]
        words = [match.group().lower() for match in written[:-1]]  # the last may go on
        for size in range(1, PHRASE + 1):
            times = max(PHRASE_TIMES, -(-PHRASE_WORDS // size))
            cycle, first = words[-size:], len(words) - size
            while first >= size and words[first - size : first] == cycle:
                first -= size
            if len(words) - first >= times * size:
                return written[first + size].start()
        return None


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in _WORD.findall(text))
