"""Take out what cannot be spoken: control characters, escape sequences, emoji, invisible signs."""

from __future__ import annotations

import re
import unicodedata

# Terminal escape sequences: CSI, OSC, and those of one character.
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])?")
# Controls, soft hyphen, zero-width characters, bidirectional marks and isolates, variation
# selectors, tags, surrogates that belong to nothing, private use, and what stands for no character.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ud800-\udfff\ue000-\uf8ff\ufe00-\ufe0f\ufeff"
    "\uffa0\ufff0-\uffff\U000e0000-\U000e01ef\U000f0000-\U0010ffff]"
)
_EMOJI = re.compile(
    "[\u20e3\u231a-\u23ff\u2460-\u24ff\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff\u3030\u303d\u3297"
    "\u3299\U0001f000-\U0001faff]"
)
_CIRCLED = re.compile("[\u2460-\u2473]")
_KEYCAP = re.compile("([0-9#*])\ufe0f?\u20e3")
# Ligatures, full-width letters and digits, and roman numerals of one character.
_COMPATIBLE = re.compile("[\ufb00-\ufb06\uff01-\uff5e\u2160-\u2188\u2474-\u249b]+")
_SAME = str.maketrans({"’": "'", "ʼ": "'", "‘": "'", "‑": "-", "‐": "-", "−": "-", "‒": "–"})


def clean(word: str) -> str:
    """The word without what makes no sound, in composed characters; may be empty."""
    if word.isascii() and word.isprintable():
        return word
    word = _ESCAPE.sub("", word)
    word = _KEYCAP.sub(r"\1", word)
    word = _INVISIBLE.sub("", word)
    word = _CIRCLED.sub(lambda circle: str(ord(circle[0]) - 0x245F), word)
    word = _EMOJI.sub("", word)
    word = _COMPATIBLE.sub(lambda signs: unicodedata.normalize("NFKC", signs[0]), word)
    return unicodedata.normalize("NFC", word).translate(_SAME)
