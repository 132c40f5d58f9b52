"""What a user can do in a conversation besides speaking."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Typed:
    """A question that needs no recognising. Like speech, it silences the reply before it."""

    text: str


@dataclass(frozen=True, slots=True)
class StopReply:
    """Silence the reply without speaking over it; its question is done with."""
