"""German: its dates, times, inflected ordinals, roman numerals and abbreviations."""

from __future__ import annotations

import re
from functools import lru_cache

from . import german_words as words
from .grammar import Grammar, Noun, Rule, after, among, before
from .roman import ROMAN, value

_DATIVE = among(
    "am vom zum zur beim im dem den des ab seit bis aus mit nach von vor jedem jeden dieses diesem"
    " diesen einem einen eines ihrem ihren seinem seinen meinem meinen unserem ins"
)
"""Words behind which an ordinal ends in -n."""
_PREPOSITIONS = among("in aus mit nach von zu seit bei während auf an trotz")
"""Before "der" they make it a dative."""
_NOMINATIVE = among("der die das jede diese eine ihre seine meine")
_FEMININE = re.compile(r".*(?:ung|heit|keit|ion|schaft|tät|e|[Ll]iga|Hand)$")
_HALF_FEMININE = re.compile(
    r".*(?:ung|ion|asse|unde|asche|ose|eibe|iebel|ute|eite|ose|urke|one|ugel|rise|oche|illion)$"
)
_HALF_NEUTER = re.compile(
    r".*(?:Pfund|[Kk]ilo|gramm|[Gg]las|Jahr|Dutzend|[Bb]rot|Stück|chen|Blatt)$"
)
"""Nouns that are halved: mostly of kitchens and clocks."""
_NEUTER = re.compile(r".*(?:hundert|zeug|chen|lein|ment|Mal|Jahr|Kapitel|Stück|Tor|Buch|Spiel)$")


def _rules() -> list[Rule]:
    month = rf"({words.MONTH})"
    clock = r"(\d{1,2})(?:[:.](\d\d))?"
    roman = rf"({ROMAN})"
    return [
        # Dates.
        (r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)\S{0,12})?(?![\w-])", _iso),
        (r"(\d{1,2})\. ?(\d{1,2})\. ?(\d{4}|\d{2}(?=[\s,;)]|$))(?!\w)", _date),
        (r"(\d{1,2})\.(\d{1,2})\.(?=[\s,;:!?)]|$)", _date),
        (r"(\d{1,2})/(\d{1,2})/(\d{4})(?!\w)", _date),
        (rf"(\d{{1,2}})\.? ?[–-] ?(\d{{1,2}})\. {month}(?: (\d{{4}})(?!\w))?", _days),
        (rf"(\d{{1,2}})\. ?{month}(?: (\d{{4}})(?!\w|[.,]\d))?", _day),
        (rf"{month} (\d{{4}})(?!\w|[.,]\d)", lambda g, m: f"{_month(m[1])} {g.year(int(m[2]))}"),
        (r"((?:Jan|Feb|Aug|Sept?|Okt|Nov|Dez)\.)(?=\s)", lambda g, m: _month(m[1])),
        (r"(Mo|Di|Mi|Do|Fr|Sa|So)\.(?=,? \d)", lambda g, m: words.DAYS[m[1]]),
        (r"[’']?(\d{4}|\d0)er(?![^\W\d_]{3})(n?)(?!\w)", _decade),
        (r"(0?[1-9]|1[0-2])/((?:19|20)\d\d)(?![\w/])", _numbered_month),
        # Times.
        (r"(\d{1,2})[.:](\d\d)(?= (?:bis|und|oder) \d{1,2}[.:]\d\d Uhr)", _clock_short),
        (rf"{clock} ?[–-] ?{clock} Uhr(?!\w)", _opening),
        (rf"{clock}(?::(\d\d))? ?(?:Uhr|h)(?!\w|/)", _clock),
        (r"([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?![\w:]|[.,]\d)", _clock),
        (r"(\d),(\d\d) ?m(?![\w²³/])", _meters),
        # Ordinals and roman numerals.
        (rf"{roman}\. (?=[A-ZÄÖÜ][a-zäöü])", _roman_ordinal),
        (rf"((?:{words.ROYAL})) {roman}\.?(?!\w)", _monarch),
        (rf"((?i:{words.ROMAN_AFTER})) {roman}(?!\w|\.\w)", _roman),
        (r"(\d{1,3})\.(?= (?:und |bis |oder |[–-] ?)\d{1,3}\. ?[A-Za-zÄÖÜäöü])", _ordinal),
        (r"(\d{1,3})\.(?= ?[a-zäöü])", _ordinal),
        (r"(\d{1,3})\.(?= [A-ZÄÖÜ])", _ordinal_before_noun),
        (r"(\d{1,3})(?:te|ter|tes|ten|tem|ste|ster|ste[nms])(?!\w)", _written_ordinal),
        (r"(\d{1,3})(?:-| ?)[xX×](?=\s|$|[.,;:!?)])", lambda g, m: f"{g.says(int(m[1]), 'n')}mal"),
        (r"(\d{1,3})-?((?:fach|mal|jährig|köpfig|stündig|tägig|prozentig|stellig)\w{0,2})(?!\w)",
         lambda g, m: g.says(int(m[1]), "n") + m[2]),
        (r"0\d{1,4}[ /-]\d{3,8}(?:[ -]\d{1,6})?(?!\w)", _phone),
        (r"(?:1[1-9]|20)\d\d(?![\w,]*\d|\w|[.:]\d)(?![/–-]\d)(?! ?[%°€$])", _maybe_year),
        (r"24/7(?!\w|/)", lambda g, m: "vierundzwanzig sieben"),
        (r"(?:1/2|½) ([A-ZÄÖÜ][a-zäöüß]{2,20})(?!\w)", _half),
        (r"(\d{1,3}) ?(?:½|1/2)(?![\w/])", lambda g, m: f"{g.says(int(m[1]), 'm')}einhalb"),
        (r"(\d{1,4}),[-–]+ ?(?:€|EUR|Euro)(?!\w)", _whole_euros),
        (r"(\d{1,4})-(?:€|EUR|Euro)(?=-)", lambda g, m: f"{g.says(int(m[1]), 'm')}-Euro"),
        # Abbreviations.
        (rf"(?:{words.SPACED})(?!\w)", _abbreviation),
        (r"(?:Nr|Abb|S|Kap|Bd|Art|Abs|Tab|Ziff|Tel)\.(?= ?[\d+(IVX])", _numbered),
        (r"§§? ?(?=\d)", lambda g, m: "Paragraphen " if m[0].startswith("§§") else "Paragraph "),
        (r"[^\W\d_]{1,10}\.(?!\w)", _abbreviation),
        (r"([A-ZÄÖÜ][a-zäöüß]{2,20})str\.", lambda g, m: f"{m[1]}straße"),
        (r"([A-ZÄÖÜ]{2,4})(s)?(?![\w'])", _capitals),
        (r"1(?= (?:Jahr|Tag|Kind|Stück|Mal|Euro|Mann|Monat|Haus|Hund|Apfel|Buch|Bier)(?!\w))",
         lambda g, m: "ein"),
        (r"1(?= (?:[A-ZÄÖÜ][a-zäöüß]*(?:e|ung|heit|keit|ion|schaft)|Frau|Woche|Stadt)(?!\w))",
         lambda g, m: "eine"),
    ]  # fmt: skip


def _month(written: str) -> str:
    return next(name for name in words.MONTHS if name.startswith(written[:3]))


def _inflected(g: Grammar, number: int, m: re.Match[str], noun: str = "") -> str:
    """The ordinal as it is after the word before it, and before the noun."""
    said = g.ordinal(number)
    earlier = m.string[max(0, m.start() - 60) : m.start()].lower().split()
    while len(earlier) > 1 and earlier[-1] in ("und", "oder", "bis", "–", "-"):
        del earlier[-2:]  # "der 1. und 2. Platz"
    article = earlier[-1] if earlier else ""
    if article in _DATIVE:
        return f"{said}n"
    if article in _NOMINATIVE:
        preposition = earlier[-2] if len(earlier) > 1 else ""
        return f"{said}n" if article == "der" and preposition in _PREPOSITIONS else said
    if _FEMININE.match(noun):
        return said
    return f"{said}s" if _NEUTER.match(noun) else f"{said}r"


def _full_year(g: Grammar, year: str) -> str:
    if len(year) == 2:
        year = ("20" if int(year) < 70 else "19") + year
    return g.year(int(year))


def _iso(g: Grammar, m: re.Match[str]) -> str | None:
    if not (1 <= int(m[2]) <= 12 and 1 <= int(m[3]) <= 31):
        return None
    day = _inflected(g, int(m[3]), m)
    said = f"{day} {words.MONTHS[int(m[2]) - 1]} {g.year(int(m[1]))}"
    return f"{said}, {_at(g, m[4], m[5])}" if m[4] else said


def _date(g: Grammar, m: re.Match[str]) -> str | None:
    if not (1 <= int(m[2]) <= 12 and 1 <= int(m[1]) <= 31):
        return None
    year = f" {_full_year(g, m[3])}" if m.re.groups > 2 and m[3] else ""
    return f"{_inflected(g, int(m[1]), m)} {words.MONTHS[int(m[2]) - 1]}{year}"


def _days(g: Grammar, m: re.Match[str]) -> str:
    year = f" {g.year(int(m[4]))}" if m[4] else ""
    first, last = _inflected(g, int(m[1]), m), f"{g.ordinal(int(m[2]))}n"
    return f"{first} bis {last} {_month(m[3])}{year}"


def _day(g: Grammar, m: re.Match[str]) -> str | None:
    if not 1 <= int(m[1]) <= 31:
        return None
    year = f" {g.year(int(m[3]))}" if m[3] else ""
    return f"{_inflected(g, int(m[1]), m)} {_month(m[2])}{year}"


def _numbered_month(g: Grammar, m: re.Match[str]) -> str:
    return f"{words.MONTHS[int(m[1]) - 1]} {g.year(int(m[2]))}"


def _decade(g: Grammar, m: re.Match[str]) -> str:
    said = g.year(int(m[1])) if len(m[1]) == 4 else g.says(int(m[1]))
    return f"{said}er{m[2]}"


def _at(g: Grammar, hour: str, minute: str | None, second: str | None = None) -> str:
    said = f"{g.says(int(hour), 'n')} Uhr"
    if minute and (minute != "00" or second):
        said += f" {g.says(int(minute))}"
    return f"{said} und {g.count(str(int(second)), g.units['s'])}" if second else said


def _clock(g: Grammar, m: re.Match[str]) -> str | None:
    if int(m[1]) > 24 or int(m[2] or 0) > 59:
        return None
    if m[2] is None and m[0].endswith("h"):
        return None  # "24h" are hours
    return _at(g, m[1], m[2], m[3])


def _clock_short(g: Grammar, m: re.Match[str]) -> str:
    """ "von 9.00 bis 17.30 Uhr": the word is said once if the hour is full."""
    return _at(g, m[1], m[2]) if m[2] != "00" else g.says(int(m[1]), "n")


def _opening(g: Grammar, m: re.Match[str]) -> str | None:
    if int(m[1]) > 24 or int(m[3]) > 24:
        return None
    first = _at(g, m[1], m[2]) if m[2] else g.says(int(m[1]), "n")
    return f"{first} bis {_at(g, m[3], m[4])}"


def _ordinal(g: Grammar, m: re.Match[str]) -> str | None:
    if len(m[1]) > 1 and m[1][0] == "0":
        return None
    return _inflected(g, int(m[1]), m, after(m))


def _ordinal_before_noun(g: Grammar, m: re.Match[str]) -> str | None:
    """A noun and a new sentence both begin with a capital: the word before tells which it is."""
    article, noun = before(m).lower(), after(m)
    known = article in _DATIVE or article in _NOMINATIVE
    if known or noun in words.ORDINAL_NOUNS or (not article and noun not in words.BEGINNINGS):
        return None if not article and noun not in words.ORDINAL_NOUNS else _ordinal(g, m)
    return None


def _written_ordinal(g: Grammar, m: re.Match[str]) -> str:
    ending = re.sub(r"^.*?\d+s?te", "", m[0])
    return f"{g.ordinal(int(m[1]))}{ending}"


def _roman_ordinal(g: Grammar, m: re.Match[str]) -> str | None:
    number = value(m[1])
    if not number or (len(m[1]) == 1 and after(m) not in words.ORDINAL_NOUNS):
        return None
    return f"{_inflected(g, number, m, after(m))} "


def _monarch(g: Grammar, m: re.Match[str]) -> str | None:
    number = value(m[2])
    if not number:
        return None
    ends = m[0].endswith(".") and (
        not m.string[m.end() :].strip() or bool(re.match(r"\s+[A-ZÄÖÜ]", m.string[m.end() :]))
    )
    return f"{m[1]} der {g.ordinal(number).capitalize()}{'.' if ends else ''}"


def _roman(g: Grammar, m: re.Match[str]) -> str | None:
    number = value(m[2])
    return f"{m[1]} {g.says(number)}" if number and m[2] not in ("C", "D", "L", "M") else None


def _half(g: Grammar, m: re.Match[str]) -> str:
    gender = "f" if _HALF_FEMININE.match(m[1]) else "n" if _HALF_NEUTER.match(m[1]) else "m"
    return g.words[f"half_{gender}"].format(m[1])


def _maybe_year(g: Grammar, m: re.Match[str]) -> str | None:
    noun = after(m)
    counted = noun[:1].isupper() and before(m).lower() not in words.BEFORE_YEARS
    return g.says(int(m[0])) if counted and noun in words.COUNTED else g.year(int(m[0]))


def _numbered(g: Grammar, m: re.Match[str]) -> str:
    return words.NUMBERED[m[0].rstrip(".")] + (
        " " if m.string[m.end() : m.end() + 1] != " " else ""
    )


def _abbreviation(g: Grammar, m: re.Match[str]) -> str | None:
    key = re.sub(r"\s", "", m[0])
    said = words.ABBREVIATIONS.get(key) or words.ABBREVIATIONS.get(key.lower())
    if said is None:
        return None
    rest = m.string[m.end() :]
    ends = not rest.strip() or bool(re.match(r"[\"')\]]*\s+[A-ZÄÖÜ]", rest))
    if key.lower() in words.BEFORE_NAMES:
        return said if re.match(r" [A-ZÄÖÜ]", rest) and m[0][0].isupper() else None
    if key.lower() in words.WORDS_TOO and ends:
        return None  # the full stop is the sentence's
    return f"{said}." if ends and key.lower() in words.MAY_END else said


def _capitals(g: Grammar, m: re.Match[str]) -> str | None:
    if m[1] not in words.SPELT:
        return None
    return "".join(f"{letter}." for letter in m[1]) + (m[2] or "")


def _meters(g: Grammar, m: re.Match[str]) -> str:
    """A height: "ein Meter achtzig"."""
    return f"{g.says(int(m[1]), 'm')} Meter {g.says(int(m[2]))}"


def _whole_euros(g: Grammar, m: re.Match[str]) -> str:
    """ "5,- €"."""
    return g.count(m[1], g.currencies["€"][0])


def _phone(g: Grammar, m: re.Match[str]) -> str:
    return ", ".join(g.digits(group) for group in re.findall(r"\d+", m[0]))


def _money(whole: str, part: int, cents: Noun) -> str:
    return f"{whole} {grammar('').says(part)}"


@lru_cache
def grammar(region: str) -> Grammar:
    """region: "ch" and "at" read as "de" does."""
    return Grammar(
        code="de",
        group=". '",
        decimal=",",
        words=words.WORDS,
        units=words.UNITS,
        currencies=words.CURRENCIES,
        magnitudes=words.MAGNITUDES,
        abbreviations=words.ABBREVIATIONS,
        announcement="Auf dem Bildschirm steht ein Codebeispiel.",
        money=_money,
        rules=_rules(),
        starters=words.STARTERS,
        endings=("str",),
        hyphen_plural=True,
    )
