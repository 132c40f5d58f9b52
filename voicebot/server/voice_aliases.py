"""Voices by the names OpenAI's clients know, and by our own."""

from __future__ import annotations

from collections.abc import Sequence

from ..conversation.voice_options import is_among

OPENAI = (
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage",
    "shimmer", "verse",
)  # fmt: skip

# One of ours for each, of the same sex and manner as far as there is one.
_KOKORO = {
    "alloy": "af_alloy", "ash": "am_michael", "ballad": "bm_george", "cedar": "am_fenrir",
    "coral": "af_bella", "echo": "am_echo", "fable": "bm_fable", "marin": "af_heart",
    "nova": "af_nova", "onyx": "am_onyx", "sage": "af_sarah", "shimmer": "af_sky",
    "verse": "am_puck",
}  # fmt: skip
_HIBARI = {
    "alloy": "kore", "ash": "fenrir", "ballad": "fable", "cedar": "fenrir", "coral": "kore",
    "echo": "fenrir", "fable": "fable", "marin": "heart", "nova": "heart", "onyx": "fenrir",
    "sage": "emma", "shimmer": "emma", "verse": "fenrir",
}  # fmt: skip
_ESPEAK = {
    "alloy": "en-us", "ash": "en-us+m2", "ballad": "en-gb+m3", "cedar": "en-us+m7",
    "coral": "en-us+f2", "echo": "en-us+m3", "fable": "en-gb", "marin": "en-us+f4",
    "nova": "en-us+f3", "onyx": "en-us+m5", "sage": "en-gb+f2", "shimmer": "en-us+f5",
    "verse": "en-us+m4",
}  # fmt: skip
_OURS = {"kokoro": _KOKORO, "hibari": _HIBARI, "espeak": _ESPEAK}


def ours(name: str, engine: str, voices: Sequence[str]) -> str | None:
    """The engine's own name of the voice; None for the voice of its settings.

    voices: those it says it has; none where it does not say.

    A name that is not OpenAI's is given back as it is, for the engine to judge.
    """
    if name in voices or name not in OPENAI:
        return name
    wanted = _OURS.get(engine, {}).get(name)
    if wanted is None:
        # A server behind us may know the name; an engine that lists its voices does not.
        return None if voices or engine != "openai" else name
    return wanted if is_among(wanted, voices) else None


def is_known(name: str, voices: Sequence[str]) -> bool:
    """Whether an engine that lists these has the voice, or one for that name of OpenAI's.

    One that lists none may know it.
    """
    return name in OPENAI or not voices or is_among(name, voices)
