"""Recognition with nothing to download: PocketSphinx and the English model in its wheel.

It mishears a word in three or four, more of an accent or over noise; it is what listens until
Whisper's weights are there.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Generator
from multiprocessing.connection import Connection

import numpy as np

from ... import languages
from ...audio import Audio, silence, to_pcm16
from ...concurrency.worker import Stream, Worker
from ...errors import ConfigError, EngineError, MissingDependency
from .. import Segment, Word
from ..call_options import OptionError
from ..child_process import CHILD_TIMEOUT_S, Child
from ..silero import RATE
from ..speech_segments import SpeechSegment, stretches
from . import child as sphinx_child
from .child import Found

FRAMES = 100
"""A second, in which the decoder counts."""

LOOK = 0.05
"""Seconds between looks whether anybody still wants to know."""

FILLER = re.compile(r"[<\[+]")
"""How the entries begin that are no words: <sil>, [NOISE], ++UM++."""
VARIANT = re.compile(r"\(\d+\)$")
"""Which pronunciation it was: "the(2)"."""


class PocketSphinx:
    """Recognises English."""

    languages = ("en",)

    def __init__(self, language: str = "en") -> None:
        """
        Raises:
            ConfigError: another language than English.
            MissingDependency: its model or Silero's is not there.
        """
        if wrong := _foreign(languages.code(language)):
            raise ConfigError(f"[stt] {wrong}")
        stretches(silence(0.1, RATE))  # loads Silero: its absence should show at start-up
        self._child: Child | None = None
        self.worker = Worker("pocketsphinx", parks=True)
        try:
            self._running()
        except EngineError as error:
            raise MissingDependency(
                f"[stt] {error.reason}; voicebot install --again pocketsphinx"
            ) from error

    def transcribe(self, audio: Audio, *, language: str | None = None) -> Stream[Segment]:
        """Yield a segment for each stretch of speech.

        Raises:
            OptionError: another language than English.
        """
        if wrong := _foreign(language or ""):
            raise OptionError("language", wrong)
        return self.worker.stream(self._segments, audio)

    def close(self) -> None:
        self.worker.close(self._end)

    def _segments(self, audio: Audio) -> Generator[Segment]:
        for stretch in stretches(audio):
            words = self._words(stretch)
            if self.worker.abandoned:
                return
            if words:
                yield Segment(
                    " ".join(word.text for word in words),
                    words[0].start,
                    words[-1].end,
                    tuple(words),
                    float(np.exp(np.mean([np.log(w.confidence + 1e-9) for w in words]))),
                    "en",
                )

    def _words(self, stretch: SpeechSegment) -> list[Word]:
        words = []
        for text, first, last, chance in self._decode(stretch):
            start, end = first / FRAMES, (last + 1) / FRAMES
            # It hears "the" in a slamming door; only a voice makes a word.
            if not FILLER.match(text) and stretch.is_speech(start, end):
                start, end = stretch.start + start, stretch.start + end
                words.append(Word(VARIANT.sub("", text), start, end, min(1.0, max(0.0, chance))))
        return words

    def _decode(self, stretch: SpeechSegment) -> list[Found]:
        child, pipe = self._running()
        try:
            pipe.send_bytes(to_pcm16(Audio(stretch.samples, RATE)))
            # It hears ten times faster than people speak; a minute is a hung child.
            for _ in range(round(max(CHILD_TIMEOUT_S, stretch.seconds * 4) / LOOK)):
                if pipe.poll(LOOK):
                    found: list[Found] = pipe.recv()
                    return found
                if self.worker.abandoned:
                    pipe.send_bytes(b"")
                    for _ in range(2):  # an answer to the sound, and one to having it given up
                        if not pipe.poll(CHILD_TIMEOUT_S):
                            raise TimeoutError
                        pipe.recv()
                    return []
            raise TimeoutError
        except (EOFError, OSError) as error:
            raise EngineError("stt", f"pocketsphinx {child.post_mortem(error)}") from error

    def _running(self) -> tuple[Child, Connection]:
        """The child, started afresh if it has died.

        Raises:
            EngineError: it does not start.
        """
        if self._child is None or not self._child.alive:
            self._end()
            child = self._child = Child([sys.executable, "-I", sphinx_child.__file__])
            child.socket.setblocking(True)  # else a long sound is sent in part
            # A copy, because each end of it is closed by its owner.
            self._pipe = Connection(os.dup(child.socket.fileno()))
            try:
                if not self._pipe.poll(CHILD_TIMEOUT_S):
                    raise TimeoutError
                self._pipe.recv()
            except (EOFError, OSError) as error:
                raise EngineError("stt", f"pocketsphinx {child.post_mortem(error)}") from error
        return self._child, self._pipe

    def _end(self) -> None:
        if self._child:
            self._pipe.close()
            self._child.end()
            self._child = None


def _foreign(language: str) -> str:
    """What is wrong with the language; nothing if it is the one this engine knows."""
    if language in ("", "en"):
        return ""
    return (
        f"pocketsphinx knows only English, not language = {language!r}; "
        "leave it empty or choose the engine whisper"
    )
