"""French: its dates, times, ordinals, roman numerals and abbreviations."""

from __future__ import annotations

import re
from functools import lru_cache

from . import french_words as words
from .grammar import Grammar, Noun, Rule
from .roman import ROMAN, value

_HALVED = frozenset(
    ["verre", "pot", "paquet", "sachet", "oignon", "citron", "siècle", "tour", "pain"]
)
"""Masculine nouns that are halved, and are no units."""


def _rules() -> list[Rule]:
    month = rf"({words.MONTH})"
    roman = rf"({ROMAN})"
    return [
        # Telephone numbers are said in pairs.
        (r"(?:\+33 ?|0)\d(?:[ .-]?\d\d){4}(?!\w)", _phone),
        # Dates.
        (r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)\S{0,12})?(?![\w-])", _iso),
        (r"(\d{1,2})[/.](\d{1,2})[/.](\d{4}|\d\d)(?![\w/])", _date),
        (rf"(\d{{1,2}}|1er) ?[–-] ?(\d{{1,2}}) {month}(?: (\d{{4}})(?!\w))?", _days),
        (rf"(\d{{1,2}}|1er) {month}(?!\w)(?: (\d{{4}})(?!\w|[.,]\d))?", _day),
        (r"(lun|mar|mer|jeu|ven|sam|dim)\.(?=,? \d)", lambda g, m: words.DAYS[m[1]]),
        (r"(janv|févr|avr|juil|sept|oct|nov|déc)\.(?=\s)", lambda g, m: _month(m[1])),
        (r"années (\d{4}|\d0)(?!\w)", lambda g, m: f"années {g.says(int(m[1]))}"),
        (r"(0?[1-9]|1[0-2])/((?:19|20)\d\d)(?![\w/])", _numbered_month),
        # Times.
        (r"24 ?h(?:eures)?/24(?!\w)", lambda g, m: "vingt-quatre heures sur vingt-quatre"),
        (r"7 ?j(?:ours)?/7(?!\w)", lambda g, m: "sept jours sur sept"),
        (r"(\d{1,2}) ?h ?(\d\d)?(?: ?min)? ?[–-] ?(\d{1,2}) ?h ?(\d\d)?(?!\w)", _opening),
        (r"(\d{1,2}) ?(?:h|heures?) ?(\d\d)(?!\w|[.,]\d)", _clock),
        (r"(\d{1,2}) ?h(?![\w/])", _clock),
        (r"([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?![\w:]|[.,]\d)", _clock),
        # Ordinals and roman numerals.
        (rf"{roman}(?:e|ème|er|re|ère)(?!\w)", _roman_ordinal),
        (rf"((?:{words.ROYAL})) (?:{roman}|(Ier|1er))(?!\w|\.\w)", _monarch),
        (rf"((?i:{words.ROMAN_AFTER})) {roman}(?!\w|\.\w)", _roman),
        (r"(\d{1,4})(?:ers?|res?|ères?)(?!\w)", _first),
        (r"(\d{1,4})(?:e|ème|nd|nde|d|de)s?(?!\w)", lambda g, m: g.ordinal(int(m[1]))),
        (r"(\d{1,3}) ?[xX](?=\s|$|[.,;:!?)])", lambda g, m: f"{g.says(int(m[1]))} fois"),
        (r"24/7(?!\w|/)", lambda g, m: "vingt-quatre heures sur vingt-quatre"),
        (r"1(?= (?:" + words.FEMININE + r")(?!\w))", lambda g, m: "une"),
        (r"(\d{1,3}) ?(?:½|1/2) ([^\W\d_]{2,20})", _and_a_half),
        (r"(?:½|1/2) ([^\W\d_]{3,20})(?!\w)", _half),
        # Abbreviations.
        (r"(?i:[ldnsmtcj]|qu)'(?=[A-Z]{2,4}(?!\w))", lambda g, m: m[0]),
        (r"(?:[Nn][°º]s?|[Nn]os?\.) ?(?=\d)", lambda g, m: "numéro "),
        (rf"(?:{words.SPACED})(?!\w)", _abbreviation),
        (
            r"(?:M|MM|Mme|Mmes|Mlle|Mlles|Me|Mgr|Dr|Pr|Ste|St)(?:\.| ?)(?= (?:et |ou )?[A-ZÉÈÀÎ])",
            _title,
        ),
        (r"(Ste?)-(?=[A-ZÉÈ])", lambda g, m: "saint-" if m[1] == "St" else "sainte-"),
        (r"(?:p|pp|vol|chap|fig|art|éd|t)\. ?(?=\d|[IVXLC]+\b)", _numbered),
        (r"[^\W\d_]{1,8}\.(?!\w)", _abbreviation),
        (r"(?<![\w'])([A-ZÀÉ]{2,4})(s)?(?![\w'])|(?<=')([A-Z]{2,4})(?![\w'])", _capitals),
    ]


def _month(written: str) -> str:
    return next(name for name in words.MONTHS if name.startswith(written[:4].rstrip(".")))


def _day_of_month(g: Grammar, day: int) -> str:
    return "premier" if day == 1 else g.says(day)


def _iso(g: Grammar, m: re.Match[str]) -> str | None:
    if not (1 <= int(m[2]) <= 12 and 1 <= int(m[3]) <= 31):
        return None
    said = f"{_day_of_month(g, int(m[3]))} {words.MONTHS[int(m[2]) - 1]} {g.year(int(m[1]))}"
    return f"{said}, {_at(g, m[4], m[5])}" if m[4] else said


def _date(g: Grammar, m: re.Match[str]) -> str | None:
    day, month, year = int(m[1]), int(m[2]), m[3]
    if month > 12 >= day:
        day, month = month, day
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    if len(year) == 2:
        year = ("20" if int(year) < 70 else "19") + year
    return f"{_day_of_month(g, day)} {words.MONTHS[month - 1]} {g.year(int(year))}"


def _numbered_month(g: Grammar, m: re.Match[str]) -> str:
    return f"{words.MONTHS[int(m[1]) - 1]} {g.year(int(m[2]))}"


def _day(g: Grammar, m: re.Match[str]) -> str | None:
    day = 1 if m[1] == "1er" else int(m[1])
    if not 1 <= day <= 31:
        return None
    year = f" {g.year(int(m[3]))}" if m[3] else ""
    return f"{_day_of_month(g, day)} {_month(m[2])}{year}"


def _days(g: Grammar, m: re.Match[str]) -> str:
    first = 1 if m[1] == "1er" else int(m[1])
    year = f" {g.year(int(m[4]))}" if m[4] else ""
    last = g.says(int(m[2]))
    return f"{_day_of_month(g, first)} au {last} {_month(m[3])}{year}"


def _at(g: Grammar, hour: str, minute: str | None, second: str | None = None) -> str:
    said = g.count(str(int(hour) % 24), Noun("heure", "heures", "f"))
    if minute and (minute != "00" or second):
        said += f" {g.says(int(minute), 'f')}"
    return f"{said} et {g.count(str(int(second)), g.units['s'])}" if second else said


def _clock(g: Grammar, m: re.Match[str]) -> str | None:
    minute = m[2] if m.re.groups > 1 else None
    if int(m[1]) > 24 or int(minute or 0) > 59:
        return None
    return _at(g, m[1], minute, m[3] if m.re.groups > 2 else None)


def _opening(g: Grammar, m: re.Match[str]) -> str | None:
    if int(m[1]) > 24 or int(m[3]) > 24:
        return None
    return f"{_at(g, m[1], m[2])} à {_at(g, m[3], m[4])}"


def _phone(g: Grammar, m: re.Match[str]) -> str:
    plus = "plus trente-trois, " if m[0].startswith("+") else ""
    figures = re.sub(r"\D", "", m[0].removeprefix("+33"))
    odd = len(figures) % 2
    groups = ([figures[:1]] if odd else []) + [
        figures[at : at + 2] for at in range(odd, len(figures), 2)
    ]
    return plus + ", ".join(
        g.digits(group) if group[0] == "0" else g.says(int(group)) for group in groups
    )


def _and_a_half(g: Grammar, m: re.Match[str]) -> str:
    feminine = re.fullmatch(rf"(?:{words.FEMININE})s?", m[2])
    return f"{g.says(int(m[1]), 'f' if feminine else 'm')} {m[2]} et demi{'e' if feminine else ''}"


def _half(g: Grammar, m: re.Match[str]) -> str | None:
    if re.fullmatch(words.FEMININE, m[1]):
        return g.words["half_f"].format(m[1])
    return g.words["half_m"].format(m[1]) if m[1] in _HALVED else None


def _first(g: Grammar, m: re.Match[str]) -> str | None:
    if int(m[1]) != 1:
        return None
    plural = "s" if m[0].endswith("s") else ""
    return ("premier" if m[0].rstrip("s").endswith("1er") else "première") + plural


def _roman_ordinal(g: Grammar, m: re.Match[str]) -> str | None:
    number = value(m[1])
    if not number or m[0] in ("Me", "Ce", "De", "Le", "Ire", "Mer", "Cer", "Die", "Vie", "Mere"):
        return None
    if number == 1:
        return "premier" if m[0].endswith("er") else "première"
    return g.ordinal(number)


def _monarch(g: Grammar, m: re.Match[str]) -> str | None:
    if m[3]:
        return f"{m[1]} premier"
    number = value(m[2])
    if not number:
        return None
    return f"{m[1]} {'premier' if number == 1 else g.says(number)}"


def _roman(g: Grammar, m: re.Match[str]) -> str | None:
    number = value(m[2])
    return f"{m[1]} {g.says(number)}" if number and m[2] not in ("C", "D", "L", "M") else None


def _title(g: Grammar, m: re.Match[str]) -> str | None:
    written = m[0].rstrip(". ")
    if written == "M" and "." not in m[0]:
        return None
    return words.TITLES[written]


def _numbered(g: Grammar, m: re.Match[str]) -> str:
    return words.NUMBERED[m[0].strip().rstrip(".")] + " "


def _abbreviation(g: Grammar, m: re.Match[str]) -> str | None:
    key = re.sub(r"\s", "", m[0]).lower()
    said = words.ABBREVIATIONS.get(key)
    if said is None:
        return None
    rest = m.string[m.end() :]
    ends = not rest.strip() or bool(re.match(r"[\"')\]»]*\s+[A-ZÀÉ]", rest))
    if key in words.WORDS_TOO and ends:
        return None
    return f"{said}." if ends and key in words.MAY_END else said


def _capitals(g: Grammar, m: re.Match[str]) -> str | None:
    written = m[1] or m[3]
    if written not in words.SPELT:
        return None
    return "".join(f"{letter}." for letter in written)


def _money(whole: str, part: int, cents: Noun) -> str:
    return f"{whole} {grammar('').says(part)}"


@lru_cache
def grammar(region: str) -> Grammar:
    """region: all read as "fr" does; "soixante-dix" in Belgium and Switzerland too."""
    return Grammar(
        code="fr",
        group=" .",
        decimal=",",
        words=words.WORDS,
        units=words.UNITS,
        currencies=words.CURRENCIES,
        magnitudes=words.MAGNITUDES,
        abbreviations=words.ABBREVIATIONS,
        announcement="Il y a un exemple de code à l'écran.",
        money=_money,
        rules=_rules(),
        starters=words.STARTERS,
        hyphen_plural=True,
        pairs=True,
        plural_from_two=True,
    )
