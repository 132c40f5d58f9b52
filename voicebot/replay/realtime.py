"""A recorded Realtime session, held again: its client sends what it sent, when it sent it.

That client answers what it was answered then. So all of a session can be held again but for two
things: what it was refused because its key had been used up, by other sessions perhaps; and,
where live engines call other functions than the recorded ones did, what those return.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np

from ..assistant.assembly import EngineSet, EngineSpec
from ..assistant.on_demand import OnDemandEngines
from ..audio import Audio, silence
from ..audio.recordings import decode
from ..concurrency.worker import Stream, background
from ..config import Config
from ..conversation.fallbacks import Fallbacks
from ..engines import ENGINES, ChatModel, Synthesizer, Transcriber, VoiceDetector
from ..engines.call_options import taken
from ..events import Event, as_json
from ..server.auth.rate_limits import Quota
from ..server.realtime.actions import Action, Append
from ..server.realtime.conversation import RealtimeConversation
from ..server.realtime.dependencies import SessionDependencies
from ..server.realtime.fields import Table
from ..server.realtime.output_audio import encoded
from ..server.realtime.playout import PACKET_S, Playout
from ..server.realtime.protocol import Protocol, ids
from ..server.realtime.recording import USED_UP, as_happening, track, with_sounds
from .compare import Happened
from .engines import SAME
from .read import Appended, RealtimeClient, Recorded, Sent


def surrounded(
    realtime: RealtimeClient,
    config: Config,
    parts: EngineSet | None,
    vad: VoiceDetector,
    stt: Transcriber,
    llm: ChatModel,
    tts: Synthesizer,
    fallbacks: Fallbacks,
) -> SessionDependencies:
    """What it meets outside of itself: these engines. parts: what they are of, where they live."""
    takes = realtime.takes
    if parts:
        takes = taken(parts.plain.reply)
        # Whatever a client chose: loading takes time that is not skipped.
        parts = replace(parts, further=OnDemandEngines())
    else:
        chosen = [EngineSpec(kind, f"{__name__}:Recorded", {}) for kind in ENGINES]
        parts = EngineSet(stt, config.turn_detection, chosen, llm, tts, config.assistant, fallbacks)
    return SessionDependencies(parts, vad, stt, llm, tts, fallbacks, takes)


async def hold(
    session: Recorded,
    realtime: RealtimeClient,
    outside: SessionDependencies,
    story: list[Happened],
    *,
    aloud: bool,
) -> None:
    """Hold it again, and put into `story` what happens.

    aloud: its sound is to be heard, by live engines.

    Raises:
        InputError: there is no sound.
    """
    opening = realtime.opening
    protocol = Protocol(
        await opening.settings(outside.parts),
        speaks_beta=opening.speaks_beta,
        new_id=ids(opening.root),
    )
    outside.watcher = protocol.watcher = _Watcher(session, story)
    playout = Playout() if opening.has_track else None
    call = RealtimeConversation(outside, protocol, Quota(realtime.limits, _now()), playout)
    client = _Client(session, realtime, protocol, aloud)
    async with background(_take(playout)) if playout else nullcontext():
        await call.run(client.actions())


def unlike(session: Recorded, *, live: bool) -> Iterator[str]:
    """In what a session cannot be held again, a line each."""
    if session.realtime is None:
        return
    for at, told in session.events:
        if told.get("stage") == "limits" or told.get("reason") == USED_UP:
            yield f"at {at:.2f} its key was used up; here it is not, and what follows may differ"
            break
    sent = [given.message for _, given in session.realtime.given if isinstance(given, Sent)]
    items = [message["item"] for message in sent if isinstance(message.get("item"), dict)]
    if live and any(item.get("type") == "function_call_output" for item in items):
        yield "what the client's functions returned is as it was, whatever is called now"


class _Client:
    """Sends all of it again."""

    def __init__(
        self, session: Recorded, realtime: RealtimeClient, protocol: Protocol, aloud: bool
    ) -> None:
        self._session, self._realtime, self._protocol = session, realtime, protocol
        self._aloud = aloud
        self._tracks: dict[int, _Track] = {}

    async def actions(self) -> Stream[Action]:
        for at, given in self._realtime.given:
            await _until(at)
            self._protocol.take()  # nobody reads it
            if isinstance(given, Appended):
                yield Append(iter([self._sound(given.samples, given.rate)]), None)
            elif action := self._protocol.receive(json.dumps(self._message(given))):
                yield action
        await _until(self._session.over)

    def _message(self, sent: Sent) -> Table:
        left = sent.samples
        form = self._protocol.settings.input_format

        def restored(sound: Any) -> str | None:
            nonlocal left
            match sound:
                case {"samples": int(samples), "rate": int(rate)} if 0 <= samples <= left:
                    left -= samples
                    return base64.b64encode(encoded(self._sound(samples, rate), form)).decode()
            return None  # it could not be taken then, and cannot be now

        return with_sounds(sent.message, restored)

    def _sound(self, samples: int, rate: int) -> Audio:
        if not self._aloud:
            return silence(samples / rate, rate)
        if rate not in self._tracks:
            self._tracks[rate] = _Track(self._session, rate)
        return self._tracks[rate].take(samples)


class _Track:
    """The sound that came at one rate, piece by piece."""

    def __init__(self, session: Recorded, rate: int) -> None:
        self._rate = rate
        file = session.path.with_name(f"{track(rate)}.wav")
        self._blocks = decode(str(file), rate)
        self._pending = np.zeros(0, np.float32)

    def take(self, samples: int) -> Audio:
        """The next so many; silence once there is no more."""
        while len(self._pending) < samples:
            block = next(self._blocks, silence(1.0, self._rate))
            self._pending = np.concatenate([self._pending, block.samples])
        taken, self._pending = self._pending[:samples], self._pending[samples:]
        return Audio(taken, self._rate)


class _Watcher:
    """Puts into `story` what happens; and an answer is heard as far as it was."""

    def __init__(self, session: Recorded, story: list[Happened]) -> None:
        self._stops = [each.stopped for each in session.sounded if each.stopped]
        self._story = story

    def received(self, message: Table, action: Action | None, size: int) -> None:
        pass

    def given(self, audio: Audio) -> None:
        pass

    def told(self, event: Table) -> None:
        if happening := as_happening(event):
            self._story.append((_now(), happening))

    def happened(self, event: Event) -> None:
        self._story.append((_now(), as_json(event)))

    def heard(self, seconds: float) -> float:
        for at, before in self._stops:
            if abs(at - _now()) <= SAME and abs(before - seconds) <= SAME:
                return before
        return seconds


async def _take(playout: Playout) -> None:
    """Take the sound as a track does."""
    while True:
        playout.next()
        await asyncio.sleep(PACKET_S)


async def _until(at: float) -> None:
    await asyncio.sleep(max(0.0, at - _now()))


def _now() -> float:
    return asyncio.get_running_loop().time()
