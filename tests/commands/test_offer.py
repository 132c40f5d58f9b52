"""Better engines are offered once, in a terminal, and brought while somebody talks already."""

import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

from voicebot import engines
from voicebot.commands import offer
from voicebot.config import Config, EngineChoice
from voicebot.weights import manifest as weights

GB = 1e9
LAPTOP, BOARD = (4, 8 * GB), (2, 4 * GB)


@pytest.fixture(autouse=True)
def packages(monkeypatch):
    """The import names that are not installed; none to begin with, and a compiler is here."""
    absent = set()

    def lacking(entry):
        return [package for package in entry.packages if package in absent]

    monkeypatch.setattr(engines, "lacking", lacking)
    monkeypatch.setattr(offer, "_compiler", lambda: True)
    return absent


def names(found):
    return [model.name for model in found.models] if found else None


def put(folder, name):
    """Have the model there, as far as a look tells."""
    for file in weights.manifest()[name].files:
        path = folder / name / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.truncate(path, file.size or 0)  # takes no room on the disk


def test_a_machine_is_offered_what_it_can_carry(tmp_path):
    assert names(offer.better(Config(), tmp_path, *BOARD)) == ["whisper-base", "granite-1b"]
    assert names(offer.better(Config(), tmp_path, *LAPTOP)) == [
        "whisper-small", "qwen3-4b", "kokoro-onnx",
    ]  # fmt: skip
    assert offer.better(Config(), tmp_path, 1, 8 * GB) is None
    assert offer.better(Config(), tmp_path, 8, 2 * GB) is None


def test_packages_that_are_absent_come_with_it(tmp_path, packages):
    packages.add("llama_cpp")
    found = offer.better(Config(), tmp_path, *BOARD)
    install, pull = found.commands(tmp_path)
    assert install[-2:] == ["install", "llama"]
    assert pull[-4:] == ["models", "pull", "whisper-base", "granite-1b"]
    assert str(found) == (
        "Whisper base, Granite 4.0 1B (1.2 GB; llama.cpp is compiled, which takes minutes)"
    )


def test_without_a_compiler_llama_is_left_out_and_that_is_said(tmp_path, packages, monkeypatch):
    packages.add("llama_cpp")
    monkeypatch.setattr(offer, "_compiler", lambda: False)
    found = offer.better(Config(), tmp_path, *BOARD)
    assert names(found) == ["whisper-base"]
    assert "without a C++ compiler" in found.without


def test_what_is_as_good_is_not_offered_again(tmp_path):
    put(tmp_path, "whisper-small")
    assert names(offer.better(Config(), tmp_path, *BOARD)) == ["granite-1b"]
    put(tmp_path, "granite-1b")
    assert offer.better(Config(), tmp_path, *BOARD) is None


def test_what_the_settings_choose_is_left_alone(tmp_path):
    chosen = Config(stt=EngineChoice("pocketsphinx"), llm=EngineChoice("extractive"))
    assert offer.better(chosen, tmp_path, *BOARD) is None


TALK = """
import sys, time
from pathlib import Path
from voicebot.commands import offer
from voicebot.config import Config

class Wanted:
    without = ""
    def commands(self, models):
        return [[sys.executable, "-c", line] for line in sys.argv[2:]]
    def __str__(self):
        return "a better voice (0.1 GB)"

offer.better = lambda *about: Wanted()
with offer.offered(Config(), Path(sys.argv[1]), "start again"):
    print("talking", flush=True)
    for line in sys.stdin:
        break
"""


class Terminal:
    """A conversation in a terminal, of which everything that is shown is kept."""

    def __init__(self, models: Path, *commands: str) -> None:
        self._screen, terminal = pty.openpty()
        command = [sys.executable, "-c", TALK, str(models), *commands]
        self.process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal)
        os.close(terminal)
        self.shown = ""

    def until(self, words: str) -> None:
        while words not in self.shown:
            self.shown += os.read(self._screen, 4096).decode()

    def type(self, line: str) -> None:
        os.write(self._screen, line.encode() + b"\n")

    def end(self) -> None:
        self.type("")
        assert self.process.wait(20) == 0
        os.close(self._screen)


def test_it_is_asked_once_and_fetched_while_one_talks(tmp_path):
    first = Terminal(tmp_path, f"open({str(tmp_path / 'here')!r}, 'w')")
    first.until("[y/N]")
    assert "Better engines for this machine: a better voice (0.1 GB)." in first.shown
    first.type("y")
    first.until("talking")
    first.until("better engines are here; start again")
    assert (tmp_path / "here").exists()
    first.end()
    again = Terminal(tmp_path, "pass")
    again.until("better engines are here")
    again.end()
    assert "[y/N]" not in again.shown, "what was agreed to goes on unasked"


def runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_no_is_remembered(tmp_path):
    first = Terminal(tmp_path, "raise SystemExit('never run')")
    first.until("[y/N]")
    first.type("")
    first.until("talking")
    first.end()
    again = Terminal(tmp_path, "raise SystemExit('never run')")
    again.until("talking")
    again.end()
    assert "[y/N]" not in again.shown
    assert "never run" not in first.shown + again.shown


def test_a_failure_is_one_line(tmp_path):
    (tmp_path / offer.ANSWER).write_text("yes")
    talk = Terminal(tmp_path, "print('so much'); raise SystemExit('voicebot: the index is away')")
    talk.until("could not fetch better engines: voicebot: the index is away")
    talk.end()


def test_who_leaves_is_not_kept_waiting(tmp_path):
    (tmp_path / offer.ANSWER).write_text("yes")
    # As `models pull` has pip at work: a process that outlives it would go on writing.
    wrote = repr(str(tmp_path / "pip"))
    pip = f"import os, time; print(os.getpid(), file=open({wrote}, 'w')); time.sleep(60)"
    pull = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {pip!r}])"
    talk = Terminal(tmp_path, pull, "raise SystemExit('never run')")
    talk.until("talking")
    while not ((tmp_path / "pip").exists() and (tmp_path / "pip").read_text().endswith("\n")):
        time.sleep(0.05)
    began = time.monotonic()
    talk.end()
    assert time.monotonic() - began < 15
    assert not runs(int((tmp_path / "pip").read_text()))


def test_nobody_is_asked_without_a_terminal(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", TALK, str(tmp_path), "raise SystemExit('never run')"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("talking\n", "")
    assert not (tmp_path / offer.ANSWER).exists()
