"""Pipecat's websocket server, asked the same questions over the same simulated engines.

Pipecat is no dependency of ours; it runs in an environment of its own:

    python -m venv /tmp/pipecat
    /tmp/pipecat/bin/pip install 'pipecat-ai[silero,websocket,openai]'
    .venv/bin/python scripts/peers.py [--turns N] /tmp/pipecat/bin/python [DIR ...]

Its defaults are left as they are: its voice detector, its model of when a turn ends, and its
timings. Sound goes to and fro as raw samples, the least that a websocket can carry.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import socket
import subprocess
import sys
from contextlib import asynccontextmanager

IN, OUT = 16000, 24000
FLUSHED = "flushed"


def serve(url: str, port: int) -> None:
    """Pipecat's side: one client at a time, each with a pipeline of its own."""
    from pipecat.audio.vad.silero import SileroVADAnalyzer
    from pipecat.frames.frames import (
        InputAudioRawFrame,
        InterruptionFrame,
        OutputAudioRawFrame,
    )
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.pipeline.runner import PipelineRunner
    from pipecat.pipeline.task import PipelineParams, PipelineTask
    from pipecat.processors.aggregators.llm_context import LLMContext
    from pipecat.processors.aggregators.llm_response_universal import (
        LLMContextAggregatorPair,
        LLMUserAggregatorParams,
    )
    from pipecat.serializers.base_serializer import FrameSerializer
    from pipecat.services.openai.llm import OpenAILLMService
    from pipecat.services.openai.stt import OpenAISTTService
    from pipecat.services.openai.tts import OpenAITTSService
    from pipecat.transports.websocket.server import (
        SingleClientWebsocketServerParams,
        SingleClientWebsocketServerTransport,
    )

    class Raw(FrameSerializer):
        async def serialize(self, frame):
            if isinstance(frame, InterruptionFrame):
                return FLUSHED
            return frame.audio if isinstance(frame, OutputAudioRawFrame) else None

        async def deserialize(self, data):
            return InputAudioRawFrame(audio=data, sample_rate=IN, num_channels=1)

    async def live() -> None:
        transport = SingleClientWebsocketServerTransport(
            params=SingleClientWebsocketServerParams(
                serializer=Raw(), audio_in_enabled=True, audio_out_enabled=True
            ),
            host="127.0.0.1",
            port=port,
        )
        at = {"api_key": "none", "base_url": url}
        context = LLMContextAggregatorPair(
            LLMContext(), user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer())
        )
        pipeline = Pipeline(
            [
                transport.input(),
                OpenAISTTService(**at),
                context.user(),
                OpenAILLMService(**at),
                OpenAITTSService(**at),
                transport.output(),
                context.assistant(),
            ]
        )
        params = PipelineParams(audio_in_sample_rate=IN, audio_out_sample_rate=OUT)
        task = PipelineTask(pipeline, params=params, idle_timeout_secs=None)
        await PipelineRunner(handle_sigint=False).run(task)

    asyncio.run(live())


async def ask(python: str, folders: list[str], turns: int) -> None:
    """Our side: the same turns as `voicebot bench server` holds, and the same table."""
    from websockets.asyncio.client import connect

    from voicebot.audio import Audio, to_pcm16
    from voicebot.bench import machine, processes, questions, report
    from voicebot.bench.figures import declared, summary
    from voicebot.bench.simulated import Costs
    from voicebot.bench.trial import Ears
    from voicebot.bench.turn import line
    from voicebot.bench.turns import ask as hold_all
    from voicebot.config import Config

    class Line:
        rate = IN

        def __init__(self, socket) -> None:
            self.ears, self._socket = Ears(), socket

        async def send(self, audio: Audio) -> None:
            await self._socket.send(to_pcm16(audio))

        async def listen(self) -> None:
            async for message in self._socket:
                if message == FLUSHED:
                    self.ears.silence()
                elif isinstance(message, bytes):
                    self.ears.hear(len(message) / 2 / OUT)

    costs = Costs()
    fields = json.dumps(dataclasses.asdict(costs))
    simulated = processes.child("the simulated server", "voicebot.bench.openai_server", fields)
    async with simulated as (_, url):

        @asynccontextmanager
        async def calls():
            # A process for each turn: its pipeline ends with its client.
            with socket.create_server(("127.0.0.1", 0)) as door:
                port = door.getsockname()[1]
            command = [python, __file__, "--serve", url, str(port)]
            process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.DEVNULL)
            try:
                async with asyncio.timeout(60):
                    connection = await _connected(connect, port)
                async with connection as opened:
                    talk = Line(opened)
                    listening = asyncio.create_task(talk.listen())
                    await asyncio.sleep(3)  # its models are loaded by then
                    yield talk
                    listening.cancel()
            finally:
                process.kill()
                await process.wait()

        found = await hold_all(
            calls, questions.read(folders or questions.own()), turns, 1, lambda t: print(line(t))
        )
    run = summary(found, declared(costs), 1, None)
    about = machine.describe(Config(), {"engines": "simulated, behind pipecat"})
    print(*report.lines({"bench": "peers", "runs": [run], **about}), sep="\n")


async def _connected(connect, port: int):
    while True:
        try:
            return await connect(f"ws://127.0.0.1:{port}", max_size=None, proxy=None)
        except OSError:
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
        parser.add_argument("python", help="of the environment that pipecat is in")
        parser.add_argument("folders", nargs="*", metavar="DIR")
        parser.add_argument("--turns", type=int, default=20)
        args = parser.parse_args()
        asyncio.run(ask(args.python, args.folders, args.turns))
