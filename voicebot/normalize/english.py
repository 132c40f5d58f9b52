"""English: its dates, times, ordinals, roman numerals, abbreviations and acronyms."""

from __future__ import annotations

import re
from functools import lru_cache

from . import english_words as words
from .grammar import Grammar, Noun, Rule, after, before
from .roman import ROMAN, value


def _rules(day_first: bool) -> list[Rule]:
    month, day = rf"({words.MONTH})", r"(\d{1,2})(?:st|nd|rd|th)?"
    clock = r"(\d\d):(\d\d)(?::\d\d(?:\.\d+)?)?"
    numbered = "|".join(map(re.escape, sorted(words.NEED_A_NUMBER, key=len, reverse=True)))
    half = r"(?:([AaPp])(?:\.[Mm]\.|[Mm]\b))"
    return [
        # Dates.
        (rf"(\d{{4}})-(\d\d)-(\d\d)(?:[T ]{clock}(Z|[+-]\d\d:?\d\d)?)?(?!\w)", _iso),
        (r"(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})(?![\w/])", lambda g, m: _slashed(g, m, day_first)),
        (r"(0?[1-9]|1[0-2])/((?:19|20)\d\d)(?![\w/])", _numbered_month),
        (r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?![\w.]*\d)", lambda g, m: _date(g, m[2], m[1], m[3])),
        (rf"{month} {day}(?:,? (\d{{4}}))?(?![\w:]|[.,]\d|[–-]\d)", _month_day),
        (rf"{month} (\d{{1,2}}) ?[–-] ?(\d{{1,2}})(?:, (\d{{4}}))?(?![\w:])", _month_days),
        (rf"{day} (?:of )?{month}(?!\w)(?:,? (\d{{4}})(?!\w|[.,]\d))?", _day_month),
        (rf"{month},? (\d{{4}})(?!\w)", _month_year),
        (r"((?:Jan|Feb|Aug|Sept?|Oct|Nov|Dec)\.)(?=\W)", lambda g, m: _name_of_month(m[1])),
        (rf"(Mon|Tues?|Wed|Thu|Thurs?|Fri|Sat|Sun)\.?(?=,? (?:\d|{words.MONTH}))", _weekday),
        (r"[’']?(\d{4}|\d0)['’]?s(?!\w)", _decade),
        (r"(\d{1,4}) ?(BCE|BC|CE|AD|B\.C\.|A\.D\.)(?!\w)", _era),
        (r"(AD|A\.D\.) ?(\d{1,4})(?!\w)", lambda g, m: f"A.D. {g.year(int(m[2]))}"),
        # Times.
        (rf"(\d{{1,2}})(?::(\d\d))? ?{half} ?[–-] ?(\d{{1,2}})(?::(\d\d))? ?{half}", _span),
        (rf"(\d{{1,2}})(?::(\d\d))?[–-](\d{{1,2}})(?::(\d\d))? ?{half}", _half_span),
        (rf"(\d{{1,2}})(?:[:.](\d\d))?(?::\d\d)? ?{half}", _clock),
        (r"([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?![\w:]|[.,]\d)(?: ?h(?!\w))?", _clock_24),
        # Feet and inches, ordinals, multiples.
        (r"(\d{1,3})['′] ?(\d{1,2}(?:\.\d)?)(?:\"|''|″|”)", _feet),
        (r"([3-8])['′](1[01]|\d)(?=[\s,.;!?)]|$)", _feet),
        (r"(\d{1,3}) ft\.? (\d{1,2}) in(?!\w)\.?", _feet),
        (r"(\d{1,3})′(?!\w)", lambda g, m: g.count(m[1], g.units["ft"])),
        (r"(\d{1,3}(?:\.\d)?)(?:″|\"(?= (?:[a-z]|[x×])))(?<=\d[″\"])", _inches),
        (r"(\d{1,3}(?:,\d{3})+|\d+)(?:st|nd|rd|th|ST|ND|RD|TH)(?!\w)", _ordinal),
        (rf"([A-Z][a-z]+ )?(?:(?:{words.ROYAL}) ({ROMAN})(?!\w|\.\w))", _monarch),
        (rf"((?i:{words.ROMAN_AFTER})s?|World War) ({ROMAN})(?!['\w])", _roman),
        (r"'(\d\d)(?![\w'])", lambda g, m: g.says(int(m[1]))),
        (r"911(?![\w,.]*\d|\w)", lambda g, m: g.digits("911")),
        (r"([01])s(?!\w)", lambda g, m: "zeros" if m[1] == "0" else "ones"),
        (r"(?<=\w )No (?=\d)", lambda g, m: "number "),
        (rf"((?:{words.AIRCRAFT}) [A-Z]?)(\d{{3}})(?:-(\d{{1,3}})00)?(?![\w-])", _aircraft),
        (rf"3M(?!\w)(?=['’]s|[.,]? *$| (?:{words.AFTER_3M})\b)", lambda g, m: "three M"),
        (r"24/7(?!\w|/)", lambda g, m: "twenty-four seven"),
        (r"9/11(?!\w|/)", lambda g, m: "nine eleven"),
        (r"50/50(?!\w|/)", lambda g, m: "fifty fifty"),
        (r"(\d{2})[º](?!\w)", lambda g, m: g.count(m[1], g.units["°"])),
        (r"(\d{1,3}(?:\.\d+)?)[xX](?=\s|$|[.,;:!?)])", lambda g, m: f"{g.amount(m[1])} times"),
        (r"(\d+(?:\.\d+)?)([kKM])(?=\s|$|[.,;:!?)+])", _thousands),
        (r"[1-9]\d{3}(?![\w,]*\d|\w|\.\d)(?![/–—-]\d)(?! ?[%°])", _maybe_year),
        # Abbreviations and acronyms.
        (r"(?:[A-Za-z]\.){2,5}(?:[A-Za-z](?![\w.]))?", _dotted),
        (rf"(?i:{numbered})(?<!P\.) ?(?=\d|[IVXLC]+\b(?!\.))", _numbered),
        (r"(?:[Ww]/o|[Bb]/c)(?!\w)|[Ww]/(?=\s)", lambda g, m: words.ABBREVIATIONS[m[0].lower()]),
        (r"[A-Za-z][a-z]{0,6}\.(?!\w)", _abbreviation),
        (r"(?:vs|aka)(?!\w)", lambda g, m: words.ABBREVIATIONS[m[0]]),
        (r"(WHO|US|IT|AM|PM|AI)('s)?(?![\w'$£€])", _capitals),
        (r"(?i:tcp/ip)", lambda g, m: "T.C.P. I.P."),
    ]


def _numbered_month(g: Grammar, m: re.Match[str]) -> str:
    return f"{words.MONTHS[int(m[1]) - 1]} {g.year(int(m[2]))}"


def _month_year(g: Grammar, m: re.Match[str]) -> str:
    return f"{_name_of_month(m[1])} {g.year(int(m[2]))}"


def _numbered(g: Grammar, m: re.Match[str]) -> str:
    """ "No. 5", where "no." by itself is a word."""
    return words.NEED_A_NUMBER[m[0].strip().lower()] + " "


def _name_of_month(written: str) -> str:
    return next(name for name in words.MONTHS if name.startswith(written[:3]))


def _date(g: Grammar, month: str, day: str, year: str) -> str | None:
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return None
    if len(year) == 2:
        year = ("20" if int(year) < 70 else "19") + year
    return f"{words.MONTHS[int(month) - 1]} {g.ordinal(int(day))}, {g.year(int(year))}"


def _iso(g: Grammar, m: re.Match[str]) -> str | None:
    said = _date(g, m[2], m[3], m[1])
    if said is None or not m[4]:
        return said
    return f"{said}, {_at(g, m[4], m[5])}" + (" U.T.C." if m[6] == "Z" else "")


def _slashed(g: Grammar, m: re.Match[str], day_first: bool) -> str | None:
    first, second = int(m[1]), int(m[2])
    if first > 12 or (day_first and second <= 12):
        first, second = second, first
    return _date(g, str(first), str(second), m[3])


def _month_day(g: Grammar, m: re.Match[str]) -> str | None:
    if not 1 <= int(m[2]) <= 31:
        return None
    if m[1] in ("May", "March", "Mar", "Sat", "Sun") and m[3] is None and _is_verb(m):
        return None
    year = f", {g.year(int(m[3]))}" if m[3] else ""
    return f"{_name_of_month(m[1])} {g.ordinal(int(m[2]))}{year}"


def _is_verb(m: re.Match[str]) -> bool:
    """ "You may 2"; "March 3 miles": a unit or a noun follows."""
    return after(m) in ("km", "miles", "times", "people", "hours", "days")


def _month_days(g: Grammar, m: re.Match[str]) -> str | None:
    if not 1 <= int(m[2]) < int(m[3]) <= 31:
        return None
    year = f", {g.year(int(m[4]))}" if m[4] else ""
    return f"{_name_of_month(m[1])} {g.ordinal(int(m[2]))} to {g.ordinal(int(m[3]))}{year}"


def _day_month(g: Grammar, m: re.Match[str]) -> str | None:
    if not 1 <= int(m[1]) <= 31:
        return None
    if m[2] == "May" and after(m) in ("be", "have", "not", "also", "go", "use"):
        return None
    the = "" if before(m).lower() == "the" else "the "
    year = f", {g.year(int(m[3]))}" if m[3] else ""
    return f"{the}{g.ordinal(int(m[1]))} of {_name_of_month(m[2])}{year}"


def _weekday(g: Grammar, m: re.Match[str]) -> str:
    return words.DAYS[m[1].lower()]


def _decade(g: Grammar, m: re.Match[str]) -> str | None:
    figures = m[1]
    if len(figures) == 2 and m[0][0] != "'" and before(m).lower() not in words.BEFORE_DECADES:
        return None  # "10s" are seconds
    said = g.year(int(figures)) if len(figures) == 4 else g.says(int(figures))
    if said.endswith("y"):
        return f"{said[:-1]}ies"
    return said + ("es" if said.endswith("x") else "s")


def _era(g: Grammar, m: re.Match[str]) -> str:
    letters = ".".join(m[2].replace(".", "")) + "."
    year = int(m[1])
    return f"{g.year(year) if year >= 1000 else _short_year(g, year)} {letters}"


def _short_year(g: Grammar, year: int) -> str:
    hundreds, rest = divmod(year, 100)
    if hundreds and rest >= 10:
        return f"{g.says(hundreds)} {g.says(rest)}"
    return g.says(year)


def _at(g: Grammar, hour: str, minute: str | None) -> str:
    if not minute or minute == "00":
        return g.says(int(hour))
    rest = f"oh {g.says(int(minute))}" if minute[0] == "0" else g.says(int(minute))
    return f"{g.says(int(hour))} {rest}"


def _clock(g: Grammar, m: re.Match[str]) -> str | None:
    if not (int(m[1]) <= 24 and int(m[2] or 0) < 60):
        return None
    return f"{_at(g, m[1], m[2])} {m[3].upper()}.M."


def _goes_on(m: re.Match[str]) -> bool:
    return bool(re.match(r"\s+[a-z\d]", m.string[m.end() :]))


def _span(g: Grammar, m: re.Match[str]) -> str | None:
    if int(m[1]) > 24 or int(m[4]) > 24:
        return None
    return f"{_at(g, m[1], m[2])} {m[3].upper()}.M. to {_at(g, m[4], m[5])} {m[6].upper()}.M."


def _half_span(g: Grammar, m: re.Match[str]) -> str | None:
    if int(m[1]) > 24 or int(m[3]) > 24:
        return None
    return f"{_at(g, m[1], m[2])} to {_at(g, m[3], m[4])} {m[5].upper()}.M."


def _clock_24(g: Grammar, m: re.Match[str]) -> str:
    if m[3]:
        return f"{_at(g, m[1], m[2])} and {g.count(str(int(m[3])), g.units['s'])}"
    if m[2] == "00":
        if int(m[1]) in (0, 24) or int(m[1]) > 12:
            return f"{g.says(int(m[1]))} hundred hours" if int(m[1]) > 12 else "midnight"
        return f"{g.says(int(m[1]))} o'clock"
    return _at(g, m[1], m[2])


def _feet(g: Grammar, m: re.Match[str]) -> str:
    return f"{g.count(m[1], g.units['ft'])} {g.amount(m[2])}"


def _inches(g: Grammar, m: re.Match[str]) -> str:
    return g.count(m[1], g.units["in"])


def _ordinal(g: Grammar, m: re.Match[str]) -> str | None:
    figures = m[1].replace(",", "")
    return g.ordinal(int(figures)) if len(figures) <= 12 else None


def _monarch(g: Grammar, m: re.Match[str]) -> str | None:
    number = value(m[2])
    if not number or (m[2] == "I" and _goes_on(m)):
        return None
    name = m[0][: -len(m[2])]
    return f"{name}the {g.ordinal(number)}"


def _roman(g: Grammar, m: re.Match[str]) -> str | None:
    number = value(m[2])
    if not number or (m[2] == "I" and m[1].islower()):
        return None  # "In part I agree."
    if len(m[2]) == 1 and m[2] not in "IVX":
        return None  # "Part C", "class D"
    return f"{m[1]} {g.says(number)}"


def _thousands(g: Grammar, m: re.Match[str]) -> str | None:
    if m[2] == "K":
        return f"{g.amount(m[1])} K"
    return f"{g.amount(m[1])} {'thousand' if m[2] == 'k' else 'million'}"


_COUNTED = re.compile(r"[a-z]{2,}s$|people|men|women|children|feet|square|cubic|more|different")
_NOT_COUNTED = frozenset(["was", "is", "has", "as", "its", "this", "us", "does", "versus", "plus"])


def _aircraft(g: Grammar, m: re.Match[str]) -> str:
    """ "Boeing seven thirty-seven eight hundred"."""
    family, rest = m[2], int(m[2][1:])
    ends = "hundred" if not rest else f"oh {g.says(rest)}" if rest < 10 else g.says(rest)
    series = f" {g.says(int(m[3]))} hundred" if m[3] else ""
    return f"{m[1]}{' ' if m[1][-1] != ' ' else ''}{g.says(int(family[0]))} {ends}{series}"


def _maybe_year(g: Grammar, m: re.Match[str]) -> str | None:
    number, noun = int(m[0]), after(m)
    if not 1100 <= number <= 2099:
        return g.year(number) if number < 1100 and _dated(before(m)) else None
    if _COUNTED.match(noun) and noun not in _NOT_COUNTED and not _dated(before(m)):
        return None
    return g.year(number)


def _dated(word: str) -> bool:
    return word.lower() in ("in", "since", "by", "from", "until", "year", "the", "of", "during")


def _dotted(g: Grammar, m: re.Match[str]) -> str | None:
    written = m[0].lower()
    written = written if written.endswith(".") else f"{written}."
    if said := words.ABBREVIATIONS.get(written):
        return said
    return None


def _abbreviation(g: Grammar, m: re.Match[str]) -> str | None:
    written = m[0].lower()
    said = words.ABBREVIATIONS.get(written)
    if said is None:
        return None
    rest = m.string[m.end() :]
    ends = not rest.strip() or bool(re.match(r"[\"')\]]*\s+[A-Z]", rest))
    if written in ("st.", "dr.") and before(m)[:1].isupper() and _is_over(rest):
        return ("Street" if written == "st." else "Drive") + ("." if ends else "")
    if written in words.NEED_A_NAME:
        return said if re.match(r" [A-Z]", rest) and m[0][0].isupper() else None
    if (
        written in ("min.", "max.", "temp.", "est.", "co.", "rep.", "ex.", "tel.", "ext.", "ca.")
        and ends
    ):
        return None if written != "co." else "Company."
    if written in words.MAY_END and ends and not (written in ("jr.", "sr.") and rest.strip()):
        return f"{said}."
    return said


_BEGINS = re.compile(
    r"\s+(?:[^A-Z]|(?:It|He|She|They|We|The|This|That|These|There|I|You|In|On|At|But|And|Then|A|An|If|My"
    r"|His|Her|Its|Our|When|What|Where|How|Why|Who|Is|Are|Do|Did|Was|So|For|To|As)\b)"
)


def _is_over(rest: str) -> bool:
    """Whether no name follows: a street's name has ended."""
    return not rest.strip() or not rest.startswith(" ") or bool(_BEGINS.match(rest))


def _capitals(g: Grammar, m: re.Match[str]) -> str | None:
    """An acronym that is a word in small letters, unless all around it is in capitals."""
    near = [before(m), after(m)]
    if any(
        len(word) > 1 and word.isupper() and word.isalpha() and word not in words.WORDS_IN_CAPITALS
        for word in near
    ):
        return None
    return words.WORDS_IN_CAPITALS[m[1]] + (m[2] or "")


_STARTERS = frozenset(
    [month.lower() for month in words.MONTHS]
    + [month[:3].lower() for month in words.MONTHS]
    + ["sept", "world", "st", "vs", "aka", *words.DAYS]
    + [
        word.rstrip(".")
        for word in (*words.ABBREVIATIONS, *words.NEED_A_NUMBER)
        if word.rstrip(".").isalpha()
    ]
    + words.AIRCRAFT.lower().split("|")
    + words.ROMAN_AFTER.split("|")
    + [f"{word}s" for word in words.ROMAN_AFTER.split("|")]
    + words.ROYAL.lower().split("|")
    + ["v", "version", "x"]
)


def _money(whole: str, part: int, cents: Noun) -> str:
    english = _grammar_of("")
    return f"{whole} and {english.count(str(part), cents)}"


def grammar(region: str) -> Grammar:
    """region: "gb" writes the day before the month."""
    return _grammar_of("gb" if region.startswith(("gb", "uk")) else "")


@lru_cache
def _grammar_of(region: str) -> Grammar:
    return Grammar(
        code="en",
        group=",",
        decimal=".",
        words=words.WORDS,
        units=words.UNITS,
        currencies=words.CURRENCIES,
        magnitudes=words.MAGNITUDES,
        abbreviations=words.ABBREVIATIONS,
        announcement="There is a code example on the screen.",
        money=_money,
        articles=frozenset(("a", "an")),
        rules=_rules(day_first=region == "gb"),
        starters=_STARTERS,
    )
