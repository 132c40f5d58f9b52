"""Better engines for this machine: offered once in a terminal, brought while one already talks."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from .. import engines
from ..config import Config
from ..engines import ENGINES
from ..weights import manifest as weights

ANSWER, LOG = "offer.txt", "offer.log"
"""In the models folder: what was answered, and what the fetching said."""

MACHINES = (("standard", 4, 7.5e9), ("small", 2, 3.5e9))
"""Profiles with the cores and bytes of memory they take, the best first; a little less than what
is sold as 8 and 4 GB, of which a system keeps some for itself."""


@dataclass(frozen=True, slots=True)
class Better:
    """What is missing of the profile that this machine can carry."""

    packages: tuple[str, ...]
    """As `voicebot install` takes them."""
    models: tuple[weights.Model, ...]
    without: str = ""
    """What cannot be had here, and why."""

    def commands(self, models: Path) -> list[list[str]]:
        program = [sys.executable, "-m", "voicebot", "--models", str(models)]
        steps = [[*program, "install", *self.packages]] if self.packages else []
        if self.models:
            steps.append([*program, "models", "pull", *(model.name for model in self.models)])
        return steps

    def __str__(self) -> str:
        size = weights.amount(sum(model.size for model in self.models))
        names = [re.split("[:,;]", model.about)[0] for model in self.models]
        built = "; llama.cpp is compiled, which takes minutes" if "llama" in self.packages else ""
        return f"{', '.join(names) or ', '.join(self.packages)} ({size}{built})"


def better(config: Config, models: Path, cores: int, memory: float) -> Better | None:
    """What would be better here than what "auto" has now; None if nothing is missing.

    cores: that this process may use. memory: bytes of this machine.
    """
    fits = (name for name, least, room in MACHINES if cores >= least and memory >= room)
    if not (profile := next(fits, None)):
        return None
    packages: list[str] = []
    missing: list[weights.Model] = []
    without = ""
    order = list(weights.manifest())
    for model in weights.chosen([profile]):
        kind = next(kind for kind, known in ENGINES.items() if model.engine in known)
        entry = ENGINES[kind][model.engine]
        if config.choice(kind).engine != "auto" or not entry.weights:
            continue
        found = weights.find_model(model.engine, models)
        absent = engines.lacking(entry)
        if not absent and found and order.index(found.name) <= order.index(model.name):
            continue
        if absent and model.engine == "llama" and not _compiler():
            without = "without a C++ compiler llama.cpp, and so a chat model, is left out"
            continue
        packages += [entry.extra] if absent else []
        missing.append(model)
    if not missing:
        return None
    return Better(tuple(packages), tuple(missing), without)


def _compiler() -> bool:
    return any(
        shutil.which(name) for name in (os.environ.get("CXX"), "c++", "g++", "clang++") if name
    )


@contextmanager
def offered(config: Config, models: Path, switch: str) -> Iterator[None]:
    """Ask whether better engines should be brought, and bring them while the block runs.

    Nobody is asked twice, nor where there is no terminal. What was agreed to and is not complete
    goes on at the next start.

    switch: how they are taken once they are here, for the line that says so.
    """
    fetching = None
    if wanted := better(config, models, _cores(), _memory()):
        answer = _remembered(models)
        if answer is None and sys.stdin.isatty() and sys.stderr.isatty():
            answer = _ask(wanted)
            _remember(models, answer)
        if answer:
            fetching = Fetching(wanted.commands(models), models / LOG, switch)
    try:
        yield
    finally:
        if fetching:
            fetching.close()


def _ask(wanted: Better) -> bool:
    if wanted.without:
        print(wanted.without, file=sys.stderr)
    print(
        f"Better engines for this machine: {wanted}.\n"
        "Fetch them in the background while you talk? This is asked once. [y/N] ",
        end="", file=sys.stderr, flush=True,
    )  # fmt: skip
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _remembered(models: Path) -> bool | None:
    try:
        return (models / ANSWER).read_text("utf-8").strip() == "yes"
    except OSError:
        return None


def _remember(models: Path, answer: bool) -> None:
    try:
        models.mkdir(parents=True, exist_ok=True)
        (models / ANSWER).write_text("yes\n" if answer else "no\n", "utf-8")
    except OSError as error:
        print(f"cannot remember that in {models}: {error.strerror}", file=sys.stderr)


class Fetching:
    """Runs commands one after the other in the background, and says in one line how it ended."""

    def __init__(self, commands: list[list[str]], log: Path, switch: str) -> None:
        self._commands, self._log, self._switch = commands, log, switch
        self._running: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._thread = Thread(target=self._run, name="fetching", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End what still runs; what has arrived is kept for the next start."""
        self._closed = True
        if self._running and self._running.poll() is None:
            # Its whole session, so that no pip or compiler of it goes on.
            if hasattr(os, "killpg"):
                os.killpg(self._running.pid, signal.SIGTERM)
            else:
                self._running.terminate()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        polite = ["nice", "-n", "10"] if shutil.which("nice") else []
        try:
            with self._log.open("wb") as log:
                for command in self._commands:
                    if self._closed:
                        return
                    # A session of its own: Ctrl-C in the terminal is for the conversation.
                    self._running = subprocess.Popen(
                        [*polite, *command],
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                    if self._running.wait() and not self._closed:
                        self._say(f"could not fetch better engines: {self._last_line()}")
                        return
        except OSError as error:
            self._say(f"could not fetch better engines: {error}")
            return
        if not self._closed:
            self._say(f"better engines are here; {self._switch}")

    def _last_line(self) -> str:
        lines = self._log.read_text("utf-8", "replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return f"{said[-1] if said else 'no reason given'} ({self._log})"

    def _say(self, line: str) -> None:
        clear = "\r\x1b[K" if sys.stderr.isatty() else ""
        print(f"{clear}{line}", file=sys.stderr, flush=True)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> float:
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):  # Windows has none of these
        return 0.0
