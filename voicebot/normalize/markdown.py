"""Markdown, as a language model writes it, into text to be spoken, while it is written.

Only as much is held back as may still turn out to be markup: the signs that a line begins with, a
link, a row of a table. Emphasis may span pieces of any size; `plain` takes it out of each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

HELD = 2000
"""Characters that are held back at most. What is longer is no link and no row."""


@dataclass(frozen=True, slots=True)
class Code:
    """A part of a block of code, to be seen rather than heard."""

    text: str
    opens: bool = False
    """It is the line that begins the block: here it is said that there is one."""


_INDENT = r"[ \t]*(?:>[ \t]?)*[ \t]*"
# All of what a line may begin with before its first word, whether or not it is complete.
_UNDECIDED = re.compile(
    rf"{_INDENT}(?:#{{1,6}}[ \t]*|[-*+•][ \t]+\[?[ xX]?\]?[ \t]*|[-*+•=_ \t]*|`{{1,2}}|~{{1,2}})"
)
_MARKER = re.compile(rf"{_INDENT}(?:#{{1,6}}[ \t]+|[-*+•][ \t]+(?:\[[ xX]\][ \t]+)?)?")
_RULE = re.compile(rf"{_INDENT}(?:(?:[-*_=][ \t]*){{2,}}|[-*+•=#]*[ \t]*)")
_FENCE = re.compile(rf"{_INDENT}(`{{3,}}|~{{3,}})([^`\n]*)")
_ROW = re.compile(rf"{_INDENT}\|(.*)")
_DASHES = re.compile(r"[\s|:+=-]+")
_LINK = re.compile(r"!?\[([^\[\]\n]*)\]\([^()\n]*(?:\([^()\n]*\)[^()\n]*)*\)")
_MAYBE_LINK = re.compile(r"!?(?:\[[^\[\]\n]*(?:\](?:\([^()\n]*(?:\([^()\n]*\)?[^()\n]*)*)?)?)?$")
_LINK_BEGINS = re.compile(r"!?\[|!$")
_EMPHASIS = re.compile(r"(?<!\w)[*_~]+(?=\w)|(?<=[\w.,;:!?)\"'”])[*_~]+(?!\w)|`+|\*\*")


def plain(text: str) -> str:
    """Without the signs of emphasis and of code within a line."""
    return _EMPHASIS.sub("", text)


class Markdown:
    """Feed it text as it is written; it gives back text to be spoken, and code."""

    def __init__(self) -> None:
        self._held = ""
        self._begins = True
        """What is held begins a line."""
        self._fence = ""
        """What the block began with that we are in."""

    def feed(self, text: str) -> list[str | Code]:
        self._held += text
        return self._take(ended=False)

    def flush(self) -> list[str | Code]:
        """The text is complete. A block of code that was not closed ends here."""
        return self._take(ended=True)

    def _take(self, ended: bool) -> list[str | Code]:
        taken: list[str | Code] = []
        while self._held:
            before = len(self._held), self._begins, self._fence
            piece = self._next(ended)
            if piece:
                taken.append(piece)
            if (len(self._held), self._begins, self._fence) == before:
                break
        return taken

    def _next(self, ended: bool) -> str | Code | None:
        """Take the next piece off what is held; nothing where more has to be seen first."""
        if self._fence:
            return self._code(ended)
        if self._begins:
            return self._line(ended)
        return self._words(ended)

    def _code(self, ended: bool) -> Code | None:
        closing = re.compile(
            rf"^[ \t>]*{re.escape(self._fence)}{self._fence[0]}*[ \t]*(\n|$)", re.M
        )
        found = closing.search(self._held)
        if found and not (found[1] or ended):
            found = None  # the line may go on
        if not found and not ended:
            return None
        end = found.end() if found else len(self._held)
        code, self._held = self._held[:end], self._held[end:]
        self._fence, self._begins = "", True
        return Code(code if code.endswith("\n") else f"{code}\n")

    def _line(self, ended: bool) -> str | Code | None:
        line, newline, rest = self._held.partition("\n")
        whole = bool(newline) or ended
        if not whole and len(line) < HELD and self._may_begin(line):
            return None
        if whole and (fence := _FENCE.fullmatch(line)):
            self._fence, self._held = fence[1], rest
            return Code(f"{line.strip()}\n", opens=True)
        if whole and (row := _ROW.fullmatch(line)):
            self._held = rest
            return _spoken_row(row[1])
        if whole and _RULE.fullmatch(line):
            self._held = rest
            return newline
        self._held = self._held[_marker_end(line) :]
        self._begins = False
        return None

    @staticmethod
    def _may_begin(line: str) -> bool:
        """Whether it takes more of this line to know what it begins with."""
        if _UNDECIDED.fullmatch(line) or _ROW.fullmatch(line):
            return True
        return bool(_FENCE.fullmatch(line))

    def _words(self, ended: bool) -> str | None:
        """The rest of a line, with links as their words."""
        line, newline, rest = self._held.partition("\n")
        if begins := _LINK_BEGINS.search(line):
            at = begins.start()
            if link := _LINK.match(line, at):
                self._held = self._held[link.end() :]
                return line[:at] + link[1]
            waits = not newline and not ended and len(line) - at < HELD
            if not (waits and _MAYBE_LINK.match(line, at)):
                self._held = self._held[begins.end() :]
                return line[: begins.end()]
            self._held = self._held[at:]
            return line[:at] or None
        self._held, self._begins = rest, bool(newline)
        return line + newline


def _marker_end(line: str) -> int:
    """Where the words of a line begin."""
    found = _MARKER.match(line)
    return found.end() if found else 0


def _spoken_row(inside: str) -> str | None:
    """A row of a table as a sentence: "Anna, 5, Berlin."."""
    if _DASHES.fullmatch(inside):
        return None
    cells = [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", inside)]
    said = ", ".join(_LINK.sub(r"\1", cell) for cell in cells if cell)
    return f"{said}.\n" if said[-1:].isalnum() or said[-1:] in ")%\"'" else f"{said}\n"
