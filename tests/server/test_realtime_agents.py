"""OpenAI's JavaScript client holds a conversation with us, if it is installed.

cd tests/server/javascript && npm ci
"""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import room
from serving import app, served

HERE = Path(__file__).parent / "javascript"
STORY = ("One two three. Four five six. Seven eight nine. " * 3).split()

pytestmark = pytest.mark.skipif(
    not (shutil.which("node") and (HERE / "node_modules").is_dir()),
    reason="needs node, and npm install in tests/server/javascript",
)


def test_agents_ask_hear_and_interrupt():
    llm, tts = room.ChatModel(*STORY, takes=0), room.Synthesizer(times=True)
    with served(app(llm=llm, tts=tts)) as url:
        node = subprocess.run(
            ["node", "agents.mjs", f"ws{url[4:]}/v1/realtime"],
            cwd=HERE, capture_output=True, text=True, timeout=50, check=True,
        )  # fmt: skip
    told = json.loads(node.stdout)
    assert told["errors"] == []
    assert told["interrupted"] == 1
    asked, cut, again, whole = told["history"]
    assert asked["said"] == again["said"] == "hello there"
    assert cut["status"] == "incomplete"
    assert " ".join(STORY).startswith(cut["said"])
    assert 1 <= len(cut["said"].split()) <= 8
    assert whole["said"] == " ".join(STORY)
