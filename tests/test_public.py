"""The public API: its names, their docstrings, what importing them costs, and docs/api.md."""

import asyncio
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import voicebot
import voicebot.engines
import voicebot.testing
from voicebot import Assistant, load_config, synthesize, transcribe
from voicebot.errors import ConfigError, EngineError, InputError

ROOT = Path(__file__).resolve().parents[1]
QUESTION = ROOT / "examples" / "question.wav"
SETTINGS = f"""
[stt]
engine = "pocketsphinx"
[llm]
engine = "extractive"
[tts]
engine = "espeak"
[documents]
folder = "{ROOT / "examples" / "house"}"
"""
FOR_ENGINES = {
    "ChatModel", "Delta", "EngineError", "Message", "OptionError", "Segment", "Speech",
    "Synthesizer", "Tool", "ToolCall", "Transcriber", "VoiceDetector", "Word", "Worker",
}  # fmt: skip


def names(module):
    return [(module, name) for name in module.__all__]


PUBLIC = [*names(voicebot), *((voicebot.engines, name) for name in sorted(FOR_ENGINES))]
PUBLIC += names(voicebot.testing)


def run(place, *command):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *command], cwd=place, env=environment, capture_output=True, text=True,
        timeout=55, check=False,
    )  # fmt: skip


@pytest.fixture
def place(tmp_path):
    (tmp_path / "voicebot.toml").write_text(SETTINGS)
    (tmp_path / "q.wav").write_bytes(QUESTION.read_bytes())
    return tmp_path


@pytest.fixture(scope="module")
def assistant(tmp_path_factory):
    file = tmp_path_factory.mktemp("assistant") / "voicebot.toml"
    file.write_text(SETTINGS)
    with Assistant.from_config(file, models="none") as loaded:
        yield loaded


def test_the_names_are_those_of_the_documentation():
    assert voicebot.__all__ == [
        "Answer", "Assistant", "Audio", "Conversation", "Transcription",
        "load_config", "synthesize", "transcribe",
    ]  # fmt: skip
    text = (ROOT / "docs" / "api.md").read_text("utf-8")
    assert [name for name in voicebot.__all__ if name not in text] == []


@pytest.mark.parametrize(
    "module", [voicebot, voicebot.engines, voicebot.testing], ids=lambda m: m.__name__
)
def test_names_are_listed_and_found(module):
    assert set(module.__all__) <= set(dir(module))
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_an_engine_author_imports_from_one_place():
    assert set(voicebot.engines.__all__) >= FOR_ENGINES


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=lambda v: getattr(v, "__name__", v))
def test_every_public_name_has_a_docstring(module, name):
    found = getattr(module, name)
    assert found.__doc__
    assert not found.__doc__.startswith(f"{name}(")  # what a dataclass writes by itself
    for method, function in vars(found).items() if inspect.isclass(found) else ():
        if inspect.isfunction(function) and not method.startswith("_"):
            assert function.__doc__, f"{name}.{method}"


@pytest.mark.parametrize(
    "code",
    ["import voicebot", "import voicebot; dir(voicebot), voicebot.__all__, voicebot.__version__"],
)
def test_importing_voicebot_imports_nothing_else(tmp_path, code):
    more = f"import sys; before = set(sys.modules); {code}; print(set(sys.modules) - before)"
    assert run(tmp_path, "-c", more).stdout == "{'voicebot'}\n"


def test_the_api_imports_no_model_library(tmp_path):
    heavy = "{'faster_whisper', 'llama_cpp', 'onnxruntime', 'torch', 'httpx', 'pocketsphinx'}"
    code = f"from voicebot import *; import sys; print({heavy} & set(sys.modules))"
    assert run(tmp_path, "-c", code).stdout == "set()\n"


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'voicebot' has no attribute 'Asistant'"):
        voicebot.Asistant  # noqa: B018 - looking is the test


def examples():
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "api.md").read_text("utf-8"), re.S)


EXAMPLES = {
    "ten lines": r"when was .*apple tree.* 1931 .* \(\d+\.\d s\)\n",
    "one call": r"\d+ \d\.\d\n\d\.\d .*apple tree.*\n",
    "settings": r"espeak\n",
    "conversation": r"(.+\n)+\d+\.\d s\n",
    "errors": r"nowhere\.wav: no such file\n",
    "tests": "",
}


def test_every_example_is_tried():
    assert len(examples()) == len(EXAMPLES)
    assert len([line for line in examples()[0].splitlines() if line]) <= 10


@pytest.mark.parametrize("number", range(len(EXAMPLES)), ids=EXAMPLES)
def test_an_example_prints_what_it_should(place, number):
    done = run(place, "-c", examples()[number])
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(list(EXAMPLES.values())[number], done.stdout), done.stdout


def test_the_examples_are_well_typed(place):
    for number, code in enumerate(examples()):
        (place / f"example{number}.py").write_text(code)
    files = [f"example{number}.py" for number in range(len(EXAMPLES))]
    done = run(place, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache"), *files)
    assert done.returncode == 0, done.stdout


def test_an_answer_says_what_it_was_made_with(assistant):
    answer = asyncio.run(assistant.ask("Where is the apple tree?"))
    assert "apple tree" in answer.text
    assert answer.audio.seconds > 0.5
    assert (answer.engines["llm"], answer.engines["tts"]) == ("extractive", "espeak")
    assert answer.passages


def test_a_recording_is_heard_also_while_an_event_loop_runs(assistant):
    async def inside():
        return assistant.transcribe(QUESTION).text

    assert "apple tree" in asyncio.run(inside())
    assert asyncio.run(inside()) == assistant.transcribe(str(QUESTION)).text


def test_what_is_wrong_is_told_by_the_errors_that_are_documented(assistant, tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.wav: no such file"):
        assistant.transcribe("nowhere.wav")
    with pytest.raises(ConfigError, match="there is nothing to say"):
        assistant.synthesize("...")
    with pytest.raises(ConfigError, match=r"nowhere\.toml: no such file"):
        load_config(tmp_path / "nowhere.toml")
    with pytest.raises(ConfigError, match=r"nowhere\.toml: no such file"):
        transcribe(QUESTION, tmp_path / "nowhere.toml")
    with pytest.raises(ConfigError, match="no voice 'nobody'"):
        synthesize("Hello.", _espeak(tmp_path), voice="nobody")


def _espeak(folder):
    (folder / "voicebot.toml").write_text('[tts]\nengine = "espeak"\n')
    return folder / "voicebot.toml"


def test_a_failing_engine_fails_the_question(tmp_path):
    file = tmp_path / "voicebot.toml"
    # Nothing listens at port 9.
    file.write_text(
        '[stt]\nengine = "pocketsphinx"\n[tts]\nengine = "espeak"\n'
        '[llm]\nengine = "openai"\nurl = "http://127.0.0.1:9/v1"\nmodel = "m"\nkey_env = ""\n'
    )
    with (
        Assistant.from_config(file, models="none") as assistant,
        pytest.raises(EngineError, match="llm: "),
    ):
        asyncio.run(assistant.ask("Where is the apple tree?"))
