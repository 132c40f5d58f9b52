"""Questions that a passage may answer, made of what it says, to be offered as examples.

The best are those that its author wrote: of a list of questions and answers. Next come sentences
turned round ("The old tree was planted in 1931" answers "When was the old tree planted?"), by
rules that know a few shapes of English and German and leave all else alone. The last resort is a
heading. Whether a question finds its answer is for the index to check.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .. import prose
from ..engines.extractive import speakable

MAX_QUESTION_CHARACTERS = 70
"""Characters of a question: nobody asks a longer one to see what this is."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A question that a passage may answer."""

    text: str
    rank: int
    """0 if its author wrote it, 1 if a sentence was turned round, 2 if it only names a heading."""
    answer: str = ""
    """The sentence that has to be in the answer; empty if any of the passage will do."""


_WRITTEN = re.compile(
    r"^\s*(?:[-*+]\s+|\d{1,3}[.)]\s+)?[*_]{0,3}(?:(?:Q|Question|Frage)\s*\d*\s*[:.)]\s*)?"
    r"[*_]{0,3}(¿?[^\W\d_][^?？؟\n|]*[?？؟])[*_]{0,3}\s*$",
    re.MULTILINE,
)
_MARKED = re.compile(r"^(?:Q|Question|Frage)\s*\d*\s*[:.)]\s*|^\d{1,3}[.)]\s+")

_WORD = r"[^\W_][\w'’-]*"
_THE = rf"(?P<noun>(?:The|Our|My) (?:{_WORD} ){{0,5}}?{_WORD})"
_NO_NAME = (
    r"(?!(?:After|And|As|At|Before|But|By|During|For|From|He|His|Her|If|In|It|Its|Many|Most|On|She"
    r"|Since|So|Some|That|Then|There|These|They|This|Those|When|Where|Which|While|Who|With)\b)"
)
_NAME = (
    rf"(?P<noun>(?:The|Our) (?:{_WORD} ){{0,3}}?{_WORD}"
    rf"|{_NO_NAME}[A-Z]{_WORD}(?: [A-Z]{_WORD}){{0,3}})"
)
_DER = rf"(?P<noun>(?:Der|Die|Das|Unser|Unsere) (?:{_WORD} ){{0,5}}?{_WORD})"
_AT = "(?:in|on|at|behind|under|below|above|beside|between|near|next to|across|outside) the "
_BEI = "(?:im|hinter|unter|neben|zwischen|vor) "
_DONE = r"(?P<done>\w{2,}ed|built|made|born|written|sold|bought|begun|found|given|lost|cut|set)"
# What a pronoun stands for is not in the question.
_NO_PRONOUN = (
    r"(?!(?:it|they|he|she|there|so|not|es|er|sie|man) |[^,.:]*\b(?:th[ei]se?|that|such)\b)"
)

_RULES = [
    (re.compile(sentence), question)
    for sentence, question in [
        (rf"To (?P<act>[a-z]+ {_NO_PRONOUN}[^,:.]{{3,45}}?)[,:]", "How do I {act}?"),
        (rf"If (?P<case>{_NO_PRONOUN}[^,.:]{{6,50}}), ", "What if {case}?"),
        (
            rf"{_NAME} (?P<was>was|were) {_DONE}\b(?! (?:by|as)\b)[^.;,]{{0,30}}? in [12]\d{{3}}\b",
            "When {was} {noun} {done}?",
        ),
        (
            rf"{_THE} (?P<be>is|are) (?P<done>written|kept|stored|hidden|printed) {_AT}",
            "Where {be} {noun} {done}?",
        ),
        (rf"{_THE} (?:is|stands|hangs|lies|sits) {_AT}", "Where is {noun}?"),
        (rf"{_THE} (?:are|stand|hang|lie|sit) {_AT}", "Where are {noun}?"),
        (rf"{_THE} lives {_AT}", "Where does {noun} live?"),
        (rf"{_THE} (?P<act>open|close|start|begin|end)s (?:at|on|in) ", "When does {noun} {act}?"),
        (rf"(?P<noun>{_NO_NAME}[A-Z]{_WORD}) is an? ", "What is {noun}?"),
        (
            rf"{_DER} (?P<was>wurden?) (?:im Jahre? )?[12]\d{{3}} (?P<rest>[^,;.]*ge\w+)\.",
            "Wann {was} {noun} {rest}?",
        ),
        (
            rf"{_DER} (?P<act>steht|liegt|hängt|wohnt) {_BEI}",
            "Wo {act} {noun}?",
        ),
        (rf"{_DER} (?P<act>öffnet|schließt|beginnt|endet) (?:um|am|im) ", "Wann {act} {noun}?"),
        (rf"Wenn (?P<case>{_NO_PRONOUN}[^,.:]{{6,50}}), ", "Was ist, wenn {case}?"),
    ]
]
"""What a sentence begins like, and the question that it answers."""

_ARTICLES = frozenset(
    "the a an our my your der die das ein eine unser unsere el la los las le les un une".split()  # noqa: SIM905 - reads as the words they are
)
_ASKING = frozenset(("what", "when", "where", "which", "why", "who", "how", "if"))
_ACTS = frozenset(
    """add back build change check choose clean close configure connect contribute create delete
    deploy disable download enable export find fix import install log make move open order pay
    read register remove rename replace report reset restart restore run send set share sign start
    stop switch test train turn uninstall update upgrade upload use wash write""".split()  # noqa: SIM905 - as above
)
"""What headings of instructions begin with."""
_ABOUT = {
    "en": ("What about {}?", frozenset(("the", "and", "of", "is", "to", "it", "in", "for"))),
    "de": ("Was gibt es zu „{}“?", frozenset(("der", "die", "und", "ist", "das", "nicht", "ein"))),
    "es": ("¿Qué hay sobre «{}»?", frozenset(("el", "los", "y", "es", "una", "del", "por"))),
    "fr": ("Qu'y a-t-il sur « {} » ?", frozenset(("le", "les", "et", "est", "des", "du", "une"))),
}
"""What to ask of a heading, by language, and words that tell the language of what is below it."""


def candidates(heading: str, text: str) -> Iterator[Candidate]:
    """Yield questions for a passage, the likeliest to be good first.

    heading: the last of those it stands under; empty if it stands under none.
    """
    heading = " ".join(speakable(heading)).rstrip(". ")  # without its marks
    found = [*_written(heading, text), *_turned_round(text), *_of_heading(heading, text)]
    yield from (each for each in found if len(each.text) <= MAX_QUESTION_CHARACTERS)


def _written(heading: str, text: str) -> Iterator[Candidate]:
    if heading.endswith(("?", "？", "؟")):
        yield Candidate(_MARKED.sub("", heading), 0)
    for line in _WRITTEN.finditer(text):
        if text[line.end() :].strip():  # it is answered there, or else by nobody
            yield Candidate(" ".join(speakable(line[1])), 0)


def _turned_round(text: str) -> Iterator[Candidate]:
    for sentence in speakable(text):
        for shape, question in _RULES:
            if said := shape.match(sentence):
                parts = {name: _uncapitalised(part) for name, part in said.groupdict().items()}
                yield Candidate(question.format(**parts), 1, sentence)
                break


def _of_heading(heading: str, text: str) -> Iterator[Candidate]:
    if not heading or not (heading[0] + heading[-1]).isalnum():
        return
    words = prose.words(text)
    told = {language: sum(map(words.count, sure)) for language, (_, sure) in _ABOUT.items()}
    language = max(told, key=lambda each: told[each])
    if told[language] < 2:
        # In a language that we know no question in, what to ask about can still be named.
        yield Candidate(heading, 2)
    elif language != "en":
        yield Candidate(_ABOUT[language][0].format(heading), 2)
    elif (first := heading.split()[0].lower()) in _ACTS and " " in heading:
        yield Candidate(f"How do I {first}{heading[len(first) :]}?", 2)
    elif heading.lower().startswith("how to "):
        yield Candidate(f"How do I {heading[7:]}?", 2)
    else:
        yield Candidate(_ABOUT["en"][0].format(_within(heading, text)), 2)


def _uncapitalised(noun: str) -> str:
    """`noun` as it is written within a sentence, as far as an article begins it."""
    first, _, rest = noun.partition(" ")
    return f"{first.lower()} {rest}" if rest and first.lower() in _ARTICLES else noun


def _within(heading: str, text: str) -> str:
    """`heading` as it is written within a sentence: what may be a name keeps its capital."""
    first, space, rest = heading.partition(" ")
    common = first.lower() in _ARTICLES | _ASKING or re.search(
        rf"\b{re.escape(first.lower())}\b", text
    )
    is_plain = first[1:].islower() and (common or first.lower().endswith(("ing", "ings")))
    return f"{first.lower()}{space}{rest}" if is_plain else heading


def spread(documents: Sequence[str], most: int) -> list[str]:
    """At most `most` of `documents`, from the first to the last of them."""
    step = max(1.0, len(documents) / most)
    return [documents[int(i * step)] for i in range(min(most, len(documents)))]
