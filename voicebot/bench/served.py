"""`voicebot serve` and a simulated OpenAI server, each a process of its own, and calls to them."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.request import urlopen

from ..concurrency.worker import background
from ..config import Config, EngineChoice
from . import processes
from .observed import Mark
from .processes import DidNotStart
from .realtime import Realtime, calling
from .simulated import Costs

READY_S = 30.0
"""Seconds in which every engine has to have answered once."""


class Served:
    """A `voicebot serve`, and what the engines behind it did."""

    def __init__(self, address: str, process: Process) -> None:
        self.address, self.pid = address, process.pid
        self.url = f"ws{address.removeprefix('http')}/v1"
        self.marks: list[Mark] = []

    @asynccontextmanager
    async def talking(self, alone: bool = True) -> AsyncIterator[Realtime]:
        """A session of one's own. Only when `alone` is it known what the engines do for it."""
        async with calling(self.url) as line:
            if alone:
                line.ears.marks = self.marks
            yield line

    async def note(self, process: Process) -> None:
        """Keep what the simulated server tells."""
        assert process.stdout
        async for told in process.stdout:
            self.marks.append(Mark(**json.loads(told)))


@asynccontextmanager
async def over_http(config: Config, costs: Costs) -> AsyncIterator[Served]:
    """Our server, whose engines ask a server of these costs over HTTP.

    Raises:
        DidNotStart: one of the two did not.
    """
    fields = json.dumps(dataclasses.asdict(costs))
    name = "voicebot.bench.openai_server"
    async with processes.child("the simulated server", name, fields) as (openai, url):
        at = {"url": url, "model": "simulated"}
        engines = {
            "stt": EngineChoice("openai", at),
            "llm": EngineChoice("openai", at),
            "tts": EngineChoice("openai", {**at, "voice": "simulated"}),
        }
        simulated = dataclasses.replace(config, **engines)  # type: ignore[arg-type]
        async with serving(simulated) as served, background(served.note(openai)):
            yield served


@asynccontextmanager
async def serving(config: Config) -> AsyncIterator[Served]:
    """Our server with the engines of `config`, and its [turn_detection] and [latency], at work.

    Raises:
        DidNotStart: it did not, or its engines do not answer.
    """
    with tempfile.TemporaryDirectory() as folder:
        arguments = ("voicebot", "--config", _written(config, folder), "serve", "--port", "0")
        keyless = {"OPENAI_API_KEY": ""}
        child = processes.child("voicebot serve", *arguments, environment=keyless)
        async with child as (process, address):
            await _ready(address)
            yield Served(address, process)


def _written(config: Config, folder: str) -> str:
    file = Path(folder, "voicebot.toml")
    file.write_text(toml(config), "utf-8")
    return str(file)


async def _ready(address: str) -> None:
    try:
        async with asyncio.timeout(READY_S):
            while not await asyncio.to_thread(_answers, f"{address}/ready"):  # noqa: ASYNC110 - no other way
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise DidNotStart("voicebot serve started, but its engines do not answer") from None


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def toml(config: Config) -> str:
    """The settings that a measured server needs, as its file holds them."""
    sections = {
        "turn_detection": dataclasses.asdict(config.turn_detection),
        "latency": dataclasses.asdict(config.latency),
        "speech": dataclasses.asdict(config.speech),
    }
    for kind in ("vad", "stt", "llm", "tts"):
        choice: EngineChoice = getattr(config, kind)
        sections[kind] = {"engine": choice.engine, **choice.options}
    # JSON's strings and numbers are TOML's too, but for what is endless.
    return "".join(
        f"[{name}]\n" + "".join(f"{key} = {_value(value)}\n" for key, value in values.items())
        for name, values in sections.items()
    )


def _value(value: object) -> str:
    return json.dumps(value).replace("Infinity", "inf")
