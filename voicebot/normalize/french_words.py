"""French: its months, units, currencies, abbreviations and what its signs are called."""

from __future__ import annotations

from .grammar import Noun, among

MONTHS = (
    "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre",
    "novembre", "décembre",
)  # fmt: skip
MONTH = "|".join(
    [*MONTHS, r"janv\.", r"févr\.", r"avr\.", r"juil\.", r"sept\.", r"oct\.", r"nov\.", r"déc\."]
)
DAYS = {
    "lun": "lundi", "mar": "mardi", "mer": "mercredi", "jeu": "jeudi", "ven": "vendredi",
    "sam": "samedi", "dim": "dimanche",
}  # fmt: skip

UNITS = {
    written: Noun(one, many or f"{one}s", gender)  # type: ignore[arg-type]
    for forms, one, many, gender in [
        ("km", "kilomètre", "", "m"), ("m", "mètre", "", "m"), ("cm", "centimètre", "", "m"),
        ("mm", "millimètre", "", "m"), ("nm", "nanomètre", "", "m"),
        ("µm μm", "micromètre", "", "m"),
        ("kg", "kilogramme", "", "m"), ("g", "gramme", "", "m"), ("mg", "milligramme", "", "m"),
        ("µg μg", "microgramme", "", "m"), ("t", "tonne", "", "f"), ("l L", "litre", "", "m"),
        ("ml mL", "millilitre", "", "m"), ("cl cL", "centilitre", "", "m"),
        ("dl", "décilitre", "", "m"),
        ("ha", "hectare", "", "m"), ("h", "heure", "", "f"), ("min mn", "minute", "", "f"),
        ("s sec", "seconde", "", "f"), ("ms", "milliseconde", "", "f"),
        ("µs μs", "microseconde", "", "f"),
        ("km/h", "kilomètre par heure", "kilomètres par heure", "m"),
        ("°C ℃", "degré Celsius", "degrés Celsius", "m"),
        ("°F ℉", "degré Fahrenheit", "degrés Fahrenheit", "m"), ("°", "degré", "", "m"),
        ("Hz", "hertz", "hertz", "m"), ("kHz", "kilohertz", "kilohertz", "m"),
        ("MHz", "mégahertz", "mégahertz", "m"), ("GHz", "gigahertz", "gigahertz", "m"),
        ("o", "octet", "", "m"), ("Ko ko", "kilooctet", "", "m"), ("Mo", "mégaoctet", "", "m"),
        ("Go", "gigaoctet", "", "m"), ("To", "téraoctet", "", "m"), ("KB kB", "kilooctet", "", "m"),
        ("MB", "mégaoctet", "", "m"), ("GB", "gigaoctet", "", "m"), ("TB", "téraoctet", "", "m"),
        ("Mbit/s Mbps", "mégabit par seconde", "mégabits par seconde", "m"),
        ("Gbit/s Gbps", "gigabit par seconde", "gigabits par seconde", "m"),
        ("W", "watt", "", "m"), ("kW", "kilowatt", "", "m"), ("MW", "mégawatt", "", "m"),
        ("GW", "gigawatt", "", "m"), ("Wh", "wattheure", "", "m"),
        ("kWh", "kilowattheure", "", "m"),
        ("mAh", "milliampère-heure", "milliampères-heures", "m"), ("A", "ampère", "", "m"),
        ("mA", "milliampère", "", "m"), ("V", "volt", "", "m"), ("kV", "kilovolt", "", "m"),
        ("Ω", "ohm", "", "m"), ("J", "joule", "", "m"), ("kJ", "kilojoule", "", "m"),
        ("kcal", "kilocalorie", "", "f"), ("N", "newton", "", "m"), ("Pa", "pascal", "", "m"),
        ("hPa", "hectopascal", "", "m"), ("bar", "bar", "", "m"), ("ch", "cheval", "chevaux", "m"),
        ("dB", "décibel", "", "m"), ("px", "pixel", "", "m"),
        ("fps ips", "image par seconde", "images par seconde", "f"),
        ("‰", "pour mille", "pour mille", "m"),
    ]
    for written in forms.split()
}  # fmt: skip

_CENTIME = Noun("centime", "centimes", "m")
_EURO = (Noun("euro", "euros", "m"), _CENTIME)
_CENT = Noun("cent", "cents", "m")
_DOLLAR = (Noun("dollar", "dollars", "m"), _CENT)
_POUND = (Noun("livre", "livres", "f"), Noun("penny", "pence", "m"))
_US = (Noun("dollar américain", "dollars américains", "m"), _CENT)
_YEN = (Noun("yen", "yens", "m"), Noun("sen", "sens", "m"))
CURRENCIES = {
    "€": _EURO, "EUR": _EURO, "euros": _EURO, "euro": _EURO, "$": _DOLLAR, "US$": _US, "USD": _US,
    "dollars": _DOLLAR, "£": _POUND, "GBP": _POUND, "¥": _YEN, "JPY": _YEN,
    "CHF": (Noun("franc suisse", "francs suisses", "m"), _CENTIME),
    "FCFA": (Noun("franc C.F.A.", "francs C.F.A.", "m"), _CENTIME),
}  # fmt: skip
_MILLION, _BILLION = Noun("million", "millions", "m"), Noun("milliard", "milliards", "m")
MAGNITUDES = {
    "million": _MILLION, "millions": _MILLION, "M": _MILLION, "million d'": _MILLION,
    "millions d'": _MILLION, "millions de": _MILLION, "million de": _MILLION, "Md": _BILLION,
    "milliard": _BILLION, "milliards": _BILLION, "milliards d'": _BILLION, "milliards de": _BILLION,
    "Mds": _BILLION, "k": Noun("mille", "mille"), "mille": Noun("mille", "mille"),
}  # fmt: skip

TITLES = {
    "M": "monsieur", "MM": "messieurs", "Mme": "madame", "Mmes": "mesdames",
    "Mlle": "mademoiselle", "Mlles": "mesdemoiselles", "Me": "maître", "Mgr": "monseigneur",
    "Dr": "docteur", "Pr": "professeur", "St": "saint", "Ste": "sainte",
}  # fmt: skip
NUMBERED = {
    "p": "page", "pp": "pages", "vol": "volume", "chap": "chapitre", "fig": "figure",
    "art": "article", "éd": "édition", "t": "tome",
}  # fmt: skip
ABBREVIATIONS = {
    "etc.": "et cetera", "p.ex.": "par exemple", "ex.": "exemple", "c.-à-d.": "c'est-à-dire",
    "cad.": "c'est-à-dire", "env.": "environ", "av.": "avenue", "bd.": "boulevard",
    "boul.": "boulevard", "tél.": "téléphone", "cf.": "confer", "max.": "maximum",
    "min.": "minimum", "approx.": "approximativement", "av.j.-c.": "avant Jésus-Christ",
    "apr.j.-c.": "après Jésus-Christ", "ap.j.-c.": "après Jésus-Christ",
    "s.v.p.": "s'il vous plaît", "r.d.v.": "rendez-vous", "adj.": "adjectif", "prof.": "professeur",
    "resp.": "respectivement", "not.": "notamment", "dép.": "département", "éd.": "édition",
    "hab.": "habitants", "vol.": "volume", "n.b.": "nota bene",
}  # fmt: skip
SPACED = (
    r"p\. ?ex\.|c\.-à-d\.|av\. ?J\.-C\.|apr?\. ?J\.-C\.|s\.v\.p\.|S\.V\.P\.|N\. ?B\.|P\. ?ex\."
    r"|C\.-à-d\."
)
MAY_END = frozenset(["etc.", "av.j.-c.", "apr.j.-c.", "ap.j.-c.", "s.v.p.", "hab."])
WORDS_TOO = frozenset(["max.", "min.", "not.", "ex.", "resp.", "vol."])
SPELT = among("UE OMS IA API USA AI EDF RER ADN ARN ISS IRM UV CO PME SA EU UK URSS")
"""Acronyms that a voice takes for words."""
FEMININE = (
    "personne|fois|heure|minute|seconde|semaine|année|femme|fille|maison|voiture|ville|page"
    "|ligne|tasse"
    "|cuillère|pomme|tranche|question|étoile|table|chose|idée|image|pièce|part|gousse|pincée"
    "|chanson"
)
ROMAN_AFTER = (
    "chapitre|tome|partie|acte|scène|article|livre|phase|type|volume|annexe|guerre mondiale|titre"
)
ROYAL = (
    "Louis|Henri|Charles|François|Philippe|Napoléon|Jean|Paul|Pie|Benoît|Léon|Grégoire|Clément"
    "|Élisabeth"
    "|Elizabeth|Édouard|Georges|Guillaume|Frédéric|Alexandre|Nicolas|Pierre|Catherine"
    "|Jean-Paul|Richard"
    "|Jacques|Robert|Ramsès|Albert|Léopold|Baudouin|Rainier|Innocent|Urbain|Ferdinand|Alphonse|Ivan"
)
STARTERS = frozenset(
    [*DAYS, "janv", "févr", "avr", "juil", "sept", "oct", "nov", "déc", "années", "n", "no", "nos"]
    + [
        *TITLES,
        *NUMBERED,
        "c",
        "s",
        "p",
        "x",
        "m",
        "mm",
        "mme",
        "mmes",
        "mlle",
        "mlles",
        "dr",
        "pr",
    ]
    + ["mgr", "me", "ste", "st", "apr", "ap", "1er", "ve", "xe", "ier", "ire"]
    + [word.rstrip(".").lower() for word in ABBREVIATIONS if word.rstrip(".").isalpha()]
    + ROMAN_AFTER.split("|")
    + ["guerre"]
    + ROYAL.lower().split("|")
)

WORDS = {
    "minus": "moins", "plus": "plus", "point": "virgule", "point_name": "point", "dot": "point",
    "port": "port", "slash": "slash", "slash_or": "ou", "slash_figures": "sur", "dash": "tiret",
    "underscore": "tiret bas", "at": "arobase", "and": "et", "to": "à", "by": "par", "per": "par",
    "of": "de", "times": "fois", "divided": "divisé par", "equals": "égale",
    "greater": "supérieur à", "less": "inférieur à", "at_least": "supérieur ou égal à",
    "at_most": "inférieur ou égal à", "unequal": "différent de", "about": "environ",
    "plus_minus": "plus ou moins", "percent": "pour cent", "number": "numéro",
    "hashtag": "hashtag", "section": "paragraphe", "sharp": "sharp", "infinity": "infini",
    "root": "racine carrée de", "pi": "pi", "degrees": "degrés",
    "digits": "un nombre de {} chiffres", "version": "version",
    "long": "une longue suite de caractères", "ratio": "à", "out_of": "sur",
    "power": "{} puissance {}", "squared": "au carré", "cubed": "au cube",
    "square": "{} carré|{} carrés",
    "cubic": "{} cube|{} cubes", "half_m": "un demi-{}", "half_f": "une demi-{}", "part_of": "de ",
    "and_a_half": "et demi", "fractions": "un demi/demis|un tiers/tiers|un quart/quarts",
    "nth": "{0}", "nth_top": "un {1}|{0} {1}s",
}  # fmt: skip
