"""scripts/bench, which prints what voicebot costs beside its models: it runs and finds times."""

import importlib.util
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.soak

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "bench.py"


@pytest.fixture
def bench(monkeypatch):
    spec = importlib.util.spec_from_file_location("costs", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "TURNS", 5)
    monkeypatch.setattr(module, "INTERRUPTIONS", 3)
    return module


def times(printed):
    """How many times each line measured, in order."""
    return [int(count) for count in re.findall(r"\((\d+) times\)", printed)]


def test_every_turn_has_a_first_audio_and_every_interruption_a_silence(bench, capsys):
    bench.core()
    assert times(capsys.readouterr().out) == [5, 5, 3, 3]


def test_the_books_of_every_turn_are_kept(bench, capsys):
    bench.books()
    assert times(capsys.readouterr().out) == [5]


def test_the_memory_is_that_of_a_process_that_has_answered(bench, capsys, monkeypatch):
    monkeypatch.chdir(SCRIPT.parents[1])
    bench.memory()
    assert int(re.search(r"(\d+) MB", capsys.readouterr().out)[1]) > 50


def test_a_process_that_fails_has_no_memory_to_show(bench, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # there is no voicebot.toml
    with pytest.raises(SystemExit, match="has failed"):
        bench.memory()
