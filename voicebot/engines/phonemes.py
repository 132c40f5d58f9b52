"""Words with their phonemes: cut into what a network takes at once, and timed by its durations.

Kokoro and hibari share an alphabet, misaki's, and a rate of durations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from ..audio import Audio, Samples
from .protocols import Speech, Word

PUNCTUATION = frozenset(';:,.!?—…"()“”')
"""What Kokoro was trained to pause and inflect for, and hibari after it."""

# Runs of symbols, each with the number of its first.
_ALPHABET = {
    1: ';:,.!?', 9: '—…"()“”', 16: " \u0303ʣʥʦʨᵝ\uab67AI", 31: "O", 33: "Q", 35: "ST", 39: "W",
    41: "Yᵊabcdef", 50: "hijklmnopqrstuvwxyzɑɐɒæ", 75: "βɔɕç", 80: "ɖðʤə", 85: "ɚɛɜ", 90: "ɟ",
    92: "ɡ", 99: "ɥ", 101: "ɨɪʝ", 110: "ɯɰŋɳɲɴø", 118: "ɸθœ", 123: "ɹ", 125: "ɾɻ", 128: "ʁɽʂʃʈʧ",
    135: "ʊʋ", 138: "ʌɣɤ", 142: "χʎ", 147: "ʒʔ", 156: "ˈˌː", 162: "ʰ", 164: "ʲ", 169: "↓",
    171: "→↗↘", 177: "ᵻ",
}  # fmt: skip
VOCABULARY = {
    symbol: first + place
    for first, symbols in _ALPHABET.items()
    for place, symbol in enumerate(symbols)
}
"""The number of each phoneme in both networks, as Kokoro-82M was published; 0 is silence."""

RATE = 24_000
"""Samples per second of both networks' sound."""
FRAME = 600
"""Samples per unit of a duration, in both."""


_LONGEST = 40
"""Characters of a word that are read at once. The longest words have fewer; the patterns that
take a word apart need time that grows with its square."""

_DIGITS = 15
"""A row of more digits is read digit by digit: there are no words for such numbers."""
_REPEATED = re.compile(r"([^\w\s])\1{3,}")
_RUNS = re.compile(rf"\d{{{_DIGITS + 1},}}|(?:(?!\d{{{_DIGITS + 1}}}).)+", re.DOTALL)

LATE = 0.05
"""Seconds by which both networks' durations lag behind their sound: where a pause shows when a
word begins, 0.05 in the median and 0.025 to 0.08 from the 5th to the 95th centile."""
AUDIBLE = 0.003
"""Root mean square below which nothing is heard, -50 dBFS."""
_HOP = 120  # samples, 5 ms
_PAUSES = ((".!?…", 0.45), (",;:—", 0.2))
"""Seconds. Both networks make 0.37 to 0.58 at a stop and 0.17 to 0.31 at a comma inside a text."""


@dataclass(frozen=True, slots=True)
class SpokenWords:
    """A word of the text and how it is said."""

    text: str
    phonemes: str
    """With the punctuation at the word and the space after it; empty where nothing is said."""


def pieces(word: str, said: str = "") -> list[tuple[str, str]]:
    """What is read at once of a word that no person wrote; of any other, all of it.

    Each is what it is the end of, which only the last piece is, and what to read: `said`, or the
    word itself.
    """
    cut: list[str] = []
    for run in _RUNS.findall(_REPEATED.sub(r"\1\1\1", said or word)):
        size = 1 if len(run) > _DIGITS and run.isdigit() else _LONGEST
        cut += [run[at : at + size] for at in range(0, len(run), size)]
    return [(word if place == len(cut) else "", piece) for place, piece in enumerate(cut, 1)]


def sounding(words: Sequence[SpokenWords]) -> bool:
    """Whether any of the words says more than punctuation does."""
    return any(set(word.phonemes) - PUNCTUATION - {" "} for word in words)


def known(words: Sequence[SpokenWords], vocabulary: dict[str, int]) -> list[SpokenWords]:
    """The words without what a network's alphabet lacks, so that phonemes count as it counts."""
    return [
        SpokenWords(word.text, "".join(symbol for symbol in word.phonemes if symbol in vocabulary))
        for word in words
    ]


def numbers(words: Sequence[SpokenWords], vocabulary: dict[str, int]) -> list[int]:
    """The network's number for each phoneme of a part, without the space after the last word."""
    ids = [vocabulary[symbol] for word in words for symbol in word.phonemes]
    if ids and words[-1].phonemes.endswith(" "):
        ids.pop()
    return ids


def times(
    words: Sequence[SpokenWords], frames: Sequence[float], start: float, sound: Samples
) -> tuple[Word, ...]:
    """When each word is heard, from the frames of the silence before, each phoneme, and after.

    A word lasts from its first sound to its last; the pause at its comma is not part of it. One
    that says nothing is heard, for no time, when the one before it ends.

    sound: of these words, at RATE; shape (n,).
    """
    edges = [max(total * FRAME / RATE - LATE, 0.0) for total in accumulate(frames)]
    loud = _loud(sound)
    said: list[Word] = []
    at, begun, end = 0, None, edges[0]
    for word in words:
        sounds = [
            at + place
            for place, symbol in enumerate(word.phonemes)
            if symbol != " " and symbol not in PUNCTUATION
        ]
        pauses = bool(sounds) and sounds[-1] + 1 < at + len(word.phonemes.rstrip())
        sounds = sounds or [at + place for place, s in enumerate(word.phonemes) if s != " "]
        at += len(word.phonemes)
        first = edges[sounds[0]] if sounds else end
        end = edges[sounds[-1] + 1] if sounds else end
        if pauses or at >= len(edges) - 2:
            end = _audible(loud, first, end)
        begun = first if begun is None else begun
        if word.text:  # else a piece of a word too long for one part
            said.append(Word(word.text, start + begun, start + end))
            begun = None
    return tuple(said)


def speak(
    sentences: Iterable[list[SpokenWords]],
    longest: int,
    render: Callable[[list[SpokenWords]], tuple[Samples, Sequence[float] | None]],
) -> Iterator[Speech]:
    """The sound of each sentence, or of parts of at most `longest` phonemes of it, as it is made.

    A network ends each part as if it were the last, with 0.45 s of silence and 0.3 s more before
    the next: between parts there is as much as their punctuation means.

    render: the sound of a part, and its frames as `times` takes them, if the network tells them.
    """
    queue = (part for sentence in sentences for part in parts(sentence, longest))
    part = next(queue, None)
    start, first = 0.0, True
    while part:
        after = next(queue, None)
        sound, frames = render(part)
        begin, end = _span(sound)
        begin = 0 if first else max(begin - _HOP, 0)
        end = len(sound) if after is None else end + round(_pause_after(part) * RATE)
        words = times(part, frames, start - begin / RATE, sound) if frames else ()
        kept = Audio(sound[begin:end], RATE)
        start += kept.seconds
        yield Speech(kept, words)
        part, first = after, False


def _span(sound: Samples) -> tuple[int, int]:
    """From which sample to which there is something to be heard; all, if nothing is."""
    loud = np.flatnonzero(_loud(sound))
    return (int(loud[0]) * _HOP, (int(loud[-1]) + 1) * _HOP) if len(loud) else (0, len(sound))


def _pause_after(words: list[SpokenWords]) -> float:
    """Seconds of silence behind a part that more follows, by its last mark."""
    mark = "".join(word.phonemes for word in words).rstrip(' "”)')[-1:]
    return next((seconds for marks, seconds in _PAUSES if mark and mark in marks), 0.0)


def _loud(sound: Samples) -> NDArray[np.bool_]:
    """Whether each _HOP of the sound is audible."""
    hops = sound[: len(sound) // _HOP * _HOP].reshape(-1, _HOP)
    return np.asarray(np.sqrt(np.mean(hops**2, axis=1)) > AUDIBLE)


def _audible(loud: NDArray[np.bool_], start: float, end: float) -> float:
    """Where the last audible sound of a word before a pause ends.

    Its last phoneme lasts into the pause, by 0.05 to 0.3 s. It may be longer than LATE says, too:
    the sound is looked at up to where the network has the word end, if that is in the pause.
    """
    hop = _HOP / RATE
    within = loud[round(start / hop) : round((end + LATE) / hop)]
    if not within.any() or within[-1]:
        return end
    return start + (int(np.flatnonzero(within)[-1]) + 1) * hop


def sentences(words: Sequence[SpokenWords]) -> Iterator[list[SpokenWords]]:
    """The words sentence by sentence, as far as their phonemes tell; each says something."""
    run: list[SpokenWords] = []
    for place, word in enumerate(words, 1):
        run.append(word)
        ends = word.phonemes.rstrip(' "”)')[-1:] in (*".!?…",)
        if ends and sounding(run) and sounding(words[place:]):
            yield run
            run = []
    if sounding(run):
        yield run


def parts(words: list[SpokenWords], longest: int) -> Iterator[list[SpokenWords]]:
    """The words in runs of at most `longest` phonemes, cut at a pause where there is one.

    Words that say nothing stay with what comes before them.
    """
    run: list[SpokenWords] = []
    for word in [piece for whole in words for piece in _pieces(whole, longest)]:
        if run and _length([*run, word]) > longest:
            cut = _pause(run) if word.phonemes else len(run)
            yield run[:cut]
            run = run[cut:]
        run.append(word)
    if run:
        yield run


def _pieces(word: SpokenWords, longest: int) -> Iterator[SpokenWords]:
    """The word, or if it alone is too long, pieces of it of which only the last has its text."""
    phonemes = word.phonemes
    while len(phonemes.rstrip()) > longest:
        yield SpokenWords("", phonemes[:longest])
        phonemes = phonemes[longest:]
    yield replace(word, phonemes=phonemes)


def _pause(run: list[SpokenWords]) -> int:
    """How many words to say before the cut."""
    for marks in (".!?…", ":;", ",—"):
        for place in range(len(run), len(run) // 2, -1):  # not at the price of a short part
            if run[place - 1].phonemes.rstrip(' "”)')[-1:] in tuple(marks):
                return place
    return len(run)


def _length(words: list[SpokenWords]) -> int:
    return len("".join(word.phonemes for word in words).strip())
