"""Written English as the words a reader says: "$3.50" becomes three dollars and fifty cents.

Each word of the text, as `text.split()` finds them, keeps its own list, so that what is said can
be traced back to what was written. Punctuation that Kokoro knows stays, as items of its own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

from .phonemes import PUNCTUATION

_SAME = str.maketrans({"’": "'", "‘": "'", "«": "“", "»": "”", "–": "—", "[": "(", "]": ")"})
_NAMED = {
    "mr": "Mister", "mrs": "Mrs", "ms": "Ms", "dr": "Doctor", "prof": "Professor",
    "jr": "Junior", "sr": "Senior", "vs": "versus", "etc": "etcetera", "e.g": "for example",
    "i.e": "that is", "approx": "approximately", "dept": "department", "inc": "incorporated",
    "ltd": "limited", "ave": "avenue", "blvd": "boulevard", "a.m": "A M", "p.m": "P M",
}  # fmt: skip
_NEED_NO_DOT = {"mr", "mrs", "ms", "dr", "vs", "jr", "sr", "etc", "e.g", "i.e", "a.m", "p.m"}
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_MONTH = {form: name for name in _MONTHS for form in (name, f"{name[:3]}.")}
_MONEY = {"$": ("dollar", "cent"), "£": ("pound", "penny"), "€": ("euro", "cent")}
_PLURALS = {"penny": "pence", "foot": "feet", "inch": "inches", "mile per hour": "miles per hour"}
_MAGNITUDES = {"thousand", "million", "billion", "trillion"}
_SHORT = {"": "", "k": "thousand", "m": "million", "bn": "billion", "b": "billion"}
_UNITS = {
    "km": "kilometer", "cm": "centimeter", "mm": "millimeter", "m": "meter", "kg": "kilogram",
    "g": "gram", "mg": "milligram", "l": "liter", "ml": "milliliter", "mi": "mile", "ft": "foot",
    "lb": "pound", "lbs": "pound", "oz": "ounce", "s": "second", "ms": "millisecond",
    "min": "minute", "h": "hour", "kb": "kilobyte", "mb": "megabyte", "gb": "gigabyte",
    "tb": "terabyte", "w": "watt", "kw": "kilowatt", "v": "volt", "mph": "mile per hour",
    "°": "degree",
}  # fmt: skip
_UNCOUNTED = {
    "%": "percent", "°c": "degrees Celsius", "°f": "degrees Fahrenheit", "hz": "hertz",
    "khz": "kilohertz", "mhz": "megahertz", "ghz": "gigahertz",
}  # fmt: skip
_SYMBOLS = {"&": "and", "+": "plus", "=": "equals", "@": "at", "%": "percent", "#": "hash"}
_AMOUNT = r"(\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)"
_HALVES = {"1/2": "one half", "1/3": "one third", "2/3": "two thirds", "1/4": "one quarter",
           "3/4": "three quarters"}  # fmt: skip
_EDGES = re.compile(r"([^\w$£€#@&+=%°.'-]*)(.*?)([^\w$£€#@&+=%°']*)", re.DOTALL)


def say(text: str, british: bool = False) -> list[list[str]]:
    """For each of `text.split()` the words and punctuation marks to say, in order."""
    written = [unicodedata.normalize("NFC", word).translate(_SAME) for word in text.split()]
    around = ["", *written, ""]
    return [
        _items(word, before, after, british)
        for before, word, after in zip(around, written, around[2:], strict=False)
    ]


def _items(word: str, before: str, after: str, british: bool) -> list[str]:
    if re.fullmatch(r"-{1,3}|—+", word):
        return ["—"]
    word = word.replace("...", "…").replace("--", "—")
    match = _EDGES.fullmatch(word)
    head, core, tail = match.groups() if match else ("", word, "")
    name = core.lower()
    if tail.startswith(".") and name in (_NAMED if after else _NEED_NO_DOT):
        tail = tail[1:] if after else tail
        said = _NAMED[name]
    elif name in _NEED_NO_DOT:
        said = _NAMED[name]
    elif name in _MAGNITUDES and before[:1] in _MONEY:
        said = f"{name} {_MONEY[before[0]][0]}s"
    elif core == "St" and tail.startswith("."):
        said, tail = ("Saint" if after[:1].isupper() else "Street"), tail[1:] if after else tail
    elif core == "No" and tail == "." and after[:1].isdigit():
        said, tail = "number", ""
    elif re.fullmatch(r"(?:[^\W\d]\.)+[^\W\d]", core) and after:  # U.S.
        said, tail = _letters(core), tail.removeprefix(".")
    elif before[-1:].isdigit() and name in ("am", "pm"):
        said = " ".join(core.upper())
    elif before[-1:].isdigit() and len(core) > 1 and {name} & {*_UNITS, *_UNCOUNTED}:
        said = _unit("", "2", core, "", "").removeprefix("two ")
    elif core + tail[:1] in _MONTH and after[:1].isdigit() and core not in _MONTHS:
        said, tail = _MONTH[core + "."], tail[1:]
    else:
        said = _read(core, before, after, british)
    return [*_marks(head), *said.split(), *_marks(tail)]


def _marks(edge: str) -> list[str]:
    return [mark for mark in edge if mark in PUNCTUATION]


def _read(core: str, before: str, after: str, british: bool) -> str:
    """What a reader says for a word without the punctuation around it."""
    if not any(character.isdigit() for character in core):
        return _letters(core)
    if not find_spec("num2words"):
        return core  # espeak-ng reads figures too, if not money and dates
    for pattern, reading in _FIGURES:
        if match := re.fullmatch(pattern, core, re.IGNORECASE):
            said = reading(*match.groups(default=""), before, after)
            if said:
                return said if british else re.sub(r"(hundred|thousand|million) and ", r"\1 ", said)
    pieces = re.findall(rf"{_AMOUNT}|([^\W\d_]+)|([&+=@%#—])", core)
    return " ".join(_amount(a) if a else b or _SYMBOLS.get(c, c) for a, b, c in pieces)


def _letters(core: str) -> str:
    if re.fullmatch(r"(?:\w\.)+\w", core):  # U.S.A
        return " ".join(core.upper().split("."))
    if re.fullmatch(r"\S*\w@\w\S*|(?:https?://|www\.)\S+|[\w-]+(?:\.[\w-]{2,})+(?:/\S*)?", core):
        spelled = re.sub(r"^https?://", "", core).rstrip("/")
        for sign, name in ((".", "dot"), ("/", "slash"), ("@", "at"), ("-", "dash"), ("_", " ")):
            spelled = spelled.replace(sign, f" {name} ")
        return spelled
    for sign, name in _SYMBOLS.items():
        core = core.replace(sign, f" {name} ")
    core = re.sub(r"([—…,;:!?()“”])", r" \1 ", core)
    # What is neither a letter nor a mark (an emoji) is not said.
    return re.sub(r"[^\w\s'—…,;:!?()“”-]|_", " ", core)


def _words(number: int | float | str, to: str = "cardinal") -> str:
    text: str = import_module("num2words").num2words(number, to=to)
    return text.replace("-", " ").replace(",", "")


def _amount(figures: str) -> str:
    whole, _, part = figures.replace(",", "").partition(".")
    if len(whole) > 15 or (len(whole) > 1 and whole[0] == "0"):
        return _digits(whole + part)
    said = _words(int(whole)) if whole else ""
    return f"{said} point {_digits(part)}".strip() if part else said


def _digits(figures: str) -> str:
    return " ".join(_words(int(digit)) for digit in figures if digit.isdigit())


def _count(figures: str, unit: str) -> str:
    plural = "" if figures == "1" else _PLURALS.get(unit, f"{unit}s")
    return f"{_amount(figures)} {plural or unit}"


def _year(figures: str) -> str:
    return _words(int(figures), "year")


def _money(sign: str, unit: str, figures: str, short: str, before: str, after: str) -> str:
    major, minor = _MONEY[unit]
    minus = "minus " if sign else ""
    if after.strip(".,;:!?").lower() in _MAGNITUDES:
        return minus + _amount(figures)  # the currency comes after the magnitude
    whole, _, part = figures.replace(",", "").partition(".")
    if short or len(part) not in (0, 2):
        return f"{minus}{_amount(figures)} {_SHORT[short.lower()]} {major}s"
    said = [_count(whole, major)] if int(whole or 0) or not int(part or 0) else []
    said += [_count(str(int(part)), minor)] if int(part or 0) else []
    return minus + " and ".join(said)


def _time(hour: str, minute: str, half: str, before: str, after: str) -> str:
    if int(hour) > 24 or int(minute) > 59:
        return ""
    rest = f"oh {_words(int(minute))}" if minute[0] == "0" else _words(int(minute))
    if minute == "00":
        rest = "" if half or re.match(r"(?i)[ap]\.?m\b", after) else "o'clock"
    return f"{_words(int(hour))} {rest} {' '.join(half.upper().replace('.', ''))}"


def _date(year: str, month: str, day: str, before: str = "", after: str = "") -> str:
    if not 1 <= int(month) <= 12 or not 1 <= int(day) <= 31:
        return ""
    return f"{_MONTHS[int(month) - 1]} {_words(int(day), 'ordinal')} {_year(year)}"


def _span(first: str, second: str, before: str, after: str) -> str:
    if len(first) == len(second) == 4:
        return f"{_year(first)} to {_year(second)}"
    if len(first) == 3 and len(second) == 4:  # the end of a telephone number
        return _digits(first + second)
    return f"{_amount(first)} to {_amount(second)}"


def _unit(sign: str, figures: str, unit: str, before: str, after: str) -> str:
    unit, minus = unit.lower(), "minus " if sign else ""
    if unit in _UNCOUNTED:
        return f"{minus}{_amount(figures)} {_UNCOUNTED[unit]}"
    return minus + _count(figures, _UNITS[unit]) if unit in _UNITS else ""


def _number(sign: str, figures: str, before: str, after: str) -> str:
    minus = "minus " if sign else ""
    month = before in _MONTH
    if month and figures.isdigit() and 1 <= int(figures) <= 31:
        return _words(int(figures), "ordinal")
    if re.fullmatch(r"1[1-9]\d\d|20\d\d", figures):
        return minus + _year(figures)
    return minus + _amount(figures)


def _decade(figures: str, before: str, after: str) -> str:
    said = _year(figures) if len(figures) == 4 else _words(int(figures))
    return f"{said[:-1]}ies" if said.endswith("y") else f"{said}s"


# The first that fits and has something to say.
_FIGURES: tuple[tuple[str, Callable[..., str]], ...] = (
    (rf"(-?)([$£€]){_AMOUNT}(k|m|bn|b)?", _money),
    (r"(\d{1,2}):(\d\d)([ap]\.?m)?", _time),
    (r"(\d{4})-(\d\d)-(\d\d)", _date),
    (r"(\d/\d)", lambda fraction, before, after: _HALVES.get(fraction, "")),
    (r"(\d+)(?:st|nd|rd|th)", lambda n, before, after: _words(int(n), "ordinal")),
    (r"'?(\d{4}|\d0)'?s", _decade),
    (r"(\d+)[-—](\d+)", _span),
    (r"(\+?\d+(?:-\d+)+)", lambda n, before, after: _digits(n)),
    (rf"(-?){_AMOUNT}", _number),
    (rf"(-?){_AMOUNT}(\S*[^\d\s])", _unit),
)
