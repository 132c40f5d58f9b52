"""A `voicebot serve` of this checkout, which is on PATH; the clients have another environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
QUESTION = "When was the old apple tree planted?"
"""What is asked in examples/question.wav; examples/house/garden.md has the answer, 1931."""


@pytest.fixture(scope="session")
def recording():
    return ROOT / "examples" / "question.wav"


@pytest.fixture(scope="session")
def admission(tmp_path_factory):
    """The address of a server on what `scripts/run` installs: Whisper, quoted documents, hibari."""
    documents = (
        f'[documents]\nfolder = "{ROOT / "examples" / "house"}"\n[llm]\nengine = "extractive"'
    )
    with serving(tmp_path_factory.mktemp("house"), documents) as url:
        yield url


@pytest.fixture(scope="session")
def talker(tmp_path_factory):
    """The address of a server that hears and speaks for real, but whose replies are certain."""
    with serving(tmp_path_factory.mktemp("talker"), '[llm]\nengine = "talking:Talker"') as url:
        yield url


@contextmanager
def serving(folder, settings):
    command = shutil.which("voicebot")
    assert command, "there is no voicebot on PATH: run scripts/test clients"
    (folder / "voicebot.toml").write_text(
        f'{settings}\n[stt]\nengine = "whisper"\nmodel = "whisper-tiny.en"\n'
        '[tts]\nengine = "hibari"\n'
        '[latency]\ndegradations = "short_clause"\n'  # a busy machine says the answer only
    )
    search = os.pathsep.join(filter(None, [str(HERE), str(ROOT), os.environ.get("PYTHONPATH")]))
    models = os.environ.get("VOICEBOT_MODELS") or ROOT / ".venv" / "models"
    process = subprocess.Popen(
        [command, "--config", folder / "voicebot.toml", "--models", models, "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=(folder / "log").open("w"),
        env={**os.environ, "PYTHONPATH": search},
        text=True,
    )
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http"), (folder / "log").read_text()
        while httpx.get(f"{url}/ready").status_code != 200:
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)
        process.stdout.close()
