"""`voicebot ask`: a recorded or typed question in, the spoken answer out."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import ExitStack, aclosing
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import TextIO

from .. import context
from ..assistant.assembly import EngineSet, assemble, offers
from ..audio import Audio
from ..audio.recordings import recording
from ..audio.sound_files import SoundFile, sound_file
from ..concurrency.worker import Stream
from ..config import Config, RecordSettings
from ..conversation import Speaker
from ..conversation.latency_budget import LatencySettings
from ..errors import ConfigError, MissingDependency
from ..events import (
    ClauseSpoken,
    Degraded,
    Event,
    Failed,
    Passages,
    SpeechEnded,
    SpeechPaused,
    SpeechResumed,
    Transcript,
    TurnEnded,
    as_json,
)
from ..observability.traces import traced
from ..standard_streams import printable

RATE = 16000
BLOCK = 512
"""Samples fed at a time: the voice detector's window, so that pacing is as fine as its events."""

NO_SPEECH = 3


def run(
    config: Config,
    models: Path,
    *,
    question: str | None,
    text: str | None,
    output: str | None,
    as_lines: bool,
) -> int:
    """Ask the question in the file `question`, or `text`; return the exit code.

    output: a sound file for the answer, "-" for standard output, None for the loudspeaker.
    as_lines: print one JSON object per event instead of text for people.

    Raises:
        VoicebotError: before anything was asked, or because a file or device is gone.
    """
    if (question is None) == (text is None):
        raise ConfigError("ask needs a recording or --text, one of the two")
    if output == "-" and as_lines:
        raise ConfigError("--json and the sound cannot both go to standard output")
    # What is for people must not end up in the sound.
    out = sys.stderr if output == "-" else sys.stdout
    report = _Lines(out) if as_lines else _Report(out)
    with ExitStack() as closing:
        spans = closing.enter_context(traced(config))
        loudspeaker = None if output is not None else _loudspeaker(closing)
        # What is asked is there to be asked again, and need not be recorded.
        config = replace(config, latency=_budget(config, loudspeaker), record=RecordSettings())
        parts = closing.enter_context(assemble(config, models))
        if spans:
            parts.observers.append(spans.observer)
        for line in (*parts.describe(), *offers(config)):
            print(line, file=sys.stderr)
        speaker = loudspeaker or _file(output, closing)
        context.begin(context.new_id())
        asyncio.run(_converse(parts, speaker, report, question, text))
    if report.exit_code == NO_SPEECH:
        print(f"voicebot: no question was found in {question or '--text'}", file=sys.stderr)
    return report.exit_code


def _budget(config: Config, loudspeaker: Speaker | None) -> LatencySettings:
    """What may be given up to be in time: nothing in a file, for which nobody waits."""
    degradations = config.latency.enabled if loudspeaker else ()
    # Nor does anybody wait in silence for a recording to be answered: no filler.
    return replace(
        config.latency,
        degradations=" ".join(
            degradation for degradation in degradations if degradation != "filler"
        ),
    )


def _loudspeaker(closing: ExitStack) -> Speaker | None:
    try:
        from ..audio.devices import LocalSpeaker

        return closing.enter_context(LocalSpeaker())
    except MissingDependency as error:
        why = str(error).partition(";")[0]
        print(f"the answer is not played ({why}); -o answer.wav keeps it", file=sys.stderr)
        return None


def _file(output: str | None, closing: ExitStack) -> FileSpeaker:
    return FileSpeaker(closing.enter_context(sound_file(output)) if output else None)


async def _converse(
    parts: EngineSet, speaker: Speaker, report: _Report, question: str | None, text: str | None
) -> None:
    microphone = _Microphone(question) if question is not None else None

    def emit(event: Event) -> None:
        if microphone:
            microphone.note(event)
        report.note(event)

    conversation = parts.conversation(speaker, emit)
    conversation.at_once = not isinstance(speaker, FileSpeaker)
    if microphone:
        await conversation.run(microphone.listen())
    else:
        await conversation.ask(text or "")


class FileSpeaker:
    """Takes sound as fast as it is made; all of it counts as heard."""

    def __init__(self, file: SoundFile | None) -> None:
        self._file = file

    async def play(self, audio: Audio) -> None:
        if self._file:
            self._file.write(audio)

    async def drain(self) -> None:
        pass

    def stop(self) -> float:
        return inf


class _Microphone:
    """Plays a recording to the conversation as a person would ask it.

    Speech is fed as fast as it can be listened to. While a pause may be the end of a question
    it is fed at its own pace, so that the times in the answer's timeline are those of a live
    conversation; and while an answer is given it waits, so that no question interrupts one.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._paced = False
        self._free = asyncio.Event()
        self._free.set()

    def note(self, event: Event) -> None:
        match event:
            case SpeechPaused():
                self._paced = True
            case SpeechResumed():
                self._paced = False
            case SpeechEnded():
                self._paced = False
                self._free.clear()
            case TurnEnded():
                self._free.set()

    async def listen(self) -> Stream[Audio]:
        async with aclosing(recording(self._path, RATE)) as blocks:
            async for block in blocks:
                for start in range(0, len(block.samples), BLOCK):
                    audio = Audio(block.samples[start : start + BLOCK], RATE)
                    yield audio
                    await asyncio.sleep(audio.seconds if self._paced else 0)
                    await self._free.wait()


class _Report:
    """Tells people what happens, and knows how it went."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._heard = self._said = self._failed = False
        self._answering = False

    @property
    def exit_code(self) -> int:
        """0 only if every question that was heard has been answered aloud."""
        if self._failed:
            return 1
        if not self._heard:
            return NO_SPEECH
        return 0 if self._said else 1

    def note(self, event: Event) -> None:
        match event:
            case Transcript():
                self._heard = True
            case ClauseSpoken():
                self._said = True
            case Failed():
                self._failed = True
        self.show(event)

    def show(self, event: Event) -> None:
        match event:
            case Transcript(text):
                self._line(f"question: {text}")
            case Passages(passages):
                self._line(f"passages: {', '.join(p.id for p in passages)}")
            case ClauseSpoken(text):
                # One line for the whole answer, growing as it is spoken.
                said = f" {text}" if self._answering else f"answer:   {text}"
                print(printable(said), end="", file=self._out)
                self._out.flush()
                self._answering = True
            case Degraded(degradation):
                self._line(f"degraded:  {degradation.replace('_', ' ')}")
            case Failed(stage, reason):
                self._line(f"failed:   {stage}: {reason}")
            case TurnEnded(marks):
                times = ", ".join(f"{name} {seconds:.2f}" for name, seconds in marks.items())
                self._line(f"timeline: {times} (seconds after the end of speech)")

    def _line(self, text: str) -> None:
        line = printable(text)
        print(f"\n{line}" if self._answering else line, file=self._out, flush=True)
        self._answering = False


class _Lines(_Report):
    """Tells programs what happens: one JSON object a line."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self._turn = 1

    def show(self, event: Event) -> None:
        told = {**as_json(event), "request": context.of_turn(context.current(), self._turn)}
        print(printable(json.dumps(told, ensure_ascii=False)), file=self._out, flush=True)
        self._turn += isinstance(event, TurnEnded)
