"""The process ends with its exit code, whatever a model is doing then."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

QUESTION = Path(__file__).parents[2] / "examples" / "question.wav"
BUSY = """
import numpy as np
from voicebot.engines.silero import probabilities
from voicebot.concurrency.worker import Worker

class Busy:
    def __init__(self):
        self.worker = Worker("busy")

    def transcribe(self, audio):
        return self.worker.stream(self._never, audio)

    def _never(self, audio):
        if audio.seconds < 1.5:  # it is asked before it is trusted
            return
        print("at work", flush=True)
        while True:  # without a yield nothing can stop it; inside it is C++ without Python's lock
            probabilities(np.zeros(16000 * 30, np.float32))
        yield
"""


@pytest.mark.parametrize("time", range(4))
def test_ctrl_c_in_the_middle_of_a_model_s_work_is_no_crash(tmp_path, time):
    (tmp_path / "busy.py").write_text(BUSY)
    (tmp_path / "voicebot.toml").write_text("[stt]\nengine = 'busy:Busy'\n")
    asking = subprocess.Popen(
        [sys.executable, "-m", "voicebot", "ask", QUESTION, "-o", "a.wav"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert asking.stdout
    assert any("at work" in line for line in asking.stdout)
    asking.send_signal(signal.SIGINT)
    _, said = asking.communicate()
    assert asking.returncode == 130
    assert "terminate" not in said
