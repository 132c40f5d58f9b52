"""Which degradations are applied when time is short, which in advance, and when they end."""

import pytest

from voicebot.conversation.degradation import MIN_TURNS, WINDOW_TURNS, DegradationPolicy
from voicebot.conversation.latency_budget import LatencySettings

BUDGET = LatencySettings(first_token_ms=200, first_clause_ms=100, synthesis_ms=110, network_ms=20)


def test_a_turn_in_time_applies_no_degradation():
    assert DegradationPolicy(BUDGET).short_of_time("first_token", left=0.5) == []


def test_the_cheapest_degradation_that_makes_up_for_the_delay_is_taken():
    # What comes needs 430 ms; 400 are left; fewer passages save half of 200.
    assert DegradationPolicy(BUDGET).short_of_time("first_token", left=0.4) == ["fewer_passages"]


def test_a_longer_delay_applies_more_degradations():
    assert DegradationPolicy(BUDGET).short_of_time("first_token", left=0.1) == [
        "fewer_passages", "short_clause",
    ]  # fmt: skip


def test_a_degradation_whose_stage_is_over_is_no_help():
    assert DegradationPolicy(BUDGET).short_of_time("first_clause", left=0.0) == ["short_clause"]


def test_degradations_are_applied_in_the_order_of_the_settings():
    budget = LatencySettings(degradations="short_clause fewer_passages")
    assert DegradationPolicy(budget).short_of_time("first_token", left=0.36) == ["short_clause"]


def test_what_the_settings_leave_out_is_never_applied():
    policy = DegradationPolicy(LatencySettings(degradations="filler"))
    assert policy.short_of_time("recognition", left=0.0) == []


def spend(policy, seconds, turns):
    for _ in range(turns):
        policy.learn({"first_token": seconds}, first_audio=0.7)


def test_a_stage_that_is_too_slow_is_degraded_in_advance():
    policy = DegradationPolicy(BUDGET)
    spend(policy, 0.25, MIN_TURNS - 1)
    assert policy.preemptive == set()
    spend(policy, 0.25, 1)
    assert policy.preemptive == {"fewer_passages"}


def test_what_is_taken_in_advance_is_not_taken_again():
    policy = DegradationPolicy(BUDGET)
    spend(policy, 0.25, MIN_TURNS)
    assert policy.short_of_time("first_token", left=0.4) == ["short_clause"]


def test_a_degradation_ends_when_its_stage_has_recovered():
    policy = DegradationPolicy(BUDGET)
    spend(policy, 0.25, MIN_TURNS)
    spend(policy, 0.1, MIN_TURNS)
    assert policy.preemptive == set()


def test_a_slow_voice_begins_with_fewer_words_for_as_long_as_it_is_slow():
    policy = DegradationPolicy(BUDGET)
    for _ in range(MIN_TURNS):
        policy.learn({"first_clause": 0.2, "synthesis": 0.9}, first_audio=1.5)
    for _ in range(4 * MIN_TURNS):  # fewer words are written in no time, and take long to speak
        before = set(policy.preemptive)
        policy.learn({"first_clause": 0.02, "synthesis": 0.45}, first_audio=1.0)
        assert before <= policy.preemptive
    assert policy.preemptive == {"short_clause"}
    for _ in range(WINDOW_TURNS):
        policy.learn({"first_clause": 0.02, "synthesis": 0.05}, first_audio=0.6)
    assert policy.preemptive == set()


def test_what_was_slow_with_more_words_says_nothing_of_fewer():
    policy = DegradationPolicy(BUDGET)
    for _ in range(MIN_TURNS):
        policy.learn({"first_clause": 0.2, "synthesis": 0.45}, first_audio=1.0)
    for _ in range(MIN_TURNS):
        assert policy.preemptive == {"short_clause"}
        policy.learn({"first_clause": 0.02, "synthesis": 0.05}, first_audio=0.6)
    assert policy.preemptive == set()


def test_one_quick_turn_is_not_a_recovery():
    policy = DegradationPolicy(BUDGET)
    spend(policy, 0.25, MIN_TURNS)
    spend(policy, 0.1, 1)
    assert policy.preemptive == {"fewer_passages"}


def test_a_stage_that_is_only_just_in_time_keeps_its_degradation():
    policy = DegradationPolicy(BUDGET)
    spend(policy, 0.25, MIN_TURNS)
    spend(policy, 0.19, 3 * WINDOW_TURNS)
    assert policy.preemptive == {"fewer_passages"}


def test_one_slow_turn_among_many_changes_nothing():
    policy = DegradationPolicy(BUDGET)
    spend(policy, 0.1, WINDOW_TURNS)
    spend(policy, 2.0, 1)
    assert policy.preemptive == set()


def test_a_stage_without_a_degradation_is_only_watched():
    policy = DegradationPolicy(BUDGET)
    for _ in range(MIN_TURNS):
        policy.learn({"network": 2.0}, first_audio=2.5)
    assert policy.preemptive == set()


def test_the_usual_first_audio_is_the_median():
    policy = DegradationPolicy(BUDGET)
    assert policy.usual == 0.0
    for seconds in (0.6, 3.0, 0.8):
        policy.learn({}, seconds)
    assert policy.usual == pytest.approx(0.8)


def test_a_degradation_is_only_taken_where_the_stage_takes_the_time_that_it_saves():
    policy = DegradationPolicy(LatencySettings())
    assert "fewer_passages" in policy.short_of_time("retrieval", 0.0)
    policy.learn({"first_token": 0.004}, 1.0)  # quotes documents
    assert "fewer_passages" not in policy.short_of_time("retrieval", 0.0)
    assert "short_clause" in policy.short_of_time("retrieval", 0.0)
    policy.learn({"first_clause": 0.001, "synthesis": 0.03}, 1.0)  # at once, in a quick voice
    assert policy.short_of_time("retrieval", 0.0) == []
