"""A document as chunks: pieces short enough to quote, cut where its author would have cut it.

Headings part a document; a section that is too long is packed paragraph by paragraph, and a
paragraph that is too long sentence by sentence. No sentence is ever cut. Neither is a table or a
block of code, unless it alone would crowd everything else out of a reply.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from .. import prose

BUDGET = 160
"""Words in a chunk. Four of them leave a small model's context room for the conversation; with
fewer words an answer is parted from what it is about."""
LIMIT = 400
"""Words a table, a block of code or an endless sentence may have before it is cut."""
LETTERS = 10
"""Characters that count as a word at least: a chunk then has no more than 4000 of them, about 1000
tokens, however few spaces there are. Words with their marks have 6 in English, 8 in Finnish."""
SCRAP = BUDGET // 4
"""A last chunk of fewer words joins the one before: alone it says too little."""

_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_FENCE = re.compile(r" {0,3}(```|~~~)")
_HEADING = re.compile(r" {0,3}(#{1,6})(?:\s+(.*?))??(?:\s+#+)?\s*")
_UNDERLINE = re.compile(r" {0,3}(=+|-{2,})\s*")
_RULE = re.compile(r" {0,3}([-*_])\s*(\1\s*){2,}")
_ITEM = re.compile(r"\s*([-*+]|\d{1,3}[.)])\s+\S")
_ROW = re.compile(r"\s*\|")
# Pictures and fonts inside the text: nobody reads them, and each is longer than its document.
_DATA = re.compile(r"\bdata:[a-z]+/[\w.+-]+(?:;[\w=.+-]+)*,[^\s)\"'>\]]*", re.IGNORECASE)
_LINE = re.compile(r".{1,800}(?:\s|$)|.{1,800}|\n")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document."""

    id: str
    """Document, section and count: "lease.md#rent-2" is the second chunk of the section Rent, so
    what is written elsewhere in the document does not change it."""
    heading: str
    """Where in the document it stands: "Lease: Money: Rent"."""
    text: str
    """As it is written, Markdown and all."""


def chunks(document: str, text: str) -> Iterator[Chunk]:
    """Yield the chunks of the Markdown or plain `text`, whose name is `document`, in order.

    What is embedded in it as a data: URI is left out.
    """
    count: Counter[str] = Counter()
    for headings, blocks in _sections(_DATA.sub("", text)):
        slug = "-".join(prose.words(headings[-1])) if headings else ""
        for packed in _pack(blocks):
            count[slug] += 1
            nth = str(count[slug])
            place = slug if slug and nth == "1" else f"{slug}-{nth}".lstrip("-")
            yield Chunk(f"{document}#{place}", ": ".join(headings), packed)


def _sections(text: str) -> Iterator[tuple[list[str], list[str]]]:
    """The headings above each run of blocks, outermost first, and the blocks."""
    headings: dict[int, str] = {}
    blocks: list[str] = []
    for level, block in _blocks(text):
        if not level:
            blocks.append(block)
            continue
        if blocks:
            yield list(headings.values()), blocks
            blocks = []
        headings = {above: title for above, title in headings.items() if above < level}
        headings[level] = block
    if blocks:
        yield list(headings.values()), blocks


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """Headings with their level; paragraphs, items, tables and blocks of code with 0."""
    lines: list[str] = []
    fence = ""
    for line in _FRONT_MATTER.sub("", text).splitlines():
        alone = len(lines) == 1 and not _whole(lines[0])
        if fence:
            lines.append(line)
            if line.strip().startswith(fence):
                fence = ""
        elif alone and _UNDERLINE.fullmatch(line):
            yield (1 if "=" in line else 2), lines.pop().strip()
        elif _parts(line, lines):
            if lines:
                yield 0, "\n".join(lines)
            lines = []
            if heading := _HEADING.fullmatch(line):
                if heading[2]:
                    yield len(heading[1]), heading[2]
            elif line.strip() and not _RULE.fullmatch(line):
                lines = [line]
                fence = opening[1] if (opening := _FENCE.match(line)) else ""
        else:
            lines.append(line)
    if lines:
        yield 0, "\n".join(lines)


def _parts(line: str, lines: list[str]) -> bool:
    """Whether `line` does not go on with the block that `lines` are."""
    return (
        not lines
        or not line.strip()
        or bool(_FENCE.match(lines[0]))
        or any(mark.match(line) for mark in (_FENCE, _ITEM))
        or any(mark.fullmatch(line) for mark in (_HEADING, _RULE))
        or bool(_ROW.match(line)) != bool(_ROW.match(lines[0]))
    )


def _whole(block: str) -> bool:
    return any(mark.match(block) for mark in (_FENCE, _ITEM, _ROW))


def _pack(blocks: list[str]) -> Iterator[str]:
    packed, size = "", 0
    waiting = ""  # complete, but a scrap may follow
    for gap, piece in _pieces(blocks):
        length = _length(piece)
        if packed and size + length > BUDGET:
            if waiting:
                yield waiting
            waiting, packed, size = packed, "", 0
        packed = packed + gap + piece if packed else piece
        size += length
    if waiting and size < SCRAP:
        packed = f"{waiting}\n\n{packed}"
    elif waiting:
        yield waiting
    yield packed


def _pieces(blocks: list[str]) -> Iterator[tuple[str, str]]:
    """What must not be cut further, each with the white space that parts it from the one before."""
    for block in blocks:
        gap = "\n" if _ITEM.match(block) else "\n\n"
        whole = _whole(block) or _length(block) <= BUDGET
        for piece in [block] if whole else prose.sentences(block):
            if _length(piece) <= LIMIT:
                yield gap, piece
                gap = " "
            else:
                yield from ((gap, part) for part in _cut(piece))


def _length(text: str) -> int:
    return max(prose.length(text), len(text) // LETTERS)


def _cut(text: str) -> Iterator[str]:
    """By lines, and a line that is itself too long between words, or anywhere if it has none."""
    part = ""
    for line in _LINE.findall(text):
        if part and _length(part + line) > BUDGET:
            yield part.strip()
            part = ""
        part += line
    if part.strip():
        yield part.strip()
