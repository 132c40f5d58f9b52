"""What a real bash completes, once it has read what `voicebot completion bash` prints."""

import shutil
import subprocess
import sys

import pytest

pytest.importorskip("argcomplete", reason="it comes with the extra: completion")
needs_bash = pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash here")

ASK = """
source <("$0" -m voicebot completion bash)
line="$1"; COMP_LINE="$line"; COMP_POINT=${#line}; COMP_TYPE=9; COMP_WORDS=($line)
[ "${line: -1}" = " " ] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_python_argcomplete voicebot "${COMP_WORDS[$COMP_CWORD]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def completed(folder, line):
    (folder / "voicebot").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m voicebot "$@"\n')
    (folder / "voicebot").chmod(0o755)
    line = line.replace("voicebot", str(folder / "voicebot"), 1)
    command = ["bash", "-c", ASK, sys.executable, line]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert not done.stderr
    return {each.strip() for each in done.stdout.splitlines()}


@needs_bash
@pytest.mark.parametrize(
    ("line", "among", "not_among"),
    [
        ("voicebot tr", {"transcribe"}, {"talk"}),
        ("voicebot models ", {"pull", "rm", "verify"}, {"serve"}),
        ("voicebot models pull whisper-t", {"whisper-tiny.en", "whisper-turbo"}, {"kokoro"}),
        ("voicebot serve --h", {"--host", "--https"}, {"--port"}),
        ("voicebot completion ", {"bash", "zsh", "fish"}, set()),
        ("voicebot --set server.p", {"server.port=", "server.proxies="}, {"server.host="}),
    ],
)
def test_commands_flags_and_names_are_completed(tmp_path, line, among, not_among):
    found = completed(tmp_path, line)
    assert among <= found
    assert not (not_among & found)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_is_given_its_own(shell):
    command = [sys.executable, "-m", "voicebot", "completion", shell]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0
    assert "voicebot" in done.stdout
