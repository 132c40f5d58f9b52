"""Kokoro as it is heard: sound, word times, voices; on both networks and on bad files."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing, closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from miniatures import kokoro as miniature

from voicebot.audio import join
from voicebot.engines import Speech
from voicebot.engines.call_options import OptionError
from voicebot.engines.kokoro import export as kokoro_export
from voicebot.engines.kokoro import voices as kokoro_voices
from voicebot.engines.kokoro.engine import Kokoro
from voicebot.engines.kokoro.export import export
from voicebot.engines.kokoro.networks import exports
from voicebot.engines.phonemes import LATE, VOCABULARY
from voicebot.errors import ConfigError, EngineError, MissingDependency

for package in ("onnx", "onnxruntime", "hibari", "espeakng_loader"):
    pytest.importorskip(package)

needs_torch = pytest.mark.skipif(
    # Not importorskip: importing all of kokoro loads what our process must be without.
    not (find_spec("torch") and find_spec("kokoro")),
    reason="needs voicebot[kokoro-torch]",
)
VOICES = Path(__file__).resolve().parents[2] / "../shared/models/kokoro"
TEXT = "It's $3.50 - really, 🙂 well-known!"


@pytest.fixture(scope="session")
def hum(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hums at once, two frames a phoneme: for what does not depend on the sound."""
    return miniature.build_hum(tmp_path_factory.mktemp("hum") / "kokoro")


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The real network, random, as a checkpoint and as our export of it."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so little work takes longer if it is shared, on a busy machine
    folder = tmp_path_factory.mktemp("full") / "kokoro"
    yield miniature.build(folder)
    torch.set_num_threads(threads)
    shutil.rmtree(folder)  # half a gigabyte


def spoken(folder: Path, text: str, **settings: Any) -> list[Speech]:
    async def listen() -> list[Speech]:
        async with aclosing(engine.synthesize(text)) as chunks:
            return [chunk async for chunk in chunks]

    with closing(Kokoro(str(folder), **settings)) as engine:
        return asyncio.run(listen())


def copied(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to / "copy"))


@needs_torch
def test_torch_and_onnx_say_the_same_at_the_same_times(full: Path) -> None:
    (torch,) = spoken(full, TEXT, backend="torch")
    (onnx,) = spoken(full, TEXT, backend="onnx")
    assert onnx.words == torch.words
    assert onnx.audio.rate == torch.audio.rate == 24_000
    # Rounding alone moves it by some 2 % of its level: see voicebot/engines/kokoro/export.py.
    difference = np.std(onnx.audio.samples - torch.audio.samples)
    assert difference < 0.1 * np.std(torch.audio.samples)
    assert "phonemizer" not in sys.modules  # GPL-3: not in our process
    assert "spacy" not in sys.modules


@needs_torch
def test_an_export_is_quick_or_plain_with_the_same_sound(
    full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import onnx

    with monkeypatch.context() as patch:
        patch.setattr(kokoro_export, "rewrite", lambda _: 0)
        plain = export(full, tmp_path / "model.onnx")
    assert "the plain graph is kept: kokoro's export has nothing" in caplog.text
    shutil.copytree(full / "voices", tmp_path / "voices")
    for text in ("Yes, sir.", TEXT):
        (one,), (other,) = spoken(full, text), spoken(tmp_path, text)
        assert one.words == other.words
        difference = np.std(one.audio.samples - other.audio.samples)
        assert 20 * np.log10(np.std(one.audio.samples) / difference) > 100
    powers = [
        [node.op_type for node in onnx.load(path).graph.node].count("Pow")
        for path in (full / "model.onnx", plain)
    ]
    assert powers[0] < powers[1]


@needs_torch
def test_it_says_the_same_thing_the_same_way_twice(full: Path) -> None:
    once, again = spoken(full, "Yes, sir."), spoken(full, "Yes, sir.")
    assert np.array_equal(once[0].audio.samples, again[0].audio.samples)


@needs_torch
def test_words_lie_in_the_sound_one_after_the_other(full: Path) -> None:
    (speech,) = spoken(full, TEXT)
    assert [word.text for word in speech.words] == TEXT.split()
    edges = [edge for word in speech.words for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    assert 0 <= edges[0] < 0.2  # after the silence it starts with
    assert speech.audio.seconds - 0.4 < edges[-1] < speech.audio.seconds
    price, emoji = speech.words[1], speech.words[4]
    assert price.end - price.start > 1  # three dollars and fifty cents
    assert emoji.start == emoji.end


@needs_torch
def test_twice_the_speed_is_half_as_long(full: Path) -> None:
    (slow,), (fast,) = spoken(full, "Slowly now.", speed=0.5), spoken(full, "Slowly now.")
    assert slow.audio.seconds == pytest.approx(2 * fast.audio.seconds, rel=0.2)
    assert slow.words[-1].end == pytest.approx(2 * fast.words[-1].end, rel=0.2)


@needs_torch
def test_the_voice_changes_the_sound(full: Path) -> None:
    blend = "af_heart*0.7+am_michael*0.3"
    sounds = [spoken(full, "Hm.", voice=voice) for voice in ("af_heart", "am_michael", blend)]
    first, second, mixed = (sound[0].audio.samples for sound in sounds)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, mixed)


def test_a_long_text_is_said_whole_in_parts(hum: Path) -> None:
    text = "Nobody knows, said the old man, what the sea has taken. " * 30
    chunks = spoken(hum, text)
    assert len(chunks) > 2
    assert [word.text for chunk in chunks for word in chunk.words] == text.split()
    whole = join([chunk.audio for chunk in chunks])
    start = 0.0
    for chunk in chunks:
        assert start <= chunk.words[0].start < chunk.words[-1].end < start + chunk.audio.seconds
        start += chunk.audio.seconds
    assert chunks[-1].words[-1].end == pytest.approx(whole.seconds, abs=0.2)


def test_a_comma_is_a_pause_between_words(hum: Path) -> None:
    (speech,) = spoken(hum, "Yes, no")
    yes, no = speech.words
    assert no.start - yes.end == pytest.approx(2 * 2 / 40)  # the comma and the space


@pytest.mark.parametrize("text", ["", "  \n", "...", "🙂", "- — !"])
def test_nothing_to_say_is_silence_not_an_error(hum: Path, text: str) -> None:
    assert spoken(hum, text) == []


def test_whoever_stops_listening_can_ask_for_something_else_at_once(hum: Path) -> None:
    async def interrupt() -> list[Speech]:
        async with aclosing(engine.synthesize("One of very many words. " * 500)) as chunks:
            await anext(chunks)
        async with aclosing(engine.synthesize("Yes?")) as chunks:
            return [chunk async for chunk in chunks]

    with closing(Kokoro(str(hum))) as engine:
        (answer,) = asyncio.run(interrupt())
    assert [word.text for word in answer.words] == ["Yes?"]


def test_an_export_without_durations_speaks_without_word_times(tmp_path: Path) -> None:
    folder = miniature.build_hum(tmp_path / "old", durations=False, ids="tokens")
    (speech,) = spoken(folder, "Hello there.")
    assert speech.audio.seconds > 0
    assert speech.words == ()


def test_durations_inside_the_graph_give_word_times(hum: Path, tmp_path: Path) -> None:
    folder = miniature.build_hum(tmp_path / "inside", durations=False, inside=True, ids="tokens")
    (usual,), (fast,) = spoken(folder, TEXT), spoken(folder, TEXT, speed=2.0)
    assert usual.words == spoken(hum, TEXT)[0].words
    for quick, slow in zip(fast.words, usual.words, strict=True):
        assert quick.end + LATE == pytest.approx((slow.end + LATE) / 2)


def test_the_files_of_kokoro_onnx_are_taken_as_they_are(hum: Path, tmp_path: Path) -> None:
    (model,) = (tmp_path / name for name in ["kokoro-v1.0.int8.onnx"])
    shutil.copy(hum / "model.onnx", model)
    names = kokoro_voices.present(hum)
    with (tmp_path / "voices-v1.0.bin").open("wb") as pack:
        np.savez(pack, **{n: kokoro_voices.load(hum, n).reshape(510, 1, 256) for n in names})
    assert kokoro_voices.present(tmp_path) == names
    blend = "af_heart*0.7+am_michael*0.3"
    assert np.array_equal(kokoro_voices.load(tmp_path, blend), kokoro_voices.load(hum, blend))
    for given in (model, tmp_path):
        (speech,) = spoken(given, "Hello there.")
        assert [word.text for word in speech.words] == ["Hello", "there."]


def test_of_several_exports_the_one_in_full_precision_is_taken(tmp_path: Path) -> None:
    for name in ("kokoro-v1.0.fp16.onnx", "kokoro-v1.0.int8.onnx", "kokoro-v1.0.onnx"):
        (tmp_path / name).touch()
    assert exports(tmp_path)[0].name == "kokoro-v1.0.onnx"


@pytest.mark.parametrize("cut", [0, 100, 300_000])
def test_a_pack_of_voices_that_is_cut_is_named_on_one_line(
    hum: Path, tmp_path: Path, cut: int
) -> None:
    shutil.copy(hum / "model.onnx", tmp_path)
    with (tmp_path / "voices-v1.0.bin").open("w+b") as pack:
        np.savez(pack, af_heart=kokoro_voices.load(hum, "af_heart"))
        pack.truncate(cut)
    with pytest.raises(ConfigError, match=r"voices-v1\.0\.bin") as told:
        Kokoro(str(tmp_path))
    assert "\n" not in str(told.value)


def test_a_network_of_another_kind_is_named_on_one_line(hum: Path, tmp_path: Path) -> None:
    folder = copied(hum, tmp_path)
    from hibari import tts

    shutil.copy(Path(tts.ASSETS) / "hibari.onnx", folder / "model.onnx")
    with pytest.raises(ConfigError, match=r"model\.onnx takes ids, speed; a Kokoro network"):
        Kokoro(str(folder))
    (folder / "model.onnx").write_bytes((hum / "model.onnx").read_bytes()[:-100])
    with pytest.raises(ConfigError, match=r"cannot read .*model\.onnx") as told:
        Kokoro(str(folder))
    assert "\n" not in str(told.value)


def test_a_published_export_is_found_where_it_keeps_its_files(tmp_path: Path) -> None:
    folder = miniature.build_hum(tmp_path / "published", durations=False)
    (folder / "onnx").mkdir()
    (folder / "model.onnx").rename(folder / "onnx" / "model.onnx")
    alphabet = {"model": {"vocab": {"$": 0, **VOCABULARY}}}
    (folder / "tokenizer.json").write_text(json.dumps(alphabet), "utf-8")
    (folder / "config.json").unlink()
    assert spoken(folder, "Hello there.")[0].audio.seconds > 0.5


def test_an_export_that_knows_no_other_speed_says_so(tmp_path: Path) -> None:
    folder = miniature.build_hum(tmp_path / "whole", whole_speeds=True)
    assert spoken(folder, "Hello.")
    with pytest.raises(ConfigError, match=r"knows no speed 1\.2"):
        Kokoro(str(folder), speed=1.2)


def test_the_onnx_path_imports_nothing_heavy(hum: Path) -> None:
    code = f"""
import asyncio, sys
from voicebot.engines.kokoro.engine import Kokoro
from voicebot.engines.kokoro.networks import exports
from voicebot.engines.call_options import OptionError
assert not {{"onnxruntime", "hibari"}} & sys.modules.keys()
async def speak():
    return [chunk async for chunk in engine.synthesize("Voicebot costs $3.50.")]
engine = Kokoro({str(hum)!r})
assert asyncio.run(speak())
engine.close()
print(*sys.modules.keys() & {{"torch", "spacy", "phonemizer", "transformers", "kokoro", "misaki"}})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_a_blend_is_the_weighted_mean_of_its_voices(hum: Path) -> None:
    heart, michael = (kokoro_voices.load(hum, name) for name in ("af_heart", "am_michael"))
    assert np.allclose(kokoro_voices.load(hum, "af_heart,am_michael"), (heart + michael) / 2)
    blend = kokoro_voices.load(hum, "af_heart*0.7 + am_michael*.3")
    assert np.allclose(blend, heart * 0.7 + michael * 0.3, atol=1e-6)


def test_published_voices_are_the_same_as_tensor_and_as_numbers(tmp_path: Path) -> None:
    if not VOICES.exists():
        pytest.skip("no published voices here")
    (tmp_path / "voices").mkdir()
    names = kokoro_voices.present(VOICES)
    for name in names:
        (tmp_path / "voices" / f"{name}.pt").symlink_to(VOICES / "voices" / f"{name}.pt")
        tensor, numbers = (kokoro_voices.load(folder, name) for folder in (tmp_path, VOICES))
        assert np.array_equal(tensor, numbers)
    assert len(names) >= 7


@pytest.mark.parametrize(
    ("name", "content"),
    [("af_bad.bin", b"short"), ("af_bad.pt", b"not a zip"), ("af_bad.bin", b"\xff" * 522_240)],
)
def test_a_voice_that_is_not_one_is_refused(
    hum: Path, tmp_path: Path, name: str, content: bytes
) -> None:
    folder = copied(hum, tmp_path)
    (folder / "voices" / name).write_bytes(content)
    with pytest.raises(ConfigError, match="af_bad"):
        Kokoro(str(folder), voice="af_bad")


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"voice": "af_hart"}, r"no voice 'af_hart'; there is af_heart, am_michael"),
        ({"voice": "../secret"}, "cannot read voice '../secret'; write af_heart"),
        ({"voice": "af_heart*0"}, "add up to nothing"),
        ({"voice": "jf_alpha"}, "cannot read Japanese"),
        ({"language": "tlh"}, "no language 'tlh'; set language to en-us"),
        ({"backend": "tpu"}, "no backend 'tpu'; there is auto, onnx, torch"),
        ({"speed": 9.0}, "speed 0.5 to 2, not 9.0"),
    ],
)
def test_a_setting_it_does_not_know_is_told_with_the_choices(
    hum: Path, settings: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Kokoro(str(hum), **settings)


@pytest.mark.parametrize(
    ("gone", "complaint"),
    [
        ("model.onnx", "no .onnx or .pth"),
        ("voices", "no voices"),
    ],
)
def test_a_missing_file_is_named_with_the_way_to_get_it(
    hum: Path, tmp_path: Path, gone: str, complaint: str
) -> None:
    folder = copied(hum, tmp_path)
    (folder / gone).rename(tmp_path / "elsewhere")
    with pytest.raises(MissingDependency, match=f"{complaint}.*voicebot models pull kokoro"):
        Kokoro(str(folder))


@needs_torch
@pytest.mark.parametrize(
    ("name", "content", "backend"),
    [
        ("model.onnx", "not a model", "onnx"),
        ("model.pth", "not a checkpoint", "torch"),
        ("model.pth", "what auto takes where there is no export", "auto"),
        ("config.json", "{", "onnx"),
        ("config.json", '{"vocab": {}}', "onnx"),
    ],
)
def test_a_file_that_is_something_else_is_named_on_one_line(
    hum: Path, tmp_path: Path, name: str, content: str, backend: str
) -> None:
    folder = copied(hum, tmp_path)
    if backend == "auto":
        (folder / "model.onnx").unlink()
    (folder / "config.json").write_text(json.dumps(miniature.TINY), "utf-8")
    (folder / name).write_text(content)
    with pytest.raises(ConfigError, match=name) as told:
        Kokoro(str(folder), backend=backend)
    assert "\n" not in str(told.value)


@needs_torch
def test_weights_of_another_model_are_refused(hum: Path, tmp_path: Path) -> None:
    import torch

    folder = copied(hum, tmp_path)
    (folder / "config.json").write_text(json.dumps(miniature.TINY), "utf-8")
    torch.save({"decoder": {"module.other": torch.zeros(1)}}, folder / "model.pth")
    with pytest.raises(ConfigError, match=r"model\.pth has no weights for Kokoro's bert"):
        Kokoro(str(folder), backend="torch")
    with pytest.raises(ConfigError, match=r"model\.pth"):
        export(folder, tmp_path / "out" / "model.onnx")
    assert not (tmp_path / "out").exists()


def test_a_network_that_fails_ends_the_turn_and_not_the_engine(tmp_path: Path) -> None:
    folder = miniature.build_hum(tmp_path / "kokoro", style=3)
    with closing(Kokoro(str(folder))) as engine:
        for _ in range(2):

            async def speak() -> None:
                async with aclosing(engine.synthesize("Hello.")) as chunks:
                    await anext(chunks)

            with pytest.raises(EngineError, match=r"tts: kokoro: .*invalid dim") as told:
                asyncio.run(speak())
            assert "\n" not in str(told.value)


def test_one_text_may_be_spoken_in_another_voice_and_faster(hum: Path) -> None:
    def said(**options: Any) -> list[Speech]:
        async def listen() -> list[Speech]:
            async with aclosing(engine.synthesize("21", **options)) as chunks:
                return [chunk async for chunk in chunks]

        return asyncio.run(listen())

    with closing(Kokoro(str(hum))) as engine:
        assert "ef_dora" in engine.voices
        (usual,), (spanish,), (fast,) = said(), said(voice="ef_dora"), said(speed=2.0)
        # Each phoneme takes as long, and there are fewer in "veintiuno" than in "twenty-one".
        assert spanish.audio.seconds < usual.audio.seconds
        assert fast.audio.seconds == usual.audio.seconds / 2
        for option, value, says in (
            ("voice", "af_none", "kokoro has no voice 'af_none'; there is af_"),
            ("speed", 9.0, "speed 0.5 to 2, not 9.0"),
        ):
            with pytest.raises(OptionError, match=says) as caught:
                said(**{option: value})
            assert caught.value.option == option
        assert said()[0].audio.seconds == usual.audio.seconds
