"""A folder of documents, searched by the words of a question (BM25 on SQLite's FTS5)."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import sqlite3
import stat
from collections.abc import Iterator
from itertools import chain, zip_longest
from pathlib import Path

from .. import prose
from ..engines.extractive import answer, speakable
from ..errors import ConfigError
from ..events import Passage
from .chunks import Chunk, chunks
from .questions import Candidate, candidates, spread

log = logging.getLogger(__name__)

SUFFIXES = frozenset({".md", ".markdown", ".txt"})
OTHERS = frozenset(
    [
        ".pdf",
        ".doc",
        ".docx",
        ".odt",
        ".rtf",
        ".pages",
        ".tex",
        ".epub",
        ".htm",
        ".html",
        ".org",
        ".rst",
        ".adoc",
        ".csv",
        ".tsv",
        ".xls",
        ".xlsx",
        ".ods",
        ".ppt",
        ".pptx",
        ".odp",
        ".eml",
        ".msg",
    ]
)
"""Documents too, which are not read: people are told, or they would wait for answers from them."""
NAMED = 5
"""How many of those are named."""
BIGGEST = 8_000_000
"""Bytes of a document. A larger one is a log or an export, and would hold up the start."""
CLOSE = 0.3
"""Share of what a question is about, weighed by rarity, that a passage must hold to be close. On
Wikipedia passages in English this loses 1 right one of 100 (4 in German and Chinese) and refuses
30 to 45 of 100 questions about something else. 0.36 would refuse 20 more and lose 1 or 2 more,
and 2 to 8 more where a recogniser got one word wrong."""
TERMS = 64
"""Terms of a question that are searched for, the rarest of those in the documents: SQLite takes
time for each, and others wait meanwhile. Nobody asks a question of more."""

ASKED_OF = 40
"""Documents that example questions are drawn from."""
PASSAGES = 12
"""Passages of each of those that are read for them."""
CHECKS = 80
"""Questions that are looked up before no more are tried: each costs a search."""


class DocumentIndex:
    """What the documents below `folder` say, in memory.

    It is read once, when it is made. Use it from one thread at a time.

    Raises:
        ConfigError: there is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise ConfigError(f"[documents] no folder {str(folder)!r}; make it or name another")
        # Made in one thread and used in another, but never in two at once.
        self._index = sqlite3.connect(":memory:", check_same_thread=False)
        # Terms come cut, folded and stemmed from `prose`; this tokenizer leaves them as they are.
        self._index.execute(
            "CREATE VIRTUAL TABLE chunk USING fts5"
            "(heading, body, id UNINDEXED, text UNINDEXED, tokenize='ascii')"
        )
        self._index.execute("CREATE VIRTUAL TABLE term USING fts5vocab(chunk, row)")
        self._begins: dict[str, int] = {}  # the row of a document's first passage
        self._index.executemany("INSERT INTO chunk VALUES (?, ?, ?, ?)", self._rows(folder))
        self.digest = self._digest()
        """Stands for all they say: other words, names or places of documents have another."""
        (self._size,) = self._index.execute("SELECT count(*) FROM chunk").fetchone()
        if not self._size:
            log.warning("no documents in %s: put .md or .txt files there", folder)

    def _rows(self, folder: Path) -> Iterator[tuple[str, str, str, str]]:
        for row, (document, chunk) in enumerate(_read(folder), 1):
            self._begins.setdefault(chunk.id.partition("#")[0], row)
            yield _row(document, chunk)

    def __len__(self) -> int:
        """Passages there are."""
        return int(self._size)

    def search(self, question: str, most: int = 4) -> list[Passage]:
        """At most `most` passages that fit `question`, best first; none if nothing is close."""
        weights = self._weights(prose.subject(prose.shortened(question)))
        if not weights:
            return []
        # Each term is quoted and holds letters and digits only: no question is a syntax error.
        any_term = " OR ".join(f'"{term}"' for term in weights)
        found = self._index.execute(
            "SELECT id, text, heading || ' ' || body, bm25(chunk) FROM chunk"
            " WHERE chunk MATCH ? ORDER BY bm25(chunk) LIMIT ?",
            (any_term, most),
        )
        whole = sum(weights.values())
        passages = []
        for id, text, held, rank in found:
            share = sum(weights[term] for term in weights.keys() & set(held.split())) / whole
            if share >= CLOSE:
                passages.append(Passage(id, text, -rank))
        return passages

    @property
    def documents(self) -> list[str]:
        """The names of the documents, in order."""
        return [*self._begins]

    def questions(self) -> Iterator[str | None]:
        """Yield questions that are answered from here, each from another document than the one
        before as long as there are others, and None for each that turned out not to be.

        A question is answered if its own passage is found first, and if that is quoted for it.
        """
        drawn = [self._drawn(document) for document in spread(self.documents, ASKED_OF)]
        checks, asked = 0, set[str]()
        while drawn:
            for questions in [*drawn]:
                answered = False
                while not answered and checks < CHECKS:
                    if (drawn_next := next(questions, None)) is None:
                        drawn.remove(questions)
                        break
                    id, candidate = drawn_next
                    if candidate.text in asked:
                        continue
                    asked.add(candidate.text)
                    checks += 1
                    answered = self._answers(id, candidate)
                    yield candidate.text if answered else None
            if checks >= CHECKS:
                return

    def _drawn(self, document: str) -> Iterator[tuple[str, Candidate]]:
        """Questions for passages of `document`, the likeliest to be good first, and of those one of
        each passage before a second."""
        rows = self._index.execute(
            "SELECT id, text FROM chunk WHERE rowid >= ? ORDER BY rowid LIMIT ?",
            (self._begins[document], PASSAGES),
        ).fetchall()
        of_each: list[list[tuple[str, Candidate]]] = []
        for id, whole in rows:
            name, _, section = id.partition("#")
            if name != document:
                break
            path, _, text = whole.partition("\n\n") if whole.startswith("# ") else ("", "", whole)
            # Of a document that is one section, the title says what everything is about.
            heading = path.removeprefix("# ").rpartition(": ")[2] if section else ""
            of_each.append([(id, candidate) for candidate in candidates(heading, text)])
        in_turn = filter(None, chain.from_iterable(zip_longest(*of_each)))
        return iter(sorted(in_turn, key=lambda each: each[1].rank))

    def _answers(self, id: str, candidate: Candidate) -> bool:
        found = self.search(candidate.text)
        if not found or found[0].id != id:
            return False
        quoted = answer(candidate.text, found)
        if candidate.answer:
            return candidate.answer in quoted
        own = speakable(found[0].text)
        return any(sentence in quoted for sentence in own if sentence != candidate.text)

    def close(self) -> None:
        self._index.close()

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for row in self._index.execute("SELECT id, text FROM chunk ORDER BY rowid"):
            digest.update(repr(row).encode())
        return digest.hexdigest()

    def _weights(self, terms: list[str]) -> dict[str, float]:
        """What each term tells passages apart by: its inverse document frequency."""
        marks = ", ".join("?" * len(terms))
        known = dict(
            self._index.execute(f"SELECT term, doc FROM term WHERE term IN ({marks})", terms)
        )
        # A pair of characters that no document holds mostly straddles two words and means nothing.
        # A whole word may have been misheard: it weighs as one that a single passage holds. More
        # would let it outweigh all the others where the documents are few.
        weights = {
            term: math.log(1 + (self._size - n + 0.5) / (n + 0.5))
            for term in terms
            if term in known or not prose.is_pair(term)
            for n in [known.get(term, 1)]
        }
        if len(weights) <= TERMS:
            return weights
        # What is in the documents, before what would only make every passage look far away.
        telling = sorted(weights, key=lambda term: (term not in known, -weights[term]))
        return {term: weights[term] for term in telling[:TERMS]}


def _read(folder: Path) -> Iterator[tuple[str, Chunk]]:
    """The chunks of every document below `folder`, each with the name of its document."""
    inside = folder.resolve()
    unread: list[str] = []
    # `walk` passes over a folder that is removed meanwhile; `rglob` raises, before Python 3.13.
    walked = os.walk(folder)
    for path in sorted(Path(at, name) for at, *names in walked for name in chain(*names)):
        name = path.relative_to(folder)
        if any(part.startswith(".") for part in name.parts):
            continue
        if path.suffix.lower() not in SUFFIXES:
            if path.suffix.lower() in OTHERS:
                unread.append(name.as_posix())
            continue
        if path.is_dir():
            continue
        try:
            if not path.resolve().is_relative_to(inside):
                raise ValueError("it is a link that leaves the folder; copy it into the folder")
            text = _text(path)
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: links in a circle
            log.warning("document %s is left out: %s", path, error)
            continue
        for chunk in chunks(name.as_posix(), text):
            yield name.with_suffix("").as_posix(), chunk
    if unread:
        more = f" and {len(unread) - NAMED} more" if len(unread) > NAMED else ""
        log.warning(
            "only .md and .txt are read; save %s%s in %s as text, with pdftotext or pandoc",
            *(", ".join(unread[:NAMED]), more, folder),
        )


def _text(path: Path) -> str:
    """The text of a file in whichever encoding it is.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no text, no regular file, or too much.
    """
    # A pipe would hold us up until somebody writes to it, were it not for O_NONBLOCK.
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise ValueError("it is a pipe or a device, not a file")
        if about.st_size > BIGGEST:
            raise ValueError(
                f"{about.st_size / 1e6:.0f} MB is more than {BIGGEST / 1e6:.0f} MB; split it"
            )
        data = file.read(BIGGEST)  # it may be growing, and files of /proc tell no length
    return _decoded(data)


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return data.decode("utf-32", "replace")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    if b"\0" in data:
        # Western text in UTF-16 has a zero in every second byte, also where no mark says so.
        begin = data[:1000]
        for zeros, others, encoding in ((1, 0, "utf-16-le"), (0, 1, "utf-16-be")):
            if begin[zeros::2].count(0) > len(begin) / 4 and not begin[others::2].count(0):
                return data.decode(encoding, "replace")
        raise ValueError("it is not text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        return data.decode("cp1252")  # of Windows: latin-1 with quotes, dashes and the euro
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _row(document: str, chunk: Chunk) -> tuple[str, str, str, str]:
    heading = prose.terms(f"{document} {chunk.heading}")
    text = f"# {chunk.heading}\n\n{chunk.text}" if chunk.heading else chunk.text
    return " ".join(heading), " ".join(prose.terms(chunk.text)), chunk.id, text
