"""Which of the voices and languages that there are one user has chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..engines import Synthesizer, Transcriber
from ..engines.call_options import BoundSynthesizer, BoundTranscriber, OptionError, taken
from ..engines.call_options import language as understood
from ..spelling import there_is


@dataclass(frozen=True, slots=True)
class VoiceOptions:
    """What one conversation asks of engines that others use too."""

    stt: Transcriber
    tts: Synthesizer
    voice: str = ""
    """Empty for that of the engine's settings."""
    language: str = ""
    """Two-letter code of what the user speaks; empty for that of the engine's settings."""

    @property
    def voices(self) -> list[str]:
        """Those to choose from; empty where the engine lists none, or has only one way to speak."""
        names = getattr(self.tts, "voices", ()) if "voice" in taken(self.tts.synthesize) else ()
        return [name for name in names if not _is_variant(name)]

    @property
    def languages(self) -> list[str]:
        """Those to choose from; empty likewise."""
        known = "language" in taken(self.stt.transcribe)
        return list(getattr(self.stt, "languages", ())) if known else []

    @property
    def ears(self) -> Transcriber:
        """A transcriber that expects the language."""
        return (
            BoundTranscriber(self.stt, {"language": self.language}) if self.language else self.stt
        )

    @property
    def mouth(self) -> Synthesizer:
        """A synthesizer that has the voice."""
        return BoundSynthesizer(self.tts, {"voice": self.voice}) if self.voice else self.tts

    def choosing(self, *, voice: str | None = None, language: str | None = None) -> VoiceOptions:
        """The same with another voice, or a language by any name; None keeps the one there is.

        Raises:
            OptionError: there is none of that name, or nothing to choose.
        """
        if voice:
            self._expect(voice)
        return replace(
            self,
            voice=self.voice if voice is None else voice,
            language=self.language if language is None else understood(self.stt, language),
        )

    def _expect(self, voice: str) -> None:
        if "voice" not in taken(self.tts.synthesize):
            raise OptionError("voice", "the voice cannot be chosen here")
        # An engine that lists none is left to judge: it may be a server that knows more than we do.
        known = getattr(self.tts, "voices", ())
        if known and not is_among(voice, known):
            there = there_is(voice[:40], self.voices)
            raise OptionError("voice", f"there is no voice {voice[:40]!r}; {there}")


def is_among(name: str, known: Sequence[str]) -> bool:
    """Whether an engine with these voices has it, be it with a variant: "en-us+f3"."""
    plain, plus, variant = name.partition("+")
    return plain in known and (not plus or plus + variant in known)


def _is_variant(name: str) -> bool:
    # "+f3" is no voice by itself: it changes another.
    return name.startswith("+")
