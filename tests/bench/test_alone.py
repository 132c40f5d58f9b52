"""Every kind of engine measured once, small and real: what is told, not how fast it was."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from voicebot.audio import Audio
from voicebot.bench import alone, knowledge, llm, tts
from voicebot.bench.job import Job, Sound
from voicebot.config import Config, DocumentSettings
from voicebot.engines import Speech
from voicebot.errors import ConfigError, EngineError

pytest.importorskip("onnxruntime")
pytest.importorskip("faster_whisper")
from miniatures import gguf, kokoro, whisper

NOISE = np.random.default_rng(0).standard_normal(16000).astype(np.float32) * 0.1
SOUNDS = (Sound("one", Audio(NOISE, 16000)), Sound("other", Audio(NOISE[:8000], 16000)))


def told(job, capsys):
    """Seconds of loading, and the readings by row."""
    asyncio.run(alone.work(job))
    loaded, found = map(json.loads, capsys.readouterr().out.splitlines())
    rows = {}
    for what, unit, of, value in found:
        assert value >= 0
        rows.setdefault((what, unit), []).append(of)
    return loaded, rows


def test_a_voice_detector_judges_window_after_window(capsys):
    loaded, rows = told(Job("vad", "silero", {}, SOUNDS, times=2, sessions=2), capsys)
    assert loaded > 0
    # 31 windows in a second and 15 in half of one, twice.
    assert sorted(rows["window of 32 ms", "ms"]) == ["one"] * 62 + ["other"] * 30
    assert ("sound judged in a second, all sessions", "s") in rows


def test_a_transcriber_writes_down_recordings(tmp_path, capsys):
    model = whisper.build(tmp_path / "whisper", "Hello.", size="nano")
    _, rows = told(Job("stt", "whisper", {"model": str(model)}, SOUNDS, times=2), capsys)
    assert rows["transcript of up to 2 s of sound", "ms"] == ["one", "other"]
    assert rows["real-time factor", "x"] == ["one", "other"]
    if Path("/proc/self/status").exists():
        assert rows["memory, at most", "MB"] == [""]


def test_a_synthesizer_speaks_texts_of_several_lengths(tmp_path, capsys):
    pytest.importorskip("espeakng_loader")
    model = kokoro.build_hum(tmp_path / "kokoro")
    texts = tts.TEXTS[::-1]
    _, rows = told(Job("tts", "kokoro", {"model": str(model)}, texts, times=4), capsys)
    lengths = [f"{len(text)} characters" for text in texts]
    for length in lengths:
        assert rows[f"first sound of {length}", "ms"] == [length]
        assert rows[f"all sound of {length}", "ms"] == [length]
    assert rows["real-time factor", "x"] == lengths
    names = [what for what, _ in rows]
    assert names.index("first sound of 80 characters") < names.index(
        "first sound of 166 characters"
    )


def test_a_chat_model_reads_prompts_that_it_knows_and_that_it_does_not(tmp_path, capsys):
    pytest.importorskip("llama_cpp")
    model = gguf.build(tmp_path / "tiny.gguf")
    options = {"model": str(model), "grammar": 'root ::= "a" root | "a"'}
    _, rows = told(Job("llm", "llama", options, llm.WORDS[:2], times=2), capsys)
    for words in ("20 words", "80 words"):
        assert rows[f"first token, {words} unread", "ms"] == [words]
        assert rows[f"first token, {words} read before", "ms"] == [words]
        assert rows[f"tokens in such a prompt, {words}", ""] == [words]


def test_the_first_output_and_the_inputs_after_it_do_not_count(capsys):
    texts = tuple("abcdef")
    _, rows = told(Job("tts", f"{__name__}:Hoarse", {}, texts, times=6), capsys)
    # It begins with "a", warms up with "a" to "d", and each text has its turn after that.
    assert len(rows["real-time factor", "x"]) == 6
    assert Hoarse.spoken == ["a", *"abcd", *texts]


class Hoarse:
    spoken: ClassVar = []

    async def synthesize(self, text):
        self.spoken.append(text)
        yield Speech(SOUNDS[0].audio)


def test_an_engine_that_fails_in_between_says_so(capsys):
    job = Job("tts", f"{__name__}:Broken", {}, ("well", "broken"), times=2)
    asyncio.run(alone.work(job))
    assert json.loads(capsys.readouterr().out.splitlines()[1]) == {"error": "tts: it broke"}


class Broken:
    async def synthesize(self, text):
        if text == "broken":
            raise EngineError("tts", "it broke")
        yield Speech(SOUNDS[0].audio)


@pytest.fixture
def question_set(tmp_path):
    corpus = [
        {"_id": "a/1", "title": "Kettle", "text": "The kettle boils in four minutes."},
        {"_id": "b", "title": "Garden_gate", "text": "The gate is locked at nine."},
    ]
    queries = [
        {"_id": "1", "text": "When is the gate locked?"},
        {"_id": "2", "text": "How long does the kettle take to boil?"},
        {"_id": "3", "text": "Who?"},
    ]
    for name, items in (("corpus", corpus), ("queries", queries)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, items)))
    (tmp_path / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n1\tb\t1\n2\ta/1\t1\n3\tb\t0\n")
    return tmp_path


def test_a_question_set_is_documents_and_judged_questions(question_set, capsys):
    with knowledge.beir(question_set) as asked:
        assert len(list(Path(asked.folder).iterdir())) == 2
        assert [query.id for query in asked.queries] == ["1", "2"]
        _, rows = told(knowledge.job(asked, times=2), capsys)
    assert rows["search", "ms"] == ["1", "2"]
    assert rows["right document first", "%"] == ["1", "2"]
    assert not Path(asked.folder).exists()


def test_recall_counts_documents_not_passages():
    passages = ["2.md#a", "2.md#a-2", "5.md#", "7.md#x"]
    assert knowledge.rank(passages, frozenset({"2"})) == 1
    assert knowledge.rank(passages, frozenset({"7", "5"})) == 2
    assert knowledge.rank(passages, frozenset({"1"})) == 0


def test_without_a_question_set_the_documents_are_asked_their_own_sentences(tmp_path, capsys):
    (tmp_path / "house.md").write_text("The kettle boils. The gate is locked.")
    asked = knowledge.own(Config(documents=DocumentSettings(str(tmp_path))))
    assert [query.text for query in asked.queries] == ["The kettle boils.", "The gate is locked."]
    _, rows = told(knowledge.job(asked, times=2), capsys)
    assert ("right document first", "%") not in rows


def test_without_documents_there_is_nothing_to_search(tmp_path):
    with pytest.raises(ConfigError, match="name a set with --questions"):
        knowledge.own(Config())
    with pytest.raises(ConfigError, match="nothing to search"):
        knowledge.own(Config(documents=DocumentSettings(str(tmp_path))))


def test_a_folder_that_is_no_question_set_is_refused(question_set):
    (question_set / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n1\tnowhere\t1\n")
    with pytest.raises(ConfigError, match="not in BEIR's layout"), knowledge.beir(question_set):
        pass


def bench(*arguments):
    command = [sys.executable, "-m", "voicebot", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=55)


def test_a_run_names_starts_machine_and_what_does_not_count(question_set, tmp_path):
    file = tmp_path / "figures.json"
    command = ("bench", "knowledge", "--questions", str(question_set), "--times", "5")
    done = bench(*command, "--json", str(file))
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == ["the index, 1 at once"]
    assert "right document first" in done.stdout
    result = json.loads(file.read_text())
    assert result["bench"] == "knowledge"
    assert result["machine"]
    assert result["settings"]["left_out"].startswith("not counted")
    (run,) = result["runs"]
    assert (run["threads"], run["sessions"]) == (None, 1)
    rows = {row["what"]: row for row in run["rows"]}
    assert rows["process start to first passages"]["count"] == 5
    assert rows["search"]["p50"] <= rows["search"]["p95"]
    again = bench(*command, "--compare", str(file))
    assert f"against {file}, 1 at once, search: " in again.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--models", "none", "bench", "tts", "--engines", "random"), 4, "bench-weights random"),
        (("bench", "tts", "--engines", "simulated"), 2, "invalid choice: 'simulated'"),
        (("bench", "vad", "--audio", "nowhere"), 2, "--audio nowhere: no such folder"),
        (("bench", "knowledge", "--questions", "nowhere"), 2, "--questions nowhere: "),
    ],
)
def test_a_mistake_is_one_line(arguments, code, says):
    done = bench(*arguments)
    assert done.returncode == code
    assert says in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
