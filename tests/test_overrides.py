"""Settings from environment variables and from `--set`, and whom an error blames."""

import pytest

from voicebot import config
from voicebot.config import Config, EngineChoice
from voicebot.errors import ConfigError
from voicebot.overrides import given
from voicebot.spelling import near, there_is


@pytest.fixture
def toml(tmp_path):
    def write(text, encoding="utf-8"):
        (tmp_path / "voicebot.toml").write_text(text, encoding)
        return tmp_path / "voicebot.toml"

    return write


def read(path, *flags, **variables):
    return config.read(path, given(flags, variables))


def test_a_file_may_begin_with_a_byte_order_mark(toml):
    assert config.read(toml("[server]\nport = 9000", "utf-8-sig")).server.port == 9000


def test_variables_go_before_the_file_and_flags_before_variables(toml):
    path = toml('[server]\nport = 9000\nhost = "::1"')
    assert read(path, VOICEBOT_SERVER__PORT="9001").server.port == 9001
    both = read(path, "server.port=9002", VOICEBOT_SERVER__PORT="9001")
    assert (both.server.port, both.server.host) == (9002, "::1")


def test_no_file_is_needed():
    assert (
        read(
            None, VOICEBOT_TURN_DETECTION__SILENCE_DURATION_MS="400"
        ).turn_detection.silence_duration_ms
        == 400
    )
    assert read(None, VOICEBOT_MODELS="weights", VOICEBOT_KEY="vb-1") == Config()


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("log.file=-", "-"),
        ('log.file="-"', "-"),
        ("server.host=0.0.0.0", "0.0.0.0"),
        ("server.open=true", True),
        ("server.open=True", True),
        ("assistant.engine_timeout_s=40", 40),
        ("latency.filler=1234", "1234"),
        ("latency.filler=Wait = what?", "Wait = what?"),
        ("latency.filler=3\nport = 4", "3\nport = 4"),
        ("latency.filler=", ""),
        ("latency.apology=" + "[" * 9999, "[" * 9999),
    ],
)
def test_a_value_is_toml_or_bare_text_as_its_setting_wants_it(flag, value):
    section, _, key = flag.partition("=")[0].partition(".")
    assert getattr(getattr(read(None, flag), section), key) == value


def test_an_engines_settings_are_typed_by_the_engine():
    chosen = read(None, "tts.speed=2", "tts.engine=espeak", "tts.voice=de").tts
    assert chosen == EngineChoice("espeak", {"speed": 2, "voice": "de"})


def test_another_engine_takes_none_of_the_files_settings(toml):
    path = toml('[tts]\nengine = "hibari"\nvoice = "heart"\n[llm]\nauto_local = true')
    chosen = read(path, VOICEBOT_TTS__ENGINE="espeak", VOICEBOT_LLM__ENGINE="extractive")
    assert (chosen.tts, chosen.llm) == (EngineChoice("espeak"), EngineChoice("extractive"))
    assert read(path, "tts.engine=hibari").tts.options == {"voice": "heart"}


def test_a_further_model_is_set_by_its_name_which_may_hold_dots(toml):
    path = toml('[stt]\nengine = "pocketsphinx"\n[stt.models."base.en"]\nengine = "whisper"')
    chosen = read(path, "stt.models.base.en.model=x", VOICEBOT_STT__MODELS__NEW__ENGINE="whisper")
    assert chosen.stt.models == {
        "base.en": EngineChoice("whisper", {"model": "x"}),
        "new": EngineChoice("whisper"),
    }
    other = read(path, "stt.engine=whisper", VOICEBOT_STT__MODELS__BASE__EN__ENGINE="pocketsphinx")
    assert other.stt == EngineChoice("whisper", models={"base.en": EngineChoice("pocketsphinx")})


def test_a_path_is_relative_to_the_current_folder(toml, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert read(toml(""), "log.file=a.log").log.file == str(tmp_path / "here" / "a.log")
    (tmp_path / "here" / "tiny.gguf").touch()
    chosen = read(toml(""), "llm.engine=llama", "llm.model=tiny.gguf").llm
    assert chosen.options == {"model": str(tmp_path / "here" / "tiny.gguf")}


@pytest.mark.parametrize(
    ("flags", "variables", "says"),
    [
        ([], {"VOICEBOT_SERVER__PORT": "abc"}, "VOICEBOT_SERVER__PORT: [server] port should be in"),
        (["server.port=-1"], {}, "--set server.port=-1: [server] port should be from 0 to 65535"),
        (["tts.engin=espeak"], {}, "--set tts.engin=espeak: [tts] engin is not a setting; did you"),
        ([], {"VOICEBOT_TTS_ENGINE__X": "1"}, "VOICEBOT_TTS_ENGINE__X: [tts_engine] is not a sec"),
        ([], {"VOICEBOT_TTS__": "1"}, "VOICEBOT_TTS__ should look like VOICEBOT_SERVER__PORT"),
        (["port=1"], {}, "--set port=1 should look like --set server.port=9000"),
        (["server.open"], {}, "--set server.open should look like"),
        (["stt.models.a=b"], {}, "--set stt.models.a=b: stt.models.a needs the name of a setting"),
        (
            ["stt.models.a.engine=b"],
            {},
            "--set stt.models.a.engine=b: [stt.models.a] no engine 'b'",
        ),
        (["server.open=1"], {}, "--set server.open=1: [server] open should be bool, not 1"),
        (
            ["server.open=true"],
            {"VOICEBOT_SERVER__KEYS": "k.toml", "VOICEBOT_SERVER__PORT": "1"},
            "VOICEBOT_SERVER__KEYS, --set server.open=true: [server] keys and open = true contrad",
        ),
        (
            ["server.prt=1"],
            {"VOICEBOT_SERVER__PRT": "1"},
            "VOICEBOT_SERVER__PRT, --set server.prt=1: [server] prt is not a setting",
        ),
    ],
)
def test_a_mistake_names_the_variable_or_the_flag(flags, variables, says):
    with pytest.raises(ConfigError) as caught:
        read(None, *flags, **variables)
    assert str(caught.value).startswith(says)


def test_the_file_is_blamed_for_its_own_mistakes(toml):
    path = toml("[server]\nport = 70000")
    with pytest.raises(ConfigError, match=r"voicebot\.toml: \[server\] port"):
        read(path, "turn_detection.silence_duration_ms=400")
    assert read(path, "server.port=9000").server.port == 9000


@pytest.mark.parametrize(
    ("slip", "known", "meant"),
    [
        ("engin", ["engine", "voice"], "engine"),
        ("Kokoro", ["kokoro"], "kokoro"),
        ("tss", ["stt", "tts", "llm"], "tts"),
        ("whisper-tiny", ["whisper-tiny.en", "kokoro"], "whisper-tiny.en"),
        ("colour", ["engine", "voice"], ""),
        ("", ["engine"], ""),
    ],
)
def test_a_slip_is_known_for_what_was_meant(slip, known, meant):
    assert near(slip, known) == meant
    assert there_is(slip, known).endswith(f"; did you mean {meant}?") == bool(meant)
