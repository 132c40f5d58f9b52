"""What is shipped to run voicebot as a service is true to voicebot."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from voicebot.config import ServerSettings
from voicebot.server import serve
from voicebot.server.auth import keys

ROOT = Path(__file__).resolve().parents[1]
PACKAGING = ROOT / "packaging"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def unit(name):
    """The settings of a unit, each with all its values."""
    found = {}
    for line in (PACKAGING / name).read_text().splitlines():
        if re.match(r"\w+=", line):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def instructions():
    """The Dockerfile's, each as its name and the rest."""
    text = (PACKAGING / "Dockerfile").read_text()
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", "")
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line]


def accepted(*arguments):
    """Whether the command line takes these arguments."""
    command = [sys.executable, "-m", "voicebot", *arguments, "--help"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def units(tmp_path):
    """Copies that the systemd which is here can judge."""
    version = subprocess.run(
        ["systemd-analyze", "--version"], capture_output=True, text=True, check=True
    ).stdout.split()[1]
    service = (PACKAGING / "voicebot.service").read_text()
    service = re.sub("^ExecStart=[^ ]+", f"ExecStart={sys.executable}", service, flags=re.M)
    if int(version.partition(".")[0]) < 253:
        service = service.replace("=notify-reload", "=notify\nExecReload=kill -HUP $MAINPID")
    (tmp_path / "voicebot.service").write_text(service)
    shutil.copy(PACKAGING / "voicebot.socket", tmp_path)
    return [tmp_path / "voicebot.service", tmp_path / "voicebot.socket"]


with_systemd = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="there is no systemd here"
)


@with_systemd
def test_systemd_has_nothing_to_say_against_the_units(units):
    command = ["systemd-analyze", "verify", "--man=no", *map(str, units)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@with_systemd
def test_systemd_finds_little_exposed(units):
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=15", str(units[0])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_unit_starts_a_command_there_is():
    (start,) = unit("voicebot.service")["ExecStart"]
    program, *arguments = shlex.split(start)
    assert Path(program).name in PROJECT["scripts"]
    assert accepted(*arguments)


def test_the_unit_waits_until_replies_have_ended():
    (patience,) = unit("voicebot.service")["TimeoutStopSec"]
    assert int(patience) > serve.DRAIN_S + serve.LAST_S


def test_the_socket_is_the_address_of_the_settings():
    address = ServerSettings()
    assert unit("voicebot.socket")["ListenStream"] == [f"{address.host}:{address.port}"]


def test_keys_have_the_name_under_which_they_are_made():
    (credential,) = unit("voicebot.service")["LoadCredential"]
    assert credential == keys.FILE
    for file in ("voicebot.service", "Dockerfile"):
        assert set(re.findall(r"[\w-]*keys\.toml", (PACKAGING / file).read_text())) == {keys.FILE}


def test_what_the_image_copies_is_here_and_not_ignored():
    *sent, _ = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] not in "#"
    ]
    assert sent[0] == "*"
    copied = [
        source
        for name, rest in instructions()
        if name == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]
    assert copied
    for source in copied:
        assert (ROOT / source).exists()
        assert f"!{source}" in sent
    assert len(copied) == len(sent) - 1


def test_the_image_holds_all_that_the_package_is_made_of():
    copied = " ".join(rest for name, rest in instructions() if name == "COPY")
    folders = {"voicebot", *re.findall(r'= "([\w/]+)" }', (ROOT / "pyproject.toml").read_text())}
    for needed in (*folders, PROJECT["readme"], *PROJECT["license-files"]):
        assert any(needed == each or needed.startswith(f"{each}/") for each in copied.split())


def test_the_image_installs_extras_there_are_as_the_setup_does():
    setup = (ROOT / "scripts" / "setup").read_text()
    default, *others = re.findall(r"EXTRAS=([\w,-]+)", (PACKAGING / "Dockerfile").read_text())[::-1]
    known = PROJECT["optional-dependencies"]
    for extras in (default, *others):
        assert set(extras.split(",")) <= set(known)
    # All that the setup runs with but what a container has not: sound devices, a shell, and
    # addresses that a phone finds.
    run = re.search(r"run\) extras=([\w,-]+)", setup)[1].split(",")
    assert default.split(",") == [
        extra for extra in run if extra not in ("audio", "phone", "completion")
    ]


def test_the_image_has_a_python_that_will_do():
    versions = {rest.partition(":")[2][:4] for name, rest in instructions() if name == "FROM"}
    (version,) = versions
    assert tuple(map(int, version.split("."))) >= (3, 11)


def test_the_image_runs_a_command_there_is_as_a_user_without_rights():
    said = dict(instructions())
    assert said["ENTRYPOINT"] == '["voicebot"]'
    assert accepted(*re.findall(r'"([^"]+)"', said["CMD"]))
    assert said["USER"] not in ("0", "root")
    port = str(ServerSettings().port)
    assert said["EXPOSE"] == port
    assert f"127.0.0.1:{port}/ready" in said["HEALTHCHECK"]
    assert f'"{port}"' in said["CMD"]


def test_no_compiler_stays_in_the_image():
    stages = (PACKAGING / "Dockerfile").read_text().split("\nFROM ")
    assert ["build-essential" in stage for stage in stages] == [False, True, False]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that holds what the wheel installs, and nothing of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", PROJECT["readme"], "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("voicebot", "models"):
        shutil.copytree(ROOT / name, source / name)
    build = "import sys, setuptools.build_meta as b; print(b.build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", build, str(folder)],
        cwd=source, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_answers_a_spoken_question_far_from_the_checkout(installed, tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1));"
        # An editable install of the checkout would lend the wheel what it lacks.
        "sys.meta_path = [each for each in sys.meta_path if 'Editable' not in repr(each)];"
        "import voicebot, voicebot.cli;"
        "print(voicebot.__file__, file=sys.stderr); voicebot.cli.main()"
    )
    question = ROOT / "examples" / "question.wav"
    command = [sys.executable, "-P", "-c", code, str(installed), "ask", str(question), "--json"]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [*command, "-o", "answer.wav"],
        cwd=tmp_path, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert str(installed / "voicebot") in done.stderr
    assert '"event": "clause_spoken"' in done.stdout
    assert (tmp_path / "answer.wav").stat().st_size > 20_000


def test_the_wheel_carries_the_licences_of_all_that_is_in_it(installed):
    (info,) = installed.glob("*.dist-info")
    licences = {path.read_text() for path in info.rglob("LICENSE*")}
    assert (ROOT / "LICENSE").read_text() in licences
    assert (ROOT / "voicebot/engines/silero_vad/LICENSE").read_text() in licences


def test_a_python_without_venv_is_one_line_and_leaves_nothing_half_made(tmp_path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "models").mkdir()
    for name in ("scripts/setup", "pyproject.toml", "constraints.txt", "models/manifest.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    python = (
        tmp_path / "python"
    )  # as Debian's is without python3-venv: it makes half, and complains
    python.write_text(
        '#!/bin/sh\ncase "$*" in "-m venv"*) mkdir -p .venv/bin; echo no ensurepip; exit 1\n'
        f'esac\nexec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    done = subprocess.run(
        [tmp_path / "scripts" / "setup", "run"],
        env=os.environ | {"PYTHON": str(python)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (4, "")
    (line,) = done.stderr.splitlines()
    assert "apt install python3-venv" in line
    assert not (tmp_path / ".venv").exists()


def locked():
    """The versions in packaging/requirements.txt, and how many hashes each has."""
    text = (PACKAGING / "requirements.txt").read_text().replace("\\\n", " ")
    rows = (line.split(";")[0].split("==") for line in text.splitlines())
    hashes = [line.count("--hash=sha256:") for line in text.splitlines()]
    return {
        name: (version.split()[0], count)
        for (name, version), count in zip(rows, hashes, strict=True)
    }


def test_what_the_image_installs_is_pinned_by_hash_at_the_versions_of_the_tests():
    constraints = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line and not line.startswith("#")
    )
    for name, (version, hashes) in locked().items():
        assert hashes, name
        assert constraints.get(name, version) == version, name


def test_all_that_its_usual_extras_need_is_pinned_by_hash():
    extras = re.search(r"EXTRAS=([\w,-]+)\n", (PACKAGING / "Dockerfile").read_text())[1]
    needed = [*PROJECT["dependencies"]]
    for extra in extras.split(","):
        needed += PROJECT["optional-dependencies"][extra]
    assert {re.match(r"[\w-]+", each)[0] for each in needed} <= set(locked())
