"""What hears, answers and speaks here: engines, libraries, models and the hashes of their files."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Thread, get_native_id
from typing import Any, Protocol

from .. import __version__, engines
from ..engines import Kind
from ..weights import manifest as weights

log = logging.getLogger(__name__)

_TOLD: dict[Kind, tuple[str, ...]] = {
    "stt": ("language",),
    "llm": ("temperature",),
    "tts": ("voice", "speed"),
}
"""Of an engine's settings, those that are asked for when somebody wonders at what they heard."""


class Chosen(Protocol):
    """An engine, and the settings it was built with."""

    @property
    def kind(self) -> Kind: ...
    @property
    def name(self) -> str: ...
    @property
    def options(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Revision:
    """Which engine exactly; as text, "whisper/1.2.1 small@5d2f0c1"."""

    engine: str
    version: str = ""
    """Of the library that does the work; empty for an engine of anybody's own."""
    model: str = ""
    """As its file or folder, or the server that has it, calls it."""
    commit: str = ""
    """Of the model; empty where nobody wrote it down."""
    files: Path | None = None
    """The model's file, or folder."""
    sha256: str = ""
    """Of these, where that was known before."""

    @property
    def name(self) -> str:
        """What clients may call it by."""
        return self.model or self.engine

    def __str__(self) -> str:
        said = f"{self.engine}/{self.version}" if self.version else self.engine
        if self.model:
            said += f" {self.model}"
        if self.commit:
            said += f"@{self.commit[:7]}"
        return said


def revision(chosen: Chosen) -> Revision:
    entry = engines.find(chosen.kind, chosen.name)
    # What does the work is the library of that name, or else we do.
    library = next((package for package in entry.packages if chosen.name in package), "")
    worker = _version(library) if library else "" if ":" in chosen.name else __version__
    model = chosen.options.get("model")
    if not isinstance(model, str):
        return Revision(chosen.name, worker)
    if not (entry.weights or entry.more):
        return Revision(chosen.name, worker, model)
    path = Path(model)
    name = path.name.removesuffix(".gguf")
    for home in (path, *path.parents[:2]):
        if lock := weights.locked(home.parent).get(home.name):
            pulled = _pulled(path, home, lock)
            return Revision(chosen.name, worker, name, lock.commit, path, pulled)
    return Revision(chosen.name, worker, name, files=path)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # its import name is not the one it is installed by
        return str(getattr(sys.modules.get(package), "__version__", "unknown"))


class Provenance:
    """What a turn is heard, answered and spoken with, for its record.

    settings: whatever else makes a difference, as JSON's values.
    rate: samples per second of the voice, where its engine knows.

    Models that were pulled have a hash already. Others are hashed in the background, as
    gigabytes must not delay a start; until that is done their hash is None.
    """

    def __init__(
        self, chosen: Sequence[Chosen], settings: Any = None, rate: int | None = None
    ) -> None:
        self.revisions = {each.kind: revision(each) for each in chosen}
        described = {each.kind: _described(each, self.revisions[each.kind]) for each in chosen}
        others = [{k: v for k, v in each.options.items() if k != "model"} for each in chosen]
        self._record: dict[str, Any] = {"engines": described}
        if voice := described.get("tts", {}).get("voice"):
            self._record["voice"] = voice
        if rate:
            self._record["rate"] = rate
        self._record["settings"] = _digest([*map(str, self.revisions.values())], others, settings)
        unknown = [which for which in self.revisions.values() if which.files and not which.sha256]
        if unknown:
            Thread(target=self._hash, args=(unknown,), name="hash", daemon=True).start()

    def as_json(self, **this: Any) -> dict[str, Any]:
        """The record, as JSON's values. this: what was as `this` for once."""
        return {**self._record, **this}

    def _hash(self, unknown: list[Revision]) -> None:
        if sys.platform == "linux":  # elsewhere a thread has no standing of its own
            os.setpriority(os.PRIO_PROCESS, get_native_id(), 19)
        for kind, which in self.revisions.items():
            if which in unknown and which.files:
                try:
                    self._record["engines"][kind]["sha256"] = fingerprint(which.files)
                except OSError as error:
                    log.warning("%s cannot be hashed: %s", which.files, error.strerror)


def _described(chosen: Chosen, which: Revision) -> dict[str, Any]:
    entry: dict[str, Any] = {"engine": which.engine}
    for name in ("version", "model", "commit"):
        if value := getattr(which, name):
            entry[name] = value
    if which.files:
        entry["sha256"] = which.sha256 or None
    defaults = {
        name: parameter.default
        for name, parameter in engines.options(chosen.kind, chosen.name).items()
        if parameter.default is not parameter.empty
    }
    values = {**defaults, **chosen.options}
    return entry | {name: values[name] for name in _TOLD.get(chosen.kind, ()) if values.get(name)}


def _digest(*values: Any) -> str:
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def fingerprint(model: Path) -> str:
    """The sha256 of a model's file; of a folder, that of what `sha256sum` prints of its files.

    Raises:
        OSError: they cannot be read.
    """
    if not model.is_dir():
        return _sha256(model, *_state(model))
    files = sorted(path for path in model.rglob("*") if path.is_file())
    return _of_list((str(path.relative_to(model)), _sha256(path, *_state(path))) for path in files)


@cache  # when settings are read again, unchanged gigabytes are not
def _sha256(path: Path, size: int, changed: int) -> str:
    return weights.sha256(path)


def _state(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _of_list(files: Iterable[tuple[str, str]]) -> str:
    text = "".join(f"{digest}  {path}\n" for path, digest in files)
    return hashlib.sha256(text.encode()).hexdigest()


def _pulled(model: Path, home: Path, lock: weights.Locked) -> str:
    """The fingerprint of what was pulled, if that is what is there; of a folder, of those files."""
    for path, file in lock.files.items():
        if not (home / path).is_file() or (home / path).stat().st_size != file.size:
            return ""
    digests = {path: str(file.sha256) for path, file in sorted(lock.files.items())}
    if model != home:
        return digests.get(str(model.relative_to(home)), "")
    return _of_list(digests.items())
