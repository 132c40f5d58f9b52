"""What is sent to measure a socket with, and that a cycle of a conversation holds together."""

import asyncio

import numpy as np
import pytest

from voicebot.bench.simulated import FREE, Loudness
from voicebot.config import Config, EngineChoice, read
from voicebot.conversation import EndpointingSettings

pytest.importorskip("websockets")
pytest.importorskip("uvicorn")

from server.calling import Parts, serving

from voicebot.bench.cycles import cycle, growth
from voicebot.bench.served import toml
from voicebot.bench.sockets import STARTED, STOPPED, Script

FRAME = 0.02


def test_it_is_known_which_frame_begins_and_which_ends_the_speech():
    loud, quiet = np.full(9600, 0.5, np.float32), np.zeros(16000, np.float32)
    sound = Script(np.concatenate([quiet, loud, quiet]))
    script = asyncio.run(sound.heard(Loudness(), EndpointingSettings()))
    (started, begins), (stopped, ends) = script.decides
    assert (started, stopped) == (STARTED, STOPPED)
    # Three windows after 1.0 s, and fifteen after 1.6 s; resampling holds some of it back.
    assert begins * FRAME == pytest.approx(1.096, abs=0.05)
    assert ends * FRAME == pytest.approx(2.08, abs=0.06)
    assert len(script.messages) >= 2.5 / FRAME
    assert all("input_audio_buffer.append" in message for message in script.messages)


def test_a_conversation_that_is_cut_off_is_resumed():
    async def life():
        parts = Parts(*("word " * 40).split())
        async with serving(parts) as host:
            await asyncio.wait_for(cycle(f"ws://{host}/v1/talk"), 100)
        return parts.begun

    assert len(asyncio.run(life())) == 1


def test_settings_go_into_a_file_as_they_are(tmp_path):
    vad = EngineChoice("voicebot.bench.simulated:Loudness")
    config = Config(
        turn_detection=EndpointingSettings(silence_duration_ms=400), vad=vad, **FREE.engines()
    )
    (tmp_path / "voicebot.toml").write_text(toml(config))
    assert read(tmp_path / "voicebot.toml") == config


def test_what_is_never_given_back_has_grown_and_what_is_taken_now_and_then_has_not():
    assert growth([100.0, 101.0, 102.0, 103.0, 104.0, 105.0, 106.0, 107.0]) == 8.0
    assert growth([105.0, 100.0, 100.0, 100.0, 100.0, 105.0, 100.0, 105.0]) == 0.0
