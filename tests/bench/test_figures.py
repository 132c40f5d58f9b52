"""The arithmetic of a benchmark, on numbers one can check by hand."""

import dataclasses

import pytest

from voicebot.bench.figures import Usage, compare, declared, measured, percentiles, stages, summary
from voicebot.bench.simulated import Costs
from voicebot.bench.trial import Turn

MARKS = {
    "stt.begun": 0.3, "stt.first": 0.54, "stt.done": 0.55, "llm.begun": 0.56, "llm.first": 0.86,
    "tts.begun": 1.0, "tts.first": 1.2,
}  # fmt: skip
TURN = Turn("a", 1.25, 0.5, silence=0.1, marks=MARKS, clause="It is noon,")


def test_percentiles_are_interpolated_and_in_thousandths():
    assert percentiles([0.1, 0.2, 0.3]) == {"p50": 200.0, "p90": 280.0, "p95": 290.0, "p99": 298.0}


def test_of_nothing_there_are_none():
    assert percentiles([]) == {}


def test_stages_add_up_to_the_first_sound():
    spent = stages(TURN)
    assert spent == pytest.approx(
        {
            "start": 0.3, "recognition": 0.25, "first_token": 0.3, "first_clause": 0.14,
            "synthesis": 0.2, "gate": 0.0, "network": 0.06,
        }
    )  # fmt: skip
    assert sum(spent.values()) == pytest.approx(TURN.first_audio)


def test_sound_that_waits_for_the_decision_waits_at_the_gate():
    late = dataclasses.replace(TURN, end_of_turn=1.5, first_audio=1.52)
    assert stages(late)["gate"] == pytest.approx(0.3)
    assert sum(stages(late).values()) == pytest.approx(1.52)


@pytest.mark.parametrize("lost", ["stt.begun", "tts.first"])
def test_without_all_boundaries_no_stage_is_known(lost):
    marks = {name: at for name, at in MARKS.items() if name != lost}
    assert stages(dataclasses.replace(TURN, marks=marks)) == {}
    assert measured(dataclasses.replace(TURN, marks=marks)) is None


def test_the_floor_of_declared_costs_is_their_sum():
    costs = Costs(0.25, 0.30, 25, 0.30, 0.06)
    # 0.25 s, a first token after 0.30 s and two more, 11 characters of 0.06 s at 0.30.
    assert costs.floor("It is noon,") == pytest.approx(0.25 + 0.30 + 0.08 + 0.198)
    assert declared(costs)(TURN) == costs.floor("It is noon,")
    assert declared(costs)(Turn("a", None)) is None


def test_the_floor_of_real_engines_is_what_they_took():
    assert measured(TURN) == pytest.approx(0.25 + 0.3 + 0.14 + 0.2)


def test_a_summary_counts_what_has_no_first_sound():
    turns = [TURN, Turn("b", None), Turn("c", None, cut_in=True), Turn("d", 1.0, deaf=True)]
    run = summary(turns, lambda turn: 1.0 if turn.clause else None, 2, Usage(1.234, 5.678))
    assert run["sessions"] == 2
    assert (run["turns"], run["unanswered"], run["cut_in"], run["deaf"]) == (4, 1, 1, 1)
    assert run["first_audio_ms"]["p50"] == 1125.0
    assert run["floor_ms"]["p50"] == 1000.0
    assert run["ratio_to_floor"]["p50"] == 1.25
    assert run["ratio_to_floor_and_end_of_turn"]["p50"] == 0.833
    assert run["end_of_turn_ms"]["p50"] == 500.0
    assert run["silence_ms"]["p50"] == 100.0
    assert (run["cpu_s"], run["peak_mb"]) == (1.23, 5.7)
    assert [turn["first_audio_ms"] for turn in run["each"]] == [1250.0, None, None, 1000.0]


def asked(*first_audio, names="abcdefgh"):
    return [
        {"question": name, "first_audio_ms": ms}
        for name, ms in zip(names, first_audio, strict=False)
    ]


BEFORE = asked(1000, 1400, 1100, 1300, 1200, 1500)


def test_the_same_questions_are_compared_with_themselves():
    now = asked(1050, 1449, 1151, 1352, 1248, 1550)
    change = compare(BEFORE, list(reversed(now)))
    assert change.paired
    assert change.turns == 6
    assert change.median == 50
    assert 48 <= change.low <= change.high <= 52
    assert change.verdict == "slower"


def test_a_gain_shows_through_what_differs_between_questions():
    assert compare(BEFORE, asked(950, 1350, 1050, 1250, 1150, 1450)).verdict == "faster"


def test_noise_is_no_change():
    change = compare(BEFORE, asked(1050, 1350, 1150, 1250, 1230, 1470))
    assert change.low < 0 < change.high
    assert change.verdict.startswith("no change")


def test_the_second_time_a_question_is_asked_is_another():
    twice = asked(1000, 2000, 1000, 2000, 1000, 2000, names="aabbcc")
    assert compare(twice, twice).median == 0
    assert compare(twice, twice).turns == 6


def test_without_enough_questions_in_common_medians_are_compared():
    others = asked(2000, 2400, 2100, 2300, 2200, 2500, names="uvwxyz")
    change = compare(BEFORE, others)
    assert not change.paired
    assert change.median == 1000
    assert change.verdict == "slower"


def test_the_same_runs_are_always_compared_alike():
    before = asked(*(1000 + n * 37.77 % 101 for n in range(40)), names=range(40))
    now = asked(*(1000 + n * 41.41 % 103 for n in range(40)), names=range(40, 80))
    assert compare(before, now) == compare(before, now)


def test_what_was_not_answered_cannot_be_compared():
    assert compare(BEFORE, asked(None, None)) is None
    assert compare(asked(None, *[1000] * 5), asked(*[1000] * 6)).turns == 5
