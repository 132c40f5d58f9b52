"""espeak-ng behind a pipe: what the child process runs, and the frames both ends speak.

`python child.py LIBRARY DATA` loads the library and answers on stdin and stdout. It is
run by path with `-I -S`, so it imports none of voicebot and is ready in some 30 ms. espeak-ng is
GPL-3: this process is the only one it is ever loaded into.

A frame is a kind (one byte), a length (uint32) and that many bytes; a request's fields are
UTF-8 with NULs between them, because no text that reaches C can hold one.

    to the child                                from the child
    SPEAK     voice, text, words/min, pitch     PIECE* then DONE
    PHONEMES  voice, text, tie                  DONE holding the phonemes
    VOICES                                      DONE holding the names, NULs between them
                                                FAILED holding a reason, instead of any DONE
"""

from __future__ import annotations

import os
import signal
import struct
import sys
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from threading import Thread
from typing import Any, BinaryIO

SPEAK, PHONEMES, VOICES, PIECE, DONE, FAILED = range(6)

RATE = 22050

_HEAD = struct.Struct("<BI")
_MARK = struct.Struct("<II")


def frame(kind: int, payload: bytes = b"") -> bytes:
    return _HEAD.pack(kind, len(payload)) + payload


def receive(pipe: BinaryIO) -> tuple[int, bytes]:
    """The next frame.

    Raises:
        EOFError: the other end is gone.
    """
    head = pipe.read(_HEAD.size)
    if len(head) == _HEAD.size:
        kind, length = _HEAD.unpack(head)
        payload = pipe.read(length)
        if len(payload) == length:
            return kind, payload
    raise EOFError


def pack_piece(pcm: bytes, marks: list[tuple[int, int]]) -> bytes:
    """Sound, and of each word that begins in it the sample and the character it begins at."""
    packed = b"".join(_MARK.pack(*mark) for mark in marks)
    return struct.pack("<I", len(marks)) + packed + pcm


def unpack_piece(payload: bytes) -> tuple[bytes, list[tuple[int, int]]]:
    (count,) = struct.unpack_from("<I", payload)
    pcm_at = 4 + count * _MARK.size
    return payload[pcm_at:], list(_MARK.iter_unpack(payload[4:pcm_at]))


def main(library: str, data: str) -> None:
    # Ctrl-C reaches every process of the terminal; whether it ends us is our parent's to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Not sys.stdin, which the interpreter wants for itself when it ends.
    requests_in = open(0, "rb", closefd=False)
    requests: SimpleQueue[tuple[int, bytes]] = SimpleQueue()
    espeak = _Espeak(library, data)

    def listen() -> None:
        try:
            while True:
                requests.put(receive(requests_in))
        finally:
            # Our parent ended, in whatever way: the read met an end or an error. In a thread,
            # because it is seen there even in the middle of a sentence.
            os._exit(0)

    Thread(target=listen, daemon=True).start()

    def send(kind: int, payload: bytes = b"") -> None:
        sys.stdout.buffer.write(frame(kind, payload))
        sys.stdout.buffer.flush()

    while True:
        kind, payload = requests.get()
        fields = payload.decode().split("\0")
        try:
            if kind == SPEAK:
                voice, text, rate, pitch = fields
                espeak.speak(voice, text, int(rate), int(pitch), send)
                send(DONE)
            elif kind == PHONEMES:
                send(DONE, espeak.phonemes(*fields).encode())
            else:
                send(DONE, "\0".join(espeak.voices).encode())
        except ValueError as error:
            send(FAILED, str(error).encode())


class _Espeak:
    """The C library, as much of it as we use (espeak-ng/speak_lib.h)."""

    def __init__(self, library: str, data: str) -> None:
        import ctypes as c

        class Id(c.Union):
            _fields_ = (("number", c.c_int), ("name", c.c_char_p), ("string", c.c_char * 8))

        class Event(c.Structure):
            _fields_ = (
                ("type", c.c_int),
                ("unique_identifier", c.c_uint),
                ("text_position", c.c_int),
                ("length", c.c_int),
                ("audio_position", c.c_int),
                ("sample", c.c_int),
                ("user_data", c.c_void_p),
                ("id", Id),
            )

        class Voice(c.Structure):
            _fields_ = (
                ("name", c.c_char_p),
                ("languages", c.c_void_p),
                ("identifier", c.c_char_p),
                ("gender", c.c_ubyte),
                ("age", c.c_ubyte),
                ("variant", c.c_ubyte),
                ("xx1", c.c_ubyte),
                ("score", c.c_int),
                ("spare", c.c_void_p),
            )

        self._c = c
        self._lib: Any = c.CDLL(library)
        self._callback = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_int, c.POINTER(Event))
        self._lib.espeak_TextToPhonemes.restype = c.c_char_p
        self._lib.espeak_ListVoices.restype = c.POINTER(c.POINTER(Voice))
        # The library holds the path of its data in 160 bytes: a relative one always fits.
        os.chdir(os.path.dirname(data))
        synchronous, do_not_exit = 2, 0x8000
        if self._lib.espeak_Initialize(synchronous, 0, b".", do_not_exit) != RATE:
            raise SystemExit(f"espeak-ng cannot read its data in {data}")
        self.voices = dict(sorted(self._list_voices(Voice)))
        """espeak-ng's own identifier of a voice by language code; variants as "+name"."""

    def _list_voices(self, voice_type: Any) -> Iterator[tuple[str, str]]:
        c = self._c
        wanted = c.create_string_buffer(b"variant\0")
        variants = voice_type(languages=c.cast(wanted, c.c_void_p))
        best: dict[str, tuple[int, str]] = {}
        for choice in (None, c.byref(variants)):
            found = self._lib.espeak_ListVoices(choice)
            index = 0
            while found[index]:
                identifier = found[index].contents.identifier.decode()
                languages = found[index].contents.languages
                index += 1
                if choice is not None:
                    name = identifier.removeprefix("!v/")
                    yield f"+{name.lower()}", f"+{name}"
                    continue
                # A list of (priority byte, name, NUL), ended by a zero priority.
                while priority := c.string_at(languages, 1)[0]:
                    name = c.string_at(languages + 1)
                    languages += len(name) + 2
                    code = name.decode().lower()
                    best[code] = min(best.get(code, (256, "")), (priority, identifier))
        for code, (_, identifier) in best.items():
            yield code, identifier

    def _choose(self, voice: str) -> None:
        language, plus, variant = voice.lower().partition("+")
        identifier = self.voices.get(language)
        manner = self.voices.get(plus + variant) if plus else ""
        if identifier is None or manner is None:
            raise ValueError(f"no voice {voice!r}")
        if self._lib.espeak_SetVoiceByName((identifier + manner).encode()):
            raise ValueError(f"cannot load the voice {voice!r}")

    def speak(
        self,
        voice: str,
        text: str,
        rate: int,
        pitch: int,
        send: Callable[[int, bytes], None],
    ) -> None:
        """Send the text's sound, piece by piece."""
        self._choose(voice)
        word = 1

        def on_sound(samples: int | None, count: int, events: Any) -> int:
            marks, index = [], 0
            while kind := events[index].type:
                event = events[index]
                index += 1
                if kind == word:
                    # The library counts characters from 1.
                    marks.append((event.sample, event.text_position - 1))
            if samples or marks:
                pcm = self._c.string_at(samples, count * 2) if samples else b""
                send(PIECE, pack_piece(pcm, marks))
            return 0

        callback = self._callback(on_sound)
        self._lib.espeak_SetSynthCallback(callback)
        words_per_minute, pitch_range = 1, 3
        self._lib.espeak_SetParameter(words_per_minute, rate, 0)
        self._lib.espeak_SetParameter(pitch_range, pitch, 0)
        utf8, by_character = 1, 1
        data = text.encode()
        if self._lib.espeak_Synth(data, len(data) + 1, 0, by_character, 0, utf8, None, None):
            raise ValueError("espeak-ng refused the text")

    def phonemes(self, voice: str, text: str, tie: str) -> str:
        self._choose(voice)
        ipa, tied, utf8 = 0x02, 0x80, 1
        mode = ipa | (tied | ord(tie) << 8 if tie else 0)
        rest, clauses = self._c.c_char_p(text.encode()), []
        while rest.value:
            clauses.append(self._lib.espeak_TextToPhonemes(self._c.byref(rest), utf8, mode))
        return " ".join(clause.decode().strip() for clause in clauses if clause)


if __name__ == "__main__":
    main(*sys.argv[1:])
