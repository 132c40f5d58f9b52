"""`voicebot install`: which packages, told to this Python's own pip, wherever voicebot is from."""

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from voicebot.commands import install
from voicebot.engines import ENGINES
from voicebot.errors import ConfigError, MissingDependency, VoicebotError

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture
def parrot(tmp_path, monkeypatch):
    """A distribution as pip writes it, in the place of ours; gives its folder."""
    info = tmp_path / "voicebot_daemon-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.4\nName: voicebot-daemon\nVersion: 1\n"
        "Requires-Dist: numpy>=2\n"
        'Provides-Extra: voice\nRequires-Dist: squawk>=1; extra == "voice"\n'
        'Requires-Dist: feather; sys_platform == "linux" and extra == "voice"\n'
        'Provides-Extra: torch\nRequires-Dist: voicebot-daemon[voice]; extra == "torch"\n'
        'Requires-Dist: beak<2; python_version < "3.4" and extra == "torch"\n'
        "Provides-Extra: test\nProvides-Extra: dev\n"
    )
    found = Distribution.at(info)
    monkeypatch.setattr(install, "distribution", lambda name: found)
    return info


@pytest.fixture
def pip(monkeypatch):
    """What pip was told, in place of pip; its exit code is to choose."""
    calls = []

    def run(command, *, env, check):
        calls.append((command, env.get("PIP_CONSTRAINT", "")))
        return subprocess.CompletedProcess(command, calls.code)

    class Calls(list):
        code = 0

    calls = Calls()
    monkeypatch.delenv("PIP_CONSTRAINT", raising=False)
    monkeypatch.setattr(install.subprocess, "run", run)
    return calls


def test_pip_is_this_pythons_and_told_packages_but_never_voicebot(parrot, pip):
    assert install.run(["voice"]) == 0
    ((command, constraints),) = pip
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert command[5:] == ["squawk>=1", 'feather; sys_platform == "linux"']
    assert constraints == ""


def test_a_checkout_has_its_constraints_kept(parrot, pip, tmp_path):
    checkout = tmp_path / "my checkout"
    checkout.mkdir()
    (checkout / "constraints.txt").write_text("squawk==1.5\n")
    told = {"url": checkout.as_uri(), "dir_info": {"editable": True}}
    (parrot / "direct_url.json").write_text(json.dumps(told))
    install.run(["voice"], again=True)
    ((command, constraints),) = pip
    assert constraints == (checkout / "constraints.txt").as_uri()
    assert " " not in constraints, "pip would take it for two"
    assert "--force-reinstall" in command


def test_a_package_that_does_not_run_on_this_python_is_told_before_anything_is_done(parrot, pip):
    with pytest.raises(
        MissingDependency, match=r"^torch needs beak, which needs a Python below 3\.4; this"
    ):
        install.run(["torch"])
    assert pip == []


def test_a_name_nobody_knows_is_answered_with_those_there_are(parrot, pip):
    with pytest.raises(ConfigError, match="there is voice, torch; did you mean voice"):
        install.run(["vocie"])


def test_what_pip_cannot_do_is_a_failure(parrot, pip):
    pip.code = 7
    with pytest.raises(VoicebotError, match="pip could not install voice; it ended with 7"):
        install.run(["voice"])


def test_every_engines_packages_have_a_name_to_install_them_by():
    extras = PROJECT["optional-dependencies"]
    for known in ENGINES.values():
        for entry in known.values():
            assert not entry.packages or entry.extra in extras


def test_no_hint_asks_an_index_for_voicebot():
    for path in (ROOT / "voicebot").rglob("*.py"):
        assert not re.search(r"pip install '?voicebot", path.read_text()), path
    assert PROJECT["name"] == install.DISTRIBUTION
    assert "voicebot" in PROJECT["scripts"]


def test_no_extra_asks_an_index_for_voicebot():
    required = [r for extra in PROJECT["optional-dependencies"].values() for r in extra]
    names = {re.split(r"[\[<>=;~! ]", requirement)[0] for requirement in required}
    assert "voicebot" not in names, f"that is a stranger's; ours is {install.DISTRIBUTION}"
