"""Which weights there are, where they live, and whether they are what they should be.

Each model has a folder of its own, named after it, inside the models folder. Beside these lies a
lock file: the commit and the hash of every file that was pulled. Nothing here reaches a network;
`voicebot.weights.download` does.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import ConfigError, MissingDependency
from ..spelling import there_is

LOCK = "lock.json"
"""The lock file's name. It lies with the weights because it tells of them, not of a project."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a model: its path, size and hash."""

    path: str
    """In the hub's repository, and the same below the model's own folder; with slashes."""
    size: int | None = None
    sha256: str | None = None
    """As published; None where nothing is."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A model hub's repository, as a source of files."""

    repository: str
    revision: str
    """A commit, or a name such as "main" that moves."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """One file of a package index."""

    name: str
    """Of the package."""
    version: str
    size: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True)
class Wheels:
    """Packages that carry a model, as a source of files."""

    wheels: tuple[Wheel, ...]
    members: Mapping[str, tuple[str, ...]]
    """By a file's path: the members of these wheels that make it when they are joined."""


@dataclass(frozen=True, slots=True)
class Model:
    """One entry of the manifest."""

    name: str
    engine: str
    licence: str
    files: tuple[File, ...]
    sources: tuple[Repository | Wheels, ...]
    """Where the files can be had, in the order in which that is tried."""
    about: str = ""
    languages: tuple[str, ...] = ()
    """Two-letter codes; "mul" for many."""
    entry: str = ""
    """The one file the engine opens; empty when it takes the folder."""
    packages: tuple[str, ...] = ()
    """Import names that this model needs besides what its engine does."""
    trial: bool = False
    """Too weak to be chosen by "auto"; an engine that is named takes it for lack of a better."""

    @property
    def size(self) -> int:
        """Bytes, without the files whose size is not published."""
        return sum(file.size or 0 for file in self.files)

    @property
    def pinned(self) -> bool:
        """The manifest tells every file's hash, so that it does not matter where they come from."""
        return all(file.sha256 for file in self.files)


@dataclass(frozen=True, slots=True)
class Locked:
    """What was pulled of one model."""

    commit: str
    files: dict[str, File]
    """By path; size and hash are always known here."""


def _read(file: Path) -> dict[str, Any]:
    with file.open("rb") as toml:
        return tomllib.load(toml)


def _manifest_file() -> Path:
    # A wheel carries it inside the package; in a checkout it is where people look for it.
    here = Path(__file__).parents[1]
    packed = here / "manifest" / "manifest.toml"
    return packed if packed.exists() else here.parent / "models" / "manifest.toml"


MANIFEST = _manifest_file()


def manifest() -> dict[str, Model]:
    """Every known model by name; for each engine the best first."""
    models = {}
    for name, entry in _read(MANIFEST)["models"].items():
        files = tuple(File(**file) for file in entry["files"])
        lists = {key: tuple(entry.get(key, ())) for key in ("languages", "packages")}
        sources = tuple(_source(source) for source in entry["sources"])
        read = lists | {"name": name, "files": files, "sources": sources}
        models[name] = Model(**entry | read)
    return models


def _source(entry: dict[str, Any]) -> Repository | Wheels:
    if "wheels" not in entry:
        return Repository(**entry)
    members = {path: tuple(joined) for path, joined in entry["members"].items()}
    return Wheels(tuple(Wheel(**wheel) for wheel in entry["wheels"]), members)


def profiles() -> dict[str, list[str]]:
    """Names of models that go together, by the kind of machine they are meant for."""
    return {name: list(models) for name, models in _read(MANIFEST)["profiles"].items()}


def chosen(names: list[str]) -> list[Model]:
    """The models meant by `names`, each a model or a profile; each model once, in order.

    MODEL/FILE means that model with this file alone.

    Raises:
        ConfigError: there is no such model or profile, or the model has no such file.
    """
    known, sets = manifest(), profiles()
    wanted: dict[str, Model] = {}
    for name in [each for given in names for each in sets.get(given, [given])]:
        of, _, path = name.partition("/")
        if not (model := known.get(of)):
            raise ConfigError(f"no model or profile {name!r}; {there_is(of, [*sets, *known])}")
        if path:
            files = tuple(file for file in model.files if file.path == path)
            if not files:
                there = there_is(path, [file.path for file in model.files])
                raise ConfigError(f"{model.name} has no file {path!r}; {there}")
            model = replace(model, files=files)
        wanted.setdefault(name, model)
    return list(wanted.values())


def data() -> Path:
    """The folder for this user's data; it may begin with ~, and a user may have no home."""
    if sys.platform == "win32":
        place = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        place = "~/Library/Application Support"
    else:
        place = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(place) / "voicebot"


def folder(given: str | Path | None = None) -> Path:
    """The models folder: `given`, or $VOICEBOT_MODELS, or the one for this user's data.

    Raises:
        ConfigError: it would be in the home of a user who has none.
    """
    place = given or os.environ.get("VOICEBOT_MODELS") or data() / "models"
    try:
        return Path(place).expanduser()
    except RuntimeError:
        raise ConfigError(
            f"{place}: this user has no home; say where models are with --models or VOICEBOT_MODELS"
        ) from None


def locked(folder: Path) -> dict[str, Locked]:
    """What the lock file says was pulled into `folder`, by model.

    Raises:
        ConfigError: the lock file is damaged.
    """
    lock = folder / LOCK
    try:
        entries = json.loads(lock.read_text("utf-8"))
        return {
            name: Locked(entry["commit"], {f["path"]: File(**f) for f in entry["files"]})
            for name, entry in entries.items()
        }
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"{lock} is damaged; delete it, and `voicebot models pull` writes it again"
        ) from error


def promised(model: Model, lock: Locked | None) -> Iterator[File]:
    """The model's files with all that lock and manifest promise of each; the lock goes first."""
    for file in model.files:
        pinned = lock.files.get(file.path, file) if lock else file
        yield File(file.path, pinned.size or file.size, pinned.sha256 or file.sha256)


def present(model: Model, folder: Path) -> bool:
    """All the model's files are in `folder` and as long as they should be. Reads none of them."""
    for file in promised(model, locked(folder).get(model.name)):
        path = folder / model.name / file.path
        if not path.is_file() or file.size not in (None, path.stat().st_size):
            return False
    return True


def find(engine: str, folder: Path, *, trial: bool = False) -> Path | None:
    """What to open for `engine`: the best of its models in `folder` that can be used here.

    trial: one that is too weak for "auto" will do, too.
    """
    model = find_model(engine, folder, trial=trial)
    return folder / model.name / model.entry if model else None


def find_model(engine: str, folder: Path, *, trial: bool = False) -> Model | None:
    """The best of the engine's models in `folder` that can be used here; as `find`."""
    for model in manifest().values():
        usable = all(find_spec(package) for package in model.packages)
        usable = usable and (trial or not model.trial)
        if model.engine == engine and usable and present(model, folder):
            return model
    return None


def resolve(name_or_path: str | Path, folder: Path) -> Path:
    """What an engine opens for a model of the manifest, or for a path of the user's own.

    Raises:
        MissingDependency: the model has not been pulled, or there is nothing at the path.
        ConfigError: neither a known name nor a path.
    """
    name = str(name_or_path)
    if model := manifest().get(name):
        if present(model, folder):
            return folder / name / model.entry
        raise MissingDependency(f"{name} is not in {folder}; voicebot models pull {name}")
    path = Path(name_or_path).expanduser()
    if path.exists():
        return path
    if name != path.name or path.suffix:
        raise MissingDependency(f"there is no model at {path}")
    raise ConfigError(f"no model {name!r}; {there_is(name, manifest(), 'a path to one')}")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def faults(model: Model, folder: Path) -> list[str]:
    """Every way the model's files differ from lock and manifest; reads all of them."""
    lock = locked(folder).get(model.name)
    known = {file.path: file for file in promised(model, lock)}
    found = []
    for file in model.files:
        path = folder / model.name / file.path
        expected = {known[file.path].sha256, file.sha256} - {None}
        if not path.is_file():
            found.append(f"{model.name}: {file.path} is missing")
        elif not expected:
            found.append(f"{model.name}: {file.path} has no known sha256; it was not pulled here")
        elif expected != {got := sha256(path)}:
            wrong = ", ".join(sorted(str(digest) for digest in expected - {got}))
            found.append(f"{model.name}: {file.path} differs: expected sha256 {wrong}, got {got}")
    return found


def amount(count: int) -> str:
    """Bytes as people say them, like "75.5 MB"."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
