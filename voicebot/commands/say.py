"""`voicebot say`: a text read aloud, through the loudspeaker or into a file."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import Any

from ..assistant.assembly import mouth
from ..audio.sound_files import sound_file
from ..config import Config
from ..conversation.aloud import aloud
from ..engines.call_options import OptionError, taken
from ..errors import ConfigError, InputError, MissingDependency


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

        async def said() -> None:
            at_once = speaker is not None
            spoken = aloud(text, tts, config.speech, voice=voice, at_once=at_once)
            async with aclosing(spoken) as sound:
                async for audio in sound:
                    if file:
                        file.write(audio)
                    else:
                        await speaker.play(audio)
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
