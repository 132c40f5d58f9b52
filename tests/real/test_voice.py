"""The real voices are understood, and their word times are those of the sound."""

import asyncio
import shutil
from contextlib import aclosing, closing

import numpy as np
import pytest
import soxr

from voicebot.audio import join
from voicebot.engines import silero
from voicebot.engines.hibari import Hibari
from voicebot.engines.kokoro.engine import Kokoro
from voicebot.engines.kokoro.export import export
from voicebot.errors import ConfigError

jiwer = pytest.importorskip("jiwer")
EnglishTextNormalizer = pytest.importorskip("whisper_normalizer.english").EnglishTextNormalizer

SENTENCES = [
    "He lives in Paris with a close friend.",
    "The old apple tree stood behind the house, and nobody knew why.",
    "What time does the next train to London leave?",
    "Please turn the lights off in the kitchen.",
    "I read your letter yesterday, and I will read it again.",
    "It is going to rain this afternoon, so take an umbrella with you.",
    "Fresh bread, butter and cheese were on the table.",
    "No, thank you, I would rather walk.",
]
normal = EnglishTextNormalizer()


@pytest.fixture(scope="module")
def hear(real):
    """Gives Whisper's words with their times, of up to 28 s of sound."""
    from faster_whisper import WhisperModel

    model = WhisperModel(str(real("whisper-base")), device="cpu", cpu_threads=1)

    def listen(audio):
        sound = soxr.resample(audio.samples, audio.rate, 16_000)
        segments, _ = model.transcribe(sound, language="en", beam_size=1, word_timestamps=True)
        return [word for segment in segments for word in segment.words]

    return listen


@pytest.fixture(scope="module")
def kokoro(real, shared, tmp_path_factory):
    """kokoro-onnx's file with published voices beside it, packed as kokoro-onnx packs them."""
    folder = tmp_path_factory.mktemp("kokoro")
    model = folder / "kokoro-v1.0.int8.onnx"
    model.symlink_to(real("kokoro-int8") / model.name)
    voices = {
        file.stem: np.fromfile(file, "<f4").reshape(510, 1, 256)
        for file in shared("models/kokoro/voices").glob("*.bin")
    }
    with (folder / "voices-v1.0.bin").open("wb") as pack:
        np.savez(pack, **voices)
    return model


def said(engine, text, **options):
    """The sound of the text, and its words with their times."""

    async def listen():
        async with aclosing(engine.synthesize(text, **options)) as chunks:
            return [chunk async for chunk in chunks]

    chunks = asyncio.run(listen())
    return join([c.audio for c in chunks]), [word for c in chunks for word in c.words]


def plain(word):
    return word.strip(" .,?!;:").lower()


def misheard(text, heard):
    return jiwer.wer(normal(text), normal("".join(word.word for word in heard)))


def lags(words, heard):
    """Seconds from Whisper's end of each word in mid-phrase to the voice's."""
    pairs = zip(words, words[1:], heard, strict=False)
    return [
        ours.end - its.end
        for ours, _, its in pairs
        if plain(ours.text) == plain(its.word) and ours.text[-1].isalpha()
    ]


def judge(audio, words, heard, text):
    """The words are understood, and lie in the sound where they are heard."""
    assert misheard(text, heard) <= 0.05
    # No better ruler: of the same words, Whisper base has ends 0.04 s sooner in the median than
    # the voices, and Whisper tiny.en 0.1 s later.
    late = lags(words, heard)
    assert len(late) > 0.6 * len(words)
    assert abs(np.median(late)) < 0.06
    assert np.mean(np.abs(late) < 0.13) > 0.9
    # What silence shows is exact.
    loud = np.flatnonzero(np.abs(audio.samples) > 0.01) / audio.rate
    assert abs(words[0].start - loud[0]) < 0.06
    assert abs(words[-1].end - loud[-1]) < 0.06


def test_hibari_is_understood_and_its_words_end_when_they_are_heard_to(hear):
    text = " ".join(SENTENCES)
    with closing(Hibari()) as voice:
        audio, words = said(voice, text)
    judge(audio, words, hear(audio), text)


def test_kokoro_is_understood_and_its_words_end_when_they_are_heard_to(hear, kokoro):
    text = " ".join(SENTENCES[:4])
    with closing(Kokoro(str(kokoro), threads=1)) as voice:
        audio, words = said(voice, text)
    judge(audio, words, hear(audio), text)


def test_kokoro_speaks_british_and_french_as_the_voice_does(hear, kokoro):
    with closing(Kokoro(str(kokoro), threads=1)) as voice:
        british, _ = said(voice, "I can't park the car there.", voice="bf_emma")
        french, words = said(voice, "Bonjour tout le monde.", voice="ff_siwis")
    assert misheard("I can't park the car there.", hear(british)) == 0
    assert [word.text for word in words] == ["Bonjour", "tout", "le", "monde."]
    assert 1 < french.seconds < 4


def test_kokoro_in_its_quicker_form_says_the_same_bit_for_bit(kokoro, tmp_path):
    quick = export(kokoro, tmp_path / "model.onnx")
    (tmp_path / "voices-v1.0.bin").symlink_to(kokoro.parent / "voices-v1.0.bin")
    with (
        closing(Kokoro(str(kokoro), threads=1)) as usual,
        closing(Kokoro(str(quick), threads=1)) as quicker,
    ):
        for text, options in [
            (SENTENCES[0], {}),
            ("Hm.", {"voice": "bm_george"}),
            (SENTENCES[1], {"voice": "af_bella*0.5+am_michael*0.5", "speed": 1.3}),
        ]:
            one, words = said(usual, text, **options)
            other, same = said(quicker, text, **options)
            assert np.array_equal(one.samples, other.samples)
            assert words == same


@pytest.mark.parametrize("other", ["Silero's", "hibari's"])
def test_a_network_of_another_kind_is_refused_in_one_line(real, kokoro, tmp_path, other):
    networks = {"Silero's": silero.WEIGHTS, "hibari's": real("hibari") / "hibari.onnx"}
    shutil.copy(networks[other], tmp_path / "kokoro-v1.0.onnx")
    (tmp_path / "voices-v1.0.bin").symlink_to(kokoro.parent / "voices-v1.0.bin")
    with pytest.raises(ConfigError, match=r"kokoro-v1.0.onnx takes .*; a Kokoro network") as told:
        Kokoro(str(tmp_path))
    assert "\n" not in str(told.value)


def test_a_kokoro_that_is_cut_is_refused_in_one_line(kokoro, tmp_path):
    cut = tmp_path / "kokoro-v1.0.onnx"
    cut.write_bytes(kokoro.read_bytes()[:50_000_000])
    (tmp_path / "voices-v1.0.bin").symlink_to(kokoro.parent / "voices-v1.0.bin")
    with pytest.raises(ConfigError, match=r"cannot read .*kokoro-v1.0.onnx") as told:
        Kokoro(str(cut))
    assert "\n" not in str(told.value)
