"""OpenAI's JavaScript client holds a conversation with us, if it is installed.

(cd tests/server/javascript && npm ci && cd beta && npm ci)
"""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import room
from scripted import Scripted
from serving import app, served

from voicebot.engines import Delta

HERE = Path(__file__).parents[1] / "javascript"
FORECAST = ("One two three. Four five six. Seven eight nine. " * 3).strip()


def installed(folder):
    there = shutil.which("node") and (HERE / folder / "node_modules").is_dir()
    needs = pytest.mark.skipif(not there, reason=f"needs node, and npm ci in {HERE.name}/{folder}")
    return pytest.param(folder, marks=needs)


@pytest.mark.parametrize("folder", [installed("."), installed("beta")])
def test_agents_ask_carry_out_a_function_hear_and_interrupt(folder):
    llm = Scripted("Let me look.", {"city": "Rome"}, takes=0)
    with served(app(llm=llm, tts=room.Synthesizer(times=True))) as url:
        node = subprocess.run(
            ["node", "agents.mjs", f"ws{url[4:]}/v1/realtime", FORECAST],
            cwd=HERE / folder, capture_output=True, text=True, timeout=50, check=False,
        )  # fmt: skip
    assert node.returncode == 0, node.stderr
    told = json.loads(node.stdout)
    assert told["errors"] == []
    assert told["interrupted"] == 1
    assert told["calls"] == ["Rome", "Rome"]
    messages = [item for item in told["history"] if item["type"] == "message"]
    asked, announced, cut, again, announced_again, whole = messages
    assert asked["said"] == again["said"] == "hello there"
    assert announced["said"] == announced_again["said"] == "Let me look."
    assert cut["status"] == "incomplete"
    assert FORECAST.startswith(cut["said"])
    assert 1 <= len(cut["said"].split()) <= 9
    assert whole["said"] == FORECAST
    calls = [item for item in told["history"] if item["type"] == "function_call"]
    assert [(call["name"], call["output"]) for call in calls] == [("weather", FORECAST)] * 2


class Forecaster(Scripted):
    """Says all that functions have returned."""

    async def reply(self, messages, *, max_tokens=None, tools=(), must_call=False):
        results = [m.text for m in messages if m.role == "tool"]
        if messages[-1].role != "tool":
            async for delta in super().reply(messages, tools=tools, must_call=must_call):
                yield delta
            return
        await asyncio.sleep(0.3)
        yield Delta(" ".join(results))
        yield Delta(finish="stop")


@pytest.mark.parametrize("late_ms", [0, 100, 1500])
@pytest.mark.parametrize("folder", [installed("."), installed("beta")])
def test_functions_that_agents_carry_out_together_are_all_answered(folder, late_ms):
    llm = Forecaster({"city": "Rome"}, {"city": "Paris"}, takes=0)
    with served(app(llm=llm, tts=room.Synthesizer(times=True))) as url:
        node = subprocess.run(
            ["node", "agents.mjs", f"ws{url[4:]}/v1/realtime", str(late_ms), "together"],
            cwd=HERE / folder, capture_output=True, text=True, timeout=50, check=False,
        )  # fmt: skip
    assert node.returncode == 0, node.stderr
    told = json.loads(node.stdout)
    assert told["errors"] == []
    assert told["calls"] == ["Rome", "Paris"]
    assert "Rome is dry." in told["said"][0]
    assert "Paris is dry." in told["said"][-1]
