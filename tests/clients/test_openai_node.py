"""OpenAI's JavaScript client; its spoken conversations are in tests/server."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "javascript"


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
def test_javascript_hears_answers_speaks_streams_and_calls_functions(admission, talker, recording):
    command = ["node", "calls.mjs", f"{admission}/v1", f"{talker}/v1", recording]
    node = subprocess.run(
        command, cwd=HERE, capture_output=True, text=True, timeout=50, check=False
    )
    assert node.returncode == 0, node.stderr
    told = json.loads(node.stdout)
    assert told["heard"].lower() == "when was the old apple tree planted?"
    assert "1931" in told["answer"]
    assert told["sound"] > 48000  # a second
    assert "".join(told["pieces"]) == "You said, as number 1: Good morning."
    assert len(told["pieces"]) > 3
    assert told["returned"] == "It returned sunshine over Rome"
    status, reason = told["refused"]
    assert status == 404
    assert "images" in reason
