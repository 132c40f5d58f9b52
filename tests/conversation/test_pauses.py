"""How long a voice pauses at each punctuation mark."""

import pytest

from voicebot.conversation.pauses import SpeechSettings, after
from voicebot.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "pause"),
    [
        ("It is open,", "comma"),
        ('"It is open,"', "comma"),
        ("It is open:", "comma"),
        ("It is open.", "stop"),
        ("Is it open?", "stop"),
        ("An apple", "stop"),
    ],
)
def test_the_punctuation_says_which_pause_follows(text, pause):
    assert after(text) == pause


def test_each_pause_lasts_as_long_as_the_settings_say():
    settings = SpeechSettings(comma_ms=100, stop_ms=300, paragraph_ms=500)
    assert [settings.seconds(p) for p in ("", "comma", "stop", "paragraph")] == [0, 0.1, 0.3, 0.5]


@pytest.mark.parametrize("value", [-1, 5001])
@pytest.mark.parametrize("name", ["comma_ms", "stop_ms", "paragraph_ms"])
def test_a_pause_that_makes_no_sense_is_refused(name, value):
    with pytest.raises(ConfigError, match=rf"\[speech\] {name} should be from 0 to 5000"):
        SpeechSettings(**{name: value})
