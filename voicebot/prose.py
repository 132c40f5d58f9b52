"""Written text as sentences, and as the terms that searching and answering compare.

One way to cut words for every language and every reader of them: the index, the engine that
quotes and a question in speech must agree on what counts as the same word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache

# Written without spaces, or with particles glued on: Thai, Japanese, Chinese, Korean.
_DENSE = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_DENSE}]+|[^\W_{_DENSE}]+")
_IS_DENSE = re.compile(f"[{_DENSE}]")
_ONE = re.compile(rf"[{_DENSE}]|[^\W_{_DENSE}]+")

_STEM = 7
"""Letters of a word that count. Fewer merge strangers, more part relatives: of 5, 6, 7 and whole
words, 7 found the most in English, German and Spanish, and more than Porter's rules did."""

_ENDINGS = ("ies", "ing", "ed", "es", "ly", "s", "e")
_VOWEL = re.compile("[aeiouy]")
_DOUBLED = re.compile(r"(?<=..)([bdgmnprt])\1$")

# What a question is made of besides its subject. Where a word is noise in one language and a thing
# in another (German "war", French "pour"), it is left out: noise is only a little harm.
_STOP = frozenset(
    """
    a about again all also am an and any anyone anything are aren as at be been being between but by
    can could couldn did didn do does doesn doing don during each either else ever every for from
    get gets getting give given go goes going got had has hasn have haven having he hello her here
    hers hey hi him his how i if in into is isn it its just know ll let like ll many may maybe me
    might mine much must my need no nor not now of off often oh ok okay on one ones only or other
    our ours out over please put quite re really s say says shall she should shouldn so some someone
    something still such sure t take tell than thank thanks that the their theirs them then there
    these they thing things this those through to too uh um under up upon us use used ve very want
    was wasn way we well went were weren what whatever when where whether which while who whom whose
    why will with won would wouldn yes yet you your yours

    aber als andere auch auf aus bei beim bin bis bist da damit dann das dass dem den denn der des
    dich dir doch dort du durch ein eine einem einen einer eines er es etwas euch euer fur gibt
    haben habe hatte hier ich ihm ihn ihnen ihr ihre im ist ja jede jeder kann kannst kein keine
    konnen machen mein meine mich mir mit muss nach nein nicht noch nur oder ob sein seine seit
    sich sie sind soll uber um und uns unser viel viele vom von vor wann waren warum welche welchem
    welchen welcher welches wem wen wenn wer werden wie wieviel wieviele wir wird wo wofur woher
    wohin worden wurde wurden zu zum zur

    al algo como con cual cuales cuando cuanta cuantas cuanto cuantos cuya de del desde donde e el
    ella ellas ellos en entre era eran eres es esa ese eso esta estaba estan estar este esto fue
    fueron ha habia han hasta hay la las le les lo los mas mi mientras muy ni nos o para pero por
    porque que quien quienes se segun ser si sido sobre su sus tambien te tiene tienen tu tus un una
    unas uno unos y ya yo

    au aux avec ce ces cette combien comme comment dans depuis dont du elle elles est et etaient
    etait etre eux il ils je leur leurs lui mais meme mes moi ne notre nous ont ou par pas peut plus
    pourquoi qu quand quel quelle quelles quels qui sa sans sont sur ta toi tout tous une vos votre
    vous
    """.split()  # noqa: SIM905 - as a list it would fill four pages
)

# English only: in German and French the like of them also mean "you" and "the".
_PRONOUNS = frozenset({"he", "her", "him", "his", "it", "its", "she", "their", "them", "they"})
_FEW = 3
"""Terms of a question up to which a pronoun in it points outside: longer ones explain their own."""

LEANS = 8
"""Questions of a conversation that are looked through for a subject. More would make a client's
history of thousands take seconds, and nobody leans on what was said so long ago."""
LONGEST_QUESTION = 4000
"""Characters of a question that are looked at: five minutes of speech."""

# A full stop after one of these, or after one letter, ends nothing.
_ABBREVIATIONS = frozenset(
    """approx bzw ca capt cf col corp dept dr eg exp fig gen gov hr inc jr lt ltd max min mr
    mrs ms mt nr op prof rev sen sgt sr sra st str usw vgl vol vs""".split()  # noqa: SIM905 - as above
)
_MONTHS = re.compile(r"Jan|Feb|Mär|Apr|Mai|Jun|Jul|Aug|Sep|Okt|Nov|Dez")
_STOPS = re.compile(r"[.!?…]+[\"'”’»)\]]*\s+(?=[\"'“‘„«(\[¿¡]*([^\W_]))|[。！？]+[”’」』）]*\s*")


def words(text: str) -> list[str]:
    """The words of `text` without case and accents; writing without spaces as pairs of characters.

    Pairs overlap. They find more than whole runs (nothing is equal) and than triples (Chinese
    names and nouns are two characters long).
    """
    found: list[str] = []
    for run in _WORD.findall(_plain(text)):
        if _IS_DENSE.match(run):
            found.extend(run[i : i + 2] for i in range(max(1, len(run) - 1)))
        else:
            found.append(run)
    return found


def length(text: str) -> int:
    """How many words `text` has, near enough; a character counts as one without spaces."""
    return len(_ONE.findall(text))


@lru_cache(50_000)  # most of a text is the same few thousand words
def stem(word: str) -> str:
    """What `word` has in common with its inflections, cut short."""
    for ending in _ENDINGS:
        rest = word.removesuffix(ending)
        if rest == word or len(rest) < 3 or (len(ending) > 1 and not _VOWEL.search(rest)):
            continue
        if (ending == "ed" and rest.endswith("e")) or (ending == "s" and rest.endswith("s")):
            continue  # "bleed" and "glass" are whole
        word = rest + "y" if ending == "ies" else _DOUBLED.sub(r"\1", rest)
        break
    return word[:_STEM]


def terms(text: str) -> list[str]:
    """Every word of `text` as what it is compared by, in order."""
    return [stem(word) for word in words(text)]


def is_pair(term: str) -> bool:
    """Whether `term` comes from writing without spaces, where it need not be a word."""
    return bool(_IS_DENSE.match(term))


def subject(question: str) -> list[str]:
    """The terms that say what `question` is about, each once; empty for "and what about it?"."""
    return list(dict.fromkeys(stem(word) for word in words(question) if word not in _STOP))


def asked(questions: Sequence[str]) -> str:
    """The last of `questions`, with those before it that it leans on ("and how often?")."""
    text = ""
    for question in [*reversed(questions)][:LEANS]:
        text = f"{question} {text}".strip()
        if subject(shortened(question)):
            break
    return text


def shortened(question: str) -> str:
    """The beginning and the end of a question that is longer than LONGEST_QUESTION characters.

    People paste a text and ask about it, before or behind it.
    """
    if len(question) <= LONGEST_QUESTION:
        return question
    half = LONGEST_QUESTION // 2
    begin, end = question[:half], question[-half:]
    # Half a word would be another one.
    return f"{begin.rpartition(' ')[0] or begin} {end.partition(' ')[2] or end}"


def points_back(question: str) -> bool:
    """Whether `question` may be about what was spoken of before ("when does it open?")."""
    question = shortened(question)
    return bool(_PRONOUNS.intersection(words(question))) and len(subject(question)) <= _FEW


def sentences(text: str) -> list[str]:
    """`text` cut after each sentence, on one line each, nothing lost but the space between."""
    return list(_cut(" ".join(text.split())))


def _cut(text: str) -> Iterator[str]:
    start = 0
    for stop in _STOPS.finditer(text):
        if not _ends(text, stop):
            continue
        yield text[start : stop.end()].strip()
        start = stop.end()
    if rest := text[start:].strip():
        yield rest


def _ends(text: str, stop: re.Match[str]) -> bool:
    following = stop[1]
    if following is None or not stop[0].startswith(".") or stop[0].startswith(".."):
        return following is None or not following.islower()
    before = text[: stop.start()].rpartition(" ")[2].strip("\"'“‘„«([").lower()
    if following.islower() or before in _ABBREVIATIONS or re.fullmatch(r"(\w\.)*[^\W\d]", before):
        return False
    # German ordinals: "am 3. Oktober".
    return not (before.isdigit() and _MONTHS.match(text, stop.end()))


def _plain(text: str) -> str:
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", text.casefold())
    return unicodedata.normalize("NFC", "".join(c for c in apart if not unicodedata.combining(c)))
