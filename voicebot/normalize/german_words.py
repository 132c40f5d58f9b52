"""German: its months, units, currencies, abbreviations and what its signs are called."""

from __future__ import annotations

from .grammar import Noun, among

MONTHS = (
    "Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober",
    "November", "Dezember",
)  # fmt: skip
MONTH = "|".join(
    [*MONTHS, *(rf"{name[:3]}\." for name in MONTHS if len(name) > 4), r"Sept\.", "Jänner"]
)
DAYS = {
    "Mo": "Montag", "Di": "Dienstag", "Mi": "Mittwoch", "Do": "Donnerstag", "Fr": "Freitag",
    "Sa": "Samstag", "So": "Sonntag",
}  # fmt: skip

UNITS = {
    written: Noun(one, many or one, gender)  # type: ignore[arg-type]
    for forms, one, many, gender in [
        ("km", "Kilometer", "", "m"), ("m", "Meter", "", "m"), ("cm", "Zentimeter", "", "m"),
        ("mm", "Millimeter", "", "m"), ("nm", "Nanometer", "", "m"),
        ("µm μm", "Mikrometer", "", "m"),
        ("kg", "Kilogramm", "", "n"), ("g", "Gramm", "", "n"), ("mg", "Milligramm", "", "n"),
        ("µg μg", "Mikrogramm", "", "n"), ("t", "Tonne", "Tonnen", "f"), ("l L", "Liter", "", "m"),
        ("ml mL", "Milliliter", "", "m"), ("cl", "Zentiliter", "", "m"),
        ("dl", "Deziliter", "", "m"),
        ("ha", "Hektar", "", "m"), ("EL", "Esslöffel", "", "m"), ("TL", "Teelöffel", "", "m"),
        ("Std Std.", "Stunde", "Stunden", "f"), ("h", "Stunde", "Stunden", "f"),
        ("min Min Min.", "Minute", "Minuten", "f"), ("s sek Sek Sek.", "Sekunde", "Sekunden", "f"),
        ("ms", "Millisekunde", "Millisekunden", "f"),
        ("µs μs", "Mikrosekunde", "Mikrosekunden", "f"),
        ("ns", "Nanosekunde", "Nanosekunden", "f"),
        ("km/h", "Kilometer pro Stunde", "", "m"),
        ("mph", "Meile pro Stunde", "Meilen pro Stunde", "f"),
        ("°C ℃", "Grad Celsius", "", "m"), ("°F ℉", "Grad Fahrenheit", "", "m"),
        ("°", "Grad", "", "m"),
        ("Hz", "Hertz", "", "n"), ("kHz", "Kilohertz", "", "n"), ("MHz", "Megahertz", "", "n"),
        ("GHz", "Gigahertz", "", "n"), ("KB kB", "Kilobyte", "", "n"),
        ("MB", "Megabyte", "", "n"), ("GB", "Gigabyte", "", "n"), ("TB", "Terabyte", "", "n"),
        ("kbit/s kbps", "Kilobit pro Sekunde", "", "n"),
        ("Mbit/s Mbps", "Megabit pro Sekunde", "", "n"),
        ("Gbit/s Gbps", "Gigabit pro Sekunde", "", "n"), ("W", "Watt", "", "n"),
        ("kW", "Kilowatt", "", "n"), ("MW", "Megawatt", "", "n"), ("GW", "Gigawatt", "", "n"),
        ("Wh", "Wattstunde", "Wattstunden", "f"), ("kWh", "Kilowattstunde", "Kilowattstunden", "f"),
        ("mAh", "Milliamperestunde", "Milliamperestunden", "f"), ("A", "Ampere", "", "n"),
        ("mA", "Milliampere", "", "n"), ("V", "Volt", "", "n"), ("kV", "Kilovolt", "", "n"),
        ("Ω", "Ohm", "", "n"), ("J", "Joule", "", "n"), ("kJ", "Kilojoule", "", "n"),
        ("kcal", "Kilokalorie", "Kilokalorien", "f"), ("N", "Newton", "", "n"),
        ("Pa", "Pascal", "", "n"), ("hPa", "Hektopascal", "", "n"), ("kPa", "Kilopascal", "", "n"),
        ("bar", "Bar", "", "n"), ("PS", "P.S.", "", "n"), ("dB", "Dezibel", "", "n"),
        ("px", "Pixel", "", "n"), ("fps", "Bilder pro Sekunde", "", "n"),
        ("‰", "Promille", "", "n"),
        ("ppm", "p.p.m.", "", "n"),
    ]
    for written in forms.split()
}  # fmt: skip

_CENT = Noun("Cent", "Cent", "m")
_EURO = (Noun("Euro", "Euro", "m"), _CENT)
_DOLLAR = (Noun("Dollar", "Dollar", "m"), _CENT)
_POUND = (Noun("Pfund", "Pfund", "n"), Noun("Penny", "Pence", "m"))
_FRANC = (Noun("Franken", "Franken", "m"), Noun("Rappen", "Rappen", "m"))
_YEN = (Noun("Yen", "Yen", "m"), Noun("Sen", "Sen", "m"))
CURRENCIES = {
    "€": _EURO, "EUR": _EURO, "Euro": _EURO, "$": _DOLLAR, "US$": (Noun("U.S.-Dollar",
    "U.S.-Dollar", "m"), _CENT),
    "USD": (Noun("U.S.-Dollar", "U.S.-Dollar", "m"), _CENT), "Dollar": _DOLLAR, "£": _POUND,
    "GBP": _POUND, "CHF": _FRANC, "Fr.": _FRANC, "¥": _YEN, "JPY": _YEN,
    "ct": (_CENT, _CENT), "Ct": (_CENT, _CENT), "¢": (_CENT, _CENT),
}  # fmt: skip
_MILLION, _BILLION = Noun("Million", "Millionen", "f"), Noun("Milliarde", "Milliarden", "f")
MAGNITUDES = {
    "Mio.": _MILLION, "Mio": _MILLION, "Million": _MILLION, "Millionen": _MILLION,
    "Mrd.": _BILLION, "Mrd": _BILLION, "Milliarde": _BILLION, "Milliarden": _BILLION,
    "Tsd.": Noun("tausend", "tausend"), "tausend": Noun("tausend", "tausend"),
}  # fmt: skip

ABBREVIATIONS = {
    "z.B.": "zum Beispiel", "d.h.": "das heißt", "u.a.": "unter anderem", "usw.": "und so weiter",
    "etc.": "et cetera", "bzw.": "beziehungsweise", "ca.": "circa", "Dr.": "Doktor",
    "Prof.": "Professor", "Hr.": "Herr", "Fr.": "Frau", "evtl.": "eventuell",
    "ggf.": "gegebenenfalls", "inkl.": "inklusive", "exkl.": "exklusive", "vgl.": "vergleiche",
    "max.": "maximal", "min.": "minimal", "sog.": "sogenannte", "o.ä.": "oder Ähnliches",
    "i.d.r.": "in der Regel", "u.u.": "unter Umständen", "v.chr.": "vor Christus",
    "n.chr.": "nach Christus", "s.o.": "siehe oben", "s.u.": "siehe unten", "z.t.": "zum Teil",
    "u.s.w.": "und so weiter", "m.e.": "meines Erachtens", "v.a.": "vor allem",
    "z.zt.": "zurzeit", "i.a.": "im Auftrag", "o.g.": "oben genannte", "a.d.": "an der",
    "str.": "Straße", "st.": "Sankt", "tel.": "Telefon", "jh.": "Jahrhundert",
    "jhd.": "Jahrhundert", "mio.": "Millionen", "mrd.": "Milliarden", "geb.": "geboren",
    "gest.": "gestorben", "zzgl.": "zuzüglich", "abzgl.": "abzüglich", "bspw.": "beispielsweise",
    "allg.": "allgemein", "lt.": "laut", "std.": "Stunden", "dipl.": "Diplom", "ing.": "Ingenieur",
    "bsp.": "Beispiel", "insb.": "insbesondere", "wg.": "wegen", "ebd.": "ebenda",
    "ff.": "folgende",
    "gem.": "gemäß", "rd.": "rund", "mind.": "mindestens", "versch.": "verschiedene",
}  # fmt: skip
SPACED = (
    r"z\. ?B\.|d\. ?h\.|u\. ?a\.|o\. ?ä\.|i\. ?d\. ?R\.|u\. ?U\.|v\. ?Chr\.|n\. ?Chr\."
    r"|s\. ?o\.|s\. ?u\."
    r"|z\. ?T\.|u\. ?s\. ?w\.|m\. ?E\.|v\. ?a\.|z\. ?Zt\.|i\. ?A\.|o\. ?g\.|a\. ?d\.|Z\. ?B\."
    r"|D\. ?h\."
)
MAY_END = frozenset(["usw.", "etc.", "u.s.w.", "o.ä.", "v.chr.", "n.chr.", "str.", "jh.", "ff."])
BEFORE_NAMES = frozenset(["fr.", "hr.", "st."])
WORDS_TOO = frozenset(["max.", "min.", "gem.", "lt.", "rd.", "std.", "wg.", "ing."])
"""Those that are words, or names, at the end of a sentence."""
NUMBERED = {
    "Nr": "Nummer", "Abb": "Abbildung", "S": "Seite", "Kap": "Kapitel", "Bd": "Band",
    "Art": "Artikel", "Abs": "Absatz", "Tab": "Tabelle", "Ziff": "Ziffer", "Tel": "Telefon",
}  # fmt: skip
SPELT = among("EU USA US WHO KI AI API UN UNO EZB ARD EDV UKW PS IT CO AG OK OB DB UV") - {
    "UNO", "OK",
}  # fmt: skip
"""Acronyms that a voice takes for words."""
ROMAN_AFTER = (
    "kapitel|band|teil|akt|artikel|phase|stufe|typ|klasse|anhang|weltkrieg|abschnitt|version"
)
ROYAL = (
    "Ludwig|Heinrich|Karl|Friedrich|Wilhelm|Otto|Georg|Elisabeth|Katharina|Franz|Joseph"
    "|Johannes|Paul"
    "|Pius|Benedikt|Leo|Gregor|Napoleon|Philipp|Alexander|Nikolaus|Peter|Iwan|Leopold"
    "|Maximilian|Rudolf"
    "|Konrad|Albrecht|August|Christian|Gustav|Harald|Eduard|Richard|Jakob|Charles|Ramses|Ferdinand"
)
ORDINAL_NOUNS = frozenset(
    [*MONTHS, "Jahrhundert", "Jahrhunderts", "Weltkrieg", "Weltkriegs", "Weltkrieges", "Platz",
    "Klasse", "Liga",
     "Auflage", "Etage", "Stock", "Mal", "Kapitel", "Band", "Teil", "Tag", "Woche", "Runde",
     "Bundesliga",
     "Stunde", "Halbzeit", "Juli", "Akt", "Geburtstag", "Generation", "Schritt", "Januar"]
)  # fmt: skip
BEGINNINGS = among(
    "Das Der Die Es Er Sie Wir Ich Ein Eine Und Aber Dann Danach Heute Morgen In Im Am"
)
BEFORE_YEARS = among("in im seit jahr jahre bis ab um von anno")
COUNTED = among(
    "Euro Meter Menschen Personen Einwohner Jahre Tage Stunden Kilometer Stück Mal Leute"
)
STARTERS = frozenset(
    [month.lower() for month in MONTHS]
    + [month[:3].lower() for month in MONTHS]
    + ["sept", "nr", "abb", "s", "kap", "bd", "art", "abs", "tab", "ziff", "tel", "mo", "di", "mi"]
    + ["do", "fr", "sa", "so", "z", "d", "u", "o", "i", "v", "n", "m", "a", "x"]
    + [word.rstrip(".").lower() for word in ABBREVIATIONS if word.rstrip(".").isalpha()]
    + ROMAN_AFTER.split("|")
    + ROYAL.lower().split("|")
)

WORDS = {
    "minus": "minus", "plus": "plus", "point": "Komma", "point_name": "Punkt", "dot": "Punkt",
    "port": "Port", "slash": "Schrägstrich", "slash_or": "oder", "slash_figures": "zu",
    "dash": "Bindestrich", "underscore": "Unterstrich", "at": "ät", "and": "und", "to": "bis",
    "by": "mal", "per": "pro", "of": "", "times": "mal", "divided": "geteilt durch",
    "equals": "gleich", "greater": "größer als", "less": "kleiner als",
    "at_least": "größer oder gleich", "at_most": "kleiner oder gleich", "unequal": "ungleich",
    "about": "etwa", "plus_minus": "plus minus", "percent": "Prozent", "number": "Nummer",
    "hashtag": "Hashtag", "section": "Paragraph", "sharp": "Sharp", "infinity": "unendlich",
    "root": "Wurzel aus", "pi": "Pi", "degrees": "Grad", "digits": "eine Zahl mit {} Ziffern",
    "version": "Version", "long": "eine lange Zeichenfolge", "ratio": "zu", "out_of": "von",
    "power": "{} hoch {}", "squared": "hoch zwei", "cubed": "hoch drei", "square": "Quadrat-{}",
    "cubic": "Kubik-{}", "half_m": "ein halber {}", "half_f": "eine halbe {}",
    "half_n": "ein halbes {}", "part_of": "", "and_a_half": "einhalb",
    "fractions": "ein halb/halbe|ein Drittel/Drittel|ein Viertel/Viertel", "nth": "{0}l",
    "nth_top": "ein {1}|{0} {1}",
}  # fmt: skip
