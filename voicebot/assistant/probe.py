"""Whether an engine can be trusted with our process: its first request is made in a child's.

A native library ends the whole process where the processor, a driver or a file is not what it was
built for: by SIGILL at the first instruction that is not there, by SIGSEGV, or never. What was
found well is remembered, so that a start costs a second process once and not every time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from .. import __version__, engines
from ..engines import Entry, probe_child
from ..engines.child_process import signal_name
from ..observability.provenance import Chosen
from ..standard_streams import scratch

log = logging.getLogger(__name__)

LIMIT_S = 120.0
"""Seconds for loading an engine and its first answer. Large weights on a slow disk take most of
them; a library that hangs takes them all."""
LOOK_S = 0.02
"""Between two looks at the child. More waits longer than it must, less costs processor time."""
REMEMBERED = 100
"""Engines found well that are remembered; the oldest go first."""

BUILT_HERE = "llama-cpp-python"
"""The one library that pip compiles, for the processor it is compiled on."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What became of an engine's first request."""

    reason: str
    """One line, with the way out."""
    code: int = 1
    """With which a command ends for it."""
    died: bool = True
    """The process that asked died or had to be killed; else the engine raised an error, as it
    will again where it is asked next."""


class Probe:
    """The first request of one engine, under way in a child process.

    limit: seconds it may take; memory: bytes it may take, None for what is free now.
    """

    def __init__(
        self, chosen: Chosen, *, limit: float = LIMIT_S, memory: int | None = None
    ) -> None:
        self._chosen, self._limit = chosen, limit
        self._memory = _free_memory() if memory is None else memory
        self._began = time.monotonic()
        self._complaints: IO[bytes] = scratch()
        self._process = subprocess.Popen(
            [sys.executable, probe_child.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            process_group=0,  # Ctrl-C in the terminal is for us
        )
        asked = {
            "path": [str(Path(place).absolute()) for place in sys.path],
            "kind": chosen.kind,
            "name": chosen.name,
            "settings": chosen.options,
            "seconds": limit,
        }
        assert self._process.stdin
        with suppress(BrokenPipeError), self._process.stdin as pipe:  # its end is found below
            pipe.write(json.dumps(asked, default=str).encode())

    def failure(self) -> Failure | None:
        """Wait until it is over; what went wrong, if anything did."""
        try:
            fault = self._watch()
            said = self._said()
        finally:
            self.close()
        if said:
            log.debug("what %s said while it was tried:\n%s", self._chosen.name, said)
        return fault

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def kill(self) -> None:
        """End the process and what it started, for `failure` to find."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End it, and what it started."""
        self.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._complaints.close()

    def _watch(self) -> Failure | None:
        while self._process.poll() is None:
            if self.seconds > self._limit:
                return self._died("hung", f"gave no answer in {self._limit:g} s")
            if (taken := _resident(self._process.pid)) > self._memory:
                mb = taken // 10**6
                return self._died("memory", f"took {mb} MB of memory, which is all there is")
            time.sleep(LOOK_S)
        status = self._process.returncode
        if status < 0:
            name = signal_name(-status)
            return self._died(name, f"died of {name}")
        assert self._process.stdout
        answer = self._process.stdout.read()
        if status or not answer:
            last = self._said().rpartition("\n")[2]
            return self._died("", f"ended the process with status {status} ({last})")
        error = json.loads(answer)
        return Failure(error["reason"], error["code"], died=False) if error else None

    def _died(self, how: str, what: str) -> Failure:
        chosen = self._chosen
        remedy = _remedy(how, engines.find(chosen.kind, chosen.name))
        return Failure(f"{chosen.name} {what} at its first request; {remedy}")

    def _said(self) -> str:
        self._complaints.seek(0)
        return self._complaints.read().decode(errors="replace").strip()


def _remedy(how: str, entry: Entry) -> str:
    """The way out, for an engine that died `how`: by a signal, "hung", "memory" or otherwise."""
    if how in ("SIGKILL", "memory"):
        return "take a smaller model, or give it more memory"
    if how == "hung" or not entry.packages:  # anybody's own: no package index has it
        return "`voicebot --verbose doctor` shows what it said; or take another engine"
    library = entry.packages[0]
    named = packages_distributions().get(library, [library])[0]
    package = re.sub(r"[-_.]+", "-", named).lower()  # as indexes and people write it: PEP 503
    pip = f"{sys.executable} -m pip install --force-reinstall --no-deps"
    if how == "SIGILL" and package == BUILT_HERE:
        build = f"{pip} --no-cache-dir --no-binary {package} {package}"
        return f"it was built for another processor: `{build}`, or take another engine"
    if how == "SIGILL":
        return f"this processor lacks what {package} was built for: take another engine"
    return f"`{pip} {package}` if that is damaged, or take another model or another engine"


class KnownEngines:
    """Engines that were found well, in a file that may be lost at any time.

    file: None remembers nothing.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file

    def has(self, chosen: Chosen) -> bool:
        return _key(chosen) in self._read()

    def add(self, chosen: Chosen) -> None:
        if not self._file:
            return
        new = _key(chosen)
        keys = [key for key in self._read() if key != new][-REMEMBERED + 1 :]
        with suppress(OSError):  # then it is asked again next time
            self._file.parent.mkdir(parents=True, exist_ok=True)
            part = self._file.with_suffix(f".{os.getpid()}")
            part.write_text(json.dumps([*keys, new]), "utf-8")
            part.replace(self._file)

    def _read(self) -> list[str]:
        try:
            found = json.loads(self._file.read_text("utf-8")) if self._file else []
        except (OSError, ValueError):
            return []
        return [key for key in found if isinstance(key, str)] if isinstance(found, list) else []


def known() -> KnownEngines:
    """Those of this user, in `voicebot/probes.json` of the user's cache folder."""
    if sys.platform == "win32":
        place = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        place = "~/Library/Caches"
    else:
        place = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return KnownEngines(Path(place).expanduser() / "voicebot" / "probes.json")
    except RuntimeError:  # a user without a home
        return KnownEngines(None)


def _key(chosen: Chosen) -> str:
    """The same as long as nothing has changed that a crash may hang on."""
    entry = engines.find(chosen.kind, chosen.name)
    told: list[Any] = [__version__, sys.version, platform.machine(), _processor()]
    told += [chosen.kind, chosen.name, chosen.options]
    for module in entry.packages or [entry.path.partition(":")[0]]:
        told.append([*_installed(module)])
    if isinstance(model := chosen.options.get("model"), str):
        told.append([*_files(Path(model))])
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def _installed(module: str) -> Iterator[tuple[str, int, int]]:
    """Where a module is and when it was put there: its version would take a second to find."""
    with suppress(ImportError, ValueError):
        if (spec := find_spec(module)) and spec.origin:
            yield from _files(Path(spec.origin))


def _files(model: Path) -> Iterator[tuple[str, int, int]]:
    for path in sorted(model.rglob("*")) if model.is_dir() else [model]:
        with suppress(OSError):
            stat = path.stat()
            yield str(path), stat.st_size, stat.st_mtime_ns


@cache
def _processor() -> str:
    """What the processor is and can: a disk may be put into another machine."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(sorted({x for x in lines if x.startswith(("flags", "Features", "model"))}))


def _free_memory() -> int:
    """Bytes that a process may still take; very many where nothing tells."""
    found = [1 << 62]
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found.append(1024 * next(int(x.split()[1]) for x in lines if x.startswith("MemAvailable")))
    with suppress(OSError, ValueError):  # no container, or "max"
        group = Path("/sys/fs/cgroup")
        most, now = ((group / name).read_text() for name in ("memory.max", "memory.current"))
        found.append(int(most) - int(now))
    return min(found)


def _resident(pid: int) -> int:
    """Bytes of a process's own that are in memory: pages of mapped files can be dropped again."""
    try:
        resident, shared = Path(f"/proc/{pid}/statm").read_text().split()[1:3]
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
