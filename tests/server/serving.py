"""A real server on loopback in front of engines, costless ones unless others are given."""

import asyncio
import io
import socket
import threading
import wave
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import room
import uvicorn

from voicebot.assistant.assembly import EngineSet, EngineSpec, assemble
from voicebot.audio import Audio, to_pcm16
from voicebot.config import AssistantSettings, ServerSettings
from voicebot.config import read as read_config
from voicebot.conversation.endpointing import EndpointingSettings
from voicebot.server import uvicorn_protocols
from voicebot.server.app import create

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
OWN = {"vad": "room:LoudnessVad", "stt": "room:Transcriber", "llm": "room:ChatModel"}
EMBEDDED = f"""
[documents]
folder = "{EXAMPLES / "house"}"
[stt]
engine = "pocketsphinx"
[llm]
engine = "extractive"
[tts]
engine = "espeak"
"""


def parts(stt=None, llm=None, tts=None):
    """Engines that cost nothing, under the names of one's own."""
    chosen = [EngineSpec(kind, name, {}) for kind, name in OWN.items()]
    return EngineSet(
        stt or room.Transcriber(takes=0),
        EndpointingSettings(),
        [*chosen, EngineSpec("tts", "room:Synthesizer", {})],
        llm or room.ChatModel("It", "is", "noon.", takes=0),
        tts or room.Synthesizer(),
        AssistantSettings(),
    )


def app(**engines):
    return create(parts(**engines), ServerSettings())


@contextmanager
def embedded(folder):
    """The application on the engines that come with voicebot, and the documents of the house."""
    with create_of(EMBEDDED, folder) as application:
        yield application


@contextmanager
def create_of(settings, folder):
    """The application on the engines that a settings file of this text means."""
    (folder / "voicebot.toml").write_text(settings)
    with assemble(read_config(folder / "voicebot.toml"), folder / "models") as real:
        yield create(real, ServerSettings())


@contextmanager
def served(app, once_ready=True):
    """Its address while it is served; from when every engine has answered once, or at once."""
    door = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    door.bind(("127.0.0.1", 0))
    door.listen()  # who comes before the server does waits
    server = uvicorn.Server(
        uvicorn.Config(app, timeout_graceful_shutdown=1, **uvicorn_protocols.OPTIONS)
    )
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[door])))
    thread.start()
    url = f"http://127.0.0.1:{door.getsockname()[1]}"
    try:
        while once_ready and httpx.get(f"{url}/ready").status_code != 200:
            threading.Event().wait(0.01)
        yield url
    finally:
        server.should_exit = True
        thread.join()
        door.close()


def wav(seconds=1.0, level=0.5):
    """A recording in which LoudnessVad hears speech for so long, and then quiet."""
    loud = np.full(round(seconds * 16000), level, np.float32)
    quiet = np.zeros(16000, np.float32)
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16000)
        sound.writeframes(to_pcm16(Audio(np.concatenate([loud, quiet]), 16000)))
    return file.getvalue()
