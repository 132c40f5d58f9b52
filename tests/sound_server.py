"""A real sound server with a loudspeaker nobody hears and a microphone we speak into.

PulseAudio's null sinks keep time as a device does. Needs pulseaudio, its ALSA plugin and
PortAudio (Debian: pulseaudio pulseaudio-utils libasound2-plugins libportaudio2); tests skip
without them. PortAudio looks for devices once a process, so what uses them runs in a child.
"""

import os
import shutil
import subprocess
from contextlib import contextmanager
from ctypes.util import find_library
from pathlib import Path

import pytest

_PLUGINS = list(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so"))

needed = pytest.mark.skipif(
    not (shutil.which("pulseaudio") and shutil.which("paplay"))
    or not (_PLUGINS and find_library("portaudio")),
    reason="no PulseAudio with its ALSA plugin, or no PortAudio",
)

DEVICES = """
pcm.room { type pulse device room }
pcm.ear { type pulse device EAR.monitor }
pcm.!default { type pulse }
ctl.!default { type pulse }
"""


class Server:
    def __init__(self, process, environment):
        self.process = process
        self.environment = environment
        """With this a child process finds the loudspeaker "room" and the microphone "ear"."""

    def say(self, wav, to="mouth"):
        """Play a file to a sink, without waiting for its end."""
        return subprocess.Popen(["paplay", f"--device={to}", wav], env=self.environment)

    def unplug(self):
        self.process.kill()
        self.process.wait()


@contextmanager
def sound_server(folder, *, ear="mouth"):
    """Run a server. The microphone hears the sink `ear`: "mouth", or "room" for an echo."""
    address = folder / "server"
    environment = {
        **os.environ,
        "HOME": str(folder),
        "PULSE_RUNTIME_PATH": str(folder),
        "PULSE_SERVER": f"unix:{address}",
    }
    (folder / ".asoundrc").write_text(DEVICES.replace("EAR", ear))
    modules = [
        f"module-native-protocol-unix auth-anonymous=1 socket={address}",
        "module-null-sink sink_name=room rate=48000",
        "module-null-sink sink_name=mouth rate=48000",
    ]
    process = subprocess.Popen(
        ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"]
        + [argument for module in modules for argument in ("-L", module)],
        env={key: value for key, value in environment.items() if key != "PULSE_SERVER"},
        stderr=subprocess.DEVNULL,
    )
    try:
        while subprocess.run(["pactl", "info"], env=environment, capture_output=True).returncode:
            assert process.poll() is None, "pulseaudio does not start"
        yield Server(process, environment)
    finally:
        process.kill()
        process.wait()
