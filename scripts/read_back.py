"""What Whisper understands of the written -> spoken pairs, as a voice reads them by itself and
with what `voicebot.normalize` gives it: word error rates by group.

    .venv/bin/python scripts/read_back.py WHISPER [--language en] [--tts hibari] [--every 3]
        [--set model=DIR --set voice=ff_siwis]

WHISPER is a folder of a multilingual faster-whisper model. It hears with beam 5 on one thread. What
it writes is read by `voicebot.normalize` in turn, since it writes "$5" for "five dollars"; then
letters and digits are compared with the spoken form of the pair.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
from faster_whisper import WhisperModel

from voicebot import engines
from voicebot.audio import Audio, join, silence
from voicebot.audio.resample import Resampler
from voicebot.normalize import readings

PAIRS = Path(__file__).resolve().parents[1] / "tests" / "normalize"
FILES = {"en": "english", "de": "german", "fr": "french", "es": "spanish"}
VOICES = {"en": "en-us", "de": "de", "fr": "fr-fr", "es": "es"}
"""Of espeak-ng."""
UNHEARD = ("control", "emoji", "markdown")
"""Groups whose written form no voice should be given."""
BETWEEN = 0.7
"""Seconds of silence between the pairs of a group, which are heard in one go."""


def pairs(language: str, every: int) -> Iterator[tuple[str, str, str]]:
    """The group, the written and the spoken form of every so many pairs of each group."""
    counts: defaultdict[str, int] = defaultdict(int)
    for line in (PAIRS / f"{FILES[language]}.tsv").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            group, written, spoken = line.split("\t")
            counts[group] += 1
            if group not in UNHEARD and counts[group] % every == 1 % every:
                yield group, written, spoken


def plain(text: str, language: str) -> str:
    """The words that are said, in small letters, without punctuation: "a.m." is "am"."""
    said = " ".join(r.spoken for r in readings(text, language) if r.spoken).lower()
    said = re.sub(r"\b(\w)\.(?=\w\b)", r"\1", said)
    said = re.sub(r"[^\w\s']", " ", said)
    # "c o 2" and "co2", "u s" and "us": letters said one by one are one word.
    said = re.sub(r"\b(?:[^\W\d_] )+[^\W\d_]\b", lambda m: m[0].replace(" ", ""), said)
    return " ".join(said.split())


def spoken(voice: Any, texts: list[str]) -> Audio:
    """The texts one after the other, at 16 kHz."""

    async def speak() -> list[Audio]:
        sounds = []
        for text in texts:
            async with aclosing(voice.synthesize(text)) as speech:
                sounds += [chunk.audio async for chunk in speech]
            sounds.append(silence(BETWEEN, voice.rate))
        return sounds

    sound = join(asyncio.run(speak()))
    resampler = Resampler(16000)
    return Audio(np.concatenate([resampler.feed(sound), resampler.finish()]), 16000)


def heard(whisper: WhisperModel, sound: Audio, language: str) -> str:
    segments, _ = whisper.transcribe(
        sound.samples, language=language, beam_size=5, condition_on_previous_text=False
    )
    return " ".join(segment.text.strip() for segment in segments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("whisper")
    parser.add_argument("--language", choices=FILES, default="en")
    parser.add_argument("--tts", default="")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="of tts")
    parser.add_argument("--every", type=int, default=3, help="take every so many pairs of a group")
    parser.add_argument("--show", action="store_true", help="print what was heard")
    options = parser.parse_args()
    tts = options.tts or ("hibari" if options.language == "en" else "espeak")
    settings = dict(setting.split("=", 1) for setting in options.set)
    if tts == "espeak":
        settings.setdefault("voice", VOICES[options.language])
    voice = engines.load("tts", tts, **settings)
    whisper = WhisperModel(options.whisper, device="cpu", compute_type="int8", cpu_threads=1)
    groups: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for group, written, said in pairs(options.language, options.every):
        groups[group].append((written, said))
    begun = time.process_time()
    print(f"| group | words | {tts} by itself | {tts} with normalize |\n|---|---|---|---|")
    wrong, count = [0.0, 0.0], 0
    for group, some in groups.items():
        reference = " ".join(plain(said, options.language) for _, said in some)
        words = len(reference.split())
        rates = []
        for index, mouth in enumerate((voice.engine, voice)):
            text = heard(whisper, spoken(mouth, [written for written, _ in some]), options.language)
            rates.append(jiwer.wer(reference, plain(text, options.language)))
            wrong[index] += rates[-1] * words
            if options.show:
                print(f"  said  {reference}\n  heard {plain(text, options.language)}")
        count += words
        print(f"| {group} | {words} | {rates[0]:.2f} | {rates[1]:.2f} |", flush=True)
    print(f"| all | {count} | {wrong[0] / count:.3f} | {wrong[1] / count:.3f} |")
    print(f"\n{time.process_time() - begun:.0f} s of CPU")
    voice.close()


if __name__ == "__main__":
    main()
