"""Simon Willison's `llm` with a line for voicebot in extra-openai-models.yaml."""

import os
import subprocess
import sys

import pytest
from conftest import QUESTION


@pytest.fixture
def llm(tmp_path):
    """Calls the command on a server; gives what it prints."""

    def call(url, *arguments):
        (tmp_path / "extra-openai-models.yaml").write_text(
            f"- model_id: voicebot\n  model_name: gpt-4o\n  api_base: {url}/v1\n"
            "  supports_tools: true\n  supports_schema: true\n"
        )
        environment = {**os.environ, "LLM_USER_PATH": str(tmp_path), "OPENAI_API_KEY": "none"}
        command = [sys.executable, "-m", "llm", *arguments, "-m", "voicebot"]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=50
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


def test_a_question_is_answered_from_the_documents(llm, house):
    assert "1931" in llm(house, QUESTION)


@pytest.mark.parametrize("stream", [[], ["--no-stream"]])
def test_a_conversation_goes_on(llm, talker, stream):
    assert llm(talker, "Good morning.", *stream) == "You said, as number 1: Good morning.\n"
    assert llm(talker, "Again?", "-c", *stream) == "You said, as number 2: Again?\n"


def test_a_function_is_called_and_its_result_answered(llm, talker):
    weather = "def weather(city: str) -> str:\n    return 'sunshine over ' + city\n"
    assert llm(talker, "The weather?", "--functions", weather).endswith(
        "It returned sunshine over Rome\n"
    )
