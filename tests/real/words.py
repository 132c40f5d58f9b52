"""What tests on real weights share: words compared, and a second pair of ears."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import aclosing, closing
from pathlib import Path

import pytest

from voicebot.audio import Audio, join
from voicebot.audio.recordings import decode
from voicebot.engines.whisper.engine import Whisper

jiwer = pytest.importorskip("jiwer")


def plain(text: str) -> str:
    """Lower case, without punctuation: what two spellings of the same words have in common."""
    return " ".join(re.sub(r"[^\w\s']", " ", text.lower()).split())


def error_rate(said: str, heard: str) -> float:
    """Word error rate of what was heard."""
    return float(jiwer.wer(plain(said), plain(heard)))


def read(path: Path | str) -> Audio:
    """A recording, mono at 16 kHz."""
    return join(list(decode(str(path), 16000)))


def hear(model: Path, *recordings: Audio) -> Sequence[str]:
    """What Whisper understands of each recording."""

    async def listen(whisper: Whisper) -> list[str]:
        heard = []
        for audio in recordings:
            async with aclosing(whisper.transcribe(audio)) as segments:
                heard.append(" ".join([segment.text.strip() async for segment in segments]))
        return heard

    with closing(Whisper(str(model), threads=1)) as whisper:
        return asyncio.run(listen(whisper))
