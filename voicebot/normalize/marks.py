"""What languages share besides figures: addresses, signs between words, leftovers of markup."""

from __future__ import annotations

import re

from .grammar import Grammar, Rule, among, before

_TOP = (
    "com|org|net|edu|gov|mil|int|io|ai|co|app|dev|info|biz|me|tv|uk|us|ca|au|de|at|ch|fr|be|es|mx|ar"
    "|it|nl|pl|se|no|dk|fi|pt|br|jp|cn|in|eu|ru"
)
_FILE = (
    "py|js|ts|jsx|tsx|json|toml|yaml|yml|xml|html|css|txt|md|csv|pdf|docx?|xlsx?|pptx?|zip|tar|gz"
    "|exe|sh|rs|go|java|cpp|hpp|rb|php|sql|log|ini|cfg|conf|env|png|jpe?g|gif|svg|mp3|mp4|wav|onnx"
)
_LABELS = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})\.){1,6}"
_SEGMENTS = 2
"""Most parts of a path that are read; of a longer one only the host is said."""


def rules(grammar: Grammar) -> list[Rule]:
    number = grammar.number
    return [
        # Markup that was not taken out before, since no stream of it was read.
        (r"<\/?[A-Za-z][^<>\s]{0,60}(?: [^<>]{0,200})?>", lambda g, m: ""),
        (r"!?\[([^\[\]]{0,300})\]\(<?[^()\s]{0,2000}>?(?: \"[^\"]{0,200}\")?\)", _link),
        (r"(?<!\S)(?:#{1,6}|>|[-*+•])(?=\s)(?!\s[\d.,]+(?:\s|$))", _marker),
        (r"[*_`~]{1,3}(?=\S)(?<![^\W_][*_`~])(?!~?\d)|[*`]{1,3}(?!\S| \d)", lambda g, m: ""),
        (r"(?<!\S)(?:[:;=][-'^]?[()\[\]DPpOo/\\|*3]+|<3|\^\^|[xX]D)(?!\S)", lambda g, m: ""),
        # Addresses.
        (r"(?i:https?://|ftp://|www\.)[^\s<>\"]{1,4000}", _url),
        (r"([\w.+-]{1,64})@([\w-]{1,63}(?:\.[\w-]{2,63}){1,5})", _mail),
        (rf"{_LABELS}(?:{_TOP})(?:/[\w./-]{{0,200}}[\w/])?(?![\w@.-]*\w)", _url),
        (rf"([\w-]{{1,60}}(?:\.[\w-]{{1,60}}){{0,3}})\.({_FILE})(?!\w)", _file),
        # Signs, between numbers and before them; a number itself is read by `figures`.
        (r"(?:(?<=\d)|(?<=\d ))[x×✕*](?= ?[\d.])|(?<=\w )[×✕](?= \w)", _sign("times")),
        (r"(?<=\d)x(?=\s|$|[.,;:!?])", _sign("times")),
        (r"(?<=[\d€$£¥])/([^\W\d_]{1,20})(?!\w)", _per),
        (r"(?<=:\d\d)[–-](?=\d{1,2}:\d\d)", _sign("to")),
        (r"÷(?= ?[\w(.])|(?<=\d )/(?= \d)", _sign("divided")),
        (r"<=|≤|=<(?=\s?\d)", _sign("at_most")),
        (r">=|≥", _sign("at_least")),
        (r"!=|≠|<>", _sign("unequal")),
        (r"[-=]+>|[→⇒⟶➜]|<-+|[←⇐]", lambda g, m: ","),
        (r"(?:(?<=[\w)])|(?<=[\w)] ))>(?= ?[\w.(-])", _sign("greater")),
        (r"<(?= ?[\d(.-])|(?<=\w )<(?= \w)", _sign("less")),
        (r"(?:(?<=[\w)])|(?<=[\w)] ))==?(?= ?[\w(-])", _sign("equals")),
        (r"\+-|\+/-|±", _sign("plus_minus")),
        (r"(?<=[\w)] )\+(?= [\w(-])|(?<=\d)\+(?=\d)|(?<=\d)\+(?!\w)", _sign("plus")),
        (r"(?<=[\d)] )-(?= [\d(])", _sign("minus")),
        (r"[~≈](?= ?[\d$€£])", _sign("about")),
        (r"&(?:amp|nbsp|quot|lt|gt);", lambda g, m: g.words["and"] if m[0] == "&amp;" else ""),
        (r"(?<=[^\W\d_])&(?=[^\W\d_])|(?<!\S)&(?!\S)", _sign("and")),
        (rf"#(?={number}(?!\w))", _sign("number")),
        (r"#(?=[^\W\d_])", _sign("hashtag")),
        (r"@(?=\w)|(?<=\s)@(?=\s)", _sign("at")),
        (r"№", _sign("number")),
        (r"§§?(?= ?\d)", _sign("section")),
        (r"([A-Z])(\+\+|#)(?!\w)", _programming),
        (r"%", _sign("percent")),
        (r"∞", _sign("infinity")),
        (r"√", _sign("root")),
        (r"π", _sign("pi")),
        (r"°(?!\w)", _sign("degrees")),
        (r"(?<![|:-])[–—-]{2,3}(?![|:-])", lambda g, m: "—"),
        (r"\|?:?-{2,}:?", lambda g, m: ""),
        (r"[|^~_\\©®™†‡¶·•*`=<>{}\[\]]+", lambda g, m: ""),
        # Words that are written together.
        (r"(?<![\w.])([A-Z])\.(?=\d)", lambda g, m: f"{m[1]} {g.words['point_name']} "),
        (r"([^\W\d_]{2,30})/(?=[^\W\d_]{2,30}(?![\w/.]))", _either),
        (r"([^\W\d_]{2,40})([.!?])(?=[A-Z][a-z]+(?![\w.]))", lambda g, m: f"{m[1]}{m[2]} "),
        (r"(?<=\w)/(?=\w)", lambda g, m: ""),
    ]


def _sign(name: str):  # type: ignore[no-untyped-def]
    return lambda grammar, match: f" {grammar.words[name]} "


def _link(grammar: Grammar, match: re.Match[str]) -> str:
    from .reading import readings  # which reads what the link is called

    return " ".join(r.spoken for r in readings(match[1], grammar.code) if r.spoken)


def _marker(grammar: Grammar, match: re.Match[str]) -> str | None:
    """A sign at the beginning of a line; in mid-sentence it means something."""
    return "" if not before(match) else None


def _per(grammar: Grammar, match: re.Match[str]) -> str | None:
    """Behind a price."""
    noun = grammar.units.get(match[1])
    if noun is None and len(match[1]) == 1:
        return None
    return f" {grammar.words['per']} {noun.one if noun else match[1]}"


_FOLLOWS = re.compile(r"[^\W\d_]+")
_ALTERNATIVES = among(
    "he/she she/he his/her her/his him/her yes/no true/false er/sie sie/er ihn/sie ja/nein"
    " il/elle elle/il oui/non ils/elles un/une él/ella ella/él sí/no el/la los/las un/una"
)


def _either(grammar: Grammar, match: re.Match[str]) -> str:
    if match[1].lower() in grammar.words["and"].split():
        return match[1]  # "and/or"
    both = f"{match[1]}/{_FOLLOWS.match(match.string, match.end())[0]}".lower()  # type: ignore[index]
    joint = f" {grammar.words['slash_or']} " if both in _ALTERNATIVES else " "
    return f"{match[1]}{joint}"


def _programming(grammar: Grammar, match: re.Match[str]) -> str:
    plus = grammar.words["plus"]
    return f"{match[1]} {grammar.words['sharp'] if match[2] == '#' else f'{plus} {plus}'}"


def _url(grammar: Grammar, match: re.Match[str]) -> str | None:
    address = match[0].rstrip(".,;:!?'\")]}*_")
    if "." not in address and "://" not in address:
        return None
    tail = match[0][len(address) :].strip("*_")
    if not address.isascii() and "://" not in address:
        return None
    plain = re.sub(r"^(?i:https?://|ftp://)?(?i:www\.)?", "", address)
    host, _, path = re.split(r"[?#]", plain, maxsplit=1)[0].partition("/")
    host = re.sub(r"^.*@|:\d+$", "", host)
    said = _spelled(grammar, host)
    parts = [part for part in path.split("/") if part]
    if len(parts) <= _SEGMENTS and all(re.fullmatch(r"[A-Za-z._-]{1,24}", p) for p in parts):
        said += "".join(f" {grammar.words['slash']} {_spelled(grammar, part)}" for part in parts)
    return said[:300] + tail


def _mail(grammar: Grammar, match: re.Match[str]) -> str:
    return f"{_spelled(grammar, match[1])} {grammar.words['at']} {_spelled(grammar, match[2])}"


def _file(grammar: Grammar, match: re.Match[str]) -> str:
    return f"{_spelled(grammar, match[1])} {grammar.words['dot']} {_ending(match[2])}"


def _ending(name: str) -> str:
    """An ending that nobody can pronounce is spelled."""
    return name if re.search(r"[aeiouy]", name) and len(name) > 2 else " ".join(name.upper())


_NAMES = {".": "dot", "-": "dash", "_": "underscore", "+": "plus", "/": "slash"}


def _spelled(grammar: Grammar, address: str) -> str:
    said = []
    for part in re.findall(r"[^\W\d_]+|\d+|[._+/-]", address):
        if part in _NAMES:
            said.append(grammar.words[_NAMES[part]])
        elif part.isdecimal():
            short = len(part) <= 2 and part[0] != "0"
            said.append(grammar.says(int(part)) if short else grammar.digits(part))
        elif part.lower() in _SPELT:
            said.append(" ".join(part.upper()))
        else:
            said.append(part)
    return " ".join(said)


_SPELT = frozenset(
    [
        "uk",
        "us",
        "de",
        "ch",
        "fr",
        "es",
        "mx",
        "ar",
        "nl",
        "pl",
        "se",
        "dk",
        "fi",
        "pt",
        "br",
        "jp",
        "cn",
        "eu",
        "tv",
        "io",
        "ai",
        "py",
        "js",
        "ts",
    ]
)
"""Ends of addresses that are said letter by letter."""
