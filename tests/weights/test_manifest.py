"""Where weights are looked for, and what is said of them. Nothing here reaches a network."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from voicebot.errors import ConfigError, MissingDependency
from voicebot.weights import manifest as weights
from voicebot.weights.manifest import File, Model, Repository, Wheels

PERMISSIVE = {"MIT", "Apache-2.0"}
REAL_VOICES = Path(__file__).resolve().parents[2] / "../shared/models/kokoro"


@pytest.fixture
def manifest(tmp_path, monkeypatch):
    """A manifest of two chat models and a recogniser, with miniature files."""
    file = tmp_path / "manifest.toml"
    file.write_text(
        """
        [profiles]
        small = ["ears", "wit"]
        [models.genius]
        engine = "llama"
        sources = [{ repository = "somebody/genius", revision = "main" }]
        licence = "MIT"
        languages = ["en"]
        entry = "genius.gguf"
        files = [{ path = "genius.gguf", size = 4 }]
        [models.wit]
        engine = "llama"
        sources = [{ repository = "somebody/wit", revision = "main" }]
        licence = "MIT"
        languages = ["en"]
        entry = "wit.gguf"
        files = [{ path = "wit.gguf", size = 3 }]
        [models.ears]
        engine = "whisper"
        sources = [{ repository = "somebody/ears", revision = "main" }]
        licence = "MIT"
        languages = ["mul"]
        files = [{ path = "model.bin" }, { path = "config.json", size = 2 }]
        """
    )
    monkeypatch.setattr(weights, "MANIFEST", file)
    return file


def put(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_every_model_is_pinned_and_may_be_used_freely():
    for model in weights.manifest().values():
        assert model.pinned, model.name
        for source in model.sources:
            if isinstance(source, Repository):
                assert source.revision == "main" or re.fullmatch("[0-9a-f]{40}", source.revision)
        assert model.licence in PERMISSIVE, model.name
        assert model.languages, model.name
        assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) for file in model.files), model.name
        assert not model.entry or model.entry in [file.path for file in model.files]


def test_every_profile_gives_ears_wits_and_a_voice():
    models = weights.manifest()
    for names in weights.profiles().values():
        *_, ears = chosen = sorted(models[name].engine for name in names)
        assert (len(chosen), ears) == (3, "whisper")
        assert "llama" in chosen


def test_the_tiny_profile_needs_a_package_index_alone():
    for model in weights.chosen(["tiny"]):
        packed = {
            path for each in model.sources if isinstance(each, Wheels) for path in each.members
        }
        assert packed == {file.path for file in model.files}


@pytest.mark.skipif(not REAL_VOICES.is_dir(), reason="needs the real voices")
def test_the_real_voices_have_the_hashes_of_the_manifest():
    models = weights.manifest()
    published = {f.path: f for name in ("kokoro", "kokoro-onnx") for f in models[name].files}
    voices = [path for path in REAL_VOICES.rglob("*.*") if path.is_file()]
    for path in voices:
        file = published[path.relative_to(REAL_VOICES).as_posix()]
        assert (path.stat().st_size, weights.sha256(path)) == (file.size, file.sha256)
    assert voices


@pytest.mark.parametrize(
    ("given", "variable", "expected"),
    [("~/mine", "/theirs", "~/mine"), (None, "/theirs", "/theirs"), (None, None, "")],
)
def test_the_models_folder_is_the_given_one_then_the_variable_then_the_users_data(
    given, variable, expected, monkeypatch, tmp_path
):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("VOICEBOT_MODELS", raising=False)
    if variable:
        monkeypatch.setenv("VOICEBOT_MODELS", variable)
    default = tmp_path / "voicebot" / "models"
    assert weights.folder(given) == (Path(expected).expanduser() if expected else default)


def test_an_engine_that_opens_a_file_gets_the_file_and_another_the_folder(manifest, tmp_path):
    put(tmp_path, {"wit/wit.gguf": "wit", "ears/model.bin": "any length", "ears/config.json": "{}"})
    assert weights.resolve("wit", tmp_path) == tmp_path / "wit" / "wit.gguf"
    assert weights.resolve("ears", tmp_path) == tmp_path / "ears"


def test_a_model_that_was_not_pulled_comes_with_the_command_that_does(manifest, tmp_path):
    with pytest.raises(MissingDependency, match=r"voicebot models pull wit$"):
        weights.resolve("wit", tmp_path)


def test_a_file_cut_short_or_missing_is_no_model(manifest, tmp_path):
    put(tmp_path, {"wit/wit.gguf": "wi", "ears/config.json": "{}"})
    with pytest.raises(MissingDependency):
        weights.resolve("wit", tmp_path)
    with pytest.raises(MissingDependency):
        weights.resolve("ears", tmp_path)


def test_any_path_is_a_model_of_the_users_own(manifest, tmp_path):
    put(tmp_path, {"mine.gguf": "GGUF"})
    assert weights.resolve(str(tmp_path / "mine.gguf"), tmp_path) == tmp_path / "mine.gguf"
    with pytest.raises(MissingDependency, match=r"no model at .*other\.gguf"):
        weights.resolve(tmp_path / "other.gguf", tmp_path)


def test_a_name_nobody_knows_is_answered_with_the_names_there_are(manifest, tmp_path):
    with pytest.raises(ConfigError, match="'wits'; there is genius, wit, ears"):
        weights.resolve("wits", tmp_path)
    with pytest.raises(ConfigError, match="'wits'; there is small, genius, wit, ears"):
        weights.chosen(["wits"])


def test_the_best_model_that_is_here_is_found_for_an_engine(manifest, tmp_path):
    assert weights.find("llama", tmp_path) is None
    put(tmp_path, {"wit/wit.gguf": "wit"})
    assert weights.find("llama", tmp_path) == tmp_path / "wit" / "wit.gguf"
    put(tmp_path, {"genius/genius.gguf": "idea"})
    assert weights.find("llama", tmp_path) == tmp_path / "genius" / "genius.gguf"


def test_a_profile_and_its_models_named_together_are_each_taken_once(manifest):
    assert [model.name for model in weights.chosen(["wit", "small"])] == ["wit", "ears"]


def test_verification_names_the_file_that_differs(tmp_path):
    good, bad = (hashlib.sha256(text).hexdigest() for text in (b"good", b"bad"))
    files = (File("a.bin", sha256=good), File("b.bin", sha256=good), File("c.bin"), File("d.bin"))
    model = Model("m", "whisper", "MIT", files, ())
    put(tmp_path, {"m/a.bin": "good", "m/b.bin": "bad", "m/c.bin": "whatever"})
    assert weights.faults(model, tmp_path) == [
        f"m: b.bin differs: expected sha256 {good}, got {bad}",
        "m: c.bin has no known sha256; it was not pulled here",
        "m: d.bin is missing",
    ]


def test_a_damaged_lock_file_is_named(manifest, tmp_path):
    put(tmp_path, {"lock.json": '{"wit": 3}'})
    with pytest.raises(ConfigError, match=r"lock\.json is damaged"):
        weights.find("llama", tmp_path)


def test_looking_for_weights_imports_nothing_that_could_reach_a_network():
    code = (
        "import sys, voicebot.commands.models, voicebot.weights.manifest as w;"
        "w.find('llama', w.folder());"
        "heavy = {'socket', 'ssl', 'http', 'urllib.request', 'httpx', 'huggingface_hub', 'numpy'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_a_model_for_trying_out_is_taken_only_by_an_engine_that_is_named(manifest, tmp_path):
    text = manifest.read_text().replace("[models.wit]", "[models.wit]\ntrial = true")
    manifest.write_text(text)
    put(tmp_path, {"wit/wit.gguf": "wit"})
    assert weights.find("llama", tmp_path) is None
    assert weights.find("llama", tmp_path, trial=True) == tmp_path / "wit" / "wit.gguf"
    put(tmp_path, {"genius/genius.gguf": "idea"})
    assert weights.find("llama", tmp_path, trial=True) == tmp_path / "genius" / "genius.gguf"
