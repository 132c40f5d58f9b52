"""Which rungs are taken when time is short, which in advance, and when they are given back."""

import pytest

from voicebot.conversation.degradation import ENOUGH, REMEMBERED, Ladder
from voicebot.conversation.latency_budget import BudgetSettings

BUDGET = BudgetSettings(first_token_ms=200, first_clause_ms=100, synthesis_ms=110, network_ms=20)


def test_a_turn_in_time_takes_no_rung():
    assert Ladder(BUDGET).short_of_time("first_token", left=0.5) == []


def test_the_cheapest_rung_that_makes_up_for_the_delay_is_taken():
    # What comes needs 430 ms; 400 are left; fewer passages save half of 200.
    assert Ladder(BUDGET).short_of_time("first_token", left=0.4) == ["fewer_passages"]


def test_a_longer_delay_takes_more_of_the_ladder():
    assert Ladder(BUDGET).short_of_time("first_token", left=0.1) == [
        "fewer_passages", "short_clause",
    ]  # fmt: skip


def test_a_rung_whose_stage_is_over_is_no_help():
    assert Ladder(BUDGET).short_of_time("first_clause", left=0.0) == ["short_clause"]


def test_rungs_are_taken_in_the_order_of_the_settings():
    budget = BudgetSettings(ladder="short_clause fewer_passages")
    assert Ladder(budget).short_of_time("first_token", left=0.36) == ["short_clause"]


def test_a_rung_that_is_not_on_the_ladder_is_never_taken():
    ladder = Ladder(BudgetSettings(ladder="filler"))
    assert ladder.short_of_time("recognition", left=0.0) == []


def spend(ladder, seconds, turns):
    for _ in range(turns):
        ladder.learn({"first_token": seconds}, first_audio=0.7)


def test_a_stage_that_is_too_slow_has_its_rung_taken_in_advance():
    ladder = Ladder(BUDGET)
    spend(ladder, 0.25, ENOUGH - 1)
    assert ladder.ahead == set()
    spend(ladder, 0.25, 1)
    assert ladder.ahead == {"fewer_passages"}


def test_what_is_taken_in_advance_is_not_taken_again():
    ladder = Ladder(BUDGET)
    spend(ladder, 0.25, ENOUGH)
    assert ladder.short_of_time("first_token", left=0.4) == ["short_clause"]


def test_a_rung_is_given_back_when_its_stage_has_recovered():
    ladder = Ladder(BUDGET)
    spend(ladder, 0.25, ENOUGH)
    spend(ladder, 0.1, ENOUGH)
    assert ladder.ahead == set()


def test_a_slow_voice_begins_with_fewer_words_for_as_long_as_it_is_slow():
    ladder = Ladder(BUDGET)
    for _ in range(ENOUGH):
        ladder.learn({"first_clause": 0.2, "synthesis": 0.9}, first_audio=1.5)
    for _ in range(4 * ENOUGH):  # fewer words are written in no time, and take long to speak
        before = set(ladder.ahead)
        ladder.learn({"first_clause": 0.02, "synthesis": 0.45}, first_audio=1.0)
        assert before <= ladder.ahead
    assert ladder.ahead == {"short_clause"}
    for _ in range(REMEMBERED):
        ladder.learn({"first_clause": 0.02, "synthesis": 0.05}, first_audio=0.6)
    assert ladder.ahead == set()


def test_what_was_slow_with_more_words_says_nothing_of_fewer():
    ladder = Ladder(BUDGET)
    for _ in range(ENOUGH):
        ladder.learn({"first_clause": 0.2, "synthesis": 0.45}, first_audio=1.0)
    for _ in range(ENOUGH):
        assert ladder.ahead == {"short_clause"}
        ladder.learn({"first_clause": 0.02, "synthesis": 0.05}, first_audio=0.6)
    assert ladder.ahead == set()


def test_one_quick_turn_is_not_a_recovery():
    ladder = Ladder(BUDGET)
    spend(ladder, 0.25, ENOUGH)
    spend(ladder, 0.1, 1)
    assert ladder.ahead == {"fewer_passages"}


def test_a_stage_that_is_only_just_in_time_keeps_its_rung():
    ladder = Ladder(BUDGET)
    spend(ladder, 0.25, ENOUGH)
    spend(ladder, 0.19, 3 * REMEMBERED)
    assert ladder.ahead == {"fewer_passages"}


def test_one_slow_turn_among_many_changes_nothing():
    ladder = Ladder(BUDGET)
    spend(ladder, 0.1, REMEMBERED)
    spend(ladder, 2.0, 1)
    assert ladder.ahead == set()


def test_a_stage_without_a_rung_is_only_watched():
    ladder = Ladder(BUDGET)
    for _ in range(ENOUGH):
        ladder.learn({"network": 2.0}, first_audio=2.5)
    assert ladder.ahead == set()


def test_the_usual_first_audio_is_the_median():
    ladder = Ladder(BUDGET)
    assert ladder.usual == 0.0
    for seconds in (0.6, 3.0, 0.8):
        ladder.learn({}, seconds)
    assert ladder.usual == pytest.approx(0.8)


def test_a_rung_is_only_taken_where_the_stage_takes_the_time_that_it_saves():
    ladder = Ladder(BudgetSettings())
    assert "fewer_passages" in ladder.short_of_time("retrieval", 0.0)
    ladder.learn({"first_token": 0.004}, 1.0)  # quotes documents
    assert "fewer_passages" not in ladder.short_of_time("retrieval", 0.0)
    assert "short_clause" in ladder.short_of_time("retrieval", 0.0)
    ladder.learn({"first_clause": 0.001, "synthesis": 0.03}, 1.0)  # at once, in a quick voice
    assert ladder.short_of_time("retrieval", 0.0) == []
