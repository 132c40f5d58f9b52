"""Where figures go: it is seen to before they are measured, which takes minutes."""

import json

import pytest

from voicebot.bench.output import give, prepare
from voicebot.bench.simulated import Costs
from voicebot.errors import ConfigError

EACH = [{"question": "q", "first_audio_ms": 900.0}]
RESULT = {
    "machine": "m", "load": 0, "voicebot": "0", "commit": "", "python": "3", "runs": [],
    "settings": {"engines": "simulated", "chosen": []},
}  # fmt: skip
ROW = {"what": "first sound", "unit": "ms", "each": [["a", 1.0]] * 5}


@pytest.mark.parametrize(
    "kept",
    [
        "no json",
        "\ufffe",
        [],
        {"runs": None},
        {"runs": [3]},
        {"runs": [{"each": EACH}]},
        {"runs": [], "settings": 3},
        {"runs": [{"sessions": 1}]},
        {"runs": [{"sessions": 1, "each": [{"question": "q"}]}]},
        {"runs": [{"sessions": 1, "each": [{"question": "q", "first_audio_ms": "soon"}]}]},
        {"runs": [{"sessions": 1, "threads": None, "rows": [{"what": "first sound"}]}]},
        {"runs": [{"sessions": 1, "threads": None, "rows": [{**ROW, "each": [["a", None, 3]]}]}]},
    ],
)
def test_a_file_that_is_no_earlier_result_is_refused(tmp_path, kept):
    path = tmp_path / "earlier.json"
    path.write_text(kept if isinstance(kept, str) else json.dumps(kept), "utf-16")
    with pytest.raises(ConfigError, match=r"--compare .*: no result of voicebot bench --json"):
        prepare(str(path))
    path.write_text(kept if isinstance(kept, str) else json.dumps(kept))
    with pytest.raises(ConfigError, match=r"--compare .*: no result of voicebot bench --json"):
        prepare(str(path))


def test_a_file_that_cannot_be_written_is_told_before(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere/a\.svg: cannot be written \(No such file"):
        prepare(None, "-", None, str(tmp_path / "nowhere" / "a.svg"))


def test_a_result_may_be_compared_with_what_it_replaces(tmp_path, capsys):
    path = tmp_path / "figures.json"
    runs = [{"sessions": 1, "threads": None, "rows": [ROW]}]
    path.write_text(json.dumps({"runs": runs}))
    earlier = prepare(str(path), str(path))
    assert earlier.runs == runs
    assert json.loads(path.read_text()) == {"runs": runs}


def test_where_nothing_was_measured_in_both_it_is_said(tmp_path, capsys):
    path = tmp_path / "earlier.json"
    path.write_text(json.dumps({"runs": [{"sessions": 8, "each": EACH}]}))
    assert give(RESULT, json_to=None, before=prepare(str(path))) == 0
    assert capsys.readouterr().out.endswith(f"against {path}: nothing was measured in both\n")


def test_what_else_differs_is_said_beside_what_has_changed(tmp_path, capsys):
    path = tmp_path / "earlier.json"
    other = {"engines": "configured", "chosen": [], "left_out": "a start"}
    path.write_text(json.dumps({**RESULT, "machine": "other", "load": 9, "settings": other}))
    give(RESULT, json_to=None, before=prepare(str(path)))
    assert f"\nagainst {path}: with other engines, machine\n" in capsys.readouterr().out
    path.write_text(json.dumps(RESULT))
    give(RESULT, json_to=None, before=prepare(str(path)))
    assert "with other" not in capsys.readouterr().out


@pytest.mark.parametrize("cost", [-1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["recognition_s", "tokens_per_s", "character_s"])
def test_what_engines_cannot_cost_is_refused(name, cost):
    with pytest.raises(ConfigError, match=rf"{name} should be (at least|above) 0"):
        Costs(**{name: cost})
