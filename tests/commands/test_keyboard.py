"""Typing to `voicebot talk`: the line as it is edited, through a pipe, a terminal and a server."""

import os
import pty
import select
import subprocess
import sys
import termios
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from serving import EMBEDDED, embedded, served

from voicebot.commands.keyboard import Line

ROOT = Path(__file__).parents[2]
QUESTIONS = "Where is the fuse box?\r\n\nWhen was the old apple tree planted?"
ANSWERS = "behind the picture of the ship", "planted in 1931"


@pytest.mark.parametrize(
    ("keys", "lines", "left"),
    [
        (["he", "llo\r"], ["hello"], ""),
        (["hello\n"], ["hello"], ""),
        (["höhle", "\x7f\b", "e"], [], "höhe"),
        (["\x7f\x7fa"], [], "a"),
        (["one two \x17"], [], "one "),
        (["one\x17", "two"], [], "two"),
        (["one two\x15three"], [], "three"),
        (["a\x1b[A\x1b[1;5Cb\x1bOPc\x1b"], [], "abc"),
        (["a\tb\x00\x07"], [], "ab"),
        (["pasted\r\nin two\nlines\n"], ["pasted in two lines"], ""),
        (["\r"], [""], ""),
        (["中文🎉\x7f\r"], ["中文"], ""),
    ],
)
def test_a_line_is_edited_as_terminals_do(keys, lines, left):
    line = Line()
    assert [complete for each in keys for complete in line.feed(each)] == lines
    assert line.text == left
    assert not line.ended


@pytest.mark.parametrize(("keys", "ended"), [("\x04", True), ("a\x04", False), ("a\x15\x04", True)])
def test_ctrl_d_ends_it_where_nothing_is_typed(keys, ended):
    line = Line()
    assert [*line.feed(keys)] == []
    assert line.ended == ended


@pytest.fixture
def place(tmp_path):
    (tmp_path / "voicebot.toml").write_text(EMBEDDED)
    return tmp_path


COMMAND = [sys.executable, "-m", "voicebot", "talk", "--type"]


def test_each_line_of_a_pipe_is_answered_before_the_next_is_asked(place):
    done = subprocess.run(
        COMMAND, cwd=place, input=QUESTIONS, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stdout.splitlines() if line.startswith(("you:", "bot:"))]
    assert [line[:4] for line in told] == ["you:", "bot:"] * 2
    for answer, line in zip(ANSWERS, told[1::2], strict=True):
        assert answer in line


def test_nothing_typed_is_nothing_answered(place):
    done = subprocess.run(COMMAND, cwd=place, input="", capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr


def test_a_server_answers_what_is_typed_here(place):
    with embedded(place) as app, served(app) as url:
        done = subprocess.run(
            [*COMMAND, "--url", url],
            cwd=place,
            input=QUESTIONS,
            capture_output=True,
            text=True,
            timeout=50,
        )
    assert done.returncode == 0, done.stderr
    for answer in ANSWERS:
        assert answer in done.stdout


class Terminal:
    def __init__(self, number):
        self.number, self.shown = number, ""

    def until(self, text):
        """What is shown up to there, which is then past."""
        end = time.monotonic() + 100
        while text not in self.shown:
            assert time.monotonic() < end, self.shown
            if select.select([self.number], [], [], 0.2)[0]:
                try:
                    self.shown += os.read(self.number, 4096).decode(errors="replace")
                except OSError:  # Linux's word for its end
                    assert text in self.shown, self.shown
        before, _, self.shown = self.shown.partition(text)
        return before

    def type(self, keys):
        os.write(self.number, keys.encode())


@contextmanager
def terminal(place):
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    # With standard error elsewhere it does not offer to fetch anything.
    process = subprocess.Popen(
        COMMAND, cwd=place, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL,
        env=os.environ | {"TERM": "xterm"}, start_new_session=True,
    )  # fmt: skip
    try:
        yield Terminal(ours), process
        assert process.wait(20) is not None
        assert termios.tcgetattr(theirs) == before, "the terminal is as it was"
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)


def test_at_a_terminal_one_sees_what_one_types_and_is_answered_below(place):
    with terminal(place) as (screen, process):
        screen.until("Type when you like; Ctrl-C ends.")
        screen.until("> ")
        for keys in ("Whör", "\x7f\x7fere is the ", "\x1b[Afuse box?"):
            screen.type(keys)
        screen.until("> Where is the fuse box?")
        screen.type("\r")
        screen.until("you: Where is the fuse box?")
        screen.until(ANSWERS[0])
        screen.type("\x04")
    assert process.returncode == 0


def test_ctrl_c_gives_the_terminal_back(place):
    with terminal(place) as (screen, process):
        screen.until("> ")
        process.send_signal(2)
    assert process.returncode == 130
