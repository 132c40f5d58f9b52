"""`voicebot say`: a text read aloud, through the loudspeaker or into a file."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import Any

from ..assistant.assembly import mouth
from ..audio import Audio, silence
from ..audio.sound_files import sound_file
from ..config import Config
from ..conversation.clauses import Clauses
from ..conversation.pauses import SpeechSettings
from ..conversation.trim import trimmed
from ..engines.call_options import OptionError, taken
from ..errors import ConfigError, InputError, MissingDependency

Play = Callable[[Audio], Awaitable[None]]


def run(
    config: Config, models: Path, *, words: Sequence[str], output: str | None, voice: str
) -> int:
    """Read the words aloud, or standard input where there are none or only "-".

    output: a sound file, "-" for standard output, None for the loudspeaker.
    voice: one of the engine's; empty for what the settings say.

    Raises:
        VoicebotError: there is nothing to say, no such voice, or no device to say it.
    """
    text = _stdin() if list(words) in ([], ["-"]) else " ".join(words)
    if not text.strip():
        raise ConfigError('there is nothing to say; voicebot say "Good morning."')
    with ExitStack() as closing:
        # Devices and files before engines: what is missing is told before a model has loaded.
        file = closing.enter_context(sound_file(output)) if output else None
        speaker: Any = None if file else _loudspeaker(closing)
        chosen, tts = closing.enter_context(mouth(config, models))
        print(chosen, file=sys.stderr)
        if voice and "voice" not in taken(tts.synthesize):
            raise OptionError("voice", f"{chosen.name} has no other voice")

        async def play(audio: Audio) -> None:
            if file:
                file.write(audio)
            else:
                await speaker.play(audio)

        async def said() -> None:
            await _say(text, tts, voice, config.speech, play, at_once=speaker is not None)
            if speaker:
                await speaker.drain()

        asyncio.run(said())
    return 0


def _stdin() -> str:
    if sys.stdin.isatty():
        print("Type what is to be said; Ctrl-D ends it.", file=sys.stderr)
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig", "replace")
    except OSError as error:
        raise InputError(f"standard input: {error.strerror}") from error


def _loudspeaker(closing: ExitStack) -> Any:
    from ..audio.devices import LocalSpeaker

    try:
        return closing.enter_context(LocalSpeaker())
    except MissingDependency as error:
        raise MissingDependency(f"{error}; -o answer.wav keeps it in a file") from error


async def _say(
    text: str, tts: Any, voice: str, pauses: SpeechSettings, play: Play, *, at_once: bool
) -> None:
    """Speak it piece by piece, with the pauses that its punctuation means between them.

    at_once: somebody listens, and the first piece is to be short.

    Raises:
        ConfigError: no word in it can be said.
    """
    pieces = Clauses(at_once=at_once)
    pieces.feed(text)
    pieces.finish()
    options = {"voice": voice} if voice else {}
    has_begun = False
    while piece := pieces.take():
        pause = pauses.seconds(piece.pause) if has_begun else 0.0
        async with aclosing(trimmed(tts.synthesize(piece.spoken, **options))) as speech:
            async for chunk in speech:
                if pause:
                    await play(silence(pause, chunk.audio.rate))
                    pause = 0.0
                await play(chunk.audio)
                has_begun = True
    if not has_begun:
        raise ConfigError(f"there is nothing to say in {text.strip()[:40]!r}")
