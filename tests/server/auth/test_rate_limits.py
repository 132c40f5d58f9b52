"""What a key may use, with a clock that the test moves."""

from contextlib import ExitStack

import pytest

from voicebot.conversation.endpointing import EndpointingSettings
from voicebot.errors import ConfigError
from voicebot.server.auth.rate_limits import Limits, Quota, RateLimitExceeded, TokenBucket, read


def test_a_bucket_fills_at_an_even_pace():
    bucket = TokenBucket(60, 60, now=0)
    bucket.take(60, now=0)
    assert bucket.left(now=10) == 10
    assert bucket.wait(15, now=10) == 5
    assert bucket.wait(5, now=10) == 0
    assert bucket.left(now=1000) == 60


def test_what_was_taken_too_much_is_owed():
    bucket = TokenBucket(60, 60, now=0)
    bucket.take(90, now=0)
    assert bucket.left(now=0) == -30
    assert bucket.wait(1, now=0) == 31
    assert bucket.reset(now=0) == 90


def test_so_many_requests_a_minute_and_then_one_in_turn():
    quota = Quota(Limits(requests_per_minute=2), now=0)
    quota.admit(now=0)
    quota.admit(now=0)
    with pytest.raises(
        RateLimitExceeded, match="requests of this minute; try again in 30 s"
    ) as refused:
        quota.admit(now=0)
    assert refused.value.retry_after == 30
    quota.admit(now=30)


def test_a_day_is_not_used_up_in_its_first_minutes_unless_it_is():
    quota = Quota(Limits(requests_per_minute=2, requests_per_day=3), now=0)
    for now in (0, 0, 60):
        quota.admit(now)
    with pytest.raises(RateLimitExceeded, match="requests of this day"):
        quota.admit(now=120)


def test_a_refused_request_is_not_counted():
    quota = Quota(Limits(requests_per_minute=1), now=0)
    quota.admit(now=0)
    for _ in range(5):
        with pytest.raises(RateLimitExceeded):
            quota.admit(now=30)
    quota.admit(now=60)


@pytest.mark.parametrize(
    ("limits", "used", "word"),
    [
        (Limits(tokens_per_minute=100), {"tokens": 160}, "tokens of this minute"),
        (Limits(audio_s_per_day=60), {"audio_s": 61.0}, "seconds of sound of this day"),
    ],
)
def test_what_was_used_keeps_the_next_one_out(limits, used, word):
    quota = Quota(limits, now=0)
    quota.admit(now=0)
    assert quota.exhausted(now=0) == ""
    quota.charge(0, **used)
    assert quota.exhausted(now=0) == word
    with pytest.raises(RateLimitExceeded, match=word):
        quota.admit(now=0)


def test_so_many_conversations_at_once():
    quota = Quota(Limits(sessions=1), now=0)
    for _ in range(2):
        with quota.session(), pytest.raises(RateLimitExceeded, match="1 conversations at once"):
            quota.session().__enter__()


def test_what_is_left_is_told():
    quota = Quota(Limits(requests_per_minute=60, tokens_per_day=86400), now=0)
    quota.admit(now=0)
    quota.charge(0, tokens=400)
    assert quota.told(now=0) == [
        {"name": "requests", "limit": 60, "remaining": 59, "reset_seconds": 1.0},
        {"name": "tokens", "limit": 86400, "remaining": 86000, "reset_seconds": 400.0},
    ]


def test_no_limits_hold_nobody_back():
    quota = Quota(Limits(), now=0)
    with ExitStack() as all_of_them:
        for _ in range(1000):
            quota.admit(now=0)
            all_of_them.enter_context(quota.session())
    quota.charge(0, tokens=10**9, audio_s=1e9)
    assert quota.exhausted(now=0) == ""
    assert quota.told(now=0) == []


@pytest.mark.parametrize("table", [{"requests": 1}, {"sessions": -1}, {"sessions": True}])
def test_a_limit_that_is_none_is_an_error(table):
    with pytest.raises(ConfigError, match=r"\[phone\]"):
        read("phone", table)


def test_new_limits_count_what_was_used_under_the_old_ones():
    quota = Quota(Limits(requests_per_minute=3, sessions=1), now=0)
    for _ in range(3):
        quota.admit(0)
    with quota.session():
        quota.limit(Limits(requests_per_minute=4, sessions=1), 0)
        quota.admit(0)
        with pytest.raises(RateLimitExceeded, match="requests"):
            quota.admit(0)
        with pytest.raises(RateLimitExceeded, match="1 conversations at once"):
            quota.session().__enter__()


def test_a_key_may_send_less_than_others_but_not_more():
    assert Limits(upload_bytes=10).upload(25) == 10
    assert Limits(upload_bytes=50).upload(25) == 25
    assert Limits().upload(25) == 25


def test_a_key_may_say_less_at_once_than_others_but_not_more():
    usual = EndpointingSettings(max_utterance_s=30.0)
    assert Limits(utterance_s=10).listening(usual) == EndpointingSettings(max_utterance_s=10)
    assert Limits(utterance_s=50).listening(usual) == usual
    assert Limits().listening(usual) == usual
