"""What is typed at a terminal while other things appear there."""

from __future__ import annotations

import asyncio
import codecs
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Thread
from typing import Any

from ..concurrency.worker import Stream

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|.)?", re.DOTALL)
_ENDS = "\r\n"
_RUBOUT, _CLEAR, _WORD, _END = "\x7f\b", "\x15", "\x17", "\x04"


class Line:
    """The line being typed, edited as terminals do. No I/O."""

    def __init__(self) -> None:
        self.text = ""
        self.ended = False
        """Ctrl-D was typed: no more follows."""

    def feed(self, keys: str) -> Iterator[str]:
        """Take what came at once, and yield the lines that it completes.

        What is pasted may have several lines; they are one.
        """
        keys = _ESCAPES.sub("", keys)
        pasted = keys.rstrip(_ENDS)
        for key in re.sub(r"[\r\n]+", " ", pasted) + keys[len(pasted) :][:1]:
            if key in _ENDS:
                line, self.text = self.text, ""
                yield line
            elif key in _RUBOUT:
                self.text = self.text[:-1]
            elif key == _CLEAR:
                self.text = ""
            elif key == _WORD:
                self.text = self.text.rstrip().rpartition(" ")[0]
                self.text += " " * bool(self.text)
            elif key == _END:
                self.ended = self.ended or not self.text
            elif key.isprintable():
                self.text += key


class Keyboard:
    """Standard input, line by line. Use it in a `with` block, which gives the terminal back.

    shown: called with the line as it is being typed; only at a terminal, which itself shows nothing
        of it meanwhile.
    """

    def __init__(self, shown: Callable[[str], None]) -> None:
        self._shown = shown
        self._line = Line()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._given: asyncio.Queue[str | None] = asyncio.Queue()
        self._before: list[Any] | None = None
        self.is_terminal = sys.stdin.isatty()

    def __enter__(self) -> Keyboard:
        if self.is_terminal:
            with suppress(ImportError):  # Windows has none; its terminal edits the line
                import termios
                import tty

                self._before = termios.tcgetattr(0)
                tty.setcbreak(0)  # Ctrl-C still interrupts
        return self

    def __exit__(self, *_: object) -> None:
        if self._before:
            import termios

            termios.tcsetattr(0, termios.TCSADRAIN, self._before)

    def begin(self) -> None:
        """Read from now on, in a thread that ends with the process: nothing else can stop it."""
        loop = asyncio.get_running_loop()

        def read() -> None:
            # Unbuffered: a buffer's lock held by a waiting thread would keep us from exiting.
            data = b"-"
            while data:
                try:
                    data = os.read(0, 4096)
                except OSError:
                    data = b""
                with suppress(RuntimeError):  # the loop has ended before us
                    loop.call_soon_threadsafe(self._take, data)

        Thread(target=read, name="keyboard", daemon=True).start()

    def typed(self) -> list[str]:
        """The lines that were completed since it was last asked for."""
        lines = []
        while not self._given.empty():
            if (line := self._given.get_nowait()) is not None:
                lines.append(line)
        return lines

    async def lines(self) -> Stream[str]:
        """Yield each line once it is complete; ends with standard input."""
        while (line := await self._given.get()) is not None:
            yield line

    def _take(self, data: bytes) -> None:
        if self._line.ended:
            return
        keys = self._decoder.decode(data, final=not data)
        if self._before:
            for line in self._line.feed(keys):
                self._given.put_nowait(line)
            self._shown(self._line.text)
        else:
            self._split(keys)
        if self._line.ended or not data:
            if self._line.text:
                self._given.put_nowait(self._line.text)
            self._line.ended = True
            self._given.put_nowait(None)

    def _split(self, text: str) -> None:
        """What comes through a pipe has all its lines."""
        *lines, self._line.text = (self._line.text + text).split("\n")
        for line in lines:
            self._given.put_nowait(line.rstrip("\r"))
