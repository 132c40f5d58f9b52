"""A chat model without a model: it answers with sentences of the user's documents, word for word.

A sentence is as good as what it holds of the question, counting rare words for more; what its
headings hold counts half, and of two alike the one from the better passage wins. Tried and left
out, each worth less than one answer in a hundred: looking for a year after "when" or a name after
"who", and counting what the sentences beside it hold.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from .. import prose
from ..concurrency.worker import Stream, Worker
from ..events import Passage
from . import Delta, Message
from .call_options import estimated_tokens

NO_PASSAGES = "I can only answer from your documents, and I have none about that."
NO_ANSWER = "Your documents say nothing about that."
DONE = "That is done."

MAX_SENTENCES = 3
"""Sentences in an answer. More hold the answer oftener; fewer are listened to."""
TIED = 0.85
"""How near the best sentence others must be to be said too. Of 603 questions about Wikipedia the
best sentence alone holds the answer to 77 in 100, with these it is 85, for 7 more words."""
SUPPORT = 0.2
"""Share of the question that the best sentence must hold to be an answer. It costs 3 answers in
100 and refuses, with what the search does, 64 in 100 questions about something else: 46 without."""
HEADING = 0.5
"""What a word in a heading is worth beside one in the sentence itself."""
RANK = 0.5
"""What the best passage is worth beside a sentence that holds the whole question."""

MAX_SENTENCE_CHARACTERS = 400
"""Characters of a sentence that is said, half a minute of speech: a line of an export or a log
would be read for hours."""

_INLINE = (
    (re.compile(r"!\[[^\]]*\]\([^)]*\)|\[\^[^\]]*\]|</?[a-zA-Z][^>]*>|<!--.*?-->"), ""),
    (re.compile(r"<?\b(?:https?://|www\.)[^\s>)]+>?"), ""),
    (re.compile(r"\[([^\]]+)\](?:\([^)]*\)|\[[^\]]*\])"), r"\1"),
    (re.compile(r"(\*{1,3}|~~|`+)(?=\S)(.+?)(?<=\S)\1"), r"\2"),
    (re.compile(r"(?<!\w)(_{1,3})(?=\S)(.+?)(?<=\S)\1(?!\w)"), r"\2"),
    (re.compile(r"\\([!-/:-@\[-`{-~])"), r"\1"),
    (re.compile(r"\s+([.,;:!?])"), r"\1"),
)
_MARK = re.compile(r"(?:\s*>)*\s*(?:(?:[-*+]|\d{1,3}[.)])\s+(?:\[[ xX]\]\s+)?)?")
_ITEM = re.compile(r"(?:\s*>)*\s*(?:[-*+]|\d{1,3}[.)])\s")
_ASKS = ("?", "？", "؟")
_RULE_OF_TABLE = re.compile(r"[\s|:-]+")
_CODE = re.compile(r"^ {0,3}(```|~~~).*?(?:^ {0,3}\1[^\n]*$|\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Sentence:
    text: str
    says: frozenset[str]
    """Terms of the question in it."""
    under: frozenset[str]
    """Terms of the question in its headings."""
    rank: float
    """In [0, 1]; 1 in the best passage."""


class Extractive:
    """Answers from a message's passages with the sentences that hold most of the question."""

    def __init__(self) -> None:
        self.worker = Worker("extractive", parks=True)

    async def reply(
        self, messages: Sequence[Message], *, max_tokens: int | None = None
    ) -> Stream[Delta]:
        """Yield the answer word by word, as it stands in the passages of the last message.

        If functions have just returned, the answer is what they returned. It has no tokens: four
        bytes count as one.
        """
        question = prose.asked([m.text for m in messages if m.role == "user"])
        passages = messages[-1].passages
        latest = takewhile(lambda message: message.role == "tool", reversed(messages))
        results = [message.text for message in latest][::-1]
        read = estimated_tokens(*(m.text for m in messages), *(p.text for p in passages))
        said, written = "", 0
        async with aclosing(self.worker.stream(_words, question, passages, results)) as words:
            async for word in words:
                said += word
                if max_tokens is not None and estimated_tokens(said.rstrip()) > max_tokens:
                    yield Delta(finish="length", tokens=(read, written))
                    return
                written = estimated_tokens(said.rstrip())
                yield Delta(word, tokens=(read, written))
        yield Delta(finish="stop", tokens=(read, written))

    def close(self) -> None:
        self.worker.close()


def speakable(markdown: str) -> list[str]:
    """The sentences of `markdown` as one would read them aloud; items and rows are sentences.

    Headings, code, pictures and addresses are left out.
    """
    read: list[str] = []
    for paragraph in re.split(r"\n\s*\n", _CODE.sub("\n\n", markdown)):
        lines: list[str] = []
        for line in paragraph.splitlines():
            if line.startswith("#"):
                continue
            if "|" in line and line.lstrip().startswith("|"):
                read.extend(_row(line, paragraph))
                continue
            if lines and _ITEM.match(line):
                read.extend(_whole(" ".join(lines)))
                lines = []
            lines.append(_MARK.sub("", line, count=1))
        read.extend(_whole(" ".join(lines)))
    return read


def _row(line: str, table: str) -> list[str]:
    rows = table.splitlines()
    if _RULE_OF_TABLE.fullmatch(line) or (line == rows[0] and len(rows) > 1):
        return []
    cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
    return _whole(", ".join(cell for cell in cells if cell))


def _whole(text: str) -> list[str]:
    """The sentences of a paragraph, without marks and with a full stop at its end."""
    for pattern, plain in _INLINE:
        text = pattern.sub(plain, text)
    text = html.unescape(text).strip()
    text = " ".join(word for word in text.split() if _is_speakable(word))
    if text and prose.words(text[-1]):
        text += "."
    return [_short(sentence) for sentence in prose.sentences(text) if prose.words(sentence)]


def _is_speakable(word: str) -> bool:
    """Whether a voice can say it: not a key, a hash or a picture in base64."""
    return len(word) < 80 or prose.length(word) > len(word) // 8  # Chinese has no spaces


def _short(sentence: str) -> str:
    if len(sentence) <= MAX_SENTENCE_CHARACTERS:
        return sentence
    begins = sentence[:MAX_SENTENCE_CHARACTERS]
    # Where it has no spaces it may be Chinese, and can end anywhere.
    return (begins.rpartition(" ")[0] or begins).rstrip(",;: ") + "…"


def _words(question: str, passages: Sequence[Passage], results: Sequence[str]) -> Generator[str]:
    if results:
        said = _reported(results)
    else:
        said = answer(question, passages) if passages else NO_PASSAGES
    yield from re.findall(r"\S+\s*", said)


def _reported(results: Sequence[str]) -> str:
    """What functions returned, as one would read it aloud, no more of each than of a passage."""
    said = [
        sentence for result in results for sentence in speakable(_plain(result))[:MAX_SENTENCES]
    ]
    return " ".join(said) or DONE


def _plain(result: str) -> str:
    try:
        return _listed(json.loads(result))
    except ValueError:
        return result


def _listed(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')}: {_listed(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(_listed, value))
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def answer(question: str, passages: Sequence[Passage]) -> str:
    """The sentences of `passages` that answer `question`, or that they say nothing about it."""
    about = prose.subject(prose.shortened(question))
    sentences = _sentences(frozenset(about), passages)
    held = Counter(term for sentence in sentences for term in sentence.says)
    weights = {
        term: math.log(1 + (len(sentences) - held[term] + 0.5) / (held[term] + 0.5))
        for term in about
        if held[term] or not prose.is_pair(term)  # such a pair straddles two words
    }
    whole = sum(weights.values()) or 1.0

    def support(sentence: _Sentence) -> float:
        above = sum(weights.get(term, 0) for term in sentence.under - sentence.says)
        return (sum(weights[term] for term in sentence.says) + HEADING * above) / whole

    scores = {i: support(s) + RANK * s.rank for i, s in enumerate(sentences)}
    ranked = sorted(scores, key=lambda i: -scores[i])
    if not ranked or support(sentences[ranked[0]]) < SUPPORT:
        return NO_ANSWER
    best = ranked[0]
    said = [i for i in ranked[:MAX_SENTENCES] if scores[i] >= TIED * scores[best]]
    if sentences[best].text.endswith(":"):  # what follows is what it promises
        said = list(range(best, min(best + MAX_SENTENCES, len(sentences))))
    if sentences[best].text.endswith(_ASKS):  # of a list of questions and answers
        follows = range(best + 1, min(best + 1 + MAX_SENTENCES, len(sentences)))
        said = [*takewhile(lambda i: not sentences[i].text.endswith(_ASKS), follows)] or said
    return " ".join(sentences[i].text for i in sorted(said))


def _sentences(about: frozenset[str], passages: Sequence[Passage]) -> list[_Sentence]:
    """Every sentence of the passages once, in the order it is written."""
    best = max(0.0, *(passage.score for passage in passages)) or 1.0
    found: dict[str, _Sentence] = {}
    for passage in passages:
        headings = [line for line in passage.text.splitlines() if line.startswith("#")]
        under = about.intersection(prose.terms(" ".join(headings)))
        rank = max(0.0, passage.score) / best
        for text in speakable(passage.text):
            says = about.intersection(prose.terms(text))
            found.setdefault(text, _Sentence(text, says, under, rank))
    return list(found.values())
