"""From readings to the rows of a table, and what has changed in them, on literals."""

import pytest

from voicebot.bench import llm, report, stt
from voicebot.bench.figures import compare_rows, rows
from voicebot.bench.job import Reading


def readings(what, unit, *values):
    return [Reading(what, unit, f"input {i}", value) for i, value in enumerate(values)]


def test_a_row_has_the_median_and_what_95_in_100_keep_to():
    (row,) = rows(readings("window", "ms", *range(101)))
    assert (row["what"], row["unit"], row["count"]) == ("window", "ms", 101)
    assert (row["p50"], row["p95"]) == (50, 95)
    assert row["each"][7] == ("input 7", 7)


def test_of_a_rate_95_in_100_are_above():
    (row,) = rows(readings("tokens in a second", "/s", *range(101)))
    assert (row["p50"], row["p95"]) == (50, 5)


def test_a_share_is_a_mean_and_has_no_spread():
    (row,) = rows(readings("right document first", "%", 100.0, 0.0, 100.0, 100.0))
    assert row["value"] == 75
    assert not row.keys() & {"p50", "p95"}


def test_a_single_value_is_itself():
    (row,) = rows([Reading("memory", "MB", "", 123.456789)])
    assert row["value"] == 123.46
    assert "p95" not in row


def test_rows_stand_as_they_come():
    found = rows([*readings("b", "ms", 1), *readings("a", "ms", 2), *readings("b", "ms", 3)])
    assert [(row["what"], row["count"]) for row in found] == [("b", 2), ("a", 1)]


def test_rows_are_compared_by_name_and_input():
    before = rows(readings("first sound", "ms", 10, 200, 30, 400, 50, 60))
    now = rows(list(reversed(readings("first sound", "ms", 11, 201, 31, 401, 51, 61))))
    change = compare_rows(before, now)["first sound"]
    assert change.paired
    assert (change.median, change.verdict) == (1, "slower")


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (readings("start", "ms", 1, 2, 3), readings("start", "ms", 4, 5, 6)),  # too few
        (readings("memory", "MB", *range(9)), readings("memory", "MB", *range(9))),
        (readings("a", "ms", *range(9)), readings("b", "ms", *range(9))),
    ],
)
def test_what_tells_nothing_is_not_compared(before, now):
    assert compare_rows(rows(before), rows(now)) == {}


def test_very_many_values_are_compared_too():
    many = rows(readings("window", "ms", *(i % 7 for i in range(20_000))))
    assert compare_rows(many, many)["window"].median == 0


def test_the_table_names_sessions_threads_and_what_is_left_out():
    run = {
        "threads": 2,
        "sessions": 4,
        "rows": rows(readings("first sound", "ms", 1234.5, 1234.5))
        + rows([Reading("memory", "MB", "", 0.12345)]),
    }
    result = {
        "machine": "a machine", "python": "3", "voicebot": "1", "commit": "", "load": 0.1,
        "runs": [run], "settings": {"engines": "random", "chosen": ["x speaks"], "left_out": "y"},
    }  # fmt: skip
    about, _, head, sound, memory, _, last = report.lines(result)
    assert about.endswith("random x speaks, load 0.1")
    assert " ".join(head.split()) == "4 sessions at once, threads = 2 p50 p95 times"
    assert " ".join(sound.split()) == "first sound 1234 ms 1234 ms 2"
    assert " ".join(memory.split()) == "memory 0.123 MB - 1"
    assert last == "y"


@pytest.mark.parametrize(
    ("seconds", "row"),
    [
        (1.3, "transcript of up to 2 s of sound"),
        (2.0, "transcript of up to 2 s of sound"),
        (2.1, "transcript of up to 5 s of sound"),
        (9.0, "transcript of over 5 s of sound"),
    ],
)
def test_recordings_of_about_one_length_share_a_row(seconds, row):
    assert stt.row(seconds) == row


def test_the_first_token_is_no_part_of_what_the_others_take():
    assert llm.Reply(0.5, 1.5, 7, written=11).token == pytest.approx(0.1)
    assert llm.Reply(0.5, 0.5, 7, written=1).token is None


def test_a_prompt_differs_from_its_first_word_on_and_has_as_many_as_it_should():
    (one, asked), (other, _) = llm.prompt(20, "1. ", "What?"), llm.prompt(20, "2. ", "What?")
    assert len(one.text.split()) == 21
    assert one.text[0] != other.text[0]
    assert (one.role, asked.role, asked.text) == ("system", "user", "What?")
