"""`voicebot talk`: a conversation through the microphone and the loudspeaker."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from contextlib import ExitStack, aclosing
from math import log10
from pathlib import Path
from typing import TextIO

import numpy as np

from . import request
from .assembly import Parts, assemble, offers
from .audio import Audio, silence
from .config import Config
from .conversation.choices import Choices
from .devices import LocalSpeaker, choose, devices, microphone
from .errors import Missing
from .events import (
    Event,
    Failed,
    Heard,
    Interrupted,
    Passages,
    RungTaken,
    Said,
    SpeechEnded,
    SpeechResumed,
    SpeechStarted,
    TurnEnded,
)
from .flow import Stream, started
from .observe.traces import traced
from .warm import Warmth

_ECHO = 0.3
"""Seconds a room goes on sounding, and a microphone's buffer with it. More loses the start of a
quick answer; less hears our own last word as a question."""

_BARS = 20
_QUIETEST = -60.0
"""dBFS at the left end of the level meter: a quiet room through a usual microphone."""

_CLEAR, _DIM, _BOLD, _PLAIN = "\r\x1b[K", "\x1b[2m", "\x1b[1m", "\x1b[0m"


def run(
    config: Config,
    models: Path,
    *,
    input: str | None,
    output: str | None,
    mute: bool,
    url: str | None = None,
    voice: str = "",
    language: str = "",
) -> int:
    """Converse until the user ends it with Ctrl-C, which is a KeyboardInterrupt.

    url: a server to talk with instead of the engines of this machine.
    input, output: the number of a device or part of its name; None is the system's choice.
    mute: hear nothing while speaking, where the loudspeaker reaches the microphone.
    voice, language: of those that the engines have; empty for what the settings say.

    Raises:
        VoicebotError: before anything was said, or because a device is gone.
    """
    # Devices before engines: a missing microphone is told now, not after a model has loaded.
    found = devices()
    ear = choose(found, "microphone", input)
    mouth = choose(found, "loudspeaker", output)
    with ExitStack() as closing:
        spans = None if url else closing.enter_context(traced(config))
        parts = None if url else closing.enter_context(assemble(config, models))
        if spans and parts:
            parts.observers.append(spans.observer)
        speaker = closing.enter_context(LocalSpeaker(str(mouth.index)))
        tty = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        view = View(sys.stdout, tty)
        closing.callback(view.end)
        view.say(*((*parts.describe(), *offers(config)) if parts else [f"talking with {url}"]))
        view.say(f"{ear.name} hears, {mouth.name} sounds", "Speak when you like; Ctrl-C ends.")
        heard = _hear(speaker, str(ear.index), mute, view)
        wish = {"voice": voice, "language": language}
        request.begin(request.new_id())
        asyncio.run(_converse(parts or str(url), speaker, heard, view, wish))
    return 0


def print_devices() -> int:
    """List the sound devices, the system's choice marked with a star.

    Raises:
        Missing: there are none, or no library to reach them.
    """
    found = devices()
    if not found:
        raise Missing("no microphone and no loudspeaker on this machine; plug one in")
    for each in found:
        ways = []
        if each.inputs:
            ways.append("microphone" + "*" * each.default_in)
        if each.outputs:
            ways.append("loudspeaker" + "*" * each.default_out)
        print(f"{each.index:3} {each.name} ({', '.join(ways)})")
    return 0


async def _converse(
    where: Parts | str,
    speaker: LocalSpeaker,
    heard: Stream[Audio],
    view: View,
    wish: dict[str, str],
) -> None:
    """wish: the voice and the language to be chosen."""
    if isinstance(where, str):
        from . import server_talk

        opus = not server_talk.is_near(where)
        await server_talk.converse(
            where, speaker, heard, view.note, tell=view.say, opus=opus, **wish
        )
        return
    conversation = where.conversation(speaker, view.note)
    choices = Choices(conversation.stt, conversation.tts).choosing(**wish)
    conversation.choose(choices.ears, choices.mouth)
    # What is done for the first time takes longest: before the first question is over.
    async with started(Warmth(where).once()):
        await conversation.run(heard)


async def _hear(speaker: LocalSpeaker, ear: str, mute: bool, view: View) -> Stream[Audio]:
    deaf = 0.0
    async with aclosing(microphone(ear)) as blocks:
        async for audio in blocks:
            deaf = _ECHO if mute and speaker.speaking else deaf - audio.seconds
            # Silence instead of nothing: the conversation's clock is the sound it is given.
            heard = silence(audio.seconds, audio.rate) if deaf > 0 else audio
            view.level(heard)
            yield heard


class View:
    """A conversation on a terminal: what was said, and below it a live line with the level.

    The cursor is never hidden and each colour ends where it began, so that there is nothing
    to restore however the program ends. Without a terminal there are only plain lines.
    """

    def __init__(self, stream: TextIO, tty: bool) -> None:
        self._stream = stream
        self._tty = tty
        self._state = "listening"
        self._meter = ""
        self._shown = ""

    def say(self, *lines: str) -> None:
        for line in lines:
            self._line(line, _DIM)

    def note(self, event: Event) -> None:
        """Show what happened."""
        match event:
            case SpeechStarted() | SpeechResumed():
                self._state = "hearing you"
            case SpeechEnded():
                self._state = "thinking"
            case Heard(text):
                self._line(f"you: {text}", _BOLD)
            case Passages(passages):
                self._line(f"     from {', '.join(passage.id for passage in passages)}", _DIM)
            case Said(text):
                self._state = "speaking"
                self._line(f"bot: {text}")
            case RungTaken(rung):
                self._line(f"     (short of time: {rung.replace('_', ' ')})", _DIM)
            case Interrupted(heard):
                self._line(f"     (you spoke after: {heard})", _DIM)
            case Failed(stage, reason):
                self._line(f"     {stage} failed: {reason}", _BOLD)
            case TurnEnded(marks):
                if (first := marks.get("speaker.first")) is not None:
                    self._line(f"     (first sound after {first:.2f} s)", _DIM)
                # Who interrupts is being heard already.
                if self._state != "hearing you":
                    self._state = "listening"
        self._draw()

    def level(self, audio: Audio) -> None:
        """Show how loud the microphone is."""
        power = float(np.mean(np.square(audio.samples))) if len(audio.samples) else 0.0
        decibels = 10 * log10(max(power, 1e-12))
        bars = round(_BARS * min(1.0, max(0.0, 1 - decibels / _QUIETEST)))
        self._meter = "#" * bars + "." * (_BARS - bars)
        self._draw()

    def end(self) -> None:
        """Leave the terminal as a program that has ended."""
        if self._shown:
            self._stream.write(_CLEAR)
            self._stream.flush()

    def _line(self, text: str, style: str = "") -> None:
        # A model or a document may hold what a terminal would obey.
        text = "".join(character if character.isprintable() else " " for character in text)
        if self._tty:
            self._stream.write(f"{_CLEAR}{style}{text}{_PLAIN if style else ''}\n")
            self._shown = ""
        else:
            self._stream.write(f"{text}\n")
        self._stream.flush()

    def _draw(self) -> None:
        live = f"[{self._meter}] {self._state}"[: shutil.get_terminal_size().columns - 1]
        if self._tty and self._meter and live != self._shown:
            self._stream.write(f"{_CLEAR}{live}")
            self._stream.flush()
            self._shown = live
