"""Strangers' recordings are decoded in a process that can do no harm, and ends with its reader."""

import asyncio
import io
import os
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path

import av
import numpy as np
import pytest
from starlette.requests import Request

from voicebot.audio import Audio, to_pcm16
from voicebot.audio.recordings import decode, endless_wav
from voicebot.errors import InputError
from voicebot.server.errors import ApiError
from voicebot.server.http.bodies import form
from voicebot.server.http.uploads import foreign

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="its processes are found in /proc")

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "question.wav"


def wav(seconds, rate=16000):
    hum = (0.5 * np.sin(np.arange(round(seconds * rate)) / 10)).astype("f4")
    return endless_wav(rate) + to_pcm16(Audio(hum, rate))


def all_of(data, name="sent.wav", **options):
    async def read():
        async with aclosing(foreign(io.BytesIO(data), 16000, name, **options)) as sound:
            return [audio.samples async for audio in sound]

    return np.concatenate(asyncio.run(read()))


def children():
    """The processes that decode for this one."""
    return [
        int(pid) for pid in os.listdir("/proc") if pid.isdigit() and _decodes(Path("/proc", pid))
    ]


def _decodes(process):
    try:
        parent = process.joinpath("stat").read_text().rsplit(")", 1)[1].split()[1]
        return parent == str(os.getpid()) and b"decoder" in process.joinpath("cmdline").read_bytes()
    except OSError:  # it has ended
        return False


def environment(pid):
    return Path("/proc", str(pid), "environ").read_bytes()


def test_it_gives_what_decoding_here_gives():
    here = np.concatenate([audio.samples for audio in decode(str(EXAMPLE), 16000)])
    assert (all_of(EXAMPLE.read_bytes()) == here).all()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "cannot be read as sound"),
        (b"not a recording" * 99, "cannot be read as sound"),
        (b"SBaGen\n-SE\ntone: 200+4/50\n00:00 tone\n", "cannot be read as sound"),
        (b"ffconcat version 1.0\nfile '/etc/passwd'\n", "cannot be read as sound"),
        (wav(1, rate=5), "5 samples a second"),
        (wav(1, rate=1), "1 samples a second"),
    ],
)
def test_what_is_no_sound_is_refused_by_name(data, why):
    with pytest.raises(InputError, match=rf"sent\.wav: .*{why}"):
        all_of(data)
    assert children() == []


def test_a_recording_longer_than_the_key_may_send_is_refused():
    assert len(all_of(wav(30), longest_s=30.0)) == 30 * 16000
    with pytest.raises(InputError, match=r"sent\.wav: longer than 20 seconds"):
        all_of(wav(30), longest_s=20.0)


def test_damage_midway_is_logged_here(caplog):
    flac = io.BytesIO()
    with av.open(flac, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            np.random.default_rng(0).integers(-9000, 9000, (1, 64000)).astype("i2"), "s16", "mono"
        )
        frame.sample_rate = 16000
        pieces = av.AudioResampler("s16", "mono", 16000, stream.codec_context.frame_size or 4608)
        for piece in [*pieces.resample(frame), None]:
            container.mux(stream.encode(piece))
    data = flac.getvalue()
    assert 16000 < len(all_of(data[: len(data) // 2], "half.flac")) < 48000
    assert "half.flac: damaged after" in caplog.text


def test_its_process_ends_with_its_reader():
    async def leave():
        async with aclosing(foreign(io.BytesIO(wav(600)), 16000, "long.wav")) as sound:
            await anext(sound)
            assert len(children()) == 1
        return children()

    assert asyncio.run(leave()) == []


@pytest.mark.parametrize("turns", [1, 3, 100])
def test_a_reader_cancelled_while_it_waits_leaves_no_process(turns):
    async def leave():
        async def read():
            async with aclosing(foreign(io.BytesIO(wav(600)), 16000, "long.wav")) as sound:
                async for _ in sound:
                    await asyncio.sleep(0)

        task = asyncio.create_task(read())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return children()

    assert asyncio.run(leave()) == []


CONFINED = """
import os, socket
from voicebot.audio import decoder
decoder._rehearse()
decoder._confine()
def tried(name, act):
    try:
        act()
        print(name, "done")
    except (OSError, MemoryError) as error:
        print(name, type(error).__name__, getattr(error, "errno", None))
tried("open", lambda: open("/etc/hostname"))
tried("socket", lambda: socket.socket())
tried("memory", lambda: bytearray(700 * 2**20))
tried("little memory", lambda: bytearray(100 * 2**20))
while True:
    pass
"""


def test_its_process_may_open_nothing_and_take_little():
    code = CONFINED.replace("decoder._rehearse()", "decoder._rehearse(); decoder.CPU_S = 1")
    done = subprocess.run([sys.executable, "-u", "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "open OSError 24",
        "socket OSError 24",
        "memory MemoryError None",
        "little memory done",
    ]
    assert done.returncode < 0, "it is ended once its second of processor time is over"


def test_a_process_that_is_ended_is_an_error_of_the_file():
    """As by the system where memory is short, or by a limit."""

    async def read():
        async with aclosing(foreign(io.BytesIO(wav(600)), 16000, "sent.wav")) as sound:
            await anext(sound)
            (pid,) = children()
            os.kill(pid, 9)
            async for _ in sound:
                pass

    with pytest.raises(InputError, match=r"sent\.wav: cannot be decoded; its process was ended by"):
        asyncio.run(read())


def test_secrets_of_the_environment_stay_here(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")

    async def read():
        async with aclosing(foreign(io.BytesIO(wav(600)), 16000, "sent.wav")) as sound:
            await anext(sound)
            return [environment(pid) for pid in children()]

    (held,) = asyncio.run(read())
    assert b"PATH=" in held
    assert b"hf_secret" not in held


def test_without_room_for_an_upload_the_answer_is_507(tmp_path, monkeypatch):
    """A recording of more than 1 MB is kept on disk while it arrives."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    file = b'--x\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    body = file + bytes(3 * 2**20) + b"\r\n--x--\r\n"

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def read():
        kind = (b"content-type", b"multipart/form-data; boundary=x")
        request = Request({"type": "http", "headers": [kind], "state": {}}, receive)
        async with form(request, {"type": "object", "properties": {"file": {"type": "string"}}}):
            pass

    with pytest.raises(ApiError, match="no room for the file") as refused:
        asyncio.run(read())
    assert refused.value.status == 507
