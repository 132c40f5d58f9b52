"""The command line as a user meets it: in a process of its own."""

import subprocess
import sys

import pytest

HEAVY = {
    "torch", "onnxruntime", "faster_whisper", "ctranslate2", "llama_cpp", "pocketsphinx",
    "kokoro", "misaki", "spacy", "espeakng_loader", "silero_vad", "httpx", "huggingface_hub",
    "sounddevice", "transformers",
}  # fmt: skip


def voicebot(*arguments, cwd=None):
    command = [sys.executable, "-m", "voicebot", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=50)


def imported_by(code):
    """The heavy libraries that are imported once `code` has run."""
    report = (
        f"import sys\n{code}\nprint(*({HEAVY!r} & {{m.partition('.')[0] for m in sys.modules}}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", report], capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_help_names_every_command():
    done = voicebot("--help")
    assert done.returncode == 0
    for command in ("talk", "ask", "transcribe", "serve", "engines", "doctor", "models"):
        assert f"\n    {command} " in done.stdout


def test_help_spells_names_as_they_are():
    assert "\nServe pages, programs and OpenAI's clients from one port.\n" in (
        voicebot("serve", "--help").stdout
    )
    assert "\nMake an ONNX model of a checkpoint, or a quicker one.\n" in (
        voicebot("models", "export", "--help").stdout
    )


@pytest.mark.parametrize("where", ["cli._parser", "voicebot.observability.log.Log", "cli._engines"])
def test_ctrl_c_is_no_traceback_however_early_it_comes(where):
    code = (
        "import voicebot.observability.log\nfrom voicebot import cli\n"
        f"def interrupted(*_, **__): raise KeyboardInterrupt\n{where} = interrupted\n"
        "cli.main(['engines'])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "\n")


def test_help_imports_next_to_nothing():
    code = "from voicebot.cli import _parser\n_parser()\nassert 'numpy' not in sys.modules"
    assert imported_by(code) == set()


def test_the_core_imports_no_model_library():
    modules = "conversation config assistant.assembly commands.ask transcription.transcribe "
    modules += "commands.doctor weights.manifest commands.models knowledge"
    assert imported_by("\n".join(f"import voicebot.{name}" for name in modules.split())) == set()


def test_no_engine_imports_its_library_before_it_is_chosen():
    code = (
        "from voicebot import engines\n"
        "for kind, known in engines.ENGINES.items():\n"
        "    for name in known: engines.options(kind, name)"
    )
    assert imported_by(code) == set()


def test_every_engine_is_listed_with_its_settings():
    done = voicebot("engines")
    assert done.returncode == 0
    for name in ("silero", "whisper", "pocketsphinx", "llama", "extractive", "kokoro", "espeak"):
        assert f"  {name} " in done.stdout
    assert "short_windows: bool = True" in done.stdout
    assert "url: str needed" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["ask"], 2, "ask needs a recording or --text, one of the two"),
        (["ask", "q.wav", "--text", "hello"], 2, "one of the two"),
        (["ask", "q.wav", "--json", "-o", "-"], 2, "cannot both go to standard output"),
        (["--config", "nowhere.toml", "ask", "q.wav"], 2, "nowhere.toml: no such file"),
        (["ask", "nowhere.wav", "-o", "a.wav"], 5, "nowhere.wav: no such file"),
        (["ask", "--text", "hello", "-o", "nowhere/a.wav"], 2, "cannot be written"),
        (["models", "path", "gpt"], 2, "no model 'gpt'; there is"),
        (["models", "pull", "gpt"], 2, "no model or profile 'gpt'; there is tiny, small"),
        (["models", "pull", "whisper-tny"], 2, "did you mean whisper-tiny.en?"),
        (["--set", "server.prt=1", "ask", "--text", "a"], 2, "did you mean port?"),
        (["ask", "--text", "a", "--set", "tts.engine=kokro"], 2, "did you mean kokoro?"),
    ],
)
def test_a_mistake_is_one_line_and_the_right_exit_code(tmp_path, arguments, code, says):
    done = voicebot(*arguments, cwd=tmp_path)
    lines = [line for line in done.stderr.splitlines() if line.startswith("voicebot: ")]
    assert done.returncode == code, done.stderr
    assert len(lines) == 1
    assert says in lines[0]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["srve"], "serve"),
        (["serve", "--prot", "3"], "--port"),
        (["--verbsoe", "engines"], "--verbose"),
        (["models", "pul", "tiny"], "pull"),
        (["bench", "tunr"], "turn"),
        (["transcribe", "a.wav", "--format=jsno"], "json"),
    ],
)
def test_a_slip_on_the_command_line_gets_what_was_meant(arguments, meant):
    done = voicebot(*arguments)
    assert done.returncode == 2
    assert done.stderr.endswith(f"; did you mean {meant}?\n")


def test_the_options_of_every_command_may_stand_behind_it(tmp_path):
    (tmp_path / "mine.toml").write_text("[turn_detection]\nsilence_duration_ms = true")
    done = voicebot("ask", "--text", "a", "--config", "mine.toml", cwd=tmp_path)
    assert "mine.toml: [turn_detection] silence_duration_ms should be int, not True" in done.stderr
    both = [
        "--set",
        "turn_detection.silence_duration_ms=false",
        "ask",
        "--text",
        "a",
        "--set",
        "server.port=1",
    ]
    assert (
        "--set turn_detection.silence_duration_ms=false: [turn_detection] silence_duration_ms"
        in voicebot(*both, cwd=tmp_path).stderr
    )


def test_a_mistake_in_the_settings_names_file_section_and_key(tmp_path):
    (tmp_path / "voicebot.toml").write_text("[turn_detection]\nend = 3")
    done = voicebot("ask", "--text", "hello", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "voicebot: voicebot.toml: [turn_detection] end is not a setting; there"
    )


def test_an_engine_without_its_weights_says_how_to_get_them(tmp_path):
    (tmp_path / "voicebot.toml").write_text('[stt]\nengine = "whisper"')
    done = voicebot("--models", "none", "ask", "--text", "hello", cwd=tmp_path)
    assert done.returncode == 4
    assert "[stt] whisper has no weights in none; voicebot models pull whisper" in done.stderr
