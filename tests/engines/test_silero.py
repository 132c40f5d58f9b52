"""Silero hears people and not noise, remembers one stream each, and leaves torch alone."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import recordings

from voicebot.audio import join
from voicebot.audio.recordings import decode
from voicebot.engines.silero import TOGETHER, Silero, probabilities

ROOT = Path(__file__).resolve().parents[2]


def listen(samples):
    """What a fresh detector says of each whole window."""

    async def told():
        silero = Silero()
        whole = len(samples) // silero.window * silero.window
        windows = samples[:whole].reshape(-1, silero.window)
        return [await silero.probability(window) for window in windows]

    return asyncio.run(told())


@recordings.needed
def test_a_person_speaking_is_speech():
    speech = recordings.read("whisper_fixtures/jfk.flac")
    assert np.mean(np.array(listen(speech.samples)) > 0.5) > 0.6


PUBLISHED = [
    *(0.00167, 0.00591, 0.00543, 0.00474, 0.00423, 0.00396, 0.01944, 0.99553),
    *(0.99958, 0.9999, 0.99942, 0.99975, 0.99374, 0.99718, 0.99987, 0.99997),
    *(0.99998, 0.9998, 0.99995, 0.99999, 0.99883, 0.03208, 0.01141, 0.00789),
    *(0.00629, 0.00557, 0.00503, 0.00451, 0.00399, 0.0034, 0.00278, 0.00228),
]
"""Of each fourth window of examples/question.wav, as silero_vad_16k_op15.onnx has it."""


def test_the_graph_gives_the_chances_of_the_published_one():
    question = join(list(decode(str(ROOT / "examples/question.wav"), 16000)))
    assert probabilities(question.samples)[::4] == pytest.approx(PUBLISHED, abs=1e-5)


def test_silence_is_not_speech():
    assert max(listen(np.zeros(16000, np.float32))) < 0.1


@recordings.needed
def test_dishes_and_taps_and_trumpets_and_birds_are_not_speech():
    noises = {name: recordings.read(name) for name in recordings.names("nonspeech")}
    assert [name for name, noise in noises.items() if max(listen(noise.samples)) > 0.5] == []


HIGH = {
    "806c84b9-5d3f-4a19-af96-93426d6805e8": 0.84,
    "9fe4d44b-2508-4c0e-b134-8674909d47cb": 1.05,
    "f625af22-4bb1-4fc4-9b80-6f6dfca3fbda": 1.43,
}
"""Seconds at which the speech in them begins, loudly and at 250 to 500 Hz."""


@recordings.needed
@pytest.mark.parametrize("noise", [0, 0.001, 0.005])
def test_who_has_been_silent_is_heard_at_once_when_they_go_on(noise):
    """With the question in mind the network hears most of these after a third of a second."""
    random, taken = np.random.default_rng(0), []
    for name, onset in HIGH.items():
        asked = recordings.read(f"barista_commands/{name}.flac").samples
        for late in range(0, 512, 128):  # it may begin anywhere in a window
            before = np.concatenate([asked, np.zeros(512 * 60 + late, np.float32)])
            heard = np.concatenate([before, asked[round(onset * 16000) :][:16000]])
            heard += noise * random.standard_normal(len(heard)).astype(np.float32)
            chances = np.array(listen(heard))[len(before) // 512 :]
            taken.append((np.flatnonzero(chances > 0.3)[0] + 1) * 512 - late)
    assert np.median(taken) < 0.2 * 16000


@recordings.needed
def test_two_streams_do_not_disturb_each_other():
    speech = recordings.read("whisper_fixtures/jfk.flac").samples[: 512 * 60].reshape(-1, 512)

    async def beside_others(others):
        ours, theirs = Silero(), [Silero() for _ in range(others)]
        told = []
        for window in speech:
            chances = [silero.probability(window[::-1].copy()) for silero in theirs]
            told.append((await asyncio.gather(ours.probability(window), *chances))[0])
        return told

    alone = listen(speech.reshape(-1))
    assert asyncio.run(beside_others(1)) == pytest.approx(alone, abs=1e-5)
    assert asyncio.run(beside_others(TOGETHER + 1)) == pytest.approx(alone, abs=1e-5)


@recordings.needed
def test_a_whole_recording_at_once_is_heard_as_window_by_window():
    jfk = recordings.read("whisper_fixtures/jfk.flac").samples
    speech = np.tile(jfk[512 * 175 : 512 * 238], 20)  # without a silence in which it would forget
    assert probabilities(speech) == pytest.approx(listen(speech), abs=1e-5)


def test_the_last_piece_of_a_recording_is_heard_too():
    assert len(probabilities(np.zeros(512 * 3 + 1, np.float32))) == 4
    assert len(probabilities(np.zeros(0, np.float32))) == 0


@pytest.mark.parametrize("shape", [(511,), (513,), (1, 512), (0,)])
def test_a_window_of_another_size_is_refused(shape):
    with pytest.raises(ValueError, match="512 samples"):
        asyncio.run(Silero().probability(np.zeros(shape, np.float32)))


def test_its_chances_are_plain_numbers():
    assert type(*listen(np.zeros(512, np.float32))) is float


def in_a_fresh_process(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_torch_stays_out():
    done = in_a_fresh_process(
        "import asyncio, sys, numpy as np\n"
        "from voicebot.engines.silero import Silero\n"
        "assert 'onnxruntime' not in sys.modules\n"
        "asyncio.run(Silero().probability(np.zeros(512, np.float32)))\n"
        "assert not {'torch', 'silero_vad'} & sys.modules.keys()\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_nobody_is_told_that_it_runs(tmp_path):
    env = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    env |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    listens = "from voicebot.engines.silero import Silero; Silero()"
    subprocess.run([sys.executable, "-c", listens], env=env, check=True)
    assert list(tmp_path.iterdir()) == []  # onnxruntime puts there what it is going to send
