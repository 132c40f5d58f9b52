"""Numbers as all languages write them: amounts, money, units, ranges, fractions, telephones."""

from __future__ import annotations

import re
from dataclasses import replace

from .grammar import Grammar, Noun, Rule, among, before

_SUPER = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_VULGAR = {
    "½": (1, 2), "⅓": (1, 3), "⅔": (2, 3), "¼": (1, 4), "¾": (3, 4), "⅕": (1, 5), "⅖": (2, 5),
    "⅗": (3, 5), "⅘": (4, 5), "⅙": (1, 6), "⅚": (5, 6), "⅛": (1, 8), "⅜": (3, 8), "⅝": (5, 8),
    "⅞": (7, 8),
}  # fmt: skip
_END = r"(?![^\W_]|[.,]\d)"
"""Nothing of the number or the word follows."""


def rules(grammar: Grammar) -> list[Rule]:
    n, point = grammar.number, re.escape(grammar.decimal)
    signs = "|".join(sorted(map(re.escape, grammar.currencies), key=len, reverse=True))
    large = "|".join(sorted(map(re.escape, grammar.magnitudes), key=len, reverse=True))
    unit = "|".join(sorted(map(re.escape, grammar.units), key=len, reverse=True))
    unit = rf"(?:{unit})(?:\^?[23²³])?(?:/(?:{unit})(?:\^?[23²³])?)?"
    to = r" ?[–—-] ?"
    minus = r"(?:(?<![\w)])[-–−])?"
    return [
        # Telephone numbers and other figures that only have digits.
        (r"\+\d{1,3}(?:[ ./-]?\(?\d{1,5}\)?){2,6}(?!\w)", _phone),
        (r"\(\d{3}\) ?\d{3}[ .-]\d{4}(?!\w)|\d{3}[ .-]\d{3}[.-]\d{4}(?!\w)", _phone),
        (r"1-\d{3}-\d{3}-\d{4}(?!\w)|\d{3}-\d{4}(?![\w-])", _phone),
        (r"\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?(?![\w.]*\d)", _address),
        (r"(v|V)\.? ?(\d+(?:\.\d+){0,4})(?!\w|\.\d)", _version),
        (r"\d+(?:\.\d+){2,5}(?!\w|\.\d)", _dotted),
        (r"(\d{1,5})[x×](\d{1,5})(?![\w.]| ?(?:" + unit + r")(?!\w))", _product),
        (r"\d+(?:-\d+){2,6}(?!\w|-\d)", lambda g, m: g.digits(m[0])),
        # Money: before, behind, and in ranges.
        (
            rf"({minus})({signs}) ?({n})(?: ?({large}))?{to}(?:{signs})? ?({n})"
            rf"(?: ?({large})(?!\w))?{_END}",
            _money_range,
        ),
        (rf"({minus})({signs}) ?(-?)({n}|{point}\d+)(?: ?({large})(?!\w))?{_END}", _money_before),
        (
            rf"({minus})({n})(?:{to}({n}))?(?: ({large})(?!\w) ?| ?({large})?)({signs})(?!\w)",
            _money_behind,
        ),
        # Units.
        (rf"({minus})({n}){to}({minus})({n})[ -]?({unit})(?![\w²³]|/\w)", _unit_range),
        (rf"({minus})({n})[x×]({n})[ -]?({unit})(?![\w²³]|/\w)", _unit_product),
        (
            rf"({minus})({n})(?: ?([½⅓⅔¼¾⅛⅜⅝⅞]))?([ -]?)({unit})(?![\w²³'’]|/\w)(\.(?= [a-z]))?",
            _unit,
        ),
        (rf"({n}) ?%{to}({n}) ?%", _percent_range),
        (rf"({minus})({n}) ?%", lambda g, m: _percent(g, m)),
        (r"([½⅓⅔¼¾⅛⅜⅝⅞]) ?" + rf"({unit})(?![\w²³'’]|/\w)", _vulgar_unit),
        # Fractions, ratios and ranges.
        (r"(?:(\d{1,3}) ?)?([½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞])", _vulgar),
        (
            rf"(?:(\d{{1,3}})[ -])?(\d{{1,2}})[/⁄](\d{{1,2}}) ?({unit})(?![\w²³'’]|/\w)",
            _fraction_of_unit,
        ),
        (r"(?:(\d{1,3})[ -])?(\d{1,3})[/⁄](\d{1,3})(?![\w/]|[.,]\d)", _fraction),
        (r"(\d{4})[/–—-](\d{2}|\d{4})(?![\w/-])", _years),
        (rf"({n}){to}({n}) ?%", _percent_range),
        (rf"({minus})({n})(?:–|—|-| [–—-] )({n})(?![\w/-]|[.,]\d)", _range),
        (r"(\d{1,3}):(\d{1,3})(?![\w:]|[.,]\d)", _ratio),
        # Plain numbers.
        (r"([-–−])?(\d+(?:[.,]\d+)?)[eE]([+-]?\d{1,3})(?!\w)", _scientific),
        (r"(\d+)(?:\^|\*\*)(-?\d{1,4})(?!\w)|(\d+)([²³])", _power),
        (r"([A-Za-z])(?:(?:\^|\*\*)(-?\d{1,4})|([²³]))(?!\w)", _letter_power),
        (rf"({minus})({n}){_END}", _number),
        (r"0[xX][0-9a-fA-F]{1,16}(?!\w)", lambda g, m: _letters(g, m[0])),
        (r"(?<![\w.])\.(\d+)(?!\w)", lambda g, m: f"{g.words['point']} {g.digits(m[1])}"),
        (r"\d+(?:\.\d+)+", _dotted),
        (r"(\d+),(\d+)(?!\w)", lambda g, m: f"{_plain(g, m[1])}, {_plain(g, m[2])}"),
        # Letters and digits in one word.
        (r"(?=\d*[^\W\d_])(?=[^\W\d_]*\d)[^\W_]{2,40}(?!\w)", _mixed),
        (r"\d+", lambda g, m: _plain(g, m[0])),
    ]  # fmt: skip


def _minus(grammar: Grammar, sign: str) -> str:
    return f"{grammar.words['minus']} " if sign else ""


def _plain(grammar: Grammar, figures: str) -> str:
    """Digits without separators: a number, if they look like one."""
    if (len(figures) > 1 and figures[0] == "0") or len(figures) > 15:
        return grammar.digits(figures)
    return grammar.says(int(figures))


def _phone(grammar: Grammar, match: re.Match[str]) -> str | None:
    figures = match[0]
    count = sum(c.isdecimal() for c in figures)
    if not 7 <= count <= 15:
        return None
    plus = f"{grammar.words['plus']} " if figures[0] == "+" else ""
    groups = [grammar.digits(group) for group in re.findall(r"\d+", figures)]
    return plus + ", ".join(groups)


def _dotted(grammar: Grammar, match: re.Match[str]) -> str | None:
    if "." in grammar.group and re.fullmatch(r"\d{1,3}(?:\.\d{3})+", match[0]):
        return None  # one number
    point = grammar.words["point_name"]
    return f" {point} ".join(_plain(grammar, part) for part in re.findall(r"\d+", match[0]))


def _address(grammar: Grammar, match: re.Match[str]) -> str:
    """Of a computer, with its port."""
    host, _, port = match[0].partition(":")
    dot = f" {grammar.words['dot']} "
    said = dot.join(_plain(grammar, part) for part in host.split("."))
    return f"{said} {grammar.words['port']} {_plain(grammar, port)}" if port else said


def _product(grammar: Grammar, match: re.Match[str]) -> str:
    if len(match[1]) > 2 and len(match[2]) > 2:  # of a screen
        return f"{_pairs(grammar, match[1])} {grammar.words['by']} {_pairs(grammar, match[2])}"
    return f"{_plain(grammar, match[1])} {grammar.words['times']} {_plain(grammar, match[2])}"


def _pairs(grammar: Grammar, figures: str) -> str:
    return grammar.year(int(figures)) if len(figures) == 4 else _plain(grammar, figures)


def _version(grammar: Grammar, match: re.Match[str]) -> str:
    parts = [_plain(grammar, part) for part in match[2].split(".")]
    name = grammar.words["version"]
    named = before(match).lower() == name.lower()
    return ("" if named else f"{name} ") + f" {grammar.words['point_name']} ".join(parts)


def _coin(grammar: Grammar, sign: str, figures: str, magnitude: str | None) -> str:
    major, minor = grammar.currencies[sign]
    if magnitude:
        large = grammar.magnitudes[magnitude]
        return f"{grammar.count(figures, large)} {_after_magnitude(grammar, large, major)}"
    whole, part = grammar.parted(figures)
    if len(part) != 2 or len(whole) > 15:
        return grammar.count(figures, major)
    if not int(part):
        return grammar.count(whole or "0", major)
    if not int(whole or 0):
        return grammar.count(str(int(part)), minor)
    return grammar.money(grammar.count(whole, major), int(part), minor)


def _after_magnitude(grammar: Grammar, large: Noun, major: Noun) -> str:
    """ "millions de dollars", but "mille dollars"."""
    of = grammar.words["of"] if large.gender else ""
    if of.endswith("e") and major.many[0] in "aeiouhéAEIOU" and grammar.code == "fr":
        return f"{of[:-1]}'{major.many}"
    return f"{of} {major.many}".strip()


def _money_before(grammar: Grammar, match: re.Match[str]) -> str:
    sign, coin, inner, figures, large = match.groups()
    if _is_adjective(grammar, match):  # "a $20 bill"
        major, minor = grammar.currencies[coin]
        singular = {coin: (major._replace(many=major.one), minor)}
        grammar = replace(grammar, currencies=singular)
    return _minus(grammar, sign or inner) + _coin(grammar, coin, figures, large)


def _is_adjective(grammar: Grammar, match: re.Match[str]) -> bool:
    follows = re.match(r" [^\W\d_]", match.string[match.end() :])
    return bool(follows) and before(match).lower() in grammar.articles


def _money_range(grammar: Grammar, match: re.Match[str]) -> str:
    sign, coin, first, below, second, large = match.groups()
    low = grammar.count(first, grammar.magnitudes[below]) if below else grammar.amount(first)
    return (
        f"{_minus(grammar, sign)}{low} {grammar.words['to']} {_coin(grammar, coin, second, large)}"
    )


def _money_behind(grammar: Grammar, match: re.Match[str]) -> str | None:
    sign, first, second, large, short, coin = match.groups()
    if coin in ("$", "£", "¥") and re.match(r" ?\d", match.string[match.end() :]):
        return None  # it belongs to the next number
    if short and not short.isascii():
        return None
    figures = second or first
    low = f"{grammar.amount(first)} {grammar.words['to']} " if second else ""
    return _minus(grammar, sign) + low + _coin(grammar, coin, figures, large or short)


def unit_noun(grammar: Grammar, written: str) -> tuple[Noun, str] | None:
    """What a unit is called, and what follows it: "per second"."""
    name, _, per = written.partition("/")
    if written in grammar.units:
        return grammar.units[written], ""
    found = _powered(grammar, name)
    if found is None:
        return None
    if not per:
        return found, ""
    if re.fullmatch(r"s(?:\^?2|²)", per):
        return found, f" {grammar.words['per']} {grammar.units['s'].one} {grammar.words['squared']}"
    below = _powered(grammar, per)
    return (found, f" {grammar.words['per']} {below.one}") if below else None


def _powered(grammar: Grammar, name: str) -> Noun | None:
    if name in grammar.units:
        return grammar.units[name]
    power = re.fullmatch(r"(.+?)\^?([23²³])", name)
    if not power or power[1] not in grammar.units:
        return None
    return powered(grammar, grammar.units[power[1]], power[2] in "2²")


def powered(grammar: Grammar, noun: Noun, square: bool) -> Noun:
    """The noun of an area or a volume."""
    pattern = grammar.words["square" if square else "cubic"]
    one, many = (pattern.split("|") * 2)[:2]
    if one.endswith("-{}"):  # German writes it in one word
        return Noun(
            one.replace("-{}", noun.one.lower()),
            many.replace("-{}", noun.many.lower()),
            noun.gender,
        )
    return Noun(one.format(noun.one), many.format(noun.many), noun.gender)


def _unit(grammar: Grammar, match: re.Match[str]) -> str | None:
    sign, figures, vulgar, joint, name, _ = match.groups()
    found = unit_noun(grammar, name)
    if found is None or _not_a_unit(match, name, joint):
        return None
    noun, per = found
    if joint == "-" and not grammar.hyphen_plural:
        noun = noun._replace(many=noun.one)
    if vulgar:
        return f"{grammar.amount(figures)} {_and_vulgar(grammar, vulgar)} {noun.many}{per}"
    return f"{_minus(grammar, sign)}{grammar.count(figures, noun)}{per}"


def _not_a_unit(match: re.Match[str], name: str, joint: str) -> bool:
    """Whether the letters behind a number are more likely a word, or a name, than a unit."""
    apart = joint == " "
    if name == "in":
        return (
            apart
            and not match[6]
            and not re.match(r"\s?(?:\.\s|[x×]|$)", match.string[match.end() :])
        )
    if name in ("C", "F", "K", "B", "M"):
        return True
    if name in ("A", "N", "J") and apart:  # "seat 12 A"
        word = before(match)
        return len(word) > 1 and word.isalpha() and word.lower() not in _AMOUNTS
    return False


_AMOUNTS = among(
    "of at to is than about with and or draws uses needs max from mit von bei bis und oder ist de à"
    " et ou est a y o con"
)
"""Words before an amount; another word may have a letter and a number for a name."""


def _vulgar_unit(grammar: Grammar, match: re.Match[str]) -> str | None:
    found = unit_noun(grammar, match[2])
    if found is None:
        return None
    noun, per = found
    if match[1] == "½":
        return grammar.words[f"half_{noun.gender}"].format(noun.one) + per
    return f"{_fraction_of(grammar, *_VULGAR[match[1]])} {grammar.words['part_of']}{noun.one}{per}"


def _unit_range(grammar: Grammar, match: re.Match[str]) -> str | None:
    sign, first, below, second, name = match.groups()
    found = unit_noun(grammar, name)
    if found is None:
        return None
    noun, per = found
    low = f"{_minus(grammar, sign)}{grammar.amount(first, noun.gender)} {grammar.words['to']} "
    return f"{low}{_minus(grammar, below)}{grammar.count(second, noun)}{per}"


def _unit_product(grammar: Grammar, match: re.Match[str]) -> str | None:
    _, first, second, name = match.groups()
    found = unit_noun(grammar, name)
    if found is None:
        return None
    return (
        f"{grammar.amount(first)} {grammar.words['by']} {grammar.count(second, found[0])}{found[1]}"
    )


def _fraction_of_unit(grammar: Grammar, match: re.Match[str]) -> str | None:
    whole, top, bottom, name = match[1], int(match[2]), int(match[3]), match[4]
    found = unit_noun(grammar, name)
    if found is None or name == "in" or not 0 < top < bottom:
        return None
    noun, per = found
    if whole:
        half = (top, bottom) == (1, 2)
        part = f"{grammar.words['and']} {_fraction_of(grammar, top, bottom)}"
        rest = grammar.words["and_a_half"] if half else part
        return f"{grammar.amount(whole, noun.gender)} {rest} {noun.many}{per}"
    if (top, bottom) == (1, 2):
        return grammar.words[f"half_{noun.gender}"].format(noun.one) + per
    return f"{_fraction_of(grammar, top, bottom)} {grammar.words['part_of']}{noun.one}{per}"


def _percent(grammar: Grammar, match: re.Match[str]) -> str:
    return f"{_minus(grammar, match[1])}{grammar.amount(match[2])} {grammar.words['percent']}"


def _percent_range(grammar: Grammar, match: re.Match[str]) -> str:
    low, high = grammar.amount(match[1]), grammar.amount(match[2])
    return f"{low} {grammar.words['to']} {high} {grammar.words['percent']}"


def _fraction_of(grammar: Grammar, top: int, bottom: int) -> str:
    """ "three quarters"."""
    names = grammar.words["fractions"].split("|")
    known = dict(zip((2, 3, 4), (name.split("/") for name in names), strict=True))
    if bottom in known:
        one, many = known[bottom]
        return one if top == 1 else f"{grammar.says(top)} {many}"
    part = grammar.words["nth"].format(grammar.ordinal(bottom), grammar.says(bottom))
    one, many = grammar.words["nth_top"].split("|")
    return (one if top == 1 else many).format(grammar.says(top, "m" if top == 1 else ""), part)


def _and_vulgar(grammar: Grammar, vulgar: str) -> str:
    top, bottom = _VULGAR[vulgar]
    if bottom == 2:
        return grammar.words["and_a_half"]
    return f"{grammar.words['and']} {_fraction_of(grammar, top, bottom)}"


def _vulgar(grammar: Grammar, match: re.Match[str]) -> str:
    if match[1]:
        return f"{_plain(grammar, match[1])} {_and_vulgar(grammar, match[2])}"
    return _fraction_of(grammar, *_VULGAR[match[2]])


def _fraction(grammar: Grammar, match: re.Match[str]) -> str | None:
    whole, top, bottom = match[1], int(match[2]), int(match[3])
    if not 0 < top < bottom <= 100 or (bottom > 10 and bottom not in (12, 16, 20, 32, 64, 100)):
        if whole:
            return None
        if bottom in (5, 10, 100) and 0 <= top <= bottom:  # "4/5", and "10/10"
            return f"{grammar.says(top)} {grammar.words['out_of']} {grammar.says(bottom)}"
        return (
            f"{grammar.says(top)} {grammar.words['slash_figures']} {grammar.says(bottom)}".replace(
                "  ", " "
            )
        )
    said = _fraction_of(grammar, top, bottom)
    if not whole:
        return said
    if (top, bottom) == (1, 2):
        return f"{_plain(grammar, whole)} {grammar.words['and_a_half']}"
    return f"{_plain(grammar, whole)} {grammar.words['and']} {said}"


def _years(grammar: Grammar, match: re.Match[str]) -> str | None:
    first, second = int(match[1]), match[2]
    if not 1000 <= first <= 2100:
        return None
    last = grammar.year(int(second)) if len(second) == 4 else _plain(grammar, second)
    if "/" in match[0] and len(second) == 2:
        return f"{grammar.year(first)} {last}"
    if len(second) == 2 and int(second) <= 12 and "-" in match[0]:
        return None
    return f"{grammar.year(first)} {grammar.words['to']} {last}"


def _range(grammar: Grammar, match: re.Match[str]) -> str | None:
    sign, first, second = match.groups()
    joint = "to"
    if " - " in match[0] and re.match(r"[^.!?]{0,40}=", match.string[match.end() :]):
        joint = "minus"
    low, high = grammar.amount(first), grammar.amount(second)
    return f"{_minus(grammar, sign)}{low} {grammar.words[joint]} {high}"


def _ratio(grammar: Grammar, match: re.Match[str]) -> str:
    return f"{_plain(grammar, match[1])} {grammar.words['ratio']} {_plain(grammar, match[2])}"


def _scientific(grammar: Grammar, match: re.Match[str]) -> str:
    sign, base, power = match.groups()
    figures = base.replace(",", ".").replace(".", grammar.decimal)
    minus = _minus(grammar, "-" if power.startswith("-") else "")
    exponent = f"{minus}{grammar.says(int(power.lstrip('+-')))}"
    return (
        f"{_minus(grammar, sign or '')}{grammar.amount(figures)} {grammar.words['times']} "
        + grammar.words["power"].format(grammar.says(10), exponent)
    )


def _power(grammar: Grammar, match: re.Match[str]) -> str:
    base, power = (match[1], match[2]) if match[1] else (match[3], match[4].translate(_SUPER))
    if power in ("2", "3"):
        return f"{_plain(grammar, base)} {grammar.words['squared' if power == '2' else 'cubed']}"
    exponent = _minus(grammar, "-" if power[0] == "-" else "") + grammar.says(
        int(power.lstrip("-"))
    )
    return grammar.words["power"].format(_plain(grammar, base), exponent)


def _letter_power(grammar: Grammar, match: re.Match[str]) -> str:
    base, power = match[1], match[2] or match[3].translate(_SUPER)
    if power in ("2", "3"):
        return f"{base} {grammar.words['squared' if power == '2' else 'cubed']}"
    exponent = _minus(grammar, "-" if power[0] == "-" else "")
    return grammar.words["power"].format(base, exponent + grammar.says(int(power.lstrip("-"))))


def _number(grammar: Grammar, match: re.Match[str]) -> str:
    sign, figures = match.groups()
    if "." in figures and grammar.decimal == "." and _is_product(before(match)):
        parts = [_plain(grammar, part) for part in figures.split(".")]
        return f" {grammar.words['point_name']} ".join(parts)
    return _minus(grammar, sign) + grammar.amount(figures)


def _is_product(name: str) -> bool:
    return name.lower() in (
        "python",
        "version",
        "java",
        "ubuntu",
        "php",
        "ruby",
        "django",
        "ios",
        "android",
        "cuda",
    )


def _letters(grammar: Grammar, mixed: str) -> str:
    return " ".join(grammar.digits(c) if c.isdecimal() else c.upper() for c in mixed)


def _mixed(grammar: Grammar, match: re.Match[str]) -> str:
    """ "5G", "CO2", "MP3", "B2B", "4K", "abc123": letters as they are, digits as numbers."""
    said = []
    parts = re.findall(r"[^\W\d_]+|\d+", match[0])
    if len(parts) > 5:
        return _letters(grammar, match[0][:24])
    for part in parts:
        if len(part) == 4 and part[:2] in ("19", "20"):  # "FY2023"
            said.append(grammar.year(int(part)))
        elif part.isdecimal():
            said.append(_plain(grammar, part))
        elif part.isupper() and 1 < len(part) <= 4:
            said.append("".join(f"{letter}." for letter in part))
        else:
            said.append(part)
    return " ".join(said)
