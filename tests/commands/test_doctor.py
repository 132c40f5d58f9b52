"""`voicebot doctor`: what is here, what is missing, and what to do."""

import subprocess
import sys


def doctor(place, *arguments):
    command = [sys.executable, "-m", "voicebot", *arguments, "doctor"]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=place, timeout=55, check=False
    )


def facts(done):
    """What is told, by the word it begins with."""
    told = (line.strip().partition(":") for line in done.stdout.splitlines())
    return {word: rest for word, _, rest in told}


def test_a_machine_that_can_talk_is_well(tmp_path):
    (tmp_path / "voicebot.toml").write_text("")
    done = doctor(tmp_path, "--models", "none")
    assert done.returncode == 0, done.stderr
    told = facts(done)
    assert "cores" in told["processor"]
    assert told["settings"].strip() == "voicebot.toml"
    assert "numpy 2." in told["packages"]
    assert told["weights"].strip() == "none in none"
    assert told["stt"].strip() == (
        "pocketsphinx listens; better: voicebot models pull whisper-base"
    )
    assert done.stdout.count("          answers, ") == 3, "each native engine answered something"
    assert "sound" in told, "devices are listed, or why there are none"


def test_an_engine_that_cannot_be_built_is_found_out(tmp_path):
    (tmp_path / "voicebot.toml").write_text('[tts]\nengine = "espeak"\nvoice = "klingon"')
    done = doctor(tmp_path)
    assert done.returncode == 2
    assert "espeak has no voice 'klingon'" in facts(done)["FAILS"]
    assert "Traceback" not in done.stderr


def test_weights_that_were_chosen_and_are_missing_are_named(tmp_path):
    (tmp_path / "voicebot.toml").write_text('[llm]\nengine = "llama"')
    done = doctor(tmp_path, "--models", "none")
    assert done.returncode == 4
    assert "llama has no weights in none; voicebot models pull" in facts(done)["llm"]
