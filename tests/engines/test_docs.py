"""The distribution of engines in docs/engines.md: it is typed, its tests pass, and it talks."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "engines.md").read_text("utf-8")
FILES = dict(re.findall(r"```(?:python|toml)\n# (\S+)\n(.*?)```", TEXT, re.DOTALL))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hum")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    project = tomllib.loads(FILES["pyproject.toml"])["project"]
    info = folder / "voicebot_hum-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    points = project["entry-points"]["voicebot.engines"].items()
    lines = "".join(f"{name} = {value}\n" for name, value in points)
    (info / "entry_points.txt").write_text(f"[voicebot.engines]\n{lines}")
    return folder


def run(place, *arguments):
    path = os.pathsep.join([str(place), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=place, env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


def test_the_files_are_there():
    assert list(FILES) == ["pyproject.toml", "hum.py", "test_hum.py"]


def test_it_is_typed(place):
    done = run(
        place, "mypy", "--strict", "--config-file", os.devnull,
        "--cache-dir", str(ROOT / ".mypy_cache"), "hum.py", "test_hum.py",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_its_tests_pass(place):
    done = run(place, "pytest", "-q", "-c", os.devnull, "test_hum.py")
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout


def test_it_is_listed_and_it_talks(place):
    listed = run(place, "voicebot", "engines").stdout
    for name in ("threshold", "stopwatch", "echo", "hum"):
        assert re.search(rf"^  {name} +present ", listed, re.MULTILINE), listed
    chosen = {"vad": "threshold", "stt": "stopwatch", "llm": "echo", "tts": "hum"}
    settings = "".join(f'[{kind}]\nengine = "{name}"\n' for kind, name in chosen.items())
    (place / "voicebot.toml").write_text(settings + 'voice = "high"\n')
    question = str(ROOT / "examples" / "question.wav")
    done = run(place, "voicebot", "ask", question, "-o", "answer.wav", "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    (said,) = [event["text"] for event in events if event["event"] == "clause_spoken"]
    assert re.fullmatch(r"\d+ seconds", said), done.stderr
