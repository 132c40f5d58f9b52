"""`voicebot replay`: hold a recorded conversation again, and show what differs.

Its clock skips waiting, so that an hour takes seconds; and with the recorded engines nothing
depends on this machine, so that it goes in the same way each time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ..assistant.assembly import EngineSet, assemble
from ..concurrency.virtual_clock import VirtualClockLoop
from ..config import Config, RecordSettings
from ..conversation import Conversation
from ..conversation.degradation import DegradationPolicy
from ..conversation.fallbacks import Fallbacks
from ..conversation.pace import Paces
from ..conversation.prerendered import PrerenderedSpeech
from ..errors import ConfigError
from ..events import Event, as_json
from .amounts import MAX_TIME_S
from .compare import Difference, Happened, differences
from .engines import (
    RealTimeDetector,
    RealTimeEngine,
    ReplayedDetector,
    ReplayedEngines,
    ReplayedFallback,
    ReplayedSpeaker,
    SeededChatModel,
    quiet,
    user,
)
from .read import Recorded, found, heard, read
from .realtime import hold, surrounded, unlike

Changes: TypeAlias = dict[str, tuple[Any, Any]]
"""The settings that are not as they were: before, and now."""


def run(
    config: Config,
    models: Path,
    *,
    path: str,
    engines: Literal["recorded", "live"],
    tolerance: float,
    as_lines: bool,
) -> int:
    """Replay the recording, or all in a folder, with the settings of now; return the exit code.

    engines: "recorded" give again what they gave; "live" are those of the settings.
    tolerance: seconds that something may be sooner or later pending_events.
    as_lines: print one JSON object per recording instead of text for people.

    Returns 1 if anything differs.

    Raises:
        InputError: there is no recording, or it cannot be read.
        VoicebotError: a live engine cannot be built.
    """
    if not 0 <= tolerance < MAX_TIME_S:
        raise ConfigError(f"--tolerance should be seconds, not {tolerance:g}")
    sessions = [read(story) for story in found(Path(path))]
    show = _as_json if as_lines else _as_text
    differs = False
    with ExitStack() as closing:
        parts = None
        if engines == "live":
            unrecorded = replace(config, record=RecordSettings())
            parts = closing.enter_context(assemble(unrecorded, models))
        for session in sessions:
            told = [*differences(session.events, replay(session, config, parts), tolerance)]
            differs = differs or bool(told)
            notes = [*unlike(session, live=parts is not None)]
            print(*show(session, _changes(session, config), notes, told), sep="\n", flush=True)
    return int(differs)


def replay(session: Recorded, config: Config, parts: EngineSet | None = None) -> list[Happened]:
    """What happens when it is held again.

    parts: the live engines; without them the recorded ones give what they gave.

    Raises:
        InputError: live engines are to hear it, and there is no sound.
    """
    story: list[Happened] = []
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        runner.run(_converse(session, config, parts, story))
    return story


async def _converse(
    session: Recorded, config: Config, parts: EngineSet | None, story: list[Happened]
) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualClockLoop)
    vad, stt, llm, tts, second_voice = _live(session, parts, loop) if parts else _recorded(session)
    budget = config.latency
    policy = DegradationPolicy(budget)
    policy.preemptive.update(
        degradation for degradation in session.preemptive if degradation in budget.enabled
    )

    paces = Paces(session.pace)
    fallbacks = Fallbacks(
        policy, PrerenderedSpeech(budget.sentences), second_voice, config.speech, paces
    )
    if session.realtime:
        outside = surrounded(session.realtime, config, parts, vad, stt, llm, tts, fallbacks)
        await hold(session, session.realtime, outside, story, aloud=parts is not None)
        return

    def note(event: Event) -> None:
        story.append((loop.time(), as_json(event)))

    conversation = Conversation(
        vad,
        stt,
        llm,
        tts,
        ReplayedSpeaker(session),
        note,
        endpointing=config.turn_detection,
        instructions=config.assistant.instructions,
        patience=config.assistant.engine_timeout_s,
        fallbacks=fallbacks,
    )
    conversation.interim = session.interim
    sound = heard(session) if parts else quiet(session)
    with suppress(TimeoutError):
        async with asyncio.timeout_at(session.over if session.cut else None):
            await conversation.run(user(session, sound))


def _recorded(session: Recorded) -> tuple[Any, ...]:
    detector = ReplayedDetector(session)
    engines = ReplayedEngines(session, detector)
    return (
        detector,
        engines,
        engines,
        engines,
        ReplayedFallback(engines) if session.second_voice else None,
    )


def _live(session: Recorded, parts: EngineSet, loop: VirtualClockLoop) -> tuple[Any, ...]:
    recorded = ReplayedEngines(session, ReplayedDetector(session))
    llm, second_voice = (
        SeededChatModel(parts.llm, parts.plain, recorded),
        parts.fallbacks.second_voice,
    )
    others = [RealTimeEngine(engine, loop) for engine in (parts.stt, llm, parts.tts)]
    return (
        RealTimeDetector(parts.vad(), loop),
        *others,
        RealTimeEngine(second_voice, loop) if second_voice else None,
    )


def _changes(session: Recorded, config: Config) -> Changes:
    changes = {}
    for section in ("turn_detection", "latency", "speech", "assistant"):
        now = asdict(getattr(config, section))
        for name, before in session.settings.get(section, {}).items():
            if name in now and now[name] != before:
                changes[f"[{section}] {name}"] = before, now[name]
    return changes


def _as_text(
    session: Recorded, changes: Changes, notes: list[str], told: list[Difference]
) -> Iterator[str]:
    yield f"{session.name}: {session.over:.1f} s, {len(session.events)} events"
    for name, (before, now) in changes.items():
        yield _printable(f"{name} was {before!r}, is {now!r}")
    yield from notes
    yield from (_printable(str(difference)) for difference in told)
    yield f"{len(told)} differences" if told else "nothing differs"


def _as_json(
    session: Recorded, changes: Changes, notes: list[str], told: list[Difference]
) -> Iterator[str]:
    line = {
        "recording": session.name,
        "events": len(session.events),
        "settings": {n: {"recorded": was, "now": now} for n, (was, now) in changes.items()},
        "notes": notes,
        "differences": [asdict(difference) for difference in told],
    }
    yield json.dumps(line, ensure_ascii=False)


def _printable(text: str) -> str:
    # What was said may be anything, and a terminal must not obey it.
    return "".join(c if c.isprintable() else " " for c in text)
