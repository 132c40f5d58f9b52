"""A spoken turn on real engines: heard, answered, interrupted and remembered rightly."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import openai
import pytest
from server.calling import calling
from server.serving import served
from words import error_rate, hear, read

from voicebot.assistant.assembly import assemble
from voicebot.audio import Audio, from_pcm16, to_pcm16
from voicebot.audio.resample import Resampler
from voicebot.config import ServerSettings
from voicebot.config import read as read_config
from voicebot.server.app import create

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
QUESTION = "When was the old apple tree planted?"
ANSWER = "The old apple tree was planted in 1931 by the grandmother of Mister Hill."
RATE = 24000


def settings(real, llm: str) -> str:
    return f"""
[documents]
folder = "{EXAMPLES / "house"}"
[stt]
engine = "whisper"
model = "{real("whisper-tiny.en")}"
[llm]
{llm}
[tts]
engine = "hibari"
[latency]
degradations = ""
"""


QUOTING = 'engine = "extractive"'


@pytest.fixture(scope="module")
def server(real, tmp_path_factory):
    """Gives the address of a server with real ears and a real voice that quotes documents."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "voicebot.toml").write_text(settings(real, QUOTING))
    with (
        assemble(read_config(folder / "voicebot.toml"), folder / "models") as parts,
        served(create(parts, ServerSettings())) as url,
    ):
        yield url


@pytest.fixture(scope="module")
def question():
    """The spoken question at RATE, with a second of silence behind it."""
    audio = Resampler(RATE)
    spoken = read(EXAMPLES / "question.wav")
    samples = np.concatenate([audio.feed(spoken), audio.finish(), np.zeros(RATE, np.float32)])
    return to_pcm16(Audio(samples, RATE))


def ask(folder, *arguments):
    command = [sys.executable, "-m", "voicebot", "ask", *arguments, "-o", "answer.wav", "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=100, check=False)
    return done, [json.loads(line) for line in done.stdout.splitlines()]


def texts(events, kind):
    return " ".join(event["text"] for event in events if event["event"] == kind)


def test_ask_hears_the_question_and_speaks_the_answer(real, tmp_path):
    (tmp_path / "voicebot.toml").write_text(settings(real, QUOTING))
    done, events = ask(tmp_path, str(EXAMPLES / "question.wav"))
    assert done.returncode == 0, done.stderr
    assert error_rate(QUESTION, texts(events, "transcript")) == 0
    assert texts(events, "clause_spoken") == ANSWER
    (understood,) = hear(real("whisper-base"), read(tmp_path / "answer.wav"))
    assert error_rate(ANSWER.replace("Mister", "Mr"), understood.replace("Mister", "Mr")) == 0


def test_a_small_language_model_answers_from_the_documents(real, tmp_path):
    model = real("smollm2-135m") / "SmolLM2-135M-Instruct.Q4_1.gguf"
    llama = f'engine = "llama"\nmodel = "{model}"\ntemperature = 0.0\nthreads = 1\nmax_tokens = 60'
    (tmp_path / "voicebot.toml").write_text(settings(real, llama))
    done, events = ask(tmp_path, str(EXAMPLES / "question.wav"))
    assert done.returncode == 0, done.stderr
    assert "1931" in texts(events, "clause_spoken")
    (understood,) = hear(real("whisper-base"), read(tmp_path / "answer.wav"))
    assert error_rate(texts(events, "clause_spoken"), understood) <= 0.15


async def speak(say, sound: bytes) -> None:
    """Give `sound` to `say` as fast as it was spoken, 20 ms at a time."""
    size = 2 * RATE // 50
    for start in range(0, len(sound), size):
        await say(sound[start : start + size])
        await asyncio.sleep(0.02)


async def playing(caller, turn: int, seconds: float) -> None:
    """Play what comes of a turn until so many seconds were heard."""
    for heard in np.arange(0.25, seconds + 0.01, 0.25):
        await caller.hears(float(heard), turn)


def test_the_plain_websocket_hears_answers_and_remembers_what_was_played(real, server, question):
    async def life():
        async with calling(server.removeprefix("http://"), rate=RATE) as caller:
            asking = asyncio.create_task(speak(caller.socket.send, question))
            await playing(caller, 1, 1.5)
            await asking
            # The same question over the answer, which it interrupts and to which it is the next.
            asking = asyncio.create_task(speak(caller.socket.send, question))
            interrupted = await caller.until("interrupted")
            await playing(caller, 2, 2.0)
            await asking
            return caller, interrupted

    caller, interrupted = asyncio.run(life())
    assert [error_rate(QUESTION, e["text"]) for e in caller.all("transcript")] == [0, 0]
    assert not caller.all("failed")
    played = from_pcm16(caller.sound[1][: 2 * round(1.5 * RATE)], RATE)
    (understood,) = hear(real("whisper-base"), played)
    # A word that was cut in its middle is understood or not.
    assert abs(len(understood.split()) - len(interrupted["heard"].split())) <= 1
    assert ANSWER.startswith(interrupted["heard"])
    assert interrupted["heard"].split()


def test_realtime_hears_answers_and_truncates_to_what_was_played(real, server, question):
    async def until(connection, kind, events):
        async with asyncio.timeout(100):
            while True:
                event = await connection.recv()
                events.append(event)
                assert event.type != "error", event
                if event.type == kind:
                    return event

    async def life():
        client = openai.AsyncOpenAI(api_key="none", base_url=f"{server}/v1")
        events = []
        async with client, client.realtime.connect(model="gpt-realtime") as connection:

            async def send(sound):
                await connection.input_audio_buffer.append(audio=base64.b64encode(sound).decode())

            transcribed = {"type": "realtime", "audio": {"input": {"transcription": {}}}}
            await connection.session.update(session=transcribed)
            asking = asyncio.create_task(speak(send, question))
            done = await until(connection, "response.done", events)
            await asking
            (item,) = done.response.output
            await connection.conversation.item.truncate(
                item_id=item.id, content_index=0, audio_end_ms=1500
            )
            await until(connection, "conversation.item.truncated", events)
            await connection.conversation.item.retrieve(item_id=item.id)
            kept = await until(connection, "conversation.item.retrieved", events)
            return events, done.response, kept.item

    events, response, kept = asyncio.run(life())
    completed = "conversation.item.input_audio_transcription.completed"
    assert [error_rate(QUESTION, e.transcript) for e in events if e.type == completed] == [0]
    assert response.status == "completed"
    assert response.output[0].content[0].transcript == ANSWER
    deltas = [e.delta for e in events if e.type == "response.output_audio.delta"]
    sound = b"".join(base64.b64decode(delta) for delta in deltas)
    whole, first = hear(
        real("whisper-base"),
        from_pcm16(sound, RATE),
        from_pcm16(sound[: 2 * round(1.5 * RATE)], RATE),
    )
    assert error_rate(ANSWER.replace("Mister", "Mr"), whole.replace("Mister", "Mr")) == 0
    remembered = kept.content[0].transcript
    assert ANSWER.startswith(remembered)
    assert abs(len(first.split()) - len(remembered.split())) <= 1
