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

from .. import context
from ..assistant.assembly import EngineSet, assemble, offers
from ..assistant.warmup import Warmup
from ..audio import Audio, silence
from ..audio.devices import Device, LocalSpeaker, choose, devices, microphone
from ..concurrency.worker import Stream, background
from ..config import Config
from ..conversation import StopReply, Typed
from ..conversation.voice_options import VoiceOptions
from ..errors import MissingDependency
from ..events import (
    ClauseSpoken,
    Degraded,
    Event,
    Failed,
    Interrupted,
    Passages,
    SpeechEnded,
    SpeechResumed,
    SpeechStarted,
    Transcript,
    TurnEnded,
)
from ..observability.traces import traced
from .ask import FileSpeaker
from .keyboard import Keyboard

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
    typing: bool = False,
    url: str | None = None,
    voice: str = "",
    language: str = "",
) -> int:
    """Converse until the user ends it with Ctrl-C, which is a KeyboardInterrupt.

    url: a server to talk with instead of the engines of this machine.
    input, output: the number of a device or part of its name; None is the system's choice.
    mute: hear nothing while speaking, where the loudspeaker reaches the microphone.
    typing: hear nothing at all; what is typed is answered, and only shown without a loudspeaker.
    voice, language: of those that the engines have; empty for what the settings say.

    Raises:
        VoicebotError: before anything was said, or because a device is gone.
    """
    # Devices before engines: a missing microphone is told now, not after a model has loaded.
    ear = None if typing else choose(devices(), "microphone", input)
    mouth = _mouth(output, typing=typing)
    with ExitStack() as closing:
        spans = None if url else closing.enter_context(traced(config))
        parts = None if url else closing.enter_context(assemble(config, models))
        if spans and parts:
            parts.observers.append(spans.observer)
        speaker: LocalSpeaker | FileSpeaker = FileSpeaker(None)
        if mouth:
            speaker = closing.enter_context(LocalSpeaker(str(mouth.index)))
        tty = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        view = View(sys.stdout, tty)
        closing.callback(view.end)
        view.say(*((*parts.describe(), *offers(config)) if parts else [f"talking with {url}"]))
        hears, sounds = ear.name if ear else "nothing", mouth.name if mouth else "nothing"
        does = "Type" if typing else "Speak or type" if sys.stdin.isatty() else "Speak"
        view.say(f"{hears} hears, {sounds} sounds", f"{does} when you like; Ctrl-C ends.")
        keyboard = Keyboard(view.typing)
        if typing or keyboard.is_terminal:
            closing.enter_context(keyboard)
        given: Stream[Audio | Typed | StopReply]
        if ear:
            given = _hear(speaker, str(ear.index), mute, view, keyboard)
        else:
            given = _typed(keyboard, view)
        wish = {"voice": voice, "language": language}
        context.begin(context.new_id())
        asyncio.run(_converse(parts or str(url), speaker, given, view, wish))
    return 0


def print_devices() -> int:
    """List the sound devices, the system's choice marked with a star.

    Raises:
        MissingDependency: there are none, or no library to reach them.
    """
    found = devices()
    if not found:
        raise MissingDependency("no microphone and no loudspeaker on this machine; plug one in")
    for each in found:
        ways = []
        if each.inputs:
            ways.append("microphone" + "*" * each.default_in)
        if each.outputs:
            ways.append("loudspeaker" + "*" * each.default_out)
        print(f"{each.index:3} {each.name} ({', '.join(ways)})")
    return 0


async def _converse(
    where: EngineSet | str,
    speaker: LocalSpeaker | FileSpeaker,
    given: Stream[Audio | Typed | StopReply],
    view: View,
    wish: dict[str, str],
) -> None:
    """wish: the voice and the language to be chosen."""
    if isinstance(where, str):
        from .. import client as server_talk

        opus = not server_talk.is_near(where)
        await server_talk.converse(
            where, speaker, given, view.note, tell=view.say, opus=opus, **wish
        )
        return
    conversation = where.conversation(speaker, view.note)
    conversation.at_once = isinstance(speaker, LocalSpeaker)
    choices = VoiceOptions(conversation.stt, conversation.tts).choosing(**wish)
    conversation.choose(choices.ears, choices.mouth)
    # What is done for the first time takes longest: before the first question is over.
    async with background(Warmup(where).once()):
        await conversation.run(given)


def _mouth(output: str | None, *, typing: bool) -> Device | None:
    """The loudspeaker; None where what is typed is answered without one.

    Raises:
        MissingDependency: there is none, and only sound would do.
    """
    try:
        return choose(devices(), "loudspeaker", output)
    except MissingDependency as error:
        if not typing:
            raise
        print(f"the answers are not played ({str(error).partition(';')[0]})", file=sys.stderr)
        return None


async def _hear(
    speaker: LocalSpeaker | FileSpeaker, ear: str, mute: bool, view: View, keyboard: Keyboard
) -> Stream[Audio | Typed | StopReply]:
    """What the microphone hears, and between two blocks of it what was typed meanwhile."""
    deaf = 0.0
    if keyboard.is_terminal:
        keyboard.begin()
    async with aclosing(microphone(ear)) as blocks:
        async for audio in blocks:
            for line in keyboard.typed():
                yield _meant(line)
            speaking = isinstance(speaker, LocalSpeaker) and speaker.speaking
            deaf = _ECHO if mute and speaking else deaf - audio.seconds
            # Silence instead of nothing: the conversation's clock is the sound it is given.
            heard = silence(audio.seconds, audio.rate) if deaf > 0 else audio
            view.level(heard)
            yield heard


async def _typed(keyboard: Keyboard, view: View) -> Stream[Audio | Typed | StopReply]:
    """What is typed. A pipe's next line is not asked before the one before it is answered."""
    keyboard.begin()
    view.typing("")
    async with aclosing(keyboard.lines()) as lines:
        async for line in lines:
            if not line.strip() and not keyboard.is_terminal:
                continue
            view.answered.clear()
            yield _meant(line)
            if not keyboard.is_terminal:
                await view.answered.wait()


def _meant(line: str) -> Typed | StopReply:
    """A question; an empty line silences the answer."""
    return Typed(line.strip()) if line.strip() else StopReply()


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
        self._typing: str | None = None
        self._shown = ""
        self.answered = asyncio.Event()
        """Set when a turn has ended."""

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
            case Transcript(text):
                self._line(f"you: {text}", _BOLD)
                if self._state == "listening":  # it was typed
                    self._state = "thinking"
            case Passages(passages):
                self._line(f"     from {', '.join(passage.id for passage in passages)}", _DIM)
            case ClauseSpoken(text):
                self._state = "speaking"
                self._line(f"bot: {text}")
            case Degraded(degradation):
                self._line(f"     (short of time: {degradation.replace('_', ' ')})", _DIM)
            case Interrupted(heard):
                self._line(f"     (you spoke after: {heard})", _DIM)
            case Failed(stage, reason):
                self._line(f"     {stage} failed: {reason}", _BOLD)
            case TurnEnded(marks):
                self.answered.set()
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

    def typing(self, text: str) -> None:
        """Show the line that is being typed."""
        self._typing = text
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
        columns = shutil.get_terminal_size().columns - 1
        live = f"[{self._meter}] {self._state}" if self._meter else ""
        if self._typing or (self._typing is not None and not self._meter):
            # The end of a long line is what one is typing.
            prompt = f"{live} > " if live else "> "
            live = prompt + self._typing[-max(1, columns - len(prompt)) :]
        live = live[:columns]
        if self._tty and live != self._shown:
            self._stream.write(f"{_CLEAR}{live}")
            self._stream.flush()
            self._shown = live
