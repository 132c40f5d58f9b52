"""Roman numerals."""

from __future__ import annotations

import re

ROMAN = r"(?=[IVXLCDM])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
"""A regular expression for one below 4000."""

_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


def value(written: str) -> int:
    """0 if it is none."""
    if not written or not re.fullmatch(ROMAN, written):
        return 0
    values = [_VALUES[letter] for letter in written]
    pairs = zip(values, [*values[1:], 0], strict=True)
    return sum(-one if one < following else one for one, following in pairs)
