"""Hostile uploads and histories, sent to `voicebot serve` in a process of its own: each is refused
with a reason, costs little, and others are served meanwhile and afterwards."""

import base64
import gzip
import io
import json
import os
import struct
import sys
import threading
import zlib
from contextlib import contextmanager

import av
import httpx
import numpy as np
import pytest
from serving import EMBEDDED, wav
from test_serve import serving, wait_until_ready

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

MB = 2**20
TICKS = os.sysconf("SC_CLK_TCK")
CPU_S = 20
"""Seconds of processor time for one, wide: they took minutes, or all memory. Starting the process
that decodes takes half a second on a busy machine."""
GROWN = 200 * MB
"""Bytes that the server may have grown by: decoding is elsewhere, and bounded there."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    place = tmp_path_factory.mktemp("served")
    (place / "voicebot.toml").write_text(EMBEDDED)
    with serving(place) as (process, url):
        wait_until_ready(url)
        yield process.pid, url


def cpu(pid):
    """Seconds of processor time of the process and of its children that have ended."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS


def resting(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


@contextmanager
def others(url):
    """Ask for /health all the while; gives the list of seconds that each answer took."""
    took, over = [], threading.Event()

    def ask():
        with httpx.Client(base_url=url, timeout=60) as client:
            while not over.wait(0.02):
                answer = client.get("/health")
                assert answer.status_code == 200
                took.append(answer.elapsed.total_seconds())

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield took
    finally:
        over.set()
        asking.join()


def one_hertz():
    data = bytes(65_000)
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1,
                       1, 2, 2, 16, b"data", len(data))  # fmt: skip
    return head + data


def flac(seconds=1.0, rate=8000):
    file = io.BytesIO()
    with av.open(file, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, round(seconds * rate)), np.int16), "s16", "mono"
        )
        frame.rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return file.getvalue()


def five_hertz():
    """A FLAC that says it has 5 samples a second: 20 bits of its STREAMINFO, and of each frame."""
    return flac(4000, 5)


def covered(side=16_000):
    """A FLAC with a picture of side x side before its sound, a few hundred kB as PNG."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = zlib.compressobj(1)
    row = bytes(1 + side)
    packed = b"".join([*(rows.compress(row) for _ in range(side)), rows.flush()])
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    png = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    )
    mime = b"image/png"
    picture = (struct.pack(">II", 3, len(mime)) + mime + struct.pack(">I", 0)
               + struct.pack(">IIIII", side, side, 8, 0, len(png)) + png)  # fmt: skip
    sound = flac()
    block = struct.pack(">I", 6 << 24 | len(picture)) + picture
    return sound[:42] + block + sound[42:]  # behind STREAMINFO, the first block of 34 bytes


UPLOADS = {
    "script.sbg": lambda: b"SBaGen\n-SE\ntone: 200+4/50\n00:00 tone\n",
    "1-hertz.wav": one_hertz,
    "5-hertz.flac": five_hertz,
    "list.ffconcat": lambda: b"ffconcat version 1.0\nfile '/etc/passwd'\n",
    "list.m3u8": lambda: (
        b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n#EXTINF:10,\nhttp://localhost/\n"
    ),
    "dash.mpd": lambda: (
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        b'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period>&x;</Period></MPD>'
    ),
    "bomb.wav": lambda: gzip.compress(bytes(20 * MB)),
    "nothing.wav": lambda: b"",
    "endless.wav": lambda: b"RIFF\xff\xff\xff\xffWAVE",
    "noise.mp3": lambda: bytes(np.random.default_rng(1).integers(0, 256, 200_000, np.uint8)),
}


@pytest.mark.parametrize("name", UPLOADS)
@pytest.mark.parametrize("how", ["form", "json"])
def test_what_is_no_recording_is_refused_with_a_reason(server, name, how, figure):
    pid, url = server
    data = UPLOADS[name]()
    before = cpu(pid), resting(pid)
    with others(url) as took:
        if how == "form":
            answer = httpx.post(f"{url}/v1/audio/transcriptions", data={"model": "whisper-1"},
                                files={"file": (name, data)}, timeout=120)  # fmt: skip
        else:
            sent = {"model": "whisper-1", "file": base64.b64encode(data).decode()}
            answer = httpx.post(f"{url}/v1/audio/transcriptions", json=sent, timeout=120)
    spent, grown = cpu(pid) - before[0], resting(pid) - before[1]
    figure(
        f"{name} of {len(data)} bytes as {how}: refused for {spent:.2f} s of CPU, the server "
        f"grew by {grown / MB:.0f} MB, others waited {1000 * max(took, default=0):.0f} ms at most"
    )
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["message"]
    assert "root:" not in answer.text
    assert spent < CPU_S
    assert grown < GROWN


def test_a_huge_cover_is_not_looked_at(server, figure):
    pid, url = server
    data = covered()
    before = cpu(pid), resting(pid)
    with others(url) as took:
        answer = httpx.post(f"{url}/v1/audio/transcriptions", data={"model": "whisper-1"},
                            files={"file": ("cover.flac", data)}, timeout=120)  # fmt: skip
    spent, grown = cpu(pid) - before[0], resting(pid) - before[1]
    figure(
        f"FLAC with a cover of 16000 x 16000: {answer.status_code} for {spent:.2f} s of CPU, the "
        f"server grew by {grown / MB:.0f} MB, others waited {1000 * max(took):.0f} ms at most"
    )
    assert answer.status_code == 200, answer.text
    assert spent < CPU_S
    assert grown < GROWN


def test_a_real_recording_is_heard_after_all_that(server):
    _, url = server
    answer = httpx.post(f"{url}/v1/audio/transcriptions", data={"model": "whisper-1"},
                        files={"file": ("a.wav", wav())}, timeout=120)  # fmt: skip
    assert answer.status_code == 200


HISTORIES = {
    "one-long": ("word " * 95_000, 2),
    "long": ("word " * 990, 96),
    "short": ("Why is that? " * 36, 998),
    "no-spaces": ("x" * 475_000, 2),
    "chinese": ("字" * 158_000, 2),
}


@pytest.mark.parametrize("history", HISTORIES.items(), ids=HISTORIES.keys())
def test_a_long_history_costs_the_engine_that_only_quotes_little(server, history, figure):
    pid, url = server
    name, (text, turns) = history
    spoken = [{"role": ("user", "assistant")[n % 2], "content": text} for n in range(turns)]
    asked = {"model": "gpt-4o",
             "messages": [*spoken, {"role": "user", "content": "How warm is it?"}]}  # fmt: skip
    body = json.dumps(asked, ensure_ascii=False).encode()
    before = cpu(pid)
    with others(url) as took:
        answer = httpx.post(f"{url}/v1/chat/completions", content=body, timeout=120,
                            headers={"content-type": "application/json"})  # fmt: skip
    spent = cpu(pid) - before
    figure(
        f"history of {len(body)} bytes, {name}: {answer.status_code} for {spent:.2f} s of CPU, "
        f"others waited {1000 * max(took, default=0):.0f} ms at most"
    )
    assert answer.status_code in (200, 400)
    assert spent < CPU_S
