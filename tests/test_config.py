"""What is in a settings file, and what is told of each mistake in one."""

import sys
from pathlib import Path

import pytest

from voicebot import config
from voicebot.config import Config, EngineChoice
from voicebot.errors import ConfigError
from voicebot.weights import manifest as weights


@pytest.fixture
def toml(tmp_path):
    def write(text):
        (tmp_path / "voicebot.toml").write_text(text)
        return tmp_path / "voicebot.toml"

    return write


def test_an_empty_file_means_the_defaults(toml):
    assert config.read(toml("")) == config.read(None) == Config()


def test_what_is_not_engine_is_handed_to_the_engine(toml):
    tts = config.read(toml('[tts]\nengine = "espeak"\nspeed = 2')).tts
    assert tts == EngineChoice("espeak", {"speed": 2})


def test_documents_lie_beside_the_file_that_names_them(toml):
    path = toml('[documents]\nfolder = "notes"')
    assert config.read(path).documents.folder == str(path.parent / "notes")


def test_certificates_lie_beside_the_file_that_names_them(toml):
    path = toml('[server]\ntls_certificate = "mine.pem"')
    assert config.read(path).server.tls_certificate == str(path.parent / "mine.pem")
    assert config.read(path).server.tls_key == ""


def test_the_log_lies_beside_the_file_that_names_it_unless_it_is_standard_error(toml):
    path = toml('[log]\nfile = "voicebot.log"')
    assert config.read(path).log.file == str(path.parent / "voicebot.log")
    assert config.read(toml('[log]\nfile = "-"')).log.file == "-"


def test_weights_may_lie_beside_the_file_that_names_them(toml):
    path = toml('[llm]\nengine = "llama"\nmodel = "tiny.gguf"')
    assert config.read(path).llm.options == {"model": "tiny.gguf"}
    (path.parent / "tiny.gguf").touch()
    assert config.read(path).llm.options == {"model": str(path.parent / "tiny.gguf")}


def test_an_engine_of_ones_own_may_take_any_settings(toml, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "class Parrot:\n    def __init__(self, *, pitch: int = 1): ..."
    )
    monkeypatch.syspath_prepend(tmp_path)
    read = config.read(toml('[tts]\nengine = "mine:Parrot"\npitch = 3'))
    assert read.tts == EngineChoice("mine:Parrot", {"pitch": 3})
    with pytest.raises(ConfigError, match="mine:Parrot has no setting 'speed'; there is pitch"):
        config.read(toml('[tts]\nengine = "mine:Parrot"\nspeed = 3'))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "[tss]",
            r"\[tss\] is not a section; there is turn_detection, assistant, latency, speech, doc",
        ),
        ("[server]\nport = 70000", r"\[server\] port should be from 0 to 65535, not 70000"),
        ('[server]\ntls_key = "k.pem"', r"\[server\] tls_key needs tls_certificate beside it"),
        ("turn_detection = 3", r"turn_detection should be a section, \[turn_detection\], not 3"),
        (
            "[turn_detection]\nend = 1",
            r"\[turn_detection\] end is not a setting; there is threshold",
        ),
        (
            '[turn_detection]\nsilence_duration_ms = "1"',
            r"\[turn_detection\] silence_duration_ms should be int, not '1'",
        ),
        (
            "[turn_detection]\nsilence_duration_ms = true",
            r"\[turn_detection\] silence_duration_ms should be int, not True",
        ),
        (
            "[turn_detection]\nsilence_duration_ms = 10",
            r"preemptive_silence_ms should be above 0 and at most silence_duration_ms",
        ),
        (
            "[assistant]\nengine_timeout_s = 0",
            r"\[assistant\] engine_timeout_s should be above 0, not 0",
        ),
        (
            "[assistant]\nengine_timeout_s = nan",
            r"\[assistant\] engine_timeout_s should be float, not nan",
        ),
        (
            "[turn_detection]\nmax_utterance_s = inf",
            r"\[turn_detection\] max_utterance_s should be float, not inf",
        ),
        ('[tts]\nengine = "espeak"\nspeed = nan', r"\[tts\] speed should be float, not nan"),
        ('[log]\nfile = "a\\u0000b"', r"\[log\] file should be a path, not 'a\\x00b'"),
        ("[log]\nkeep = 10000", r"\[log\] keep should be from 1 to 9999, not 10000"),
        ('[traces]\nendpoint = "http://[::1"', r"\[traces\] endpoint should look like http://loc"),
        ('[traces]\nendpoint = "http://a:99999"', r"\[traces\] endpoint should look like http:"),
        (
            '[latency]\ndegradations = "filler filler"',
            r"\[latency\] degradations has 'filler' more than once",
        ),
        (
            '[tts]\nengine = "openai"\nurl = "http://a/v1"\nmodel = "m"\nvoice = "v"\ntimeout = 40',
            r"\[tts\] timeout \(40 s\) is longer than \[assistant\] engine_timeout_s \(30 s\)",
        ),
        ("[documents]\npassages = 0", r"\[documents\] passages should be at least 1, not 0"),
        ('[log]\nformat = "xml"', r"\[log\] format should be 'json' or 'text', not 'xml'"),
        ("[log]\nkeep = 0", r"\[log\] keep should be from 1 to 9999, not 0"),
        ("[listen", r"voicebot.toml: Expected"),
        ("[tts]\nengine = 3", r"\[tts\] engine should be a name, not 3"),
        ('[tts]\nengine = "kokro"', r"\[tts\] no engine 'kokro'; there is auto, kokoro, hibari"),
        ('[tts]\nengine = "espeak"\nvoise = "en"', r"\[tts\] espeak has no setting 'voise'; there"),
        ('[tts]\nengine = "espeak"\nspeed = "1"', r"\[tts\] speed should be float, not '1'"),
        ("[tts]\nspeed = 1.0", r"\[tts\] speed is a setting of one engine: name it, engine = 'kok"),
        ('[tts]\nengine = "nowhere:Voice"', r"\[tts\] engine 'nowhere:Voice' cannot be imported"),
    ],
)
def test_a_mistake_is_named_with_its_file_section_and_key(toml, text, says):
    with pytest.raises(ConfigError, match=says) as caught:
        config.read(toml(text))
    assert str(caught.value).startswith(str(toml(text)))


def test_a_file_asked_for_must_be_there():
    with pytest.raises(ConfigError, match=r"nowhere\.toml: no such file"):
        config.find("nowhere.toml")


def test_the_folder_one_is_in_goes_before_the_users_own(tmp_path, monkeypatch):
    here, home = tmp_path / "here", tmp_path / "home"
    for folder in (here, home / "voicebot"):
        folder.mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.setattr("sys.platform", "linux")
    assert config.find() is None
    (home / "voicebot" / "voicebot.toml").touch()
    assert config.find() == home / "voicebot" / "voicebot.toml"
    (here / "voicebot.toml").touch()
    assert config.find().resolve() == here / "voicebot.toml"


@pytest.mark.skipif(sys.platform == "win32", reason="everybody has a home there")
def test_a_user_without_a_home_has_no_settings_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("VOICEBOT_MODELS", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 7)  # a number that nobody has
    assert config.find() is None
    with pytest.raises(ConfigError, match="--models"):
        weights.folder()
    assert weights.folder("models") == Path("models")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "voicebot").mkdir()
    (tmp_path / "voicebot" / "voicebot.toml").touch()
    assert config.find() == tmp_path / "voicebot" / "voicebot.toml"


def test_further_models_stand_beside_the_usual_one_by_name(toml):
    read = config.read(
        toml("""
[stt]
engine = "whisper"
model = "whisper-tiny.en"
[stt.models.accurate]
engine = "whisper"
model = "whisper-base"
[tts.models."robot.uk"]
engine = "espeak"
voice = "en-gb"
""")
    )
    assert read.stt.options == {"model": "whisper-tiny.en"}
    assert read.stt.models == {"accurate": EngineChoice("whisper", {"model": "whisper-base"})}
    assert read.tts.engine == "auto"
    assert read.tts.models == {"robot.uk": EngineChoice("espeak", {"voice": "en-gb"})}
    accurate = read.choosing("stt", "Accurate").stt
    assert (accurate.options, accurate.models) == ({"model": "whisper-base"}, {})
    with pytest.raises(ConfigError, match=r"\[stt.models\] has no 'acurate'; .*mean accurate\?"):
        read.choosing("stt", "acurate")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[stt.models.a]\nengine = "wisper"', r"\[stt.models.a\] no engine 'wisper'; .*whisper\?"),
        (
            '[stt.models.big]\nengine = "whisper"\nmodle = "x"',
            r"\[stt.models.big\] whisper has no setting 'modle'; .*did you mean model\?",
        ),
        (
            '[stt.models.big]\nmodel = "x"',
            r"\[stt.models.big\] should name its engine, engine = 'whisper' or",
        ),
        (
            '[stt.models.big]\nengin = "whisper"',
            r"\[stt.models.big\] should name its engine.*did you mean engine, not engin\?",
        ),
        ('[stt.models]\nbig = "whisper"', r"\[stt.models.big\] should be a table, not 'whisper'"),
        ('[stt]\nmodels = ["a"]', r"\[stt\] models should be tables, \[stt.models.NAME\]"),
        (
            '[stt.models.base.en]\nengine = "whisper"',
            r'\[stt.models.base\] en should be no table; quote .*\[stt.models."base.en"\]',
        ),
        (
            '[stt.models.a]\nengine = "pocketsphinx"\n[llm.models.A]\nengine = "extractive"',
            r"\[llm.models.A\] and \[stt.models.a\] have one name",
        ),
        (
            '[stt.models.gpt-4o]\nengine = "pocketsphinx"',
            r"\[stt.models.gpt-4o\] programs expect a model of \[llm\] under this name",
        ),
        (
            '[llm.models."a:no-documents"]\nengine = "extractive"',
            r"names do not end in :no-documents",
        ),
        ('[llm.models."two words"]\nengine = "extractive"', r"a name has at most 64 letters"),
        ('[vad.models.a]\nengine = "silero"', r"\[vad\] has one engine for everybody"),
        (
            '[llm.models.a]\nengine = "openai"\nurl = "http://a"\nmodel = "b"\ntimeout = 99',
            r"\[llm.models.a\] timeout \(99 s\) is longer than \[assistant\] engine_timeout_s",
        ),
    ],
)  # fmt: skip
def test_a_mistake_in_a_further_model_is_one_line_that_names_it(toml, text, says):
    with pytest.raises(ConfigError, match=says) as error:
        config.read(toml(text))
    assert "\n" not in str(error.value)
