"""What bursts of large bodies took goes back to the system."""

import subprocess
import sys

import pytest

BURST = """
import json, random, sys, threading
from voicebot.server import memory_trim

def resting():
    with open("/proc/self/statm") as told:
        return int(told.read().split()[1]) * 4096 / 1e6

if sys.argv[1] == "fixed":
    assert memory_trim.give_back()

def burst():
    length, kept = random.Random(1), []
    for _ in range(6):
        body = json.dumps([{"text": "x" * length.randint(10, 60_000)} for _ in range(100)])
        kept += json.loads(body), bytearray(3_000_000)

before = resting()
threads = [threading.Thread(target=burst) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(resting() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and asks glibc")
def test_most_of_what_large_bodies_took_is_given_back(figure):
    def stays(how):
        command = [sys.executable, "-c", BURST, how]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    fixed, usual = stays("fixed"), stays("usual")
    figure(
        f"after 290 MB of bodies {fixed:.0f} MB stay; {usual:.0f} MB with glibc's own thresholds"
    )
    assert fixed < 60
