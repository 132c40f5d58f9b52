"""`voicebot bench` as a user meets it: real processes, a real voice detector, real time."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

for package in ("onnxruntime", "uvicorn", "websockets", "httpx"):
    pytest.importorskip(package)

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FAST = ["--recognition-s", "0.05", "--first-token-s", "0.05", "--synthesis", "0.05"]
SHAPE = {"p50", "p90", "p95", "p99"}


@pytest.fixture
def audio(tmp_path):
    folder = tmp_path / "audio"
    folder.mkdir()
    shutil.copy(EXAMPLES / "question.wav", folder)
    return folder


def bench(*arguments):
    command = [sys.executable, "-m", "voicebot", "bench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=55)


def test_the_real_server_is_asked_from_outside(audio, tmp_path):
    file, picture = tmp_path / "figures.json", tmp_path / "picture.svg"
    done = bench(
        "server", "--only", "turns", "--turns", "2", "--audio", str(audio), *FAST,
        "--json", str(file), "--plot", str(picture),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "first audio, from the true end of speech" in done.stdout
    result = json.loads(file.read_text())
    for name in ("first_audio_ms", "end_of_turn_ms", "floor_ms", "ratio_to_floor"):
        assert set(result[name]) == SHAPE
    (run,) = result["runs"]
    assert (run["sessions"], run["turns"], run["unanswered"], run["deaf"]) == (1, 2, 0, 0)
    assert all(set(found) == SHAPE for found in run["stages_ms"].values())
    assert set(run["silence_ms"]) == SHAPE
    for turn in run["each"]:
        assert turn["question"] == "question"
        assert turn["floor_ms"] < turn["first_audio_ms"]
        assert sum(turn["stages_ms"].values()) == pytest.approx(turn["first_audio_ms"], abs=1)
    assert result["settings"]["costs"]["recognition_s"] == 0.05
    assert result["settings"]["turn_detection"]["silence_duration_ms"] == 480
    assert result["machine"]
    assert result["python"]
    assert picture.read_text().startswith("<svg")


def test_a_turn_in_this_process_is_compared_with_an_earlier_one(audio, tmp_path):
    earlier = tmp_path / "earlier.json"
    before = [{"question": "question", "first_audio_ms": 60_000}]
    earlier.write_text(json.dumps({"runs": [{"sessions": 1, "each": before}]}))
    done = bench(
        "turn", "--turns", "1", "--audio", str(audio), *FAST, "--json", "--compare", str(earlier)
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["bench"] == "turn"
    assert result["runs"][0]["each"][0]["first_audio_ms"] > 0
    (told,) = [line for line in done.stderr.splitlines() if line.startswith(f"against {earlier}")]
    assert told.endswith("faster")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("turn", "--audio", "nowhere"), "voicebot: --audio nowhere: no such folder"),
        (("turn", "--compare", "none.json"), "voicebot: --compare none.json: No such file"),
        (("turn", "--compare", __file__), "no result of voicebot bench --json"),
        (("turn", "--tokens-per-s", "0"), "voicebot: tokens_per_s should be above 0, not 0"),
        (("turn", "--sessions", "1,0"), "should be a number from 1 on, not '0'"),
        ((), "required: WHAT"),
    ],
)
def test_a_mistake_is_one_line(arguments, says):
    done = bench(*arguments)
    assert done.returncode == 2
    assert says in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
