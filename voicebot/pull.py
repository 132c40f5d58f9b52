"""Bring weights into the models folder: resumed, verified, recorded.

A file arrives as `PATH.HASH.part`, is checked, and only then takes its name; so whatever has its
final name is whole and is what was promised. The part is named after what it is to become, so
that it is never continued with bytes of something else.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path

from .errors import ConfigError, Missing, VoicebotError
from .hub import Hub, Listing
from .weights import LOCK, File, Locked, Model, faults, locked, sha256

Report = Callable[[str, int, int], None]
"""Hears a file's path, how many of its bytes are here, and how many there will be."""


class Refused(VoicebotError):
    """What the hub has is not what it should be."""


def pull(model: Model, folder: Path, *, update: bool = False, report: Report) -> bool:
    """Complete the model's files in `folder`. Returns whether the hub was needed.

    With `update`, the lock file is no promise any more: it takes over what the hub has now.

    Raises:
        Refused: a file, or the commit, is not the one promised; a wrong file does not stay.
        Missing: the hub or something on it cannot be had.
        ConfigError: `folder` cannot be written to.
    """
    with _writing(folder):
        own = folder / model.name
        own.mkdir(parents=True, exist_ok=True)
        with _alone(own / ".lock"):
            if not update and not faults(model, folder):
                return False
            with closing(Hub()) as hub:
                _complete(model, folder, hub, update, report)
            return True


def _complete(model: Model, folder: Path, hub: Hub, update: bool, report: Report) -> None:
    listing = hub.listing(model.repository, model.revision)
    lock = None if update else locked(folder).get(model.name)
    if lock and lock.commit != listing.commit:
        raise Refused(
            f"{model.name}: {model.revision} of {model.repository} was {lock.commit} and is now "
            f"{listing.commit}; to take it, voicebot models pull {model.name} --update"
        )
    wanted = [_expected(model, file, listing, lock) for file in model.files]
    _check_room(model, folder, wanted)
    for file in wanted:
        path = folder / model.name / file.path
        if path.is_file() and file.sha256 == sha256(path):
            _record(model, folder, listing.commit, file)
            continue
        digest = _fetch(model, hub, listing.commit, file, path, report)
        _record(model, folder, listing.commit, File(file.path, path.stat().st_size, digest))


def _expected(model: Model, file: File, listing: Listing, lock: Locked | None) -> File:
    """The file with its size and hash, on which hub, manifest and lock agree."""
    if not (offered := listing.files.get(file.path)):
        raise Missing(f"{model.name}: {model.repository} has no file {file.path}")
    promises = [file] + ([lock.files[file.path]] if lock and file.path in lock.files else [])
    for promise in promises:
        for name in ("size", "sha256"):
            ours, theirs = getattr(promise, name), getattr(offered, name)
            if ours and theirs and ours != theirs:
                raise Refused(
                    f"{model.name}: {file.path} on the hub is not the one promised: "
                    f"expected {name} {ours}, got {theirs}"
                )
    known = [*promises, offered]
    size = next((one.size for one in known if one.size is not None), None)
    if size is None:
        raise Missing(f"{model.name}: the hub does not say how long {file.path} is")
    return File(file.path, size, next((one.sha256 for one in known if one.sha256), None))


def _fetch(model: Model, hub: Hub, commit: str, file: File, path: Path, report: Report) -> str:
    """Put the file at `path`, or nothing. Returns its hash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{(file.sha256 or commit)[:12]}.part")
    total = file.size or 0
    if not part.exists() or part.stat().st_size != total:
        hub.download(
            model.repository, commit, file.path, part, lambda done: report(file.path, done, total)
        )
    report(file.path, part.stat().st_size, total)
    digest = sha256(part)
    for name, expected, got in (
        ("size", file.size, part.stat().st_size),
        ("sha256", file.sha256, digest),
    ):
        if expected and expected != got:
            part.unlink()
            raise Refused(
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
    """Add one file to the lock file; files of another commit are forgotten."""
    with _alone(folder / ".lock"):
        entries = locked(folder)
        before = entries.get(model.name)
        files = before.files if before and before.commit == commit else {}
        entries[model.name] = Locked(commit, files | {file.path: file})
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
            f"{model.name} needs {need / 1e9:.1f} GB more and {folder} has {free / 1e9:.1f} GB free"
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
