"""espeak-ng at the other end of a socket: its speech, its phonemes and its voices.

espeak-ng is GPL-3 and now and then a text crashes it. Both are reasons to keep it in a process
of its own: nothing of it is loaded into ours, and when it dies one call fails and the next one
starts it afresh.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from ...errors import EngineError, MissingDependency
from ..child_process import Child
from . import child

RATE = child.RATE
"""Samples per second of all its speech."""

_LANGUAGE_SWITCH = re.compile(r"\([a-z0-9-]+\)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class WordMark:
    """Where espeak-ng begins a word of its own: "3.50" is four of them."""

    sample: int
    """From the start of the text's sound."""
    position: int
    """Character of the text, from 0."""


@dataclass(frozen=True, slots=True)
class SpokenPiece:
    """Some 60 ms of speech, as espeak-ng makes them."""

    pcm: bytes
    """Signed 16-bit little-endian mono, RATE samples a second."""
    marks: tuple[WordMark, ...]
    """Those that fall in this piece, in order."""


class EspeakProcess:
    """espeak-ng in a child process. Its methods block: call them in one `flow.Worker`.

    Raises:
        MissingDependency: the package with the library is not installed.
    """

    def __init__(self) -> None:
        try:
            import espeakng_loader  # tells paths; loads nothing unless asked to

            library, data = espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
        except (ImportError, RuntimeError) as error:
            raise MissingDependency("no espeak-ng; voicebot install espeak") from error
        if not Path(library).exists():
            raise MissingDependency(
                f"no espeak-ng: {library} is not there; voicebot install --again espeak"
            )
        # By path, isolated and without site-packages: ready in 30 ms instead of 200.
        self._command = [sys.executable, "-I", "-S", child.__file__, library, data]
        self._child: _EspeakChild | None = None
        self._lock = Lock()
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The child's process id, None while there is none."""
        return self._child.process.pid if self._child else None

    def synthesize(
        self, text: str, voice: str, words_per_minute: int, pitch: int = 50
    ) -> Generator[SpokenPiece]:
        """Yield the text's sound while espeak-ng makes it. Closing the generator stops it.

        Nothing in the text is taken for markup or a command. `pitch` is 0 to 99.

        Raises:
            EngineError: no such voice, or the child ended or hung.
        """
        request = [voice, _plain(text), str(words_per_minute), str(pitch)]
        with closing(self._ask(child.SPEAK, *request)) as answer:
            for kind, payload in answer:
                if kind == child.PIECE:
                    pcm, marks = child.unpack_piece(payload)
                    yield SpokenPiece(pcm, tuple(WordMark(*mark) for mark in marks))

    def phonemes(self, text: str, voice: str = "en-us", tie: str = "") -> str:
        """The text in IPA with stress marks, a space between words, no punctuation.

        `tie` is put between the letters of one sound: "t^ʃ" with "^".

        Raises:
            EngineError: no such voice, or the child ended or hung.
        """
        ((_, ipa),) = self._ask(child.PHONEMES, voice, _plain(text), tie)
        # "(en)word(fr)" is how it marks a word read by another language's rules.
        return " ".join(_LANGUAGE_SWITCH.sub("", ipa.decode()).split())

    def voices(self) -> list[str]:
        """Language codes, and the variants that can follow one: "en-us", "+f3" (as "en-us+f3").

        Raises:
            EngineError: the child ended or hung.
        """
        ((_, names),) = self._ask(child.VOICES)
        return names.decode().split("\0")

    def close(self) -> None:
        """End the child, also in the middle of a call, which then fails."""
        with self._lock:
            self._closed = True
            if self._child:
                self._child.process.kill()
        if self._child:
            self._child.end()

    def _ask(self, kind: int, *fields: str) -> Generator[tuple[int, bytes]]:
        """Yield the frames of the answer up to its end."""
        running, answered = self._running(), False
        try:
            running.send(kind, "\0".join(fields).encode("utf-8", "replace"))
            while not answered:
                frame = running.receive()
                answered = frame[0] != child.PIECE
                if frame[0] == child.FAILED:
                    raise EngineError("tts", f"espeak-ng: {frame[1].decode()}")
                yield frame
        except GeneratorExit:
            if not answered:
                # espeak-ng can be told to stop, but then the start of the next text is wrong. A
                # new child is clean, and ready before the user has said why they interrupted.
                running.end()
                with suppress(EngineError):  # closed meanwhile
                    self._running()
            raise
        except (EOFError, OSError, ValueError) as error:  # ValueError: close() came in between
            raise EngineError("tts", f"espeak-ng {running.post_mortem(error)}") from error

    def _running(self) -> _EspeakChild:
        with self._lock:
            if self._closed:
                raise EngineError("tts", "espeak-ng is closed")
            if self._child and not self._child.alive:
                self._child.end()
                self._child = None
            self._child = self._child or _EspeakChild(self._command)
            return self._child


class _EspeakChild(Child):
    """The child, and the frames that go to and from it."""

    def __init__(self, command: list[str]) -> None:
        super().__init__(command)
        self._source: BinaryIO = self.socket.makefile("rb")

    def send(self, kind: int, payload: bytes = b"") -> None:
        self.socket.sendall(child.frame(kind, payload))

    def receive(self) -> tuple[int, bytes]:
        return child.receive(self._source)

    def end(self) -> None:
        self.process.kill()
        self._source.close()
        super().end()


def _plain(text: str) -> str:
    # A space for each, so that positions stay true. NUL would end the text; what follows U+0001
    # espeak-ng takes for a command that changes its voice.
    return _CONTROL.sub(" ", text)
