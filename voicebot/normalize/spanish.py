"""Spanish: its dates, times, ordinals, roman numerals and abbreviations."""

from __future__ import annotations

import re
from functools import lru_cache

from . import spanish_words as words
from .grammar import Grammar, Noun, Rule
from .numbers import Gender
from .roman import ROMAN, value

_HALVED = frozenset(
    ["vaso", "limón", "paquete", "sobre", "siglo", "pan", "puñado", "manojo", "día"]
)
"""Masculine nouns that are halved, and are no units."""


def _rules() -> list[Rule]:
    month = rf"({words.MONTH})"
    roman = rf"({ROMAN})"
    whole = r"\d{1,3}(?:\.\d{3})*"
    half = r"([ap])\. ?m\."
    return [
        # Telephone numbers: nine digits that begin as they do in Spain.
        (r"[679]\d{2}(?:[ -]\d{3}){2}(?![\w.,]*\d)|[679]\d{2}(?:[ -]\d{2}){3}(?!\w)", _phone),
        (r"9[1-8] \d{3} \d\d \d\d(?!\w)", _phone),
        (r"y/o(?!\w)", lambda g, m: "y o"),
        # Dates.
        (r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)\S{0,12})?(?![\w-])", _iso),
        (r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4}|\d\d)(?![\w/-])", _date),
        (rf"(\d{{1,2}})[–-](\d{{1,2}}) de {month}(?: (?:de|del) (\d{{4}})(?!\w))?", _days),
        (rf"(\d{{1,2}})(?:\.?º)? de {month}(?!\w)(?: (?:de|del) (\d{{4}})(?!\w|[.,]\d))?", _day),
        (r"(lun|mar|mié|jue|vie|sáb|dom)\.(?=,? \d)", lambda g, m: words.DAYS[m[1]]),
        (r"años (\d0)(?!\w)", lambda g, m: f"años {g.says(int(m[1]))}"),
        (r"(0?[1-9]|1[0-2])/((?:19|20)\d\d)(?![\w/])", _numbered_month),
        # Times.
        (rf"(\d{{1,2}})(?:[:.](\d\d))? ?{half}", _clock_half),
        (r"(\d{1,2})(?:[:.](\d\d))? ?[–-] ?(\d{1,2})(?:[:.](\d\d))? h(?!\w)\.?", _opening),
        (r"(\d{1,2})[:.](\d\d) ?(?:h|hs|hrs|horas)(?!\w)\.?", _clock),
        (r"([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?![\w:]|[.,]\d)", _clock),
        # Ordinals and roman numerals.
        (r"(\d{1,3})(?:\.?(?:er|ᵉʳ)|(?:\.er))(?!\w)", lambda g, m: _short_ordinal(g, m)),
        (r"(\d{1,3})\.?([ºoª°a])(?![\w])(?! ?[CF](?!\w))", _ordinal),
        (rf"((?i:siglos?)) {roman}(?:( y | al |[–-]){roman})?(?!\w)", _century),
        (rf"((?:{words.ROYAL})) {roman}(?!\w|\.\w)", _monarch),
        (rf"((?i:{words.ROMAN_AFTER})) {roman}(?!\w|\.\w)", _roman),
        (r"(\d{1,3}) ?[xX](?=\s|$|[.,;:!?)])", lambda g, m: f"{g.says(int(m[1]))} por"),
        (r"24/7(?!\w|/)", lambda g, m: "veinticuatro siete"),
        (rf"({whole})(?= (?:{words.FEMININE})(?!\w))", lambda g, m: g.amount(m[1], "f")),
        (rf"({whole})(?= (?:{words.MASCULINE})(?!\w))", lambda g, m: g.amount(m[1], "m")),
        (r"(\d{1,3}) ?(?:½|1/2) ([^\W\d_]{2,20})", _and_a_half),
        (r"(?:½|1/2) ([^\W\d_]{3,20})(?!\w)", _half),
        # Abbreviations.
        (r"(?:[Nn]\.?[º°]s?|[Nn]úms?\.) ?(?=\d)", lambda g, m: "número "),
        (rf"(?:{words.SPACED})(?!\w)", _abbreviation),
        (r"(?:págs?|p|pp|vol|cap|fig|art|t)\. ?(?=\d|[IVXLC]+\b)", _numbered),
        (r"[cC]/ ?(?=[A-ZÁÉÍÓÚ])", lambda g, m: "calle "),
        (r"[^\W\d_]{1,8}\.(?:[ªº])?(?!\w)", _abbreviation),
        (r"([A-Z]{2,4})(?![\w'])", _capitals),
    ]  # fmt: skip


def _month(written: str) -> str:
    return next(name for name in words.MONTHS if name.startswith(written[:3].lower()))


def _day_of_month(g: Grammar, day: int) -> str:
    return "primero" if day == 1 else g.says(day)


def _on(g: Grammar, day: int, month: int, year: str) -> str | None:
    if month > 12 >= day:
        day, month = month, day
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    if len(year) == 2:
        year = ("20" if int(year) < 70 else "19") + year
    return f"{_day_of_month(g, day)} de {words.MONTHS[month - 1]} de {g.year(int(year))}"


def _iso(g: Grammar, m: re.Match[str]) -> str | None:
    said = _on(g, int(m[3]), int(m[2]), m[1])
    return f"{said}, {_at(g, m[4], m[5])}" if said and m[4] else said


def _date(g: Grammar, m: re.Match[str]) -> str | None:
    return _on(g, int(m[1]), int(m[2]), m[3])


def _numbered_month(g: Grammar, m: re.Match[str]) -> str:
    return f"{words.MONTHS[int(m[1]) - 1]} de {g.year(int(m[2]))}"


def _and_a_half(g: Grammar, m: re.Match[str]) -> str:
    feminine = re.fullmatch(words.FEMININE, m[2])
    number = g.says(int(m[1]), "f" if feminine else "m")
    return f"{number} {m[2]} y medi{'a' if feminine else 'o'}"


def _half(g: Grammar, m: re.Match[str]) -> str | None:
    if re.fullmatch(words.FEMININE, m[1]):
        return g.words["half_f"].format(m[1])
    return g.words["half_m"].format(m[1]) if m[1] in _HALVED else None


def _day(g: Grammar, m: re.Match[str]) -> str | None:
    if not 1 <= int(m[1]) <= 31:
        return None
    year = f" de {g.year(int(m[3]))}" if m[3] else ""
    return f"{_day_of_month(g, int(m[1]))} de {_month(m[2])}{year}"


def _days(g: Grammar, m: re.Match[str]) -> str:
    year = f" de {g.year(int(m[4]))}" if m[4] else ""
    return f"{_day_of_month(g, int(m[1]))} al {g.says(int(m[2]))} de {_month(m[3])}{year}"


def _at(g: Grammar, hour: str, minute: str | None, second: str | None = None) -> str:
    said = g.says(int(hour), "f")
    if minute and (minute != "00" or second):
        said += f" {g.says(int(minute))}"
    elif int(hour) > 12 or int(hour) == 0:
        said += " horas"
    return f"{said} y {g.count(str(int(second)), g.units['s'])}" if second else said


def _clock(g: Grammar, m: re.Match[str]) -> str | None:
    if int(m[1]) > 24 or int(m[2]) > 59:
        return None
    said = _at(g, m[1], m[2], m[3] if m.re.groups > 2 else None)
    return f"{said} horas" if re.search(r"[a-z]", m[0]) and not said.endswith("horas") else said


def _clock_half(g: Grammar, m: re.Match[str]) -> str | None:
    if not 1 <= int(m[1]) <= 12:
        return None
    time = g.says(int(m[1]), "f")
    if m[2] and m[2] != "00":
        time += f" {g.says(int(m[2]))}"
    if m[3] == "a":
        return f"{time} de la mañana"
    return f"{time} de la {'tarde' if int(m[1]) < 9 or int(m[1]) == 12 else 'noche'}"


def _opening(g: Grammar, m: re.Match[str]) -> str | None:
    if int(m[1]) > 24 or int(m[3]) > 24:
        return None
    first = g.says(int(m[1]), "f") + (f" {g.says(int(m[2]))}" if m[2] and int(m[2]) else "")
    last = g.says(int(m[3]), "f") + (f" {g.says(int(m[4]))}" if m[4] and int(m[4]) else "")
    return f"{first} a {last} horas"


def _phone(g: Grammar, m: re.Match[str]) -> str:
    return ", ".join(g.digits(group) for group in re.findall(r"\d+", m[0]))


def _short_ordinal(g: Grammar, m: re.Match[str]) -> str:
    """Before a masculine noun: "primer", "tercer"."""
    return re.sub(r"(primer|tercer)o$", r"\1", g.ordinal(int(m[1])))


def _gendered(said: str, gender: Gender) -> str:
    return re.sub(r"o(?= |$)", "a", said) if gender == "f" else said


def _ordinal(g: Grammar, m: re.Match[str]) -> str | None:
    if m[2] in "oa" and "." not in m[0]:
        return None
    if m[2] == "°" and "." not in m[0]:
        return None  # degrees
    return _gendered(g.ordinal(int(m[1])), "f" if m[2] in "ªa" else "m")


_JOINTS = {" y ": " y ", " al ": " al "}


def _century(g: Grammar, m: re.Match[str]) -> str | None:
    first, second = value(m[2]), value(m[4] or "")
    if not first:
        return None
    return f"{m[1]} {g.says(first)}" + (
        f"{_JOINTS.get(m[3], ' a ')}{g.says(second)}" if second else ""
    )


def _monarch(g: Grammar, m: re.Match[str]) -> str | None:
    number = value(m[2])
    if not number:
        return None
    said = g.ordinal(number) if number <= 10 else g.says(number)
    return f"{m[1]} {_gendered(said, 'f' if m[1] in words.QUEENS else 'm')}"


def _roman(g: Grammar, m: re.Match[str]) -> str | None:
    number = value(m[2])
    return f"{m[1]} {g.says(number)}" if number and m[2] not in ("C", "D", "L", "M") else None


def _numbered(g: Grammar, m: re.Match[str]) -> str:
    return words.NUMBERED[m[0].strip().rstrip(".")] + " "


def _abbreviation(g: Grammar, m: re.Match[str]) -> str | None:
    key = re.sub(r"\s", "", m[0]).lower()
    said = words.ABBREVIATIONS.get(key)
    if said is None:
        return None
    rest = m.string[m.end() :]
    ends = not rest.strip() or bool(re.match(r"[\"')\]»]*\s+[A-ZÁÉÍÓÚ¿¡]", rest))
    if key in words.BEFORE_NAMES:
        return said if re.match(r" (?:y |e |o )?[A-ZÁÉÍÓÚ]", rest) and m[0][0].isupper() else None
    if key in words.WORDS_TOO and ends:
        return None
    return f"{said}." if ends and key in words.MAY_END else said


def _capitals(g: Grammar, m: re.Match[str]) -> str | None:
    if m[1] not in words.SPELT:
        return None
    return "".join(f"{letter}." for letter in m[1])


def _money(whole: str, part: int, cents: Noun) -> str:
    return f"{whole} con {grammar('').says(part)}"


@lru_cache
def grammar(region: str) -> Grammar:
    """region: all read as "es" does."""
    return Grammar(
        code="es",
        group=". ",
        decimal=",",
        words=words.WORDS,
        units=words.UNITS,
        currencies=words.CURRENCIES,
        magnitudes=words.MAGNITUDES,
        abbreviations=words.ABBREVIATIONS,
        announcement="Hay un ejemplo de código en la pantalla.",
        money=_money,
        rules=_rules(),
        starters=words.STARTERS,
        hyphen_plural=True,
        pairs=True,
    )
