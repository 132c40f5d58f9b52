"""Whole numbers in words: num2words, and what it gets wrong in our four languages."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any, Literal

Gender = Literal["", "m", "f", "n"]
"""Of the noun that is counted; empty where a number stands alone."""

READ_BY_DIGITS_FROM = 10**15
"""From here on digits are read one by one: nobody follows a number of more."""


@lru_cache(maxsize=1)
def _num2words() -> Callable[..., str]:
    # 40 ms, for the grammar of forty languages: only once a number is to be read.
    function: Any = import_module("num2words").num2words
    return function  # type: ignore[no-any-return]


@lru_cache(maxsize=4096)
def cardinal(number: int, language: str, gender: Gender = "") -> str:
    """ "twenty-one"; before a noun of a gender as it is said there: "veintiún", "einundzwanzig"."""
    said = _num2words()(number, lang=language).replace(",", "")
    if language == "es":
        said = re.sub(r"\b(veinti|y )uno (?=mil\b)", _apocope, said)
        said = said.removeprefix("un ") if said.startswith("un mil ") else said
        if gender == "m":
            said = re.sub(r"\b(veinti|y )?uno$", _apocope, said)
        elif gender == "f":
            said = re.sub(r"uno$", "una", said)
            said = re.sub(r"cientos\b(?! mill)", "cientas", said)
            said = said.replace("quinientos", "quinientas")
    elif language == "fr" and gender == "f":
        said = re.sub(r"\bun$", "une", said)
    elif language == "de" and gender:
        if number == 1:
            said = "eine" if gender == "f" else "ein"
        else:
            said = re.sub(r"(hundert|tausend)eins$", r"\1ein", said)
    return said


def _apocope(match: re.Match[str]) -> str:
    """uno before a noun: un, veintiún, treinta y un."""
    tail = " " if match[0].endswith(" ") else ""
    return ("veintiún" if match[1] == "veinti" else f"{match[1] or ''}un") + tail


@lru_cache(maxsize=1024)
def ordinal(number: int, language: str) -> str:
    """ "twenty-first", "einundzwanzigste", "vingt et unième", "vigésimo primero"."""
    if language == "es" and number in (11, 12):
        return {11: "undécimo", 12: "duodécimo"}[number]
    return str(_num2words()(number, lang=language, to="ordinal")).replace(",", "")


@lru_cache(maxsize=1024)
def year(number: int, language: str) -> str:
    if not 1000 <= number <= 9999 or (language == "de" and not 1100 <= number <= 1999):
        return cardinal(number, language)
    return str(_num2words()(number, lang=language, to="year"))


def digits(figures: str, language: str) -> str:
    """Each digit by itself; everything else in `figures` is left out."""
    return " ".join(cardinal(int(digit), language) for digit in figures if digit.isdecimal())
