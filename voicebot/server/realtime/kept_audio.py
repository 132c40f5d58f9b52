"""What a Realtime user said, kept for clients that ask for its sound."""

from __future__ import annotations

import asyncio
import base64

from ...audio import Audio
from ...audio.resample import Resampler
from .fields import RATES
from .items import Item, Items, Part
from .output_audio import encoded

KEPT = 10.0
"""Seconds a user's sound is kept once it has been recognised: clients that want it ask when they
are told of its transcript. Longer costs 64 kB for each second said."""
PIECE = 0.5
"""Seconds encoded at once: a user may have spoken for a minute, and others are waiting."""


def forget_later(items: Items, item: Item, part: Part) -> None:
    """Let the sound of an item's part go once nobody is likely to ask for it."""
    asyncio.get_running_loop().call_later(KEPT, items.forget, item, part)


async def as_text(audio: Audio, form: str) -> str:
    """The sound in base64, in one of the formats of RATES."""
    resampler = Resampler(RATES[form])
    step, data = round(audio.rate * PIECE), []
    for start in range(0, len(audio.samples), step):
        piece = Audio(audio.samples[start : start + step], audio.rate)
        data.append(encoded(Audio(resampler.feed(piece), resampler.rate), form))
        await asyncio.sleep(0)
    data.append(encoded(Audio(resampler.finish(), resampler.rate), form))
    return base64.b64encode(b"".join(data)).decode()
