"""Which engines talk, and a whole turn with the real library of each on a miniature."""

import asyncio
import json
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from miniatures import gguf, kokoro

from voicebot import engines
from voicebot.assistant.assembly import assemble, build, choose
from voicebot.audio import Audio
from voicebot.audio.recordings import decode
from voicebot.config import Config, DocumentSettings, EngineChoice, LogSettings
from voicebot.conversation.latency_budget import LatencySettings
from voicebot.engines.espeak.engine import Espeak
from voicebot.engines.fault_injection import FaultSettings
from voicebot.engines.hibari import Hibari
from voicebot.errors import ConfigError, EngineError, MissingDependency
from voicebot.weights import manifest as weights

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A models folder with a miniature where each of the small profile's weights belong."""
    whisper = pytest.importorskip("miniatures.whisper")
    folder = tmp_path_factory.mktemp("models")
    whisper.build(folder / "whisper-base", "what time is it in paris")
    (folder / "granite-1b").mkdir()
    entry = weights.manifest()["granite-1b"].entry
    gguf.build(folder / "granite-1b" / entry)
    kokoro.build_hum(folder / "kokoro-onnx")
    lock(folder, "whisper-base", "granite-1b", "kokoro-onnx")
    return folder


def lock(folder, *names):
    """Say that what is there is what was pulled; a file the miniature lacks holds nothing."""
    entries = {}
    for name in names:
        files = []
        for file in weights.manifest()[name].files:
            path = folder / name / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.write_text("{}")
            size = path.stat().st_size
            files.append({"path": file.path, "size": size, "sha256": weights.sha256(path)})
        entries[name] = {"commit": "0" * 40, "files": files}
    (folder / weights.LOCK).write_text(json.dumps(entries))


def named(chosen):
    return {c.kind: c.name for c in chosen}


def test_without_weights_the_engines_everybody_has_are_taken(tmp_path):
    pytest.importorskip("hibari")
    assert named(choose(Config(), tmp_path)) == {
        "vad": "silero", "stt": "pocketsphinx", "llm": "extractive", "tts": "hibari",
    }  # fmt: skip


def test_hibari_is_given_its_other_voices_where_they_were_pulled(tmp_path):
    pytest.importorskip("hibari")
    lock(tmp_path, "hibari", "hibari-voices")
    for asked in ("auto", "hibari"):
        (tts,) = choose(Config(tts=EngineChoice(asked)), tmp_path, ["tts"])
        assert tts.options == {"model": str(tmp_path / "hibari-voices")}
    (tts,) = choose(Config(tts=EngineChoice("hibari", {"seed": 3})), tmp_path / "none", ["tts"])
    assert tts.options == {"seed": 3}


def test_each_says_the_one_command_that_gets_a_better_one(tmp_path):
    pytest.importorskip("faster_whisper")
    said = {c.kind: str(c) for c in choose(Config(), tmp_path)}
    assert said["stt"] == "pocketsphinx listens; better: voicebot models pull whisper-base"
    assert said["vad"] == "silero detects speech"


def test_with_weights_the_best_engines_are_taken_and_have_nothing_better(models):
    chosen = choose(Config(), models)
    assert named(chosen) == {"vad": "silero", "stt": "whisper", "llm": "llama", "tts": "kokoro"}
    assert not any(c.better for c in chosen)
    assert "whisper (whisper-base) listens" in map(str, chosen)


def test_weights_that_are_not_whole_are_not_there(models, tmp_path):
    broken = tmp_path / "models"
    broken.mkdir()
    for path in models.iterdir():
        (broken / path.name).symlink_to(path)
    (broken / "whisper-base").unlink()
    assert named(choose(Config(), broken))["stt"] == "pocketsphinx"


def test_weights_whose_packages_are_absent_are_passed_over(models, tmp_path, monkeypatch):
    for path in models.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / weights.LOCK).unlink()
    shutil.copytree(models / "kokoro-onnx", tmp_path / "kokoro")  # the checkpoint, for torch
    lock(tmp_path, "whisper-base", "granite-1b", "kokoro-onnx", "kokoro")
    assert weights.find("kokoro", tmp_path) == tmp_path / "kokoro"
    monkeypatch.setattr(weights, "find_spec", lambda name: name != "torch" or None)
    (tts,) = [c for c in choose(Config(), tmp_path) if c.kind == "tts"]
    assert tts.options == {"model": str(tmp_path / "kokoro-onnx")}


def test_a_name_in_the_settings_is_looked_up_in_the_models_folder(models):
    config = Config(stt=EngineChoice("whisper", {"model": "whisper-base"}))
    (stt,) = [c for c in choose(config, models) if c.kind == "stt"]
    assert stt.options == {"model": str(models / "whisper-base")}


def test_a_model_that_answers_worse_than_quoting_talks_only_without_documents(tmp_path):
    (tmp_path / "smollm2-135m").mkdir()
    gguf.build(tmp_path / "smollm2-135m" / weights.manifest()["smollm2-135m"].entry)
    lock(tmp_path, "smollm2-135m")
    informed = Config(documents=DocumentSettings(folder=str(EXAMPLES / "house")))
    (llm,) = choose(informed, tmp_path, ["llm"])
    assert str(llm) == "extractive answers; better: voicebot models pull granite-1b"
    (llm,) = choose(Config(), tmp_path, ["llm"])
    assert llm.name == "llama"
    (llm,) = choose(replace(informed, llm=EngineChoice("llama")), tmp_path, ["llm"])
    assert "smollm2" in llm.options["model"]


def test_what_asks_for_a_setting_is_never_taken_by_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "find_spec", lambda name: None if name != "httpx" else name)
    for kind, command in (("stt", "install.*pull"), ("tts", "install")):
        with pytest.raises(
            MissingDependency, match=rf"{command}.*or set engine = \"openai\" with url"
        ) as no:
            choose(Config(), tmp_path, [kind])
        assert f"[{kind}]" in str(no.value)
    (llm,) = choose(Config(), tmp_path, ["llm"])
    assert llm.name == "extractive"


@pytest.mark.parametrize(
    ("choice", "error", "says"),
    [
        (
            EngineChoice("whisper"),
            MissingDependency,
            "whisper has no weights in .*; voicebot models pull",
        ),
        (
            EngineChoice("whisper", {"model": "whisper-small"}),
            MissingDependency,
            "whisper-small is not in",
        ),
        (EngineChoice("whisper", {"model": "whisperer"}), ConfigError, "no model 'whisperer'"),
        (
            EngineChoice("whisper", {"model": "./gone"}),
            MissingDependency,
            "there is no model at gone",
        ),
        (
            EngineChoice("wisper"),
            ConfigError,
            r"\[stt\] no engine 'wisper'; there is auto, whisper",
        ),
    ],
)
def test_what_cannot_be_had_is_told_with_the_way_out(tmp_path, choice, error, says):
    if choice.engine == "whisper":
        pytest.importorskip("faster_whisper")
    with pytest.raises(error, match=says):
        choose(Config(stt=choice), tmp_path)


def test_engines_are_closed_also_when_a_later_one_cannot_be_built(tmp_path, monkeypatch):
    (tmp_path / "ears.py").write_text(
        "closed = []\nclass Ears:\n    def close(self): closed.append(1)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = Config(stt=EngineChoice("ears:Ears"), tts=EngineChoice("espeak", {"voice": "klingon"}))
    with pytest.raises(ConfigError, match="klingon"), assemble(config, tmp_path):
        pass
    import ears

    assert ears.closed == [1]


def test_each_conversation_has_a_voice_detector_of_its_own(tmp_path):
    config = Config(documents=DocumentSettings(folder=str(EXAMPLES / "house")))
    with assemble(config, tmp_path) as parts:
        first, second = parts.vad(), parts.vad()
        speech = next(iter(decode(str(EXAMPLES / "question.wav"), 16000))).samples
        loud = np.resize(speech, 512).astype(np.float32)
        quiet = Audio(np.zeros(512, np.float32), 16000).samples

        async def told():
            before = await second.probability(quiet)
            for _ in range(10):
                await first.probability(loud)
            return before, await replace(parts).vad().probability(quiet)

        before, after = asyncio.run(told())
        assert before == after


def test_a_whole_turn_runs_through_the_real_libraries(models, tmp_path):
    reply = 'root ::= "It is ten past four. Paris sends its love."'
    (tmp_path / "voicebot.toml").write_text(
        f"[stt]\nengine = 'whisper'\n[llm]\nengine = 'llama'\ngrammar = '{reply}'\n"
        "[tts]\nengine = 'kokoro'\n[latency]\ndegradations = ''\n"  # however late it is
    )
    command = [sys.executable, "-m", "voicebot", "--models", str(models), "ask"]
    command += [str(EXAMPLES / "question.wav"), "-o", "a.wav", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=55, check=False)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [e["text"] for e in events if e["event"] == "transcript"] == ["what time is it in paris"]
    assert [e["text"] for e in events if e["event"] == "clause_spoken"] == [
        "It is ten past four.",
        "Paris sends its love.",
    ]
    assert sum(part.seconds for part in decode(str(tmp_path / "a.wav"), 24000)) > 1
    for name in ("whisper (whisper-base) listens", "kokoro (kokoro-onnx) speaks"):
        assert name.encode() in done.stderr


def test_chaos_comes_between_the_engine_and_its_users(tmp_path):
    config = Config(faults=FaultSettings(tts="raise"))
    with (
        assemble(config, tmp_path) as parts,
        pytest.raises(EngineError, match="tts: fault injection"),
    ):
        asyncio.run(anext(parts.tts.synthesize("Hello.")))


@pytest.fixture
def loaded(tmp_path):
    """What everybody has, loaded."""
    with assemble(Config(), tmp_path) as parts:
        yield parts


def test_whatever_changes_an_answer_changes_the_hash_of_the_settings(loaded, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        (folder / "stove.md").write_text("# Stove\n\nBurn dry wood.")

    def hashed(folder=here, passages=4, **sections):
        documents = DocumentSettings(str(folder), passages)
        parts = build(Config(documents=documents, **sections), tmp_path, loaded)
        parts.close(but=[loaded])
        return parts.identity.as_json()["settings"]

    usual = hashed()
    assert hashed() == hashed(there) == usual
    assert hashed(log=LogSettings(transcripts=True)) == usual
    others = [
        hashed(folder=""),
        hashed(passages=2),
        hashed(faults=FaultSettings(llm="garbage")),
        hashed(faults=FaultSettings(llm="garbage", seed=2)),
        hashed(latency=LatencySettings(filler="Well.")),
        hashed(tts=EngineChoice("espeak", {"voice": "de"})),
    ]
    (here / "stove.md").write_text("# Stove\n\nBurn dry birch.")
    others.append(hashed())
    (here / "stove.md").rename(here / "oven.md")
    others.append(hashed())
    assert len({usual, *others}) == 1 + len(others)


def test_a_voice_in_reserve_stands_behind_one_that_may_be_slow(models):
    with assemble(Config(), models) as parts:
        assert isinstance(parts.fallbacks.second_voice.engine, Hibari)  # behind Kokoro
        assert parts.conversation(None, print).fallbacks is parts.fallbacks


@pytest.mark.parametrize(
    ("engine", "voice"), [("hibari", "heart"), ("kokoro", "ff_siwis"), ("kokoro", "ef_dora")]
)
def test_the_voice_in_reserve_speaks_the_same_language(engine, voice, models):
    config = Config(tts=EngineChoice(engine, {"voice": voice}))
    with assemble(config, models) as parts:
        assert isinstance(parts.fallbacks.second_voice.engine, Espeak)
        assert parts.fallbacks.second_voice.language_of(None) == parts.tts.language_of(None)


@pytest.mark.parametrize(
    "config",
    [
        Config(tts=EngineChoice("espeak")),
        Config(latency=LatencySettings(degradations="filler apology")),
    ],
    ids=["it is the usual one", "nobody wants it"],
)
def test_no_voice_is_in_reserve_where_it_is_of_no_use(config, models):
    with assemble(config, models) as parts:
        assert parts.fallbacks.second_voice is None


def test_the_voice_in_reserve_stays_when_other_engines_are_exchanged(models):
    with ExitStack() as closing:
        before = build(Config(), models)
        after = build(replace(Config(), stt=EngineChoice("pocketsphinx")), models, before)
        closing.callback(after.close)
        before.close(but=[after])
        assert after.fallbacks.second_voice is before.fallbacks.second_voice
        assert (
            asyncio.run(anext(after.fallbacks.second_voice.synthesize("Hello."))).audio.seconds > 0
        )


def test_only_what_has_changed_is_built_anew_and_closed_alone(models, tmp_path):
    for path in models.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / weights.LOCK).unlink()
    lock(tmp_path, "whisper-base")
    usual = Config(tts=EngineChoice("espeak", {"voice": "en-gb"}))
    first = build(usual, tmp_path)
    again = build(usual, tmp_path, first)
    assert again.new(first) == []
    assert (again.stt, again.llm, again.tts) == (first.stt, first.llm, first.tts)

    (tmp_path / weights.LOCK).write_text(
        (tmp_path / weights.LOCK).read_text().replace("0" * 40, "1" * 40)
    )
    other = Config(tts=EngineChoice("espeak", {"voice": "en-us"}))
    second = build(other, tmp_path, again)
    assert second.new(again) == ["stt", "tts"]
    assert second.llm is first.llm
    first.close(but=[second])
    said = asyncio.run(anext(second.tts.synthesize("Hello.")))
    assert said.audio.seconds > 0
    second.close()
