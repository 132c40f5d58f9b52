"""A WebRTC client in Python: aiortc's own, as OpenAI's documents have a browser do it."""

import asyncio
import json
import re
from contextlib import asynccontextmanager
from fractions import Fraction

import av
import httpx
import numpy as np
import pytest

pytest.importorskip("aiortc")
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

PATH = "/v1/realtime/calls"
SDP = {"content-type": "application/sdp"}
LOUD = 1000
"""Of 32768: the amplitude from which on sound is taken for a voice."""


class Microphone(MediaStreamTrack):
    """Hums for as long as it is told to, in real time."""

    kind = "audio"

    def __init__(self):
        super().__init__()
        self.count, self.began, self.hums, self.is_open = 0, None, 0, asyncio.Event()
        self.is_open.set()

    def hum(self, seconds):
        self.hums = round(seconds * 50)

    async def recv(self):
        loop = asyncio.get_running_loop()
        await self.is_open.wait()
        self.began = self.began or loop.time()
        await asyncio.sleep(self.began + self.count * 0.02 - loop.time())
        times = (np.arange(960) + self.count * 960) / 48000
        level = 16000 if self.hums > 0 else 0
        samples = (np.sin(2 * np.pi * 300 * times) * level).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = 48000, self.count * 960
        frame.time_base = Fraction(1, 48000)
        self.hums -= 1
        self.count += 1
        return frame


class Client:
    def __init__(self, channel=True):
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.channel = channel and self.connection.createDataChannel("oai-events")
        self.microphone = Microphone()
        self.connection.addTrack(self.microphone)
        self.events, self.heard = [], []
        self.on_change = asyncio.Event()
        self.status = self.location = None
        self.closed = asyncio.Event()
        if channel:
            self.channel.on("message", self._told)
            self.channel.on("close", self.closed.set)
        self.connection.on("track", lambda track: asyncio.ensure_future(self._listen(track)))

    def _told(self, message):
        self.events.append((asyncio.get_running_loop().time(), json.loads(message)))
        self.on_change.set()

    async def _listen(self, track):
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            self.heard.append((asyncio.get_running_loop().time(), frame.to_ndarray()[0, ::2]))
            self.on_change.set()

    async def offer(self):
        await self.connection.setLocalDescription()
        return self.connection.localDescription.sdp

    async def accept(self, answer):
        self.status, self.location = answer.status_code, answer.headers.get("location")
        assert self.status == 201, answer.text
        description = RTCSessionDescription(answer.text, "answer")
        await self.connection.setRemoteDescription(description)

    def vanish(self):
        """Send and hear nothing more, without a word. Gives what undoes it."""
        ice = self.connection.sctp.transport.transport._connection
        protocols = ice._protocols
        for protocol in protocols:
            protocol.transport.sendto = lambda *given: None
            protocol.datagram_received = lambda *given: None

        def back():
            for protocol in protocols:
                del protocol.transport.sendto, protocol.datagram_received

        return back

    def send(self, type, **fields):
        self.channel.send(json.dumps({"type": type, **fields}))

    async def until(self, claim, seconds=100):
        """Wait until it holds."""
        async with asyncio.timeout(seconds):
            while not claim():
                self.on_change.clear()
                await self.on_change.wait()

    async def until_closed(self):
        try:
            async with asyncio.timeout(100):
                await self.closed.wait()
        except TimeoutError:
            raise AssertionError(self.connection.connectionState) from None

    async def told(self, kind, count=1):
        """Wait for the event, and give it."""
        try:
            await self.until(lambda: len(self.all(kind)) >= count)
        except TimeoutError:
            raise AssertionError(f"no {kind} in {[e['type'] for _, e in self.events]}") from None
        return self.all(kind)[count - 1]

    def all(self, kind):
        return [event for _, event in self.events if event["type"] == kind]

    def when(self, kind, nth=0):
        return [at for at, event in self.events if event["type"] == kind][nth]

    @property
    def voiced(self):
        """When each 20 ms of sound came in which somebody speaks."""
        return [at for at, samples in self.heard if np.abs(samples).max() > LOUD]


@asynccontextmanager
async def calling(url, *, key=None, session=None, path=PATH, headers=(), most=None, channel=True):
    """A client in a call, its first event told.

    channel: whether it opens one for events.
    most: bytes of a message that it says it can read.
    """
    client = Client(channel)
    headers = dict(headers) | ({"authorization": f"Bearer {key}"} if key else {})
    async with httpx.AsyncClient(base_url=url, headers=headers) as http:
        try:
            offer = await client.offer()
            if most:
                offer = re.sub(r"(a=max-message-size:)\d+", rf"\g<1>{most}", offer)
            if session is None:
                answer = await http.post(path, content=offer, headers=SDP)
            else:
                files = {"sdp": (None, offer), "session": (None, json.dumps(session))}
                answer = await http.post(path, files=files)
            await client.accept(answer)
            client.http = http
            if channel:
                await client.told("session.created")
            yield client
        finally:
            await client.connection.close()
