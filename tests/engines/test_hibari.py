"""hibari as it is heard: sound, word times, voices; and on bad files and texts."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("hibari")

from voicebot.audio import join
from voicebot.engines import Speech
from voicebot.engines.call_options import OptionError
from voicebot.engines.hibari import VOICES, Hibari
from voicebot.errors import ConfigError, MissingDependency

TEXT = "It's $3.50 - really, 🙂 well-known! Is it?"


@pytest.fixture(scope="module")
def voice() -> Iterator[Hibari]:
    with closing(Hibari()) as engine:
        yield engine


def said(engine: Hibari, text: str, **options: Any) -> list[Speech]:
    async def listen() -> list[Speech]:
        async with aclosing(engine.synthesize(text, **options)) as chunks:
            return [chunk async for chunk in chunks]

    return asyncio.run(listen())


def loudness(speech: Speech, start: float, end: float) -> float:
    """Root mean square between two times, as a part of full scale."""
    rate = speech.audio.rate
    return float(np.sqrt(np.mean(speech.audio.samples[int(start * rate) : int(end * rate)] ** 2)))


def test_it_says_each_sentence_as_soon_as_it_is_made(voice: Hibari) -> None:
    first, second = said(voice, TEXT)
    assert [word.text for word in first.words] == [
        "It's",
        "$3.50",
        "-",
        "really,",
        "🙂",
        "well-known!",
    ]
    assert [word.text for word in second.words] == ["Is", "it?"]
    assert first.audio.rate == second.audio.rate == 24_000
    assert first.words[-1].end < second.words[0].start < second.words[1].start


def test_words_lie_in_the_sound_one_after_the_other(voice: Hibari) -> None:
    chunks = said(voice, TEXT)
    edges = [edge for chunk in chunks for word in chunk.words for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    whole = join([chunk.audio for chunk in chunks])
    assert whole.seconds - 0.8 < edges[-1] < whole.seconds
    assert np.abs(whole.samples).max() < 1


def test_a_word_ends_where_its_sound_ends(voice: Hibari) -> None:
    (speech,) = said(voice, "Bread, milk, eggs, and a little salt.")
    salt = speech.words[-1]
    assert speech.audio.seconds - salt.end > 0.3
    assert loudness(speech, salt.end, speech.audio.seconds) < 0.003
    assert loudness(speech, salt.end - 0.05, salt.end) > 0.003


def silences(speech: list[Speech]) -> list[float]:
    """Seconds of each silence of 30 ms or more between sounds."""
    sound = join([chunk.audio for chunk in speech])
    loud = np.flatnonzero(np.abs(sound.samples) > 0.003) / sound.rate
    return [float(gap) for gap in np.diff(loud) if gap > 0.03]


def test_between_sentences_is_as_much_silence_as_a_stop_means(voice: Hibari) -> None:
    (gap,) = silences(said(voice, "Yes. No."))
    assert 0.25 < gap < 0.5


def test_where_a_long_sentence_is_cut_there_is_no_hole(voice: Hibari) -> None:
    speech = said(voice, "one or more " * 40)
    assert len(speech) > 1
    assert max(silences(speech), default=0) < 0.1
    assert [word.text for chunk in speech for word in chunk.words] == ["one", "or", "more"] * 40


def test_the_same_seed_gives_the_same_samples(voice: Hibari) -> None:
    once, again = said(voice, "Yes, sir."), said(voice, "Yes, sir.")
    assert np.array_equal(once[0].audio.samples, again[0].audio.samples)
    with closing(Hibari(seed=7)) as other:
        assert not np.array_equal(once[0].audio.samples, said(other, "Yes, sir.")[0].audio.samples)


def test_twice_the_speed_is_half_as_long(voice: Hibari) -> None:
    (slow,), (fast,) = said(voice, "Slowly now.", speed=0.5), said(voice, "Slowly now.", speed=1.0)
    assert slow.audio.seconds == pytest.approx(2 * fast.audio.seconds, rel=0.1)
    assert slow.words[-1].end == pytest.approx(2 * fast.words[-1].end, rel=0.1)


@pytest.mark.parametrize("text", ["", "  \n", "...", "🙂", "👍🏽 🙂", "- — !", "!" * 3000])
def test_nothing_to_say_is_silence_not_an_error(voice: Hibari, text: str) -> None:
    assert said(voice, text) == []


@pytest.mark.parametrize(
    "text", ["a" * 10_000, "1" * 10_000, "日本語" * 50, "x1!" * 500, "a/" * 999]
)
def test_a_word_that_no_person_wrote_is_read_in_pieces(voice: Hibari, text: str) -> None:
    async def first() -> list[Speech]:
        async with aclosing(voice.synthesize(text)) as chunks:
            async for chunk in chunks:
                return [chunk]
            return []

    began = time.process_time()
    for chunk in asyncio.run(first()):
        assert chunk.audio.seconds < 60
    assert time.process_time() - began < 5  # 0.3 s; what the patterns need for all at once is more


def test_whoever_stops_listening_can_ask_for_something_else_at_once(voice: Hibari) -> None:
    async def interrupt() -> list[Speech]:
        async with aclosing(voice.synthesize("One of very many words. " * 500)) as chunks:
            await anext(chunks)
        async with aclosing(voice.synthesize("Yes?")) as chunks:
            return [chunk async for chunk in chunks]

    (answer,) = asyncio.run(interrupt())
    assert [word.text for word in answer.words] == ["Yes?"]


def test_a_file_that_is_another_is_named_on_one_line(tmp_path: Path) -> None:
    (tmp_path / "voices").mkdir()
    (tmp_path / "voices" / VOICES["emma"].file).write_bytes(b"\x08\x08" * 1000)
    with pytest.raises(
        ConfigError, match=r"bf_emma.int8.onnx is not the file released.*; voicebot models pull"
    ) as told:
        Hibari(voice="emma", model=str(tmp_path))
    assert "\n" not in str(told.value)


def test_a_package_whose_file_is_cut_says_to_reinstall_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hibari import tts

    whole = (Path(tts.ASSETS) / "hibari.onnx").read_bytes()
    (tmp_path / "hibari.onnx").write_bytes(whole[:-1000])
    monkeypatch.setattr(tts, "ASSETS", str(tmp_path))
    with pytest.raises(ConfigError, match=r"hibari.onnx is not .*; reinstall hibari-tts 0") as told:
        Hibari()
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"voice": "heard"}, "no voice 'heard' here; there is heart"),
        ({"voice": "emma"}, "no voice 'emma' here; there is heart"),
        ({"voice": "../heart"}, "no voice '../heart' here"),
        ({"model": "/nowhere"}, "no folder /nowhere; voicebot models pull hibari-voices"),
        ({"speed": 2.5}, "speed 0.5 to 2, not 2.5"),
        ({"speed": 0.0}, "speed 0.5 to 2, not 0.0"),
        ({"seed": -1}, "seed = -1 is below 0"),
        ({"threads": -1}, "threads = -1 is below 0"),
    ],
)
def test_a_setting_it_does_not_know_is_told_with_the_choices(
    settings: dict[str, Any], complaint: str
) -> None:
    with pytest.raises((ConfigError, MissingDependency), match=complaint):
        Hibari(**settings)


def test_an_option_it_does_not_know_is_told_with_the_choices(voice: Hibari) -> None:
    assert voice.voices == ["heart"]
    for option, value, says in (
        ("voice", "af_heart", "hibari has no voice 'af_heart' here; there is heart"),
        ("speed", 9.0, "speed 0.5 to 2, not 9.0"),
    ):
        with pytest.raises(OptionError, match=says) as caught:
            said(voice, "Hello.", **{option: value})
        assert caught.value.option == option


def test_it_imports_nothing_heavy() -> None:
    code = """
import asyncio, sys
from voicebot.engines.hibari import Hibari
assert not {"onnxruntime", "hibari"} & sys.modules.keys()
async def speak():
    return [chunk async for chunk in engine.synthesize("Kubernetes costs $3.50.")]
engine = Hibari()
assert asyncio.run(speak())
engine.close()
print(*sys.modules.keys() & {"torch", "spacy", "phonemizer", "transformers", "kokoro", "onnx"})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert (done.stdout.strip(), done.stderr) == ("", "")
