"""English: its months, units, currencies, abbreviations and what its signs are called."""

from __future__ import annotations

from .grammar import Noun

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
MONTH = "|".join([*MONTHS, *(rf"{name[:3]}\.?" for name in MONTHS if name != "May"), r"Sept\.?"])
DAYS = {
    "mon": "Monday", "tue": "Tuesday", "tues": "Tuesday", "wed": "Wednesday", "thu": "Thursday",
    "thur": "Thursday", "thurs": "Thursday", "fri": "Friday", "sat": "Saturday", "sun": "Sunday",
}  # fmt: skip


def _regular(*names: str) -> tuple[Noun, ...]:
    return tuple(Noun(name, f"{name}s") for name in names)


UNITS = {
    written: Noun(one, many or f"{one}s")
    for forms, one, many in [
        ("km", "kilometer", ""), ("m", "meter", ""), ("cm", "centimeter", ""),
        ("mm", "millimeter", ""), ("nm", "nanometer", ""), ("µm μm", "micrometer", ""),
        ("mi", "mile", ""), ("yd yds", "yard", ""), ("ft", "foot", "feet"),
        ("in", "inch", "inches"),
        ("kg", "kilogram", ""), ("g", "gram", ""), ("mg", "milligram", ""),
        ("µg μg mcg", "microgram", ""), ("lb lbs", "pound", ""), ("oz", "ounce", ""),
        ("l L", "liter", ""), ("ml mL", "milliliter", ""), ("cl", "centiliter", ""),
        ("dl dL", "deciliter", ""), ("gal", "gallon", ""), ("qt", "quart", ""), ("pt", "pint", ""),
        ("tsp", "teaspoon", ""), ("tbsp", "tablespoon", ""), ("ha", "hectare", ""),
        ("sec s", "second", ""), ("secs", "second", ""), ("min mins", "minute", ""),
        ("h hr hrs", "hour", ""), ("ms", "millisecond", ""), ("µs μs", "microsecond", ""),
        ("ns", "nanosecond", ""), ("yr yrs", "year", ""), ("wk wks", "week", ""),
        ("mph", "mile per hour", "miles per hour"),
        ("km/h kph kmh", "kilometer per hour", "kilometers per hour"),
        ("°C ℃", "degree Celsius", "degrees Celsius"),
        ("°F ℉", "degree Fahrenheit", "degrees Fahrenheit"), ("°", "degree", ""),
        ("°N", "degree north", "degrees north"), ("°S", "degree south", "degrees south"),
        ("°E", "degree east", "degrees east"), ("°W", "degree west", "degrees west"),
        ("Hz", "hertz", "hertz"), ("kHz", "kilohertz", "kilohertz"),
        ("MHz", "megahertz", "megahertz"), ("GHz", "gigahertz", "gigahertz"),
        ("KB kB", "kilobyte", ""), ("MB", "megabyte", ""),
        ("GB", "gigabyte", ""), ("TB", "terabyte", ""), ("PB", "petabyte", ""),
        ("KiB", "kibibyte", ""), ("MiB", "mebibyte", ""), ("GiB", "gibibyte", ""),
        ("bps", "bit per second", "bits per second"),
        ("kbps Kbps", "kilobit per second", "kilobits per second"),
        ("Mbps", "megabit per second", "megabits per second"),
        ("Gbps", "gigabit per second", "gigabits per second"),
        ("W", "watt", ""), ("kW", "kilowatt", ""), ("MW", "megawatt", ""), ("GW", "gigawatt", ""),
        ("mW", "milliwatt", ""), ("Wh", "watt hour", ""), ("kWh", "kilowatt hour", ""),
        ("mAh", "milliamp hour", ""), ("mA", "milliamp", ""), ("A", "amp", ""), ("V", "volt", ""),
        ("kV", "kilovolt", ""), ("mV", "millivolt", ""), ("Ω", "ohm", ""), ("J", "joule", ""),
        ("kJ", "kilojoule", ""), ("cal", "calorie", ""), ("kcal", "kilocalorie", ""),
        ("N", "newton", ""), ("Pa", "pascal", ""), ("kPa", "kilopascal", ""),
        ("hPa", "hectopascal", ""), ("psi", "P.S.I.", "P.S.I."), ("hp", "horsepower", "horsepower"),
        ("dB", "decibel", ""), ("dpi", "dots per inch", "dots per inch"), ("px", "pixel", ""),
        ("fps", "frame per second", "frames per second"), ("rpm", "R.P.M.", "R.P.M."),
        ("bpm", "beat per minute", "beats per minute"), ("‰", "per mille", "per mille"),
        ("ppm", "part per million", "parts per million"), ("sq ft", "square foot", "square feet"),
        ("sqft", "square foot", "square feet"), ("sq m", "square meter", ""),
        ("sq mi", "square mile", ""), ("cc", "c.c.", "c.c."),
    ]
    for written in (forms.split() if not forms.startswith("sq ") else [forms])
}  # fmt: skip

_DOLLAR, _CENT = _regular("dollar", "cent")
EURO = (Noun("euro", "euros"), _CENT)
POUND = (Noun("pound", "pounds"), Noun("penny", "pence"))
CURRENCIES = {
    "$": (_DOLLAR, _CENT), "US$": (Noun("U.S. dollar", "U.S. dollars"), _CENT),
    "USD": (Noun("U.S. dollar", "U.S. dollars"), _CENT), "€": EURO, "EUR": EURO, "£": POUND,
    "GBP": (Noun("British pound", "British pounds"), POUND[1]),
    "¥": (Noun("yen", "yen"), Noun("sen", "sen")), "JPY": (Noun("yen", "yen"), Noun("sen", "sen")),
    "₹": (Noun("rupee", "rupees"), Noun("paisa", "paise")),
    "INR": (Noun("rupee", "rupees"), Noun("paisa", "paise")),
    "CHF": (Noun("Swiss franc", "Swiss francs"), Noun("centime", "centimes")),
    "CAD": (Noun("Canadian dollar", "Canadian dollars"), _CENT),
    "AUD": (Noun("Australian dollar", "Australian dollars"), _CENT),
    "C$": (Noun("Canadian dollar", "Canadian dollars"), _CENT),
    "A$": (Noun("Australian dollar", "Australian dollars"), _CENT),
    "¢": (_CENT, _CENT), "₩": (Noun("won", "won"), Noun("jeon", "jeon")),
    "₽": (Noun("ruble", "rubles"), Noun("kopek", "kopeks")),
    "₿": (Noun("bitcoin", "bitcoins"), Noun("satoshi", "satoshis")),
    "BTC": (Noun("bitcoin", "bitcoins"), Noun("satoshi", "satoshis")),
}  # fmt: skip
MAGNITUDES = {
    **{name: Noun(name, name) for name in ("thousand", "million", "billion", "trillion")},
    "k": Noun("thousand", "thousand"), "K": Noun("thousand", "thousand"),
    "m": Noun("million", "million"), "M": Noun("million", "million"),
    "mn": Noun("million", "million"),
    "bn": Noun("billion", "billion"), "b": Noun("billion", "billion"),
    "B": Noun("billion", "billion"),
    "tn": Noun("trillion", "trillion"), "T": Noun("trillion", "trillion"),
}  # fmt: skip

ABBREVIATIONS = {
    "mr.": "Mister", "mrs.": "Missus", "ms.": "Miz", "dr.": "Doctor", "prof.": "Professor",
    "jr.": "Junior", "sr.": "Senior", "gen.": "General", "sgt.": "Sergeant", "capt.": "Captain",
    "lt.": "Lieutenant", "col.": "Colonel", "cmdr.": "Commander", "maj.": "Major",
    "gov.": "Governor", "sen.": "Senator", "rep.": "Representative", "rev.": "Reverend",
    "hon.": "Honorable", "pres.": "President", "fr.": "Father", "st.": "Saint", "mt.": "Mount",
    "ft.": "Fort", "vs.": "versus", "v.s.": "versus", "etc.": "et cetera",
    "e.g.": "for example", "eg.": "for example", "i.e.": "that is", "ie.": "that is",
    "approx.": "approximately", "dept.": "Department", "inc.": "Incorporated", "ltd.": "Limited",
    "corp.": "Corporation", "co.": "Company", "bros.": "Brothers", "ave.": "Avenue",
    "blvd.": "Boulevard", "rd.": "Road", "apt.": "Apartment", "est.": "established",
    "tel.": "telephone", "ext.": "extension", "min.": "minimum", "max.": "maximum",
    "avg.": "average", "temp.": "temperature", "cf.": "compare", "ca.": "circa", "ph.d.": "P.H.D.",
    "viz.": "namely", "a.k.a.": "also known as", "w/o": "without", "w/": "with", "b/c": "because",
    "vs": "versus", "aka": "also known as", "misc.": "miscellaneous", "incl.": "including",
    "govt.": "government", "univ.": "University", "assoc.": "Association", "intl.": "International",
}  # fmt: skip
NEED_A_NAME = frozenset(
    [
        "gen.",
        "sgt.",
        "capt.",
        "lt.",
        "col.",
        "maj.",
        "gov.",
        "sen.",
        "rep.",
        "rev.",
        "hon.",
        "pres.",
        "fr.",
        "st.",
        "mt.",
        "ft.",
    ]
)
"""Titles and places, which stand before a name in capitals."""
MAY_END = frozenset(
    [
        "etc.",
        "jr.",
        "sr.",
        "inc.",
        "ltd.",
        "corp.",
        "co.",
        "bros.",
        "ave.",
        "blvd.",
        "rd.",
        "st.",
        "dept.",
        "ph.d.",
    ]
)
"""Those that stand at the end of a sentence, whose full stop then is theirs too."""
NEED_A_NUMBER = {
    "no.": "number", "nos.": "numbers", "fig.": "figure", "figs.": "figures", "p.": "page",
    "pp.": "pages", "vol.": "volume", "ch.": "chapter", "sec.": "section", "eq.": "equation",
    "art.": "article", "ex.": "example", "op.": "opus", "ver.": "version",
}  # fmt: skip
BEFORE_DECADES = frozenset(
    ["the", "his", "her", "their", "my", "your", "early", "mid", "late", "low", "high", "in", "or"]
)
WORDS_IN_CAPITALS = {
    "WHO": "W.H.O.",
    "US": "U.S.",
    "IT": "I.T.",
    "AM": "A.M.",
    "PM": "P.M.",
    "OR": "O.R.",
    "AI": "A.I.",
}
ROMAN_AFTER = (
    "chapter|part|section|volume|book|act|scene|appendix|article|phase|stage|type|title|figure"
    "|table|level"
    "|grade|class|war|bowl|rocky|olympiad|episode|season|mark|unit|lesson|step|item|psalm"
    "|sonnet|symphony|no"
)
ROYAL = (
    "Henry|Louis|George|Edward|Richard|William|Charles|James|Philip|Elizabeth|Mary|Catherine"
    "|Frederick"
    "|Napoleon|Pope|John|Paul|Pius|Benedict|Leo|Gregory|Innocent|Clement|Urban|Alexander"
    "|Nicholas|Peter|Ivan"
    "|Ferdinand|Alfonso|Ramses|Ramesses|Ptolemy|Cleopatra|Darius|Xerxes|Otto|Wilhelm|Christian"
    "|Gustav|Harald"
    "|Constantine|Francis|Joseph|Leopold|Albert|Robert|Sixtus|Boniface|Edmund|Matthew"
    "|Thutmose|Juan"
)


WORDS = {
    "minus": "minus", "plus": "plus", "point": "point", "point_name": "point", "dot": "dot",
    "port": "port",
    "slash": "slash", "slash_or": "or", "slash_figures": "over", "dash": "dash",
    "underscore": "underscore", "at": "at", "and": "and", "to": "to", "by": "by", "per": "per",
    "of": "", "times": "times", "divided": "divided by", "equals": "equals",
    "greater": "greater than", "less": "less than", "at_least": "greater than or equal to",
    "at_most": "less than or equal to", "unequal": "not equal to", "about": "about",
    "plus_minus": "plus or minus", "percent": "percent", "number": "number", "hashtag": "hashtag",
    "section": "section", "sharp": "sharp", "infinity": "infinity", "root": "the square root of",
    "pi": "pi", "degrees": "degrees", "digits": "a number of {} digits", "version": "version",
    "long": "a long string of characters", "ratio": "to", "out_of": "out of",
    "power": "{} to the power of {}", "squared": "squared", "cubed": "cubed",
    "square": "square {}", "cubic": "cubic {}", "half_": "half a {}", "part_of": "of a ",
    "and_a_half": "and a half",
    "fractions": "one half/halves|one third/thirds|one quarter/quarters", "nth": "{0}",
    "nth_top": "{0} {1}|{0} {1}s",
}  # fmt: skip

AIRCRAFT = "Boeing|Airbus|Embraer|Bombardier|Fokker|Cessna"
"""Makers whose numbers are names: "seven thirty-seven", not a range."""
AFTER_3M = "Company|Corporation|makes|made|sells|is|was|has|and|tape|masks?|products?|stickers?"
"""Words behind which "3M" is the maker of tape, not three million."""
