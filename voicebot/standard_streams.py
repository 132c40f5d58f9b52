"""Standard input, output and error, such as the process finds them: closed, or of few letters."""

from __future__ import annotations

import codecs
import io
import os
import re
import sys
import tempfile
from typing import IO, TextIO

ESCAPED = "voicebot.escaped"
"""For `errors=`: what an encoding lacks is written as JSON escapes it, \\u00f6, so that JSON stays
JSON and nothing is lost."""


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = zip(units[::2], units[1::2], strict=True)
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in pairs), error.end


codecs.register_error(ESCAPED, _escape)


def settle() -> None:
    """Make printing safe, whatever there is to print and wherever it goes.

    What is closed becomes the null device: the next file to be opened would get its number, and
    be written to by whatever writes to standard output.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=ESCAPED)


def scratch() -> IO[bytes]:
    """A file without a name for what a process of ours says; in memory where no disk takes it."""
    try:
        return tempfile.TemporaryFile()
    except OSError:  # all is read-only, or full
        if not hasattr(os, "memfd_create"):
            raise
        return open(os.memfd_create("voicebot"), "w+b")


def writes(stream: TextIO, text: str) -> bool:
    """Whether the stream's encoding has these letters."""
    try:
        text.encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """The text, with whatever would steer a terminal written as JSON escapes it, \\u001b.

    Documents, recordings and models may hold sequences that set the clipboard, the title or the
    order of letters. New lines and tabs stay. JSON stays the same JSON.
    """
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
