"""`bench stt --accuracy` counts the words that a recogniser gets wrong."""

import json

import pytest

from voicebot.audio import Audio, join, silence
from voicebot.audio.recordings import WavWriter
from voicebot.bench import accuracy
from voicebot.conversation.endpointing import EndpointingSettings
from voicebot.engines import Segment
from voicebot.engines.call_options import OptionError
from voicebot.errors import ConfigError, InputError

pytest.importorskip("jiwer")
pytest.importorskip("whisper_normalizer")


class Detector:
    """Takes every sound for speech."""

    rate, window = 16000, 512

    async def probability(self, window):
        return float(abs(window).max() > 0.01)


class Hears:
    """A recogniser that says what it is told, whatever it hears."""

    def __init__(self, *texts):
        self.texts = list(texts)
        self.languages = []

    async def transcribe(self, audio, *, language=None):
        self.languages.append(language)
        if language == "xx":
            raise OptionError("language", "none such")
        yield Segment(self.texts.pop(0), 0, audio.seconds)


class Ears:
    settings = EndpointingSettings()
    vad = Detector

    def __init__(self, *texts):
        self.stt = Hears(*texts)


def record(folder, **texts):
    """A set in which somebody says the texts, a recording each."""
    folder.mkdir(exist_ok=True)
    loud = Audio(silence(1, 16000).samples + 0.1, 16000)
    for name, text in texts.items():
        with WavWriter(str(folder / f"{name}.wav")) as wav:
            wav.write(join([silence(0.5, 16000), loud, silence(1, 16000)]))
        (folder / f"{name}.txt").write_text(text)
    return folder


def measure(ears, *folders, whole=False):
    return accuracy.measure(ears, [str(f) for f in folders], whole=whole, tell=lambda line: None)


@pytest.mark.parametrize("whole", [False, True])
def test_words_that_are_others_missing_or_too_many_are_wrong(tmp_path, whole):
    place = record(tmp_path / "set", a="What time is it?", b="It's ten dollars.")
    score = measure(Ears("What dime is", "it is $10 okay"), place, whole=whole)["set"]
    assert (score.words, score.wrong, score.added) == (7, 3, 1)


def test_an_utterance_heard_twice_is_counted_and_one_said_twice_is_not(tmp_path):
    place = record(tmp_path / "set", a="This is a test.", b="bye bye")
    score = measure(Ears("This is a test. This is a test.", "Bye bye."), place)["set"]
    assert (score.doubled, score.added) == (1, 4)


def test_words_where_nobody_speaks_are_counted_by_the_hour(tmp_path):
    score = measure(Ears("Thank you."), record(tmp_path / "noise", a=""))["noise"]
    assert score.error_rate is None
    assert score.unsaid_per_hour == pytest.approx(2 * 3600 / 2.5)


def test_every_folder_with_texts_is_a_set_and_the_last_line_is_all(tmp_path):
    record(tmp_path / "one", a="yes")
    record(tmp_path / "two", a="no no")
    (tmp_path / "empty").mkdir()
    scores = measure(Ears("yes", "no"), tmp_path)
    assert list(scores) == ["one", "two"]
    assert [line.split(" | ")[:3] for line in accuracy.table(scores)[2:]] == [
        ["| one", "1", "0.000"],
        ["| two", "2", "0.500"],
        ["| all", "3", "0.333"],
    ]


def test_a_manifest_names_the_language_and_one_that_is_not_known_is_left_out(tmp_path):
    place = record(tmp_path / "set", a="", b="", c="")
    lines = [("a.wav", "Bonjour, l'ami", "fr"), ("b.wav", "x", "xx"), ("c.wav", None, "en")]
    (place / "manifest.jsonl").write_text(
        "\n".join(json.dumps({"audio": a, "text": t, "lang": lang}) for a, t, lang in lines)
    )
    ears = Ears("bonjour l’ami")
    score = measure(ears, place)["set"]
    assert (score.words, score.wrong, score.left_out) == (3, 0, 1)
    assert ears.stt.languages == ["fr", "xx"]


def test_writing_without_spaces_is_compared_by_its_letters():
    assert accuracy.normaliser()("砸自己的脚。", "zh") == list("砸自己的脚")


def test_a_folder_without_texts_is_named(tmp_path):
    with pytest.raises(ConfigError, match="no recordings with what is said"):
        measure(Ears(), tmp_path)
    with pytest.raises(ConfigError, match="no such folder"):
        measure(Ears(), tmp_path / "nowhere")


def test_a_manifest_that_makes_no_sense_is_named_with_its_line(tmp_path):
    (tmp_path / "manifest.jsonl").write_text('\n{"audio": 3, "text": "x"}')
    with pytest.raises(InputError, match=r"manifest\.jsonl: line 2"):
        measure(Ears(), tmp_path)
