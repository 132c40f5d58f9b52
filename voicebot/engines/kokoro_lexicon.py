"""English words in the phonemes Kokoro was trained on, from misaki's dictionaries.

misaki is what Kokoro's own package reads English with. We take its dictionaries (Apache-2.0) and
not its code, which needs spaCy (3 s and 300 MB where torch is installed), a tagger that is not
on PyPI, and phonemizer (GPL-3). What the tagger was for, telling "a record" from "to record",
is done by looking at the neighbours.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from .phonemes import PUNCTUATION

Entry = str | dict[str, str | None]

_VOWELS = frozenset("AIOQWYaiuæɑɒɔəɛɜɪʊʌᵻɐ")
_FLAPPING = frozenset("AIOWYiuæɑəɛɪɹʊʌ")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_VERB_AFTER = _set(
    "to will would can could should must may might shall do does did don't doesn't didn't won't "
    "can't cannot couldn't wouldn't shouldn't let's please i you we they who i'll you'll we'll "
    "they'll he'll she'll it'll never always"
)
_NOUN_AFTER = _set(
    "a an the this that these those my your his her its our their some any no every each another "
    "of in on at by with from for new old good bad first last next"
)
_ADJECTIVE_AFTER = _set(
    "is are was were be been being am i'm you're he's she's we're they're it's that's very so too "
    "really quite more most"
)
_OBJECT = _set("the a an my your his her its our their it them him me us this that")
_HELPERS = _set("have has had having i've you've we've they've was were is are be been")
_PAST = _set("yesterday ago last already once earlier")
_PRONOUNS = _set("i you we they who never always")
_FUNCTION = _OBJECT | _VERB_AFTER | _ADJECTIVE_AFTER | _set("of in on at by with and or to")


@cache  # 50 MB and half a second, the same for every voice
def lexicon(language: str) -> Lexicon | None:
    """The dictionary for "en-us" or "en-gb"; None for other languages, or without misaki."""
    spec = find_spec("misaki")
    if spec is None or spec.origin is None or not language.startswith("en"):
        return None
    return Lexicon(Path(spec.origin).parent / "data", language == "en-gb")


class Lexicon:
    """American or British English by the dictionary, its endings and its letters."""

    def __init__(self, data: Path, british: bool) -> None:
        accent = "gb" if british else "us"
        self._british = british
        self._words: dict[str, Entry] = {
            **json.loads((data / f"{accent}_silver.json").read_text("utf-8")),
            **json.loads((data / f"{accent}_gold.json").read_text("utf-8")),
        }

    def phonemes(self, items: Sequence[str]) -> list[str | None]:
        """For each word or mark of a text its phonemes; None for a word it does not know."""
        said: list[str | None] = []
        vowel: bool | None = None  # whether what follows starts with one; None: a pause follows
        for place in reversed(range(len(items))):
            word = items[place]
            phonemes = word if word in PUNCTUATION else self._word(items, place, vowel)
            said.append(phonemes)
            first = next((c for c in phonemes or "" if c not in "ˈˌ" and c not in PUNCTUATION), "")
            vowel = first in _VOWELS if first else (None if word in PUNCTUATION else False)
        # The dictionary's taps and glottal stops are written so in Kokoro's alphabet.
        return [p.replace("ɾ", "T").replace("ʔ", "t") if p else p for p in reversed(said)]

    def _word(self, items: Sequence[str], place: int, vowel: bool | None) -> str | None:
        word = items[place]
        weak = self._weak(items, place, vowel)
        if weak is not None:
            return weak
        if (found := self._known(word, items, place, vowel)) is not None:
            return found
        if "-" in word:
            return self._compound([part for part in word.split("-") if part])
        bare = unicodedata.normalize("NFD", word)
        bare = "".join(c for c in bare if not unicodedata.combining(c)).strip("'")
        if bare != word and (found := self._known(bare, items, place, vowel)) is not None:
            return found
        if word.isascii() and word.isalpha() and word.isupper():
            return self._spelled(word)
        return None

    def _weak(self, items: Sequence[str], place: int, vowel: bool | None) -> str | None:
        """The little words, which change with what is around them."""
        word, lower = items[place], items[place].lower()
        after = items[place + 1].lower() if place + 1 < len(items) else ""
        if word == "a" or (word == "A" and len(after) > 1 and not items[place + 1].isupper()):
            return "ɐ"
        if word == "I":
            return "ˌI"
        if lower == "an":
            return "ɐn"
        if lower == "the":
            return "ði" if vowel else "ðə"
        if lower == "to" and vowel is not None:
            return "tʊ" if vowel else "tə"
        if lower == "in":
            return "ˈɪn" if vowel is None else "ɪn"
        if word == "am" and vowel is False:
            return "ɐm"
        if lower == "used" and after == "to":
            return "jˈust"
        return None

    def _known(self, word: str, items: Sequence[str], place: int, vowel: bool | None) -> str | None:
        entry, stem_of = self._entry(word), ""
        if entry is None:
            for ending, stems in _stems(word):
                stem = next((s for s in stems if self._entry(s) is not None), None)
                if stem:
                    entry, stem_of = self._entry(stem), ending
                    break
        if entry is None:
            return None
        if isinstance(entry, dict):
            tag = _tag(items, place, entry) if not stem_of else "VERB"
            if vowel is None and "None" in entry:
                tag = "None"
            phonemes = entry.get(tag) or entry["DEFAULT"]
        else:
            phonemes = entry
        if phonemes is None:
            return None
        if word[:1].isupper():
            phonemes = _stressed(phonemes, "ˈ" if word.isupper() and len(word) > 1 else "ˌ")
        return self._ended(phonemes, stem_of) if stem_of else phonemes

    def _entry(self, word: str) -> Entry | None:
        for form in (word, word.lower(), word.capitalize()):
            if (entry := self._words.get(form)) is not None and len(form) > 1:
                return entry
        return self._words.get(word.upper()) if len(word) == 1 else None

    def _ended(self, stem: str, ending: str) -> str:
        weak = "ɪ" if self._british else "ᵻ"
        flap = stem[-1:] == "t" and stem[-2:-1] in _FLAPPING and not self._british
        if ending == "ing":
            return (stem[:-1] + "ɾ" if flap else stem) + "ɪŋ"
        if ending == "ed":
            if stem[-1:] in "td":
                return (stem[:-1] + "ɾ" if flap else stem) + weak + "d"
            return stem + ("t" if stem[-1:] in "pkfθʃsʧ" else "d")
        if stem[-1:] in "szʃʒʧʤ":
            return stem + weak + "z"
        return stem + ("s" if stem[-1:] in "ptkfθ" else "z")

    def _compound(self, parts: list[str]) -> str | None:
        said = [self._word([part], 0, False) for part in parts]
        if not said or None in said:
            return None
        # One word has one main stress: the last part keeps it.
        weak = [(part or "").replace("ˈ", "ˌ") for part in said[:-1]]
        return "".join([*weak, said[-1] or ""])

    def _spelled(self, word: str) -> str | None:
        letters = [self._words.get(letter) for letter in word]
        if not all(isinstance(letter, str) for letter in letters):
            return None
        return "ˈ".join("".join(map(str, letters)).replace("ˈ", "ˌ").rsplit("ˌ", 1))


def _stems(word: str) -> list[tuple[str, list[str]]]:
    """Endings the word may have, each with what may stand before it."""
    lower = word.lower()
    found = []
    if len(lower) > 2 and lower.endswith(("s", "s'")) and not lower.endswith("ss"):
        stem = lower.removesuffix("'").removesuffix("s").removesuffix("'")
        stems = [stem, *([stem[:-1]] if stem.endswith("e") else [])]
        found.append(("s", [*stems, *([stem[:-2] + "y"] if stem.endswith("ie") else [])]))
    if len(lower) > 3 and lower.endswith("d") and not lower.endswith("dd"):
        found.append(("ed", [lower[:-1], *([lower[:-2]] if lower.endswith("ed") else [])]))
    if len(lower) > 4 and lower.endswith("ing"):
        doubled = re.search(r"([bcdgklmnprstvxz])\1ing$", lower)
        found.append(("ing", [lower[:-3], lower[:-3] + "e", *([lower[:-4]] if doubled else [])]))
    return found


def _stressed(phonemes: str, mark: str) -> str:
    """A capital draws some stress to a word that has none, capitals draw all of it."""
    if "ˈ" in phonemes:
        return phonemes
    if "ˌ" in phonemes:
        return phonemes.replace("ˌ", mark)
    at = next((i for i, c in enumerate(phonemes) if c in _VOWELS), None)
    return phonemes if at is None else phonemes[:at] + mark + phonemes[at:]


def _tag(items: Sequence[str], place: int, entry: dict[str, str | None]) -> str:
    """Which of the word's readings fits: its part of speech, guessed from its neighbours."""
    before, after = (
        items[at].lower() if 0 <= at < len(items) and items[at] not in PUNCTUATION else ""
        for at in (place - 1, place + 1)
    )
    if "VBD" in entry or "VBN" in entry:  # read, wound
        near = {item.lower() for item in items}
        if before in _HELPERS and "VBN" in entry:
            return "VBN"
        return "VBD" if near & _PAST and before not in _VERB_AFTER - _PRONOUNS else "VERB"
    if "DT" in entry:  # that: a stressed "that one", not the "that" of "I know that"
        return "DT" if not before or before in ("is", "was", "of", "in", "on", "at", "for") else ""
    if before in _VERB_AFTER:
        return "VERB"
    if before in _NOUN_AFTER:
        content = after and after not in _FUNCTION
        return "ADJ" if "ADJ" in entry and content else "NOUN"
    if before in _ADJECTIVE_AFTER:
        return "ADJ"
    return "VERB" if after in _OBJECT else ("NOUN" if "VERB" not in entry and before else "")
