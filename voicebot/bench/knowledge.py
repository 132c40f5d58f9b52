"""`voicebot bench knowledge`: how long documents take to be indexed and searched, and how well."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .. import prose
from ..config import Config
from ..errors import ConfigError
from ..knowledge import DocumentIndex
from ..knowledge.index import SUFFIXES
from .job import Done, Job, Reading

LOADS = "reading and indexing the documents"
FIRST = "process start to first passages"
MADE = "searches in a second", ""
MOST = 8
"""Passages asked for, since a document may hold several of them."""
AMONG = 5
"""Documents among which the right one counts as found."""
SAMPLE = 200
"""Sentences taken for questions where there is no question set."""


@dataclass(frozen=True, slots=True)
class Query:
    """A question, and the passages that answer it."""

    id: str
    text: str
    right: frozenset[str] = frozenset()
    """Names of the documents that answer it; empty where nobody said."""


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Documents, and questions about them."""

    folder: str
    queries: tuple[Query, ...]


@contextmanager
def beir(folder: Path) -> Iterator[QuestionSet]:
    """A question set in BEIR's layout: corpus.jsonl, queries.jsonl and qrels.tsv.

    A passage of the corpus is a document, in a folder that lasts as long as the block. Questions
    that nobody judged are left out.

    Raises:
        ConfigError: it is none.
    """
    with TemporaryDirectory() as documents:
        try:
            names = {}
            for i, page in enumerate(_lines(folder / "corpus.jsonl")):
                names[page["_id"]] = str(i)  # an id may be no name for a file
                text = f"# {page.get('title', '').replace('_', ' ')}\n\n{page['text']}"
                (Path(documents) / f"{i}.md").write_text(text, "utf-8")
            right: dict[str, set[str]] = {}
            for line in (folder / "qrels.tsv").read_text("utf-8").splitlines()[1:]:
                query, document, score = line.split("\t")
                if float(score) > 0:
                    right.setdefault(query, set()).add(names[document])
            queries = tuple(
                Query(each["_id"], each["text"], frozenset(right[each["_id"]]))
                for each in _lines(folder / "queries.jsonl")
                if each["_id"] in right
            )
        except OSError as error:
            raise ConfigError(f"--questions {folder}: {error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"--questions {folder}: not in BEIR's layout ({error!r})") from error
        if not queries:
            raise ConfigError(f"--questions {folder}: there are no judged questions")
        yield QuestionSet(documents, queries)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_bytes().splitlines():
        yield json.loads(line)


def own(config: Config) -> QuestionSet:
    """The configured documents, with their own sentences for questions: good for times only.

    Raises:
        ConfigError: there are none.
    """
    folder = Path(config.documents.folder)
    if not config.documents.folder:
        raise ConfigError("[documents] folder is not set; set it, or name a set with --questions")
    sentences = [
        sentence
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES
        for sentence in prose.sentences(path.read_text("utf-8", "replace"))
    ]
    if not sentences:
        raise ConfigError(f"[documents] there is nothing to search in {folder}")
    apart = -(-len(sentences) // SAMPLE)
    queries = (Query(str(i), text) for i, text in enumerate(sentences[::apart]))
    return QuestionSet(str(folder), tuple(queries))


def job(asked: QuestionSet, times: int) -> Job:
    return Job("knowledge", "the index", {"folder": asked.folder}, asked.queries, times)


def load(job: Job) -> DocumentIndex:
    return DocumentIndex(Path(job.options["folder"]))


async def first(engine: DocumentIndex, given: Query) -> None:
    engine.search(given.text, MOST)


async def once(engine: DocumentIndex, given: Query, nth: int) -> Done:
    began = time.perf_counter()
    found = engine.search(given.text, MOST)
    readings = [Reading("search", "ms", given.id, (time.perf_counter() - began) * 1000)]
    if given.right:
        place = rank([passage.id for passage in found], given.right)
        for what, most in (("right document first", 1), (f"among the first {AMONG}", AMONG)):
            share = 100.0 * (0 < place <= most)
            readings.append(Reading(what, "%", given.id, share))
    return Done(readings, 1.0)


def rank(passages: list[str], right: frozenset[str]) -> int:
    """Which of the documents of these passages is the first right one, from 1; 0 if none is."""
    documents = dict.fromkeys(id.rpartition("#")[0].removesuffix(".md") for id in passages)
    places = (i for i, document in enumerate(documents, 1) if document in right)
    return next(places, 0)
