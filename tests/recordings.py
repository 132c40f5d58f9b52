"""Real speech and real noise, kept beside the repository; tests that need it skip without it."""

import json
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from voicebot.audio import Audio

FOLDER = Path(__file__).resolve().parents[1] / "../shared/audio"
needed = pytest.mark.skipif(not FOLDER.is_dir(), reason="no recordings beside the repository")


def read(name: str, rate: int = 16000) -> Audio:
    """The recording "set/file", mono at `rate`."""
    mono = av.AudioResampler("flt", "mono", rate)
    with av.open(str(FOLDER / name)) as file:
        frames = [part for frame in file.decode(audio=0) for part in mono.resample(frame)]
    frames += mono.resample(None)
    return Audio(np.concatenate([frame.to_ndarray()[0] for frame in frames]), rate)


def names(kind: str) -> list[str]:
    """Every recording of a set."""
    return [f"{kind}/{line['audio']}" for line in _manifest(kind)]


def transcripts(kind: str) -> Iterator[tuple[str, str]]:
    """The English recordings of a set whose words are known, with those words."""
    for line in _manifest(kind):
        if line["lang"] == "en" and line["text"]:
            yield f"{kind}/{line['audio']}", line["text"]


def _manifest(kind: str) -> list[dict]:
    lines = (FOLDER / kind / "manifest.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def voice(seconds: float, rate: int = 16000) -> Audio:
    """Something that every voice detector takes for a voice: a buzz through moving formants."""
    at = np.arange(round(seconds * rate)) / rate
    pitch = 120 * (1 + 0.15 * np.sin(2 * np.pi * 0.7 * at))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    formants = (
        (500 + 250 * np.sin(2 * np.pi * 1.9 * at), 80, 1.0),
        (1500 + 600 * np.sin(2 * np.pi * 1.3 * at + 1), 100, 0.5),
        (2500 + 0 * at, 140, 0.25),
    )
    buzz = np.zeros_like(at)
    for harmonic in range(1, 35):
        gain = sum(loud / (1 + ((harmonic * pitch - f) / wide) ** 2) for f, wide, loud in formants)
        buzz += gain * np.sin(harmonic * phase)
    syllables = np.clip(0.6 + 0.6 * np.sin(2 * np.pi * 4 * at), 0, 1)
    return Audio((0.15 * buzz * syllables).astype(np.float32), rate)
