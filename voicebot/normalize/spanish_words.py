"""Spanish: its months, units, currencies, abbreviations and what its signs are called."""

from __future__ import annotations

from .grammar import Noun, among

MONTHS = (
    "enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre",
    "octubre", "noviembre", "diciembre",
)  # fmt: skip
MONTH = "|".join([*MONTHS, *(rf"{name[:3]}\." for name in MONTHS)])
DAYS = {
    "lun": "lunes", "mar": "martes", "mié": "miércoles", "jue": "jueves", "vie": "viernes",
    "sáb": "sábado", "dom": "domingo",
}  # fmt: skip

UNITS = {
    written: Noun(one, many or f"{one}s", gender)  # type: ignore[arg-type]
    for forms, one, many, gender in [
        ("km", "kilómetro", "", "m"), ("m", "metro", "", "m"), ("cm", "centímetro", "", "m"),
        ("mm", "milímetro", "", "m"), ("nm", "nanómetro", "", "m"),
        ("µm μm", "micrómetro", "", "m"),
        ("kg", "kilogramo", "", "m"), ("g", "gramo", "", "m"), ("mg", "miligramo", "", "m"),
        ("µg μg", "microgramo", "", "m"), ("t", "tonelada", "", "f"), ("l L", "litro", "", "m"),
        ("ml mL", "mililitro", "", "m"), ("cl", "centilitro", "", "m"),
        ("dl", "decilitro", "", "m"),
        ("ha", "hectárea", "", "f"), ("h", "hora", "", "f"), ("min", "minuto", "", "m"),
        ("s seg", "segundo", "", "m"), ("ms", "milisegundo", "", "m"),
        ("µs μs", "microsegundo", "", "m"),
        ("km/h", "kilómetro por hora", "kilómetros por hora", "m"),
        ("°C ℃ ºC", "grado Celsius", "grados Celsius", "m"),
        ("°F ℉ ºF", "grado Fahrenheit", "grados Fahrenheit", "m"),
        ("°", "grado", "", "m"), ("Hz", "hercio", "", "m"), ("kHz", "kilohercio", "", "m"),
        ("MHz", "megahercio", "", "m"), ("GHz", "gigahercio", "", "m"),
        ("KB kB", "kilobyte", "", "m"),
        ("MB", "megabyte", "", "m"), ("GB", "gigabyte", "", "m"), ("TB", "terabyte", "", "m"),
        ("Mbit/s Mbps", "megabit por segundo", "megabits por segundo", "m"),
        ("Gbit/s Gbps", "gigabit por segundo", "gigabits por segundo", "m"),
        ("W", "vatio", "", "m"), ("kW", "kilovatio", "", "m"), ("MW", "megavatio", "", "m"),
        ("GW", "gigavatio", "", "m"), ("Wh", "vatio hora", "vatios hora", "m"),
        ("kWh", "kilovatio hora", "kilovatios hora", "m"),
        ("mAh", "miliamperio hora", "miliamperios hora", "m"),
        ("A", "amperio", "", "m"), ("mA", "miliamperio", "", "m"), ("V", "voltio", "", "m"),
        ("kV", "kilovoltio", "", "m"), ("Ω", "ohmio", "", "m"), ("J", "julio", "", "m"),
        ("kJ", "kilojulio", "", "m"), ("kcal", "kilocaloría", "", "f"),
        ("N", "newton", "newtons", "m"),
        ("Pa", "pascal", "pascales", "m"), ("hPa", "hectopascal", "hectopascales", "m"),
        ("bar", "bar", "bares", "m"), ("CV cv", "caballo", "", "m"), ("dB", "decibelio", "", "m"),
        ("px", "píxel", "píxeles", "m"),
        ("fps", "fotograma por segundo", "fotogramas por segundo", "m"),
        ("‰", "por mil", "por mil", "m"),
    ]
    for written in forms.split()
}  # fmt: skip

_CENT = Noun("céntimo", "céntimos", "m")
_CENTAVO = Noun("centavo", "centavos", "m")
_EURO = (Noun("euro", "euros", "m"), _CENT)
_DOLLAR = (Noun("dólar", "dólares", "m"), _CENTAVO)
_US = (Noun("dólar estadounidense", "dólares estadounidenses", "m"), _CENTAVO)
_POUND = (Noun("libra", "libras", "f"), Noun("penique", "peniques", "m"))
_YEN = (Noun("yen", "yenes", "m"), Noun("sen", "senes", "m"))
CURRENCIES = {
    "€": _EURO, "EUR": _EURO, "euros": _EURO, "euro": _EURO, "$": _DOLLAR, "US$": _US, "USD": _US,
    "dólares": _DOLLAR, "£": _POUND, "GBP": _POUND, "libras": _POUND, "¥": _YEN, "JPY": _YEN,
    "MXN": (Noun("peso mexicano", "pesos mexicanos", "m"), _CENTAVO),
    "CHF": (Noun("franco suizo", "francos suizos", "m"), _CENT),
}  # fmt: skip
_MILLION = Noun("millón", "millones", "m")
MAGNITUDES = {
    "millón de": _MILLION, "millones de": _MILLION, "millón": _MILLION, "millones": _MILLION,
    "M": _MILLION, "mil": Noun("mil", "mil"), "k": Noun("mil", "mil"),
    "mil millones de": Noun("mil millones", "mil millones", "m"),
}  # fmt: skip

NUMBERED = {
    "pág": "página", "págs": "páginas", "p": "página", "pp": "páginas", "vol": "volumen",
    "cap": "capítulo", "fig": "figura", "art": "artículo", "t": "tomo",
}  # fmt: skip
ABBREVIATIONS = {
    "sr.": "señor", "sra.": "señora", "srta.": "señorita", "sres.": "señores", "dr.": "doctor",
    "dra.": "doctora", "d.": "don", "dña.": "doña", "prof.": "profesor", "profa.": "profesora",
    "ud.": "usted", "uds.": "ustedes", "vd.": "usted", "vds.": "ustedes", "ing.": "ingeniero",
    "lic.": "licenciado", "gral.": "general", "sta.": "santa", "sto.": "santo",
    "ee.uu.": "Estados Unidos",
    "p.ej.": "por ejemplo", "etc.": "etcétera", "aprox.": "aproximadamente", "av.": "avenida",
    "avda.": "avenida", "pza.": "plaza", "tel.": "teléfono", "tfno.": "teléfono",
    "cía.": "compañía",
    "dpto.": "departamento", "depto.": "departamento", "máx.": "máximo", "mín.": "mínimo",
    "a.c.": "antes de Cristo", "d.c.": "después de Cristo", "s.a.": "sociedad anónima",
    "ej.": "ejemplo", "ed.": "edición", "hab.": "habitantes", "admón.": "administración",
    "p.d.": "posdata", "c.c.": "con copia", "ss.mm.": "Sus Majestades",
    "rr.hh.": "recursos humanos",
    "ff.aa.": "Fuerzas Armadas", "m.ª": "María", "mª.": "María", "fco.": "Francisco",
}  # fmt: skip
SPACED = (
    r"EE\. ?UU\.|p\. ?ej\.|P\. ?ej\.|a\. ?[CdD]\. ?C\.|a\. ?C\.|d\. ?C\.|S\. ?A\.|P\. ?D\."
    r"|RR\. ?HH\."
    r"|FF\. ?AA\.|SS\. ?MM\."
)
BEFORE_NAMES = among(
    "sr. sra. srta. sres. dr. dra. d. dña. prof. profa. gral. sta. sto. lic. ing. av."
)
MAY_END = frozenset(["etc.", "ee.uu.", "a.c.", "d.c.", "s.a.", "rr.hh.", "hab."])
WORDS_TOO = frozenset(["ed.", "ej.", "vol."])
SPELT = among("UE OMS IA API AI ADN ARN ONG EDF IVA UV TV EEUU UK PIB") - {
    "IVA",
    "EEUU",
}
"""Acronyms that a voice takes for words."""
FEMININE = (
    "horas?|personas?|veces|vez|semanas?|mujeres|mujer|casas?|páginas?|líneas?|tazas?"
    "|cucharadas?|preguntas?"
    "|estrellas?|cosas?|ideas?|piezas?|partes|parte|ciudades|palabras?|niñas?|chicas?|sillas?"
    "|mesas?|noches?"
    "|libras?|toneladas?|monedas?|películas?|canciones|canción|botellas?|manzanas?|islas?"
    "|letras?|toneladas"
)
MASCULINE = (
    "años?|días?|meses|mes|gatos?|perros?|hombres?|niños?|libros?|minutos?|segundos?"
    "|kilómetros?|metros?|euros?"
    "|dólares|grados?|puntos?|países|coches?|pisos?|platos?|pasos?|siglos?|litros?|gramos?"
    "|kilos?|millón|millones"
)
ROMAN_AFTER = (
    "capítulo|tomo|parte|acto|escena|artículo|libro|fase|tipo|volumen|anexo|guerra mundial|título"
)
ROYAL = (
    "Felipe|Alfonso|Carlos|Fernando|Isabel|Juan|Pablo|Juan Pablo|Luis|Enrique|Napoleón|Pío"
    "|Benedicto|León"
    "|Gregorio|Clemente|Jorge|Guillermo|Federico|Alejandro|Nicolás|Pedro|Catalina|Francisco"
    "|Jaime|Sancho|Ramiro"
    "|Ramsés|Ricardo|Eduardo|Inocencio|Urbano|Iván|Cristina|María"
)
QUEENS = frozenset(["Isabel", "Catalina", "Cristina", "María"])
STARTERS = frozenset(
    [
        *DAYS,
        *NUMBERED,
        "años",
        "siglo",
        "siglos",
        "n",
        "núm",
        "núms",
        "c",
        "x",
        "p",
        "d",
        "s",
        "a",
        "m",
    ]
    + ["ee", "rr", "ff", "ss", "ej"]
    + [word.rstrip(".").lower() for word in ABBREVIATIONS if word.rstrip(".").isalpha()]
    + ROMAN_AFTER.split("|")
    + ["guerra"]
    + ROYAL.lower().split("|")
)

WORDS = {
    "minus": "menos", "plus": "más", "point": "coma", "point_name": "punto", "dot": "punto",
    "port": "puerto", "slash": "barra", "slash_or": "o", "slash_figures": "sobre", "dash": "guion",
    "underscore": "guion bajo", "at": "arroba", "and": "y", "to": "a", "by": "por", "per": "por",
    "of": "de", "times": "por", "divided": "dividido por", "equals": "igual a",
    "greater": "mayor que", "less": "menor que", "at_least": "mayor o igual que",
    "at_most": "menor o igual que", "unequal": "distinto de", "about": "unos",
    "plus_minus": "más menos", "percent": "por ciento", "number": "número", "hashtag": "hashtag",
    "section": "sección", "sharp": "sharp", "infinity": "infinito", "root": "raíz cuadrada de",
    "pi": "pi", "degrees": "grados", "digits": "un número de {} cifras", "version": "versión",
    "long": "una larga cadena de caracteres", "ratio": "a", "out_of": "de",
    "power": "{} elevado a {}", "squared": "al cuadrado", "cubed": "al cubo",
    "square": "{} cuadrado|{} cuadrados", "cubic": "{} cúbico|{} cúbicos", "half_m": "medio {}",
    "half_f": "media {}", "part_of": "de ", "and_a_half": "y medio",
    "fractions": "un medio/medios|un tercio/tercios|un cuarto/cuartos", "nth": "{0}",
    "nth_top": "un {1}|{0} {1}s",
}  # fmt: skip
