"""How much is in a JSON text, told before it is parsed.

The parser holds the interpreter's lock from the first to the last value, on any thread: what is in
a text decides for how long everybody waits, more than its length does.
"""

from __future__ import annotations

import re

_STRING = r'"(?:[^"\\]++|\\.)*+"?'
"""A string, or what of one never ends: looked for once, or a body of quotes would take minutes."""
_IN_TEXT = re.compile(_STRING, re.DOTALL)
_IN_BYTES = re.compile(_STRING.encode(), re.DOTALL)


def exceeds(json: str | bytes, marks: str, most: int) -> bool:
    """Whether these marks occur over `most` times outside of its strings.

    marks: as "{[", which begin objects and arrays.
    """
    if len(json) <= most or _count(json, marks) <= most:
        return False
    bare = _IN_TEXT.sub("", json) if isinstance(json, str) else _IN_BYTES.sub(b"", json)
    return _count(bare, marks) > most


def _count(json: str | bytes, marks: str) -> int:
    if isinstance(json, str):
        return sum(map(json.count, marks))
    return sum(json.count(mark.encode()) for mark in marks)
