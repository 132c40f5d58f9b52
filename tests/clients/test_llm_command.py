"""Simon Willison's `llm` with a line for voicebot in extra-openai-models.yaml."""

import pytest
from click.testing import CliRunner
from conftest import QUESTION
from llm.cli import cli


@pytest.fixture
def llm(tmp_path, monkeypatch):
    """Calls the command on a server; gives what it prints."""
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "none")

    def call(url, *arguments):
        (tmp_path / "extra-openai-models.yaml").write_text(
            f"- model_id: voicebot\n  model_name: gpt-4o\n  api_base: {url}/v1\n"
            "  supports_tools: true\n  supports_schema: true\n"
        )
        done = CliRunner().invoke(cli, ["prompt", *arguments, "-m", "voicebot"])
        assert done.exit_code == 0, done.output
        return done.output

    return call


def test_a_question_is_answered_from_the_documents(llm, admission):
    assert "1931" in llm(admission, QUESTION)


@pytest.mark.parametrize("stream", [[], ["--no-stream"]])
def test_a_conversation_goes_on(llm, talker, stream):
    assert llm(talker, "Good morning.", *stream) == "You said, as number 1: Good morning.\n"
    assert llm(talker, "Again?", "-c", *stream) == "You said, as number 2: Again?\n"


def test_a_function_is_called_and_its_result_answered(llm, talker):
    weather = "def weather(city: str) -> str:\n    return 'sunshine over ' + city\n"
    said = llm(talker, "The weather?", "--functions", weather)
    assert said.endswith("It returned sunshine over Rome\n")


def test_a_structure_is_filled_in(llm, talker):
    assert llm(talker, "Where is it sunny?", "--schema", "city str") == '{"city": "Rome"}\n'
