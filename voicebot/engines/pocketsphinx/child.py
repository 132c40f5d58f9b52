"""PocketSphinx behind a socket: what the child process of the engine `pocketsphinx` runs.

Its library holds the interpreter's lock while it decodes, up to a third of a second at a time,
which in the process of a conversation would stop everything else. It is run by path and imports
none of voicebot.

Each message gets one answer. Sound, as signed 16-bit mono at 16 kHz, is answered with the words
in it: (text, first frame, last frame, chance), 100 frames a second; with None if the next message
came before they were found. No sound at all, b"", is answered with None at once: it is sent to
make the child give up the sound before.
"""

from __future__ import annotations

import signal
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

Found: TypeAlias = tuple[str, int, int, float]

BLOCK = 16000 // 5 * 2
"""Bytes decoded at a time: 200 ms. Longer gives up later, shorter gains nothing."""

ENOUGH = 16000 * 2 * 10
"""Bytes whose mean stands for all: 10 s. More only costs time."""

LEVEL = "level"
"""Name of the search that is run for the mean of the features alone."""


def main() -> None:
    # Ctrl-C reaches every process of the terminal; whether it ends us is our parent's to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe = Connection(0)
    sphinx = _Sphinx()
    pipe.send(None)
    while True:
        try:
            sound = pipe.recv_bytes()
            pipe.send(sphinx.words(sound, pipe) if sound else None)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return  # our parent ended, in whatever way


class _Sphinx:
    def __init__(self) -> None:
        from pocketsphinx import Decoder

        self._decoder: Any = Decoder(loglevel="FATAL")
        self._search = self._decoder.current_search()
        self._decoder.add_keyphrase(LEVEL, "oh mighty computer")

    def words(self, sound: bytes, pipe: Connection) -> list[Found] | None:
        decoder = self._decoder
        self._set_level(sound)
        decoder.start_utt()
        try:
            for at in range(0, len(sound), BLOCK):
                if pipe.poll():
                    return None
                decoder.process_raw(sound[at : at + BLOCK])
        finally:
            decoder.end_utt()
        return [
            (found.word, found.start_frame, found.end_frame, float(found.prob))
            for found in decoder.seg() or ()
        ]

    def _set_level(self, sound: bytes) -> None:
        """Normalise by the mean of this very stretch, and forget the stretches before.

        Fed in blocks, the decoder would guess the mean from what it last heard: another voice,
        another room. A cheap search over the whole stretch leaves the right one behind, for a
        tenth of the cost of recognition; without it one word in ten more is wrong.
        """
        decoder = self._decoder
        decoder.reinit_feat()
        decoder.activate_search(LEVEL)
        decoder.start_utt()
        decoder.process_raw(sound[:ENOUGH], full_utt=True)
        mean = decoder.get_cmn(False)
        decoder.end_utt()
        decoder.activate_search(self._search)
        decoder.reinit_feat()
        decoder.set_cmn(mean)


if __name__ == "__main__":
    main()
