"""A process that ends is told by what ended it."""

import signal
import sys

import pytest

from voicebot.engines.child_process import Child


@pytest.mark.parametrize(
    ("number", "reason"),
    [(signal.SIGKILL, "was ended by SIGKILL"), (40, "was ended by signal 40")],
)
def test_a_child_ended_by_any_signal_is_told_of(number, reason):
    child = Child([sys.executable, "-c", "import time; time.sleep(60)"])
    child.process.send_signal(number)
    assert child.post_mortem(EOFError()) == reason


def test_a_child_that_ends_by_itself_tells_its_last_line():
    child = Child([sys.executable, "-c", "import sys; sys.exit('no such voice')"])
    assert child.post_mortem(EOFError()) == "ended with status 1: no such voice"
