"""Recognition with nothing to download: PocketSphinx and the English model in its wheel.

It mishears a word in three or four, more of an accent or over noise; it is what listens until
Whisper's weights are there.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np

from ..audio import Audio, silence, to_pcm16
from ..errors import ConfigError, EngineError, Missing
from ..flow import Stream, Worker
from . import Segment, Word
from .silero import RATE
from .stretches import Stretch, stretches

if TYPE_CHECKING:
    from pocketsphinx import Decoder  # type: ignore[import-untyped]  # it has no stubs

BLOCK = RATE // 5 * 2
"""Bytes decoded at a time: 200 ms. Longer stops later, shorter gains nothing."""

FILLER = re.compile(r"[<\[+]")
"""How the entries begin that are no words: <sil>, [NOISE], ++UM++."""
VARIANT = re.compile(r"\(\d+\)$")
"""Which pronunciation it was: "the(2)"."""

LEVEL = "level"
"""Name of the search that is run for the mean of the features alone."""


class PocketSphinx:
    """Recognises English."""

    def __init__(self, language: str = "en") -> None:
        """
        Raises:
            ConfigError: another language than English.
            Missing: its model or Silero's is not there.
        """
        if language not in ("", "en"):
            raise ConfigError(
                f"[stt] pocketsphinx knows only English, not language = {language!r}; "
                "leave it empty or choose the engine whisper"
            )
        from pocketsphinx import Decoder

        try:
            self._decoder = Decoder(loglevel="FATAL")
            self._words = self._decoder.current_search()
            self._decoder.add_keyphrase(LEVEL, "oh mighty computer")
        except Exception as error:  # the library raises whatever comes to hand
            raise Missing(
                f"[stt] pocketsphinx cannot load its model: {error}; "
                "pip install --force-reinstall pocketsphinx"
            ) from error
        stretches(silence(0.1, RATE))  # loads Silero: its absence should show at start-up
        self._worker = Worker("pocketsphinx")

    def transcribe(self, audio: Audio) -> Stream[Segment]:
        """Yield a segment for each stretch of speech."""
        return self._worker.stream(self._segments, audio)

    def close(self) -> None:
        self._worker.close()

    def _segments(self, audio: Audio) -> Generator[Segment]:
        for stretch in stretches(audio):
            try:
                words = self._decode(stretch)
            except Exception as error:  # as above
                raise EngineError("stt", f"pocketsphinx: {error}") from error
            if self._worker.abandoned:
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

    def _decode(self, stretch: Stretch) -> list[Word]:
        decoder, sound = self._decoder, to_pcm16(Audio(stretch.samples, RATE))
        self._set_level(sound)
        decoder.start_utt()
        try:
            for at in range(0, len(sound), BLOCK):
                if self._worker.abandoned:
                    break
                decoder.process_raw(sound[at : at + BLOCK])
        finally:
            decoder.end_utt()
        frames = decoder.config["frate"]
        words = []
        for heard in decoder.seg() or ():
            start, end = heard.start_frame / frames, (heard.end_frame + 1) / frames
            # It hears "the" in a slamming door; only a voice makes a word.
            if not FILLER.match(heard.word) and stretch.is_speech(start, end):
                text = VARIANT.sub("", heard.word)
                chance = min(1.0, max(0.0, float(heard.prob)))
                words.append(Word(text, stretch.start + start, stretch.start + end, chance))
        return words

    def _set_level(self, sound: bytes) -> None:
        """Normalise by the mean of this very stretch, and forget the stretches before.

        Fed in blocks, the decoder would guess the mean from what it last heard: another voice,
        another room. A cheap search over the whole stretch leaves the right one behind, for a
        tenth of the cost of recognition; without it one word in ten more is wrong.
        """
        decoder: Decoder = self._decoder
        decoder.reinit_feat()
        decoder.activate_search(LEVEL)
        decoder.start_utt()
        decoder.process_raw(sound, full_utt=True)
        mean = decoder.get_cmn(False)
        decoder.end_utt()
        decoder.activate_search(self._words)
        decoder.reinit_feat()
        decoder.set_cmn(mean)
