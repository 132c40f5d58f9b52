"""Which engines there are: those of voicebot, then those of other installed distributions.

A distribution names its engines in the entry points group "voicebot.engines". Each is a class with
an attribute `kind`: "vad", "stt", "llm" or "tts". It may have `says`, what it is for people
choosing; `packages`, the import names it needs; and `extra`, what its distribution calls the extra
that has them.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

log = logging.getLogger(__name__)

GROUP = "voicebot.engines"

Kind = Literal["vad", "stt", "llm", "tts"]

_METHODS: dict[Kind, str] = {
    "vad": "probability", "stt": "transcribe", "llm": "reply", "tts": "synthesize",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """An engine that has a name, and what must be there before it can be loaded."""

    path: str
    """"package.module:Class"."""
    says: str
    """What it is, for people choosing."""
    packages: tuple[str, ...] = ()
    """Import names it needs."""
    extra: str = ""
    """What `voicebot install`, or its distribution, calls them."""
    weights: bool = False
    """It takes `model`, a path to weights that are not part of any package."""
    more: bool = False
    """It has weights in its package, and takes `model`, a path to more of them."""
    native: bool = True
    """A library in C or C++ works in it, which could end our process."""
    distribution: str = ""
    """The installed distribution it comes from; empty for those of voicebot."""


class _Unusable(Exception):
    """An engine of another distribution cannot be registered; the text says why."""


class Registry(Mapping[Kind, Mapping[str, Entry]]):
    """The engines of each kind by name, those that "auto" prefers first.

    Other distributions are looked for when an engine is first looked up: that takes 30 ms, and
    imports the modules of their engines. One that cannot be used is a warning.
    """

    def __init__(self) -> None:
        self._known: dict[Kind, dict[str, Entry]] = {kind: {} for kind in _METHODS}
        self._has_looked = False

    def register(self, kind: Kind, name: str, entry: Entry) -> None:
        """Add an engine behind those of its kind.

        Raises:
            ValueError: the kind has an engine of that name.
        """
        if other := self._known[kind].get(name):
            owner = other.distribution or "voicebot"
            raise ValueError(f"[{kind}] {owner} has an engine of that name")
        self._known[kind][name] = entry

    def __getitem__(self, kind: Kind) -> Mapping[str, Entry]:
        if not self._has_looked:
            self._has_looked = True  # before a module of somebody else's looks up an engine
            self._look()
        return self._known[kind]

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def _look(self) -> None:
        seen = set()
        for owner, point in sorted(_installed(), key=lambda found: (found[1].name, found[0])):
            if point in seen:  # a distribution may lie on the path twice
                continue
            seen.add(point)
            try:
                self.register(*_described(point, owner))
            except (_Unusable, ValueError) as error:
                log.warning("%s: engine %r cannot be used: %s", owner, point.name, error)


def _installed() -> Iterator[tuple[str, EntryPoint]]:
    """The entry points of the group, with the name of the distribution of each."""
    from importlib.metadata import distributions  # which takes 20 ms

    for distribution in distributions():
        try:
            for point in distribution.entry_points.select(group=GROUP):
                yield _named(distribution), point
        except Exception as error:  # noqa: BLE001 - whatever reading a damaged file raises
            log.warning("%s: its entry points cannot be read: %s", _named(distribution), error)


def _named(distribution: Distribution) -> str:
    try:
        name = distribution.name
    except Exception:  # noqa: BLE001 - its metadata is damaged, or gone
        name = ""
    return name or f"a distribution without a name in {distribution.locate_file('')}"


def _described(point: EntryPoint, owner: str) -> tuple[Kind, str, Entry]:
    """
    Raises:
        _Unusable: it cannot be imported, or is no engine.
    """
    try:
        engine = point.load()
        inspect.signature(engine, eval_str=True)  # from which its settings are read
    except (Exception, SystemExit) as error:  # whatever the code of others raises
        raise _Unusable(" ".join(f"{type(error).__name__}: {error}".split())) from error
    kind = getattr(engine, "kind", None)
    if kind not in _METHODS:
        kinds = ", ".join(_METHODS)
        raise _Unusable(f"its class attribute `kind` should be one of {kinds}, not {kind!r}")
    if not callable(getattr(engine, _METHODS[kind], None)):
        raise _Unusable(f"an engine of kind {kind} needs a method `{_METHODS[kind]}`")
    packages = getattr(engine, "packages", ())
    if isinstance(packages, str):
        raise _Unusable(f"its class attribute `packages` should be a tuple, not {packages!r}")
    entry = Entry(
        point.value,
        says=str(getattr(engine, "says", "")) or f"from {owner}",
        packages=tuple(packages),
        extra=str(getattr(engine, "extra", "")),
        distribution=owner,
    )
    return kind, point.name, entry
