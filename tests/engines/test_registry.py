"""Engines of other distributions: really installed ones, in a folder on the path."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from voicebot.engines import ENGINES, Entry
from voicebot.engines.registry import Registry

ROOT = Path(__file__).resolve().parents[2]
PARROT = """
from voicebot.engines import Delta, Speech
from voicebot.testing import sound


class Parrot:
    kind = "llm"
    says = "repeats what you said"

    def __init__(self, times: int = 1) -> None:
        self.times = times

    async def reply(self, messages):
        yield Delta(" ".join([messages[-1].text] * self.times), finish="stop")


class Whistle:
    kind = "tts"

    async def synthesize(self, text):
        yield Speech(sound(0.5, 24000))


class Far:
    kind = "stt"
    says = "hears through a library that is not here"
    packages = ("no_such_library",)
    extra = "far"

    async def transcribe(self, audio):
        yield None


class Odd:
    kind = "nose"


class Mute:
    kind = "tts"
"""


def install(folder, name, points, **modules):
    """What pip leaves of a distribution."""
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[voicebot.engines]\n{points}\n")
    for module, code in modules.items():
        (folder / f"{module}.py").write_text(code)


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "site"
    points = "parrot = parrot:Parrot\nwhistle = parrot:Whistle\nfar = parrot:Far"
    install(folder, "voicebot-parrot", points, parrot=PARROT)
    return folder


def python(place, *arguments):
    path = os.pathsep.join([str(place / "site"), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path, "XDG_CACHE_HOME": str(place / "cache")}
    return subprocess.run(
        [sys.executable, *arguments], cwd=place, env=environment, capture_output=True, text=True,
        timeout=55, check=False,
    )  # fmt: skip


def voicebot(place, settings, *arguments):
    (place / "voicebot.toml").write_text(settings)
    return python(place, "-m", "voicebot", "--models", "none", *arguments)


def test_an_installed_engine_is_listed_with_its_settings(site, tmp_path):
    done = voicebot(tmp_path, "", "engines")
    lines = [line.strip() for line in done.stdout.splitlines()]
    at = lines.index("parrot        present                  repeats what you said")
    assert lines[at + 1] == "times: int = 1"
    assert "whistle       present                  from voicebot-parrot" in lines
    assert any(line.startswith("far           needs no_such_library") for line in lines)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_settings_file_names_it_and_its_settings_are_checked(site, tmp_path):
    ask = ("ask", "--text", "hello", "-o", "a.wav", "--json")
    settings = (
        '[stt]\nengine = "pocketsphinx"\n[tts]\nengine = "whistle"\n[llm]\nengine = "parrot"\n'
    )
    done = voicebot(tmp_path, f"{settings}times = 2", *ask)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [e["text"] for e in events if e["event"] == "clause_spoken"] == ["hello hello"], done
    for wrong, told in (
        ("time = 2", "[llm] parrot has no setting 'time'; there is times, engine; did you mean"),
        ('times = "2"', "[llm] times should be int, not '2'"),
    ):
        done = voicebot(tmp_path, settings + wrong, *ask)
        assert done.returncode == 2
        assert told in done.stderr
    done = voicebot(tmp_path, '[llm]\nengine = "parot"', *ask)
    assert "no engine 'parot'; there is auto, llama, extractive, openai, parrot" in done.stderr
    assert "did you mean parrot?" in done.stderr


def test_what_it_needs_is_told_with_the_command_that_brings_it(site, tmp_path):
    done = voicebot(tmp_path, '[stt]\nengine = "far"', "transcribe", "a.wav")
    assert done.returncode == 4
    says = "[stt] far needs no_such_library; pip install 'voicebot-parrot[far]'"
    assert says in done.stderr


def test_auto_takes_it_after_those_of_voicebot(site, tmp_path):
    code = (
        "from pathlib import Path; from voicebot.assistant.assembly import choose\n"
        "from voicebot.config import Config\n"
        "for without in (set(), {'llama', 'extractive'}):\n"
        "    print(choose(Config(), Path('none'), ['llm'], without)[0].name)"
    )
    assert python(tmp_path, "-c", code).stdout.split() == ["extractive", "parrot"]


def test_doctor_asks_it(site, tmp_path):
    done = voicebot(tmp_path, '[llm]\nengine = "parrot"', "doctor")
    assert "llm:       parrot answers" in done.stdout


@pytest.mark.parametrize(
    ("points", "says"),
    [
        ("gone = nowhere:Gone", "ModuleNotFoundError: No module named 'nowhere'"),
        ("gone = broken:Gone", "ZeroDivisionError: division by zero"),
        ("gone = leaves:Gone", "SystemExit: 3"),
        ("gone = parrot:Gone", "AttributeError: module 'parrot' has no attribute 'Gone'"),
        ("gone = parrot:Odd", "`kind` should be one of vad, stt, llm, tts, not 'nose'"),
        ("gone = parrot:Mute", "an engine of kind tts needs a method `synthesize`"),
        ("espeak = parrot:Whistle", "[tts] voicebot has an engine of that name"),
    ],
)
def test_a_broken_one_is_a_line_that_names_its_distribution(site, tmp_path, points, says):
    modules = {"broken": "1 / 0", "leaves": "raise SystemExit(3)"}
    install(site, "voicebot-gone", points, **modules)
    done = voicebot(tmp_path, "", "engines")
    assert done.returncode == 0
    assert "  parrot  " in done.stdout
    (line,) = done.stderr.splitlines()
    assert "voicebot-gone: engine" in line
    assert says in line


def test_entry_points_that_cannot_be_read_stop_nothing(site, tmp_path):
    install(site, "voicebot-gone", "no equals sign")
    done = voicebot(tmp_path, "", "engines")
    assert (done.returncode, "  parrot  " in done.stdout) == (0, True)
    assert "voicebot-gone: its entry points cannot be read" in done.stderr


@pytest.mark.parametrize("points", ["gone = nowhere:Gone", "no equals sign"])
@pytest.mark.parametrize("metadata", [None, "Version: 1.0"])
def test_a_distribution_without_a_name_is_told_by_its_place(site, tmp_path, points, metadata):
    install(site, "voicebot-gone", points)
    about = site / "voicebot_gone-1.0.dist-info" / "METADATA"
    about.unlink()
    if metadata:
        about.write_text(metadata)
    done = voicebot(tmp_path, "", "engines")
    assert (done.returncode, "  parrot  " in done.stdout) == (0, True), done.stderr
    (line,) = done.stderr.splitlines()
    assert f"a distribution without a name in {site}: " in line


def test_a_distribution_that_lies_on_the_path_twice_is_one(site, tmp_path):
    shutil.copytree(site, tmp_path / "other")
    code = "import sys; sys.path.append('other'); from voicebot.cli import main; main(['engines'])"
    done = python(tmp_path, "-c", code)
    assert done.stdout.count("  parrot  ") == 1
    assert done.stderr == ""


def test_help_looks_for_no_engine(site, tmp_path):
    (site / "parrot.py").write_text("raise SystemExit('was imported')")
    done = voicebot(tmp_path, "", "--help")
    assert (done.returncode, done.stderr) == (0, "")


def test_engines_of_voicebot_come_through_the_same_door():
    registry = Registry()
    registry.register("llm", "llama", ENGINES["llm"]["llama"])
    with pytest.raises(ValueError, match="voicebot has an engine of that name"):
        registry.register("llm", "llama", Entry("other:Llama", "another", distribution="other"))
