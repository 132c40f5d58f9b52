"""The sound in a Realtime client's items, decoded while others get their turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np

from ...audio import Audio
from ..auth.rate_limits import Limits
from .fields import RATES, Encoded, ProtocolError
from .input_audio import LONGEST
from .items import Item


async def decode(item: Item, limits: Limits, charge: Callable[[Audio], None]) -> None:
    """Decode the sound that is in `item`.

    charge: is given each piece of it, and may refuse to go on.

    Raises:
        Refused: it is not sound, or more than one utterance may have.
    """
    most = limits.utterance(LONGEST)
    sounds = [part.encoded for part in item.content if part.encoded]
    seconds = sum(sound.samples / RATES[sound.form] for sound in sounds)
    if seconds > most:
        reason = f"{seconds:.3g} s of sound are more than the {most:g} s of one utterance"
        if limits.utterance_s:
            reason += f": this key's utterance_s is {limits.utterance_s}"
        raise ProtocolError("utterance_too_long", reason, sounds[0].param)
    for part in item.content:
        if part.encoded:
            part.audio = await _decoded(part.encoded, charge)
            part.encoded = None


async def _decoded(sound: Encoded, charge: Callable[[Audio], None]) -> Audio:
    # Filled as it comes: to join minutes in the end would keep everybody waiting.
    samples = np.zeros(sound.samples, np.float32)
    at = 0
    for piece in sound.pieces():
        charge(piece)
        samples[at : at + len(piece.samples)] = piece.samples
        at += len(piece.samples)
        if at < len(samples):
            await asyncio.sleep(0)
    return Audio(samples, RATES[sound.form])
