"""The commands where terminals, pipes, homes, disks or users are not as usual: no traceback."""

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
QUESTION = ROOT / "examples" / "question.wav"
PRIVILEGED = hasattr(os, "geteuid") and os.geteuid() == 0
SETTINGS = """
[stt]
engine = "pocketsphinx"
[llm]
engine = "extractive"
[tts]
engine = "espeak"
"""
COMMANDS = [
    ["--help"],
    ["engines"],
    ["models"],
    ["models", "pull", "nothing"],
    ["turns", "nothing"],
    ["keys", "add", "me"],
    ["ask", "--text", "Where are the keys?"],
    ["transcribe", str(QUESTION)],
]
NAMES = [" ".join(command[:2])[:20] for command in COMMANDS]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "voicebot.toml").write_text(SETTINGS)
    return tmp_path


def run(folder, *arguments, before=(), **options):
    """What became of a command, which never is a traceback."""
    environment = options.pop("env", os.environ | {"VOICEBOT_MODELS": str(folder / "models")})
    command = [*before, sys.executable, "-m", "voicebot", *arguments]
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    environment = {"PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(
        command, cwd=folder, env=environment, timeout=50, **{**streams, **options}
    )
    for told in (done.stdout or b"", done.stderr or b""):
        assert b"Traceback" not in told, told.decode(errors="replace")
    return done


UNENCODABLE = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.mark.parametrize("terminal", UNENCODABLE)
def test_a_terminal_without_the_letters_is_shown_which_they_are(folder, terminal):
    env = os.environ | UNENCODABLE[terminal]
    done = run(folder, "ask", "--text", "Where are 中文 and 🎉?", "--json", env=env)
    heard = json.loads(done.stdout.splitlines()[0])
    if terminal != "C":  # there an argument is bytes, which go out as they came
        assert heard["text"] == "Where are 中文 and 🎉?"
    assert run(folder, "ask", "--text", "中文?", env=env).stdout.startswith(b"question: ")
    assert run(folder, "transcribe", "中文.wav", env=env).returncode == 5
    assert run(folder, "models", "pull", "中文", env=env).returncode == 2


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_a_reader_that_has_gone_ends_a_command_without_a_word(folder, command):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as closed:
        done = run(folder, *command, stdout=closed)
        assert b"Errno" not in done.stderr
        run(folder, *command, stdout=closed, stderr=closed)


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_nobody_who_listens(folder, command, closed):
    done = run(folder, *command, before=("/bin/sh", "-c", f'exec "$@" {closed}', "sh"))
    wrong = {"nothing": 5 if command[0] == "turns" else 2}
    assert done.returncode == wrong.get(command[-1], 0), done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has /dev/full")
@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_output_that_cannot_be_written_is_one_line(folder, command):
    with open("/dev/full", "wb") as full:
        done = run(folder, *command, stdout=full)
    if command[-1] != "nothing" and command != ["--help"]:
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == b"voicebot: No space left on device"


def test_a_batch_goes_on_after_what_it_cannot_read_or_write(folder):
    (folder / "good.wav").write_bytes(QUESTION.read_bytes())
    (folder / "also.wav").write_bytes(QUESTION.read_bytes())
    (folder / "bad.wav").write_bytes(b"RIFF")
    (folder / "out" / "good.txt").mkdir(parents=True)
    done = run(folder, "transcribe", "bad.wav", "good.wav", "gone.wav", "also.wav", "-o", "out")
    assert done.returncode != 0
    told = done.stderr.decode()
    assert "bad.wav" in told
    assert "gone.wav: no such file" in told
    assert "voicebot: out/good.txt: Is a directory" in told
    assert "apple tree" in (folder / "out" / "also.txt").read_text()


# A user without a name and a home may read all there is, since Python itself may lie in a home.
ANYBODY = (
    "setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups",
    "--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search",
)  # fmt: skip
READ_ONLY = (
    "unshare", "--mount", "/bin/sh", "-c",
    'mount -o remount,ro,bind / && cd "$0" && exec "$@"',
)  # fmt: skip


@cache
def can(*before):
    """Whether this machine lets us do that."""
    if not PRIVILEGED or not shutil.which(before[0]):
        return False
    return subprocess.run([*before, "true"], capture_output=True).returncode == 0


CHANGES_NOTHING = [each for each in COMMANDS if each[0] != "keys"]


@pytest.mark.skipif(not can(*ANYBODY), reason="only root may become a user without a name")
@pytest.mark.parametrize("home", ["", None, "/nowhere"])
def test_a_user_without_a_name_or_a_home(folder, home):
    env = {"PATH": os.environ["PATH"], "VOICEBOT_MODELS": str(folder / "models")}
    env |= {} if home is None else {"HOME": home}
    for parent in [folder, *folder.parents[:-2]]:
        parent.chmod(0o755)
    for command in CHANGES_NOTHING:
        done = run(folder, *command, before=ANYBODY, env=env)
        assert (done.returncode == 0) == (command[-1] != "nothing"), done.stderr
    told = run(folder, "keys", "add", "me", before=ANYBODY, env=env)
    assert (told.returncode, told.stderr) == (
        2, b"voicebot: voicebot-keys.toml: Permission denied\n",
    )  # fmt: skip
    del env["VOICEBOT_MODELS"]
    if home is None:
        assert (
            b"this user has no home; say where"
            in run(folder, "models", before=ANYBODY, env=env).stderr
        )


@pytest.mark.skipif(not can(*READ_ONLY[:-1], "true"), reason="only root may make a disk read-only")
@pytest.mark.parametrize("scratch", [None, "/dev/shm"])
def test_a_disk_that_cannot_be_written_to(folder, scratch):
    before = (*READ_ONLY, str(folder))
    env = os.environ | {"VOICEBOT_MODELS": str(folder / "models")}
    env |= {"TMPDIR": scratch} if scratch else {}
    for command in CHANGES_NOTHING:
        done = run(folder, *command, before=before, env=env)
        assert (done.returncode == 0) == (command[-1] != "nothing"), done.stderr
    for command, says in (
        (["keys", "add", "me"], b"voicebot-keys.toml: Read-only file system"),
        (["ask", "--text", "a", "-o", "a.wav"], b"a.wav: cannot be written"),
        (["transcribe", str(QUESTION), "-o", "out"], b"out: cannot be made"),
        (["models", "pull", "hibari"], b"Read-only file system; choose another place"),
        (["--set", "log.file=a.log", "ask", "--text", "a"], b"a.log: cannot be written"),
    ):
        done = run(folder, *command, before=before, env=env)
        assert done.returncode == 2
        assert says in done.stderr
