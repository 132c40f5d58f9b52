"""What to say of a name that nothing has: the names there are, and the one that was meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

ALIKE = 0.6
"""Share of letters that two names have in common for one to be a slip of the other: "tss" and "tts"
have 0.67. Less takes words that only begin alike for each other."""


def near(name: str, known: Iterable[str]) -> str:
    """The one of `known` that was probably meant by `name`, whatever its case; empty if none."""
    spelt = {each.lower(): each for each in known}
    found = get_close_matches(name.lower(), spelt, n=1, cutoff=ALIKE)
    return spelt[found[0]] if found else ""


def there_is(name: str, known: Iterable[str], *others: str) -> str:
    """The end of an error: "there is engine, voice; did you mean engine?".

    others: what there also is, and nobody means by a name.
    """
    known = list(known)
    meant = near(name, known)
    choices = ", ".join([*known, *others]) or "none"
    return f"there is {choices}" + (f"; did you mean {meant}?" if meant else "")
