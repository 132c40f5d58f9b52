"""One peer connection of aiortc: an offer in, an answer out, sound and messages both ways."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from functools import partial
from typing import Any

import ifaddr
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from av import Packet

from ..realtime.playout import PACKET_S
from .addresses import is_near
from .microphone import Microphone
from .offer import BadOffer

CLOCK = 48_000
"""Samples per second that Opus counts in, whatever was encoded."""
STEP = 960
"""Of a packet's 20 ms."""
CLOSE_S = 2.0
"""Seconds that a connection may take to be closed; a farewell takes some milliseconds."""
LATE_S = 0.1
"""Seconds the track may be behind time before it leaves some out: a loop that was held up sends a
few packets at once, and does not stay late."""


class Peer:
    """A connection with one client.

    next: gives the packet of 20 ms that is sent next.
    read: is given each message of the client's.
    opened: is called once there is a `channel`.
    stun: the server that tells us our address outside, as "stun:host:port"; empty for none, and
        then only this machine and its local network are reached.
    """

    def __init__(
        self,
        microphone: Microphone,
        next: Callable[[], bytes],
        read: Callable[[str | bytes], None],
        opened: Callable[[], None],
        stun: str = "",
    ) -> None:
        servers = [RTCIceServer(stun)] if stun else []
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self._microphone, self._read, self._opened = microphone, read, opened
        self._far = bool(stun)
        self.channel: RTCDataChannel | None = None
        """Where events are sent, once the client has opened it."""
        self.connected = False
        self.settled, self.gone = asyncio.Event(), asyncio.Event()
        """Set once it is known whether the client can be reached, and once it is not there."""
        self._connection.on("datachannel", self._open)
        self._connection.on("connectionstatechange", self._note)
        self._connection.addTrack(_Track(next))

    async def answer(self, offer: str) -> str:
        """Answer an offer, in SDP; the connection is then made in the background.

        Raises:
            BadOffer: it cannot be answered.
        """
        ours = self._connection.getTransceivers()[0]
        known = RTCRtpReceiver.getCapabilities("audio")
        assert known
        ours.setCodecPreferences([c for c in known.codecs if c.mimeType == "audio/opus"])
        # aiortc's parser and checks raise what comes: assertions, indices, keys and their own.
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            self._prepare(ours)
            await self._connection.setLocalDescription()
        except Exception as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise BadOffer(f"the offer cannot be answered: {reason}") from error
        return self._connection.localDescription.sdp

    def _prepare(self, ours: RTCRtpTransceiver) -> None:
        """Have only our own sound and data go over the connection, and only over where it may."""
        for transceiver in self._connection.getTransceivers():
            if transceiver is not ours:
                transceiver.direction = "inactive"  # pictures, and any further sound
            gatherer = transceiver.receiver.transport.transport.iceGatherer
            self._only_near(gatherer._connection)
        if sctp := self._connection.sctp:
            self._only_near(sctp.transport.transport.iceGatherer._connection)
        # In place of aiortc's jitter buffer, decoder and thread: it never has a frame for them.
        receiver: Any = ours.receiver
        receiver._RTCRtpReceiver__jitter_buffer = _Tap(self._microphone)

    def _only_near(self, connection: Any) -> None:
        """Have ICE use the addresses that it may, of which aiortc has no setting."""
        found = [
            str(ip.ip if ip.is_IPv4 else ip.ip[0])
            for adapter in ifaddr.get_adapters()
            for ip in adapter.ips
            if ip.is_IPv4 or ip.ip[2] == 0  # others have to name an interface
        ]
        addresses = [each for each in found if self._far or is_near(each)]
        connection.get_component_candidates = partial(
            _gather, type(connection).get_component_candidates, connection, addresses
        )

    def _open(self, channel: RTCDataChannel) -> None:
        if self.channel is None:
            self.channel = channel
            channel.on("message", self._read)
            channel.on("close", self.gone.set)
            self._opened()

    def _note(self) -> None:
        state = self._connection.connectionState
        if state in ("connected", "failed", "closed"):
            self.settled.set()
        if state == "connected":
            self.connected = True
        elif state in ("failed", "closed"):
            self.gone.set()

    async def close(self) -> None:
        """Hang up. May be called while all is being cancelled."""
        # Where it was cancelled amid its own closing, aiortc waits for that without end.
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._connection.close()


async def _gather(
    gather: Callable[..., Any], connection: Any, near: list[str], **given: Any
) -> Any:
    return await gather(connection, **{**given, "addresses": near})


class _Tap:
    """Stands where aiortc keeps a jitter buffer."""

    def __init__(self, microphone: Microphone) -> None:
        self._microphone = microphone

    def add(self, packet: Any) -> tuple[bool, None]:
        self._microphone.receive(packet)
        return False, None


class _Track(MediaStreamTrack):
    """Sends a packet each 20 ms."""

    kind = "audio"

    def __init__(self, next: Callable[[], bytes]) -> None:
        super().__init__()
        self._next = next
        self._at: float | None = None
        self._clock = 0

    async def recv(self) -> Packet[Any]:
        now = asyncio.get_running_loop().time()
        if self._at is None:
            self._at = now
        if now < self._at:
            await asyncio.sleep(self._at - now)
        elif now - self._at > LATE_S:
            missed = int((now - self._at) / PACKET_S)
            self._at += missed * PACKET_S
            self._clock += missed * STEP
        packet = Packet(self._next())
        packet.pts, packet.time_base = self._clock, Fraction(1, CLOCK)
        self._at += PACKET_S
        self._clock += STEP
        return packet
