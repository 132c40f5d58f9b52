"""OpenAI's names of voices mean ours; other names are left to the engine."""

import pytest

from voicebot.engines.espeak.engine import Espeak
from voicebot.server.voice_aliases import OPENAI, ours

KOKORO = ("af_alloy", "af_heart", "bm_fable")


@pytest.fixture(scope="module")
def espeak():
    engine = Espeak()
    yield engine
    engine.close()


def test_espeak_has_a_voice_for_each_of_openais(espeak):
    meant = [ours(name, "espeak", espeak.voices) for name in OPENAI]
    assert None not in meant
    assert len({*meant}) == len(OPENAI)


@pytest.mark.parametrize(
    ("name", "engine", "voices", "meant"),
    [
        ("alloy", "kokoro", KOKORO, "af_alloy"),
        ("fable", "kokoro", KOKORO, "bm_fable"),
        ("onyx", "kokoro", KOKORO, None),  # not pulled: the voice of the settings
        ("am_adam", "kokoro", KOKORO, "am_adam"),  # for the engine to refuse
        ("af_heart*0.5+bm_fable", "kokoro", KOKORO, "af_heart*0.5+bm_fable"),
        ("marin", "hibari", ("heart",), "heart"),
        ("alloy", "openai", (), "alloy"),  # the server behind it knows
        ("alloy", "mine:Parrot", (), None),
        ("alloy", "mine:Parrot", ("alloy",), "alloy"),
        ("polly", "mine:Parrot", (), "polly"),
    ],
)
def test_a_name_means_a_voice_of_the_engine(name, engine, voices, meant):
    assert ours(name, engine, voices) == meant
