"""Devices are chosen as a person names them; sound goes out and comes in; a lost one is told."""

import asyncio
import subprocess
import sys
from contextlib import aclosing
from types import SimpleNamespace

import numpy as np
import pytest
from sound_server import needed, sound_server

from voicebot.audio.devices import Device, choose, microphone
from voicebot.errors import ConfigError, MissingDependency

STUDIO = [
    Device(0, "HDA Intel: ALC257", inputs=2, outputs=2),
    Device(1, "Webcam Mic", inputs=1, outputs=0, default_in=True),
    Device(3, "HDMI TV", inputs=0, outputs=8),
    Device(4, "USB Headset", inputs=1, outputs=2, default_out=True),
    Device(5, "USB Headset Pro", inputs=1, outputs=2),
]


def run(code, environment=None):
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=30
    )


# Choosing


@pytest.mark.parametrize(
    ("kind", "wanted", "chosen"),
    [
        ("microphone", None, 1),
        ("loudspeaker", None, 4),
        ("loudspeaker", "3", 3),
        ("microphone", "webcam", 1),
        ("loudspeaker", "tv", 3),
        ("microphone", "USB Headset", 4),  # a whole name, though it is also part of another
        ("microphone", " pro ", 5),
    ],
)
def test_a_device_is_named_by_number_or_by_part_of_its_name(kind, wanted, chosen):
    assert choose(STUDIO, kind, wanted).index == chosen


def test_without_a_choice_of_the_system_s_the_first_that_can_is_taken():
    assert choose([STUDIO[2], STUDIO[0]], "microphone").index == 0


def test_a_name_that_fits_two_is_refused_with_both():
    with pytest.raises(ConfigError, match="'usb' could be any of 4 'USB Headset', 5 'USB Headset"):
        choose(STUDIO, "microphone", "usb")


@pytest.mark.parametrize("wanted", ["tv", "3", "9", "", "kazoo"])
def test_a_name_that_fits_none_is_refused_with_those_there_are(wanted):
    with pytest.raises(ConfigError, match=f"no microphone is called '{wanted}'; there is 0 'HDA"):
        choose(STUDIO, "microphone", wanted)


def test_no_device_at_all_is_missing():
    with pytest.raises(MissingDependency, match=r"no microphone on this machine; .* voicebot ask"):
        choose([STUDIO[2]], "microphone")
    with pytest.raises(MissingDependency, match="no loudspeaker"):
        choose([], "loudspeaker", "usb")


# What is not installed


def test_without_sounddevice_the_way_out_is_told():
    told = run(LIST.format(before="sys.modules['sounddevice'] = None"))
    assert told.stdout == "no sounddevice; voicebot install audio\n", told.stderr


def test_without_portaudio_the_way_out_is_told():
    told = run(
        LIST.format(before="import ctypes.util; ctypes.util.find_library = lambda name: None")
    )
    assert told.stdout.startswith("no PortAudio; apt install libportaudio2"), told.stderr


def test_choosing_devices_does_not_load_portaudio():
    told = run("import sys, voicebot.audio.devices; print('sounddevice' in sys.modules)")
    assert told.stdout == "False\n", told.stderr


LIST = """
import sys
{before}
from voicebot.audio.devices import devices
from voicebot.errors import MissingDependency
try:
    devices()
except MissingDependency as error:
    print(error)
"""


class OnlyWith:
    """sounddevice on a machine whose microphone opens with so many channels, one of them spoken
    into.
    """

    class PortAudioError(Exception):
        pass

    def __init__(self, channels, spoken_into):
        self.default = SimpleNamespace(device=(0, -1))
        self._channels, self._spoken_into = channels, spoken_into

    def query_devices(self, index=None):
        array = {"index": 0, "name": "Array", "max_output_channels": 0}
        array |= {"max_input_channels": max(self._channels, 8), "default_samplerate": 48000.0}
        return [array] if index is None else array

    def InputStream(self, *, samplerate, channels, blocksize, callback, **_):
        if channels != self._channels:
            raise self.PortAudioError("Invalid number of channels")
        heard = np.zeros((blocksize, channels), np.float32)
        heard[:, self._spoken_into] = np.sin(np.arange(blocksize))
        return SimpleNamespace(
            samplerate=float(samplerate),
            start=lambda: callback(heard, blocksize, None, None),
            close=lambda: None,
        )


@pytest.mark.parametrize("channels", [4, 6, 8, 16, 60])
def test_an_array_of_microphones_that_opens_only_whole_is_heard(monkeypatch, channels):
    array = OnlyWith(channels, spoken_into=3)
    monkeypatch.setattr("voicebot.audio.devices.library", lambda: array)
    monkeypatch.setattr("voicebot.audio.portaudio.library", lambda: array)

    async def hear():
        async with aclosing(microphone()) as sound:
            return await anext(sound)

    heard = asyncio.run(hear())
    assert heard.samples == pytest.approx(np.sin(np.arange(len(heard.samples))), abs=1e-5)


# Real sound, through PortAudio and a sound server


@needed
def test_what_the_loudspeaker_plays_the_microphone_hears(tmp_path):
    with sound_server(tmp_path, ear="room") as server:
        told = run(ROOM + ALL_OF_IT, server.environment)
    assert told.returncode == 0, told.stderr
    assert float(told.stdout) == pytest.approx(1.0, abs=0.1)


@needed
def test_what_counts_as_heard_is_what_the_microphone_heard(tmp_path):
    with sound_server(tmp_path, ear="room") as server:
        told = run(ROOM + A_PART_OF_IT, server.environment)
    assert told.returncode == 0, told.stderr
    heard, counted = map(float, told.stdout.split())
    assert 0.5 < counted < 2.0
    assert heard == pytest.approx(counted, abs=0.2)


@needed
@pytest.mark.parametrize("loses", ["MICROPHONE", "LOUDSPEAKER"])
def test_a_device_unplugged_midway_is_missing(tmp_path, loses):
    with sound_server(tmp_path, ear="room") as server:
        code = [sys.executable, "-c", ROOM + UNPLUGGED[loses]]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(code, env=server.environment, **pipes) as program:
            assert program.stdout.readline() == "plugged in\n", program.stderr.read()
            server.unplug()
            try:
                told, _ = program.communicate(timeout=30)
            finally:
                program.kill()
    assert told == f"the {loses.lower()} '{'ear' if loses == 'MICROPHONE' else 'room'}' is gone\n"


@needed
def test_a_device_that_does_not_open_is_missing(tmp_path):
    with sound_server(tmp_path) as server:
        told = run(ROOM + UNOPENED, server.environment)
    assert told.stdout.splitlines() == [
        "the loudspeaker 'room' cannot be opened",
        "the microphone 'ear' cannot be opened",
    ], told.stderr


ROOM = """
import asyncio, os, sys, numpy as np
from contextlib import aclosing
from voicebot.audio import Audio
from voicebot.audio.devices import LocalSpeaker, devices, microphone
from voicebot.errors import MissingDependency

def tone(seconds):
    return Audio(np.sin(np.arange(round(22050 * seconds)) * 0.1).astype(np.float32) / 2, 22050)

def is_loud(audio):
    return np.abs(audio.samples).max() > 0.05
"""

ALL_OF_IT = """
async def play(speaker):
    assert not speaker.speaking
    await speaker.play(tone(0.5))
    await speaker.play(tone(0.5))
    assert speaker.speaking
    await speaker.drain()
    assert not speaker.speaking
    assert speaker.stop() == 0.0  # the turn ended with drain

async def main():
    with LocalSpeaker("room") as speaker:
        async with aclosing(microphone("ear")) as blocks:
            await anext(blocks)
            turn, heard = asyncio.create_task(play(speaker)), 0.0
            async for audio in blocks:
                heard += is_loud(audio) * audio.seconds
                if turn.done() and not is_loud(audio):
                    break
            await turn
            print(heard)

asyncio.run(main())
"""

A_PART_OF_IT = """
async def main():
    with LocalSpeaker("room") as speaker:
        async with aclosing(microphone("ear")) as blocks:
            await anext(blocks)
            turn, heard, counted = asyncio.create_task(speaker.play(tone(9))), 0.0, None
            async for audio in blocks:
                heard += is_loud(audio) * audio.seconds
                if counted is None and heard > 0.7:
                    counted = speaker.stop()
                    turn.cancel()
                if counted is not None and not is_loud(audio):
                    break
            print(heard, counted)

asyncio.run(main())
"""

UNPLUGGED = {
    "MICROPHONE": """
async def main():
    async with aclosing(microphone("ear")) as blocks:
        await anext(blocks)
        print("plugged in", flush=True)
        async for audio in blocks:
            pass

try:
    asyncio.run(main())
except MissingDependency as error:
    print(error)
""",
    "LOUDSPEAKER": """
async def main():
    with LocalSpeaker("room") as speaker:
        await speaker.play(tone(1))
        print("plugged in", flush=True)
        await speaker.play(tone(60))

try:
    asyncio.run(main())
except MissingDependency as error:
    print(error)
""",
}

UNOPENED = """
devices()  # PortAudio has looked; from here on the server cannot be reached
os.environ["PULSE_SERVER"] = "unix:/nowhere"

async def listen():
    async with aclosing(microphone("ear")) as blocks:
        await anext(blocks)

for attempt in (lambda: LocalSpeaker("room"), lambda: asyncio.run(listen())):
    try:
        attempt()
    except MissingDependency as error:
        print(str(error).partition(":")[0])
"""
