"""Pulling weights from a hub on loopback: whole, resumed, verified, recorded."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hub import Hub, serving

from voicebot.commands import models
from voicebot.errors import ConfigError, MissingDependency, VoicebotError
from voicebot.weights import manifest as weights

VOICE = bytes(range(256)) * 4096
"""1 MiB: a download of several network reads."""
PULL = "import sys, pathlib; from voicebot.commands import models; "
PULL += "from voicebot.weights import manifest as weights; "
PULL += "weights.MANIFEST = pathlib.Path(sys.argv[1]); "
PULL += "sys.exit(models.pull(['parrot'], pathlib.Path(sys.argv[2])))"
"""`voicebot models pull parrot` in a process of its own: manifest, models folder."""


@dataclass
class Home:
    """A user's machine: a manifest of what there is, and a folder for what is here."""

    manifest: Path
    folder: Path

    def knows(self, name: str, files: dict[str, bytes | None], revision: str = "main") -> None:
        """Add a model to the manifest, with the hash of each file's content that is told."""
        lines = []
        for path, content in files.items():
            digest = hashlib.sha256(content).hexdigest() if content else None
            promise = f', size = {len(content)}, sha256 = "{digest}"' if content else ""
            lines.append(f'{{ path = "{path}"{promise} }}')
        with self.manifest.open("a") as manifest:
            manifest.write(
                f'[models.{name}]\nengine = "kokoro"\n'
                f'sources = [{{ repository = "somebody/{name}", revision = "{revision}" }}]\n'
                f'licence = "MIT"\nlanguages = ["en"]\n'
                f"files = [{', '.join(lines)}]\n"
            )

    def pull(self, *names: str, update: bool = False) -> int:
        return models.pull(list(names or ["parrot"]), self.folder, update)

    def has(self, path: str) -> bytes | None:
        """What is in a file of the parrot, if it is here."""
        file = self.folder / "parrot" / path
        return file.read_bytes() if file.exists() else None

    @property
    def parts(self) -> list[Path]:
        return list(self.folder.rglob("*.part"))


@pytest.fixture
def hub(monkeypatch):
    with serving() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield hub


@pytest.fixture
def home(tmp_path, monkeypatch) -> Home:
    home = Home(tmp_path / "manifest.toml", tmp_path / "models")
    home.manifest.write_text('[profiles]\nsmall = ["parrot", "cat"]\n')
    monkeypatch.setattr(weights, "MANIFEST", home.manifest)
    return home


@pytest.fixture
def parrot(hub, home) -> dict[str, bytes]:
    """A model of two files that the hub has and the manifest knows the hashes of."""
    files = {"config.json": b"{}", "voices/polly.bin": VOICE}
    hub.publish("somebody/parrot", files)
    home.knows("parrot", files)
    return files


def test_a_pulled_model_is_whole_and_recorded(hub, home, parrot, capsys):
    assert home.pull() == 0
    assert {path: home.has(path) for path in parrot} == parrot
    lock = json.loads((home.folder / "lock.json").read_text())["parrot"]
    assert lock["commit"] in hub.repositories["somebody/parrot"]
    assert [(file["path"], file["size"], file["sha256"]) for file in lock["files"]] == [
        (path, len(content), hashlib.sha256(content).hexdigest())
        for path, content in parrot.items()
    ]
    assert home.parts == []
    assert capsys.readouterr().out.splitlines() == [
        "parrot: config.json 2 B",
        "parrot: voices/polly.bin 1.0 MB",
        "parrot: verified",
    ]


def test_what_is_here_and_right_is_not_asked_for_again(hub, home, parrot, capsys):
    home.pull()
    hub.requests.clear()
    assert home.pull() == 0
    assert hub.requests == []
    assert capsys.readouterr().out.endswith("parrot: already here\n")


def test_a_cut_connection_is_taken_up_where_it_broke(hub, home, parrot):
    hub.fail("voices/polly.bin", *[("cut", 200_000)] * 5)
    assert home.pull() == 0
    assert home.has("voices/polly.bin") == VOICE
    assert hub.starts("voices/polly.bin") == [0, 200_000, 400_000, 600_000, 800_000, 1_000_000]
    assert hub.sent("voices/polly.bin") == len(VOICE)


def test_a_download_the_hub_gave_up_on_is_finished_by_the_next_pull(hub, home, parrot):
    hub.fail("voices/polly.bin", ("cut", 700_000), *[503] * 9)
    with pytest.raises(MissingDependency, match=r"cannot reach http.*: the hub answers 503"):
        home.pull()
    assert home.has("voices/polly.bin") is None
    hub.faults.clear()
    assert home.pull() == 0
    assert home.has("voices/polly.bin") == VOICE
    assert hub.starts("voices/polly.bin") == [0, 700_000]
    assert home.parts == []


def test_a_hub_that_ignores_ranges_is_read_from_the_start(hub, home, parrot):
    hub.ranges = False
    hub.fail("voices/polly.bin", ("cut", 300_000))
    assert home.pull() == 0
    assert home.has("voices/polly.bin") == VOICE


def test_an_interrupted_pull_shows_how_far_it_was_and_goes_on_from_there(hub, home, parrot):
    hub.fail("voices/polly.bin", ("stall", len(VOICE) // 2))
    screen, terminal = pty.openpty()
    command = [sys.executable, "-c", PULL, home.manifest, home.folder]
    with subprocess.Popen(command, stdout=terminal, stderr=subprocess.DEVNULL) as pulling:
        os.close(terminal)
        shown = b""
        while b"50.0 %" not in shown:
            shown += os.read(screen, 4096)
        pulling.send_signal(signal.SIGINT)
        assert pulling.wait() != 0
    os.close(screen)
    assert b"parrot: ########........  50.0 % of 1.0 MB voices/polly.bin" in shown
    assert home.has("voices/polly.bin") is None
    assert home.pull() == 0
    assert home.has("voices/polly.bin") == VOICE
    assert hub.starts("voices/polly.bin") == [0, len(VOICE) // 2]


def test_two_pulls_at_once_download_once(hub, home, parrot):
    command = [sys.executable, "-c", PULL, home.manifest, home.folder]
    pulls = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    said = sorted(pull.communicate()[0].splitlines()[-1] for pull in pulls)
    assert [pull.returncode for pull in pulls] == [0, 0]
    assert said == [b"parrot: already here", b"parrot: verified"]
    assert home.has("voices/polly.bin") == VOICE
    assert hub.sent("voices/polly.bin") == len(VOICE)


def test_bytes_that_are_not_those_promised_are_refused_and_do_not_stay(hub, home, parrot):
    wrong = VOICE[:-1] + b"!"
    hub.fail("voices/polly.bin", wrong)
    with pytest.raises(VoicebotError) as refused:
        home.pull()
    right, got = (hashlib.sha256(content).hexdigest() for content in (VOICE, wrong))
    assert str(refused.value) == (
        "parrot: voices/polly.bin is not the one promised: "
        f"expected sha256 {right}, got {got}; it was not kept"
    )
    assert refused.value.exit_code == 1
    assert home.has("voices/polly.bin") is None
    assert home.parts == []


def test_a_file_the_manifest_knows_by_another_hash_is_not_even_downloaded(hub, home):
    hub.publish("somebody/parrot", {"polly.bin": VOICE[::-1]})
    home.knows("parrot", {"polly.bin": VOICE})
    with pytest.raises(VoicebotError, match=r"polly.bin on the hub is not the one promised"):
        home.pull()
    assert hub.sent("polly.bin") == 0


def test_what_the_hub_itself_promises_is_held_against_it(hub, home):
    hub.publish("somebody/parrot", {"polly.bin": VOICE})
    home.knows("parrot", {"polly.bin": None})
    hub.fail("polly.bin", VOICE[::-1])
    with pytest.raises(VoicebotError, match="it was not kept"):
        home.pull()
    assert home.pull() == 0


def test_a_file_without_any_promise_must_stay_as_it_was_first_pulled(hub, home):
    commit = hub.publish("somebody/parrot", {"config.json": b"{}"})
    home.knows("parrot", {"config.json": None})
    home.pull()
    (home.folder / "parrot" / "config.json").unlink()
    hub.repositories["somebody/parrot"][commit] = {"config.json": b"[]"}
    with pytest.raises(VoicebotError, match=r"config.json is not the one promised"):
        home.pull()
    assert home.has("config.json") is None


def test_a_revision_that_moved_is_taken_only_when_asked_for(hub, home):
    old = hub.publish("somebody/parrot", {"config.json": b"{}", "polly.bin": VOICE})
    home.knows("parrot", {"config.json": None, "polly.bin": None})
    home.pull()
    new = hub.publish("somebody/parrot", {"config.json": b"{1}", "polly.bin": VOICE})
    (home.folder / "parrot" / "config.json").unlink()
    with pytest.raises(VoicebotError, match=f"was {old} and is now {new}; .* --update$") as moved:
        home.pull()
    assert moved.value.exit_code == 1
    assert home.pull(update=True) == 0
    assert home.has("config.json") == b"{1}"
    assert hub.sent("polly.bin") == len(VOICE), "an unchanged file is not downloaded again"
    assert home.pull() == 0


def test_a_part_of_what_the_hub_had_before_is_not_continued(hub, home):
    hub.publish("somebody/parrot", {"polly.bin": VOICE})
    home.knows("parrot", {"polly.bin": None})
    hub.fail("polly.bin", ("cut", 300_000), *[503] * 9)
    with pytest.raises(MissingDependency):
        home.pull()
    hub.faults.clear()
    hub.publish("somebody/parrot", {"polly.bin": VOICE[::-1]})
    assert home.pull() == 0
    assert home.has("polly.bin") == VOICE[::-1]
    assert home.parts == []


def test_a_part_longer_than_the_file_is_thrown_away(hub, home, parrot):
    digest = hashlib.sha256(VOICE).hexdigest()
    part = home.folder / "parrot" / "voices" / f"polly.bin.{digest[:12]}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(VOICE + b"!")
    with pytest.raises(VoicebotError, match=f"expected size {len(VOICE)}, got {len(VOICE) + 1}"):
        home.pull()
    assert home.pull() == 0
    assert home.has("voices/polly.bin") == VOICE


def test_an_update_cut_short_is_finished_by_the_next_pull(hub, home):
    hub.publish("somebody/parrot", {"config.json": b"old", "polly.bin": VOICE})
    home.knows("parrot", {"config.json": None, "polly.bin": None})
    home.pull()
    hub.publish("somebody/parrot", {"config.json": b"new", "polly.bin": VOICE[::-1]})
    hub.fail("polly.bin", *[503] * 9)
    with pytest.raises(MissingDependency):
        home.pull(update=True)
    hub.faults.clear()
    assert home.pull() == 0
    assert (home.has("config.json"), home.has("polly.bin")) == (b"new", VOICE[::-1])


def test_a_new_manifest_overrules_what_was_pulled_before(hub, home, capsys):
    hub.publish("somebody/parrot", {"polly.bin": VOICE})
    home.knows("parrot", {"polly.bin": None})
    home.pull()
    home.manifest.write_text("[profiles]\n")
    home.knows("parrot", {"polly.bin": VOICE[::-1]})
    capsys.readouterr()
    assert models.verify([], home.folder) == 1
    assert "parrot: polly.bin differs" in capsys.readouterr().out


def test_the_lock_stands_in_for_a_hash_that_was_never_published(hub, home, capsys):
    hub.publish("somebody/parrot", {"polly.bin": VOICE})
    home.knows("parrot", {"polly.bin": None})
    home.pull()
    (home.folder / "parrot" / "polly.bin").write_bytes(VOICE[::-1])
    capsys.readouterr()
    assert models.verify([], home.folder) == 1
    right = hashlib.sha256(VOICE).hexdigest()
    assert f"parrot: polly.bin differs: expected sha256 {right}" in capsys.readouterr().out


def test_a_flipped_byte_is_found_and_the_next_pull_puts_it_right(home, hub, parrot, capsys):
    home.pull()
    assert models.verify([], home.folder) == 0
    (home.folder / "parrot" / "voices" / "polly.bin").write_bytes(b"\xff" + VOICE[1:])
    capsys.readouterr()
    assert models.verify(["parrot"], home.folder) == 1
    assert "parrot: voices/polly.bin differs: expected sha256" in capsys.readouterr().out
    assert home.pull() == 0
    assert models.verify([], home.folder) == 0
    assert hub.sent("config.json") == 2, "what was right is not downloaded again"


def test_a_profile_pulls_all_its_models(hub, home, parrot, capsys):
    hub.publish("somebody/cat", {"purr.bin": b"rrr"})
    home.knows("cat", {"purr.bin": b"rrr"})
    assert home.pull("small") == 0
    assert models.verify([], home.folder) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == ["parrot: verified", "cat: verified"]


def test_the_list_tells_what_is_here(hub, home, parrot, capsys):
    home.knows("cat", {"purr.bin": b"rrr"})
    home.knows("dog", {"bark.bin": b"wuf"})
    (home.folder / "dog").mkdir(parents=True)
    (home.folder / "dog" / "bark.bin").write_bytes(b"wuf")
    home.knows("cow", {"moo.bin": b"mmm"})
    with pytest.raises(MissingDependency):
        home.pull("cow")
    home.pull()
    capsys.readouterr()
    assert models.list_models(home.folder) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line]
    assert rows == [
        ["NAME", "ENGINE", "SIZE", "LICENCE", "LANGUAGES", "STATE"],
        ["parrot", "kokoro", "1.0", "MB", "MIT", "en", "verified"],
        ["cat", "kokoro", "3", "B", "MIT", "en", "missing"],
        ["dog", "kokoro", "3", "B", "MIT", "en", "present"],
        ["cow", "kokoro", "3", "B", "MIT", "en", "incomplete"],
        ["profile", "small:", "1.0", "MB,", "parrot,", "cat"],
        ["in", str(home.folder)],
    ]


def test_the_path_of_a_model_is_printed(hub, home, parrot, capsys):
    with pytest.raises(MissingDependency, match="voicebot models pull parrot"):
        models.path("parrot", home.folder)
    home.pull()
    capsys.readouterr()
    assert models.path("parrot", home.folder) == 0
    assert capsys.readouterr().out == f"{home.folder / 'parrot'}\n"


def test_names_nobody_knows_are_answered_with_those_there_are(home, parrot):
    with pytest.raises(ConfigError, match="'parot'; there is small, parrot"):
        home.pull("parot")
    with pytest.raises(MissingDependency, match="voicebot models pull parrot"):
        models.verify(["parrot"], home.folder)


@pytest.mark.parametrize(
    ("fault", "says", "code"),
    [
        (401, "does not let us read .* set HF_TOKEN", 4),
        (404, "has no somebody/parrot at main", 4),
        (400, "refuses to give somebody/parrot", 1),
        (503, "cannot reach http.*: the hub answers 503", 4),
    ],
)
def test_a_hub_that_says_no_is_one_clear_line(hub, home, parrot, fault, says, code):
    hub.fail("", *[fault] * 9)
    with pytest.raises(VoicebotError, match=says) as failed:
        home.pull()
    assert failed.value.exit_code == code
    assert "\n" not in str(failed.value)


def test_a_file_the_hub_does_not_have_is_named(hub, home, parrot):
    hub.publish("somebody/parrot", {"config.json": b"{}"})
    with pytest.raises(MissingDependency, match=r"somebody/parrot has no file voices/polly.bin"):
        home.pull()


def test_a_hub_that_is_not_there_is_named_at_once(hub, home, parrot, monkeypatch):
    monkeypatch.setattr("voicebot.weights.hub.PAUSES", [999.0])
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(MissingDependency, match=r"cannot reach http://127.0.0.1:9"):
        home.pull()


def test_a_hub_that_wants_us_much_later_is_not_waited_for(hub, home, parrot):
    hub.retry_after = "3600"
    hub.fail("", 429)
    with pytest.raises(MissingDependency, match="the hub answers 429"):
        home.pull()


def test_an_address_that_is_none_is_a_setting_to_fix(hub, home, parrot, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "hub.example")
    with pytest.raises(ConfigError, match=r"'hub.example' is not the URL of a hub"):
        home.pull()


def test_a_server_that_is_no_hub_is_named(hub, home, parrot):
    hub.fail("", b"<html>Welcome to our hotel</html>")
    with pytest.raises(
        MissingDependency,
        match=f"{hub.url} is not a Hugging Face-compatible hub",
    ):
        home.pull()


def test_a_secret_that_cannot_be_one_is_not_shown(hub, home, parrot, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "se\ncret")
    with pytest.raises(ConfigError, match=r"^HF_TOKEN holds characters that no token has$"):
        home.pull()


def test_who_wants_to_stay_offline_does(hub, home, parrot, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(MissingDependency, match="HF_HUB_OFFLINE is set"):
        home.pull()
    assert hub.requests == []


def test_a_folder_that_cannot_be_written_to_is_a_setting_to_fix(home, parrot):
    home.folder.write_text("not a folder")
    with pytest.raises(ConfigError, match=r"cannot use .*models.*--models or VOICEBOT_MODELS"):
        home.pull()


def test_a_model_larger_than_the_disk_is_not_begun(hub, home, parrot, monkeypatch):
    hub.publish("somebody/parrot", {"config.json": b"{}", "voices/polly.bin": Endless()})
    home.manifest.write_text("[profiles]\n")
    home.knows("parrot", {"voices/polly.bin": None})
    with pytest.raises(VoicebotError, match=r"parrot needs \d+\.\d GB more") as full:
        home.pull()
    assert full.value.exit_code == 1
    assert hub.sent("voices/polly.bin") == 0


def test_a_disk_that_fills_up_is_told(home, hub, parrot):
    digest = hashlib.sha256(VOICE).hexdigest()
    part = home.folder / "parrot" / "voices" / f"polly.bin.{digest[:12]}.part"
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    with pytest.raises(VoicebotError, match=r"no room left in .*models; what arrived is kept"):
        home.pull()


class Endless(bytes):
    """Says that it is an exabyte."""

    def __len__(self) -> int:
        return 10**18


def test_the_secret_goes_to_the_hub_and_not_where_it_sends_us(hub, home, parrot, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    home.pull()
    tokens = {request.path: request.token for request in hub.requests}
    assert tokens == {"": "Bearer secret", "config.json": "Bearer secret", "voices/polly.bin": None}


def test_the_hub_of_these_tests_is_one_to_the_hubs_own_client(hub: Hub, parrot, tmp_path):
    pytest.importorskip("huggingface_hub")
    code = (
        "import sys; from huggingface_hub import HfApi, hf_hub_download;"
        "told = HfApi().model_info('somebody/parrot', files_metadata=True);"
        "[hf_hub_download(told.id, file.rfilename, revision=told.sha, local_dir=sys.argv[1])"
        " for file in told.siblings]"
    )
    # A process of its own, because that client reads HF_ENDPOINT when it is imported.
    subprocess.run(
        [sys.executable, "-c", code, tmp_path / "theirs"],
        check=True,
        capture_output=True,
        env=os.environ | {"HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"},
    )
    assert {path: (tmp_path / "theirs" / path).read_bytes() for path in parrot} == parrot


def test_the_bar_tells_speed_and_the_time_left(monkeypatch, capsys):
    clock = iter([0.0, 2.0, 8.0, 10.0])
    monkeypatch.setattr(models.time, "monotonic", lambda: next(clock))
    monkeypatch.setenv("COLUMNS", "100")
    bar = models._Bar("parrot")
    for done in (10_000_000, 30_000_000, 90_000_000, 110_000_000):  # 10 MB from an earlier pull
        bar("polly.bin", done, 110_000_000)
    shown = [line.strip() for line in capsys.readouterr().out.split("\r")[1:]]
    assert shown[1:] == [
        "parrot: ####............  27.2 % of 110.0 MB, 10.0 MB/s, 0:08 left polly.bin",
        "parrot: #############...  81.8 % of 110.0 MB, 10.0 MB/s, 0:02 left polly.bin",
        "parrot: ################ 100.0 % of 110.0 MB, 10.0 MB/s polly.bin",
    ]
    assert "left" not in shown[0]
