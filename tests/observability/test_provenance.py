"""What is known of the engines that hear, answer and speak."""

import hashlib
import json
import os
import threading

import pytest

from voicebot import __version__
from voicebot.assistant.assembly import EngineSpec
from voicebot.observability.provenance import Provenance, fingerprint, revision


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def hashed(identity, kind):
    """The record, once the model of this kind has been hashed."""
    while (record := identity.as_json())["engines"][kind]["sha256"] is None:
        threading.Event().wait(0.01)
    return record


@pytest.fixture
def gguf(tmp_path):
    (tmp_path / "wit").mkdir()
    (tmp_path / "wit" / "wit.gguf").write_text("weights")
    return tmp_path / "wit" / "wit.gguf"


def pulled(gguf, size=7):
    """Write down that it was pulled."""
    file = {"path": "wit.gguf", "size": size, "sha256": "f" * 64}
    lock = {"wit": {"commit": "5d2f0c1aaaaaaaaa", "files": [file]}}
    (gguf.parent.parent / "lock.json").write_text(json.dumps(lock))


def test_an_engine_is_known_by_its_library_model_and_commit(gguf):
    pulled(gguf)
    which = revision(EngineSpec("llm", "llama", {"model": str(gguf)}))
    assert (which.model, which.commit) == ("wit", "5d2f0c1aaaaaaaaa")
    assert str(which) == f"llama/{which.version} wit@5d2f0c1"
    assert str(revision(EngineSpec("llm", "extractive", {}))) == f"extractive/{__version__}"
    own = EngineSpec("tts", "room:Synthesizer", {"model": "m"})
    assert str(revision(own)) == "room:Synthesizer m"


def test_more_voices_are_known_by_their_name_and_not_by_their_place(tmp_path):
    which = revision(EngineSpec("tts", "hibari", {"model": str(tmp_path / "voices")}))
    assert (which.name, which.files) == ("voices", tmp_path / "voices")
    assert str(tmp_path) not in str(which)


def test_what_was_pulled_is_known_without_reading_it(gguf):
    pulled(gguf)
    record = Provenance([EngineSpec("llm", "llama", {"model": str(gguf)})]).as_json()
    assert record["engines"]["llm"]["sha256"] == "f" * 64


def test_what_was_changed_since_is_hashed_anew(gguf):
    pulled(gguf, size=8)
    identity = Provenance([EngineSpec("llm", "llama", {"model": str(gguf)})])
    assert hashed(identity, "llm")["engines"]["llm"]["sha256"] == digest("weights")


def test_a_folder_is_hashed_as_sha256sum_lists_it(tmp_path):
    folder = tmp_path / "ears"
    (folder / "in").mkdir(parents=True)
    (folder / "model.bin").write_text("weights")
    (folder / "in" / "a.json").write_text("{}")
    listed = f"{digest('{}')}  in/a.json\n{digest('weights')}  model.bin\n"
    assert fingerprint(folder) == digest(listed)


def test_a_pulled_folder_has_the_hash_of_what_was_pulled(tmp_path):
    folder = tmp_path / "ears"
    folder.mkdir()
    (folder / "model.bin").write_text("weights")
    (folder / "made-here.onnx").write_text("more")
    file = {"path": "model.bin", "size": 7, "sha256": digest("weights")}
    (tmp_path / "lock.json").write_text(json.dumps({"ears": {"commit": "c0", "files": [file]}}))
    which = revision(EngineSpec("stt", "whisper", {"model": str(folder)}))
    assert which.sha256 == digest(f"{digest('weights')}  model.bin\n")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a file that keeps its reader waiting")
def test_hashing_delays_nothing(tmp_path):
    slow = tmp_path / "slow.gguf"
    os.mkfifo(slow)
    identity = Provenance([EngineSpec("llm", "llama", {"model": str(slow)})])
    assert identity.as_json()["engines"]["llm"]["sha256"] is None
    slow.write_text("weights")  # the reader takes it, and is done
    hashed(identity, "llm")


def test_what_cannot_be_hashed_is_logged_and_stays_unknown(tmp_path, caplog):
    Provenance([EngineSpec("llm", "llama", {"model": str(tmp_path / "gone.gguf")})])
    for thread in threading.enumerate():
        if thread.name == "hash":
            thread.join(10)
    assert "gone.gguf cannot be hashed: No such file or directory" in caplog.text


def test_settings_that_change_an_answer_are_told_with_their_defaults():
    chosen = [
        EngineSpec("llm", "llama", {}),
        EngineSpec("tts", "espeak", {"voice": "de", "speed": 1.5}),
    ]
    record = Provenance(chosen, rate=22050).as_json()
    assert record["engines"]["llm"]["temperature"] == 0.7
    assert record["engines"]["tts"]["speed"] == 1.5
    assert (record["voice"], record["rate"]) == ("de", 22050)
    assert Provenance(chosen).as_json(voice="en")["voice"] == "en"


def test_the_same_settings_have_the_same_hash_on_every_machine(gguf, tmp_path):
    there = tmp_path / "there" / "wit.gguf"
    there.parent.mkdir()
    there.write_text("weights")

    def settings(model, *settings, **options):
        options["model"] = str(model)
        return Provenance([EngineSpec("llm", "llama", options)], *settings).as_json()["settings"]

    assert settings(gguf) == settings(there)
    assert settings(gguf) != settings(gguf, temperature=0.1)
    assert settings(gguf) != settings(gguf, {"silence_duration_ms": 300})
