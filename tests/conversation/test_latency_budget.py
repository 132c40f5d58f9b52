"""How the time to the first sound is shared out, and what settings are refused."""

import pytest

from voicebot.conversation.endpointing import EndpointingSettings
from voicebot.conversation.latency_budget import DEGRADATIONS, LatencySettings
from voicebot.errors import ConfigError


def refused(budget=None, listen=None, engine_timeout_s=30.0):
    with pytest.raises(ConfigError) as told:
        (budget or LatencySettings()).check(listen or EndpointingSettings(), engine_timeout_s)
    return str(told.value)


def test_the_default_shares_fit():
    LatencySettings().check(EndpointingSettings(), engine_timeout_s=30.0)


def test_a_stage_needs_its_share_and_those_of_the_stages_after_it():
    budget = LatencySettings(first_clause_ms=90, synthesis_ms=110, network_ms=20)
    assert budget.needed("synthesis") == pytest.approx(0.13)
    assert budget.needed("first_clause") == pytest.approx(0.22)


def test_only_what_degradations_may_say_is_made_ready():
    assert LatencySettings(filler="Well.", apology="Sorry.").sentences == ["Well.", "Sorry."]
    assert LatencySettings(degradations="apology fewer_passages", apology="Sorry.").sentences == [
        "Sorry."
    ]
    assert LatencySettings(degradations="").sentences == []


def test_shares_that_do_not_fit_the_whole_are_refused():
    reason = refused(LatencySettings(synthesis_ms=600))
    assert "128 + 200 + 30 + 150 + 90 + 600 + 20 = 1218" in reason
    assert "first_audio_ms (800)" in reason


def test_a_later_pause_counts_against_the_whole():
    assert "preemptive_silence_ms" in refused(listen=EndpointingSettings(preemptive_silence_ms=300))


def test_an_end_of_turn_that_does_not_fit_the_whole_is_refused():
    assert "end_of_turn_ms + network_ms (790 + 20)" in refused(LatencySettings(end_of_turn_ms=790))


def test_a_silence_longer_than_the_share_of_the_end_of_turn_is_refused():
    assert "(480) is shorter than [turn_detection] silence_duration_ms (700)" in refused(
        listen=EndpointingSettings(silence_duration_ms=700)
    )


def test_a_patience_shorter_than_the_whole_is_refused():
    assert "engine_timeout_s (0.5 s)" in refused(engine_timeout_s=0.5)


def test_a_share_below_zero_is_refused():
    with pytest.raises(ConfigError, match="network_ms should not be below 0, not -1"):
        LatencySettings(network_ms=-1)


def test_a_degradation_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(
        ConfigError, match=r"no degradation 'jokes'; there is fewer_passages, .*apology"
    ):
        LatencySettings(degradations="filler jokes")


def test_a_degradation_is_named_once():
    with pytest.raises(ConfigError, match="degradations has 'filler' more than once"):
        LatencySettings(degradations="filler apology filler")


def test_degradations_are_in_the_order_of_the_settings():
    assert LatencySettings(degradations="filler single_decode").enabled == (
        "filler",
        "single_decode",
    )
    assert LatencySettings().enabled == DEGRADATIONS
    assert LatencySettings(degradations="").enabled == ()


def test_who_waits_longer_for_the_user_to_go_on_is_given_that_time():
    budget = LatencySettings()
    assert budget.deadline(EndpointingSettings()) == pytest.approx(0.8)
    assert budget.deadline(EndpointingSettings(silence_duration_ms=980)) == pytest.approx(1.3)
    assert budget.deadline(
        EndpointingSettings(silence_duration_ms=200, preemptive_silence_ms=100)
    ) == pytest.approx(0.8)
