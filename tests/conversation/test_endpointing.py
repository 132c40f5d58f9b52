"""Where speech starts, pauses and ends."""

import numpy as np
import pytest

from voicebot.conversation.endpointing import Endpointer, EndpointingSettings
from voicebot.errors import ConfigError
from voicebot.events import SpeechEnded, SpeechPaused, SpeechResumed, SpeechStarted

SHORT = {
    "min_speech_ms": 200,
    "preemptive_silence_ms": 200,
    "silence_duration_ms": 400,
    "prefix_padding_ms": 100,
}


def listening(probabilities, **settings):
    """Feed 100 ms windows, each full of its index, with these probabilities."""
    listener = Endpointer(
        rate=1000, window=100, settings=EndpointingSettings(**{**SHORT, **settings})
    )
    fed = [(i, listener.feed(np.full(100, i, np.float32), p)) for i, p in enumerate(probabilities)]
    return listener, [(i, event) for i, event in fed if event]


def hear(probabilities, **settings):
    return listening(probabilities, **settings)[1]


def kinds(events):
    return [(i, type(event)) for i, event in events]


def windows(event):
    return [int(i) for i in event.utterance.audio.samples[::100]]


def test_speech_starts_pauses_and_ends():
    events = hear([0, 1, 1, 1, 0, 0, 0, 0])
    assert kinds(events) == [(2, SpeechStarted), (5, SpeechPaused), (7, SpeechEnded)]
    assert events[0][1].at == pytest.approx(0.3)
    ended = events[2][1].utterance
    assert (ended.start, ended.end) == pytest.approx((0.0, 0.4))


def test_an_utterance_holds_a_little_sound_from_before_it_was_believed():
    *_, (_, ended) = hear([0, 0, 0, 1, 1, 0, 0, 0, 0])
    assert windows(ended) == [2, 3, 4, 5, 6, 7, 8]


def test_a_short_noise_is_ignored():
    assert hear([0, 1, 0, 1, 0, 0, 0]) == []


def test_a_gap_between_words_is_no_pause():
    events = hear([1, 1, 0, 1, 1, 0, 1, 0, 0, 0, 0])
    assert kinds(events) == [(1, SpeechStarted), (8, SpeechPaused), (10, SpeechEnded)]


def test_speech_after_a_pause_goes_on_with_the_same_utterance():
    events = hear([1, 1, 0, 0, 1, 1, 0, 0, 0, 0])
    assert kinds(events) == [
        (1, SpeechStarted), (3, SpeechPaused), (5, SpeechResumed), (7, SpeechPaused),
        (9, SpeechEnded),
    ]  # fmt: skip
    assert windows(events[-1][1])[:6] == [0, 1, 2, 3, 4, 5]


def test_a_click_in_the_closing_silence_does_not_keep_the_user_waiting():
    events = hear([1, 1, 0, 0, 1, 0, 0, 0])
    assert kinds(events) == [(1, SpeechStarted), (3, SpeechPaused), (5, SpeechEnded)]


def test_a_word_begun_as_the_silence_ran_out_is_not_cut_off():
    events = hear([1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0])
    assert SpeechResumed in [type(e) for _, e in events]
    assert len([e for _, e in events if isinstance(e, SpeechEnded)]) == 1


def test_words_may_end_softer_than_they_begin():
    assert kinds(hear([0.6, 0.6, 0.4, 0.4, 0.4, 0.4], threshold=0.5)) == [(1, SpeechStarted)]
    assert hear([0.4] * 6, threshold=0.5) == []


def test_two_utterances_share_no_sound():
    events = hear(
        [1, 1, 0, 0, 1, 1, 0, 0],
        preemptive_silence_ms=200,
        silence_duration_ms=200,
        prefix_padding_ms=500,
    )
    first, second = [e for _, e in events if isinstance(e, SpeechEnded)]
    assert windows(first)[:2] == [0, 1]
    assert windows(second) == [2, 3, 4, 5, 6, 7]


def test_speech_without_end_is_cut_and_nothing_of_it_is_lost():
    listener, events = listening([1] * 12, max_utterance_s=0.5)
    heard = [windows(e) for _, e in events if isinstance(e, SpeechEnded)]
    heard.append(windows(listener.finish()))
    assert [i for piece in heard for i in piece] == list(range(12))
    assert max(map(len, heard)) == 5


def test_what_is_being_said_when_the_microphone_closes_ends_there():
    listener, events = listening([0, 1, 1, 1])
    assert kinds(events) == [(2, SpeechStarted)]
    assert windows(listener.finish()) == [0, 1, 2, 3]
    assert listener.finish() is None


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"threshold": 1.5}, "threshold should be between 0 and 1, not 1.5"),
        (
            {"preemptive_silence_ms": 500},
            r"above 0 and at most silence_duration_ms \(480\), not 500",
        ),
        ({"min_speech_ms": 0}, "min_speech_ms should be above 0, not 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, says):
    with pytest.raises(ConfigError, match=says):
        EndpointingSettings(**settings)
