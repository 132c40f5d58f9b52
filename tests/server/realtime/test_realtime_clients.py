"""Clients nobody here wrote hold conversations with us: OpenAI's own, in both dialects."""

import asyncio
import base64
import wave
from contextlib import asynccontextmanager

import numpy as np
import pytest
import room
from scripted import Scripted
from serving import EXAMPLES, app, embedded, served

from voicebot.audio import Audio, from_pcm16, to_pcm16
from voicebot.audio.resample import Resampler
from voicebot.engines.openai.chat import OpenAIChat

openai = pytest.importorskip("openai")

STORY = " ".join(f"One two three. Four five six. Seven eight {n}." for n in range(9)).split()


@asynccontextmanager
async def serving(**engines):
    """A client of a server on loopback with these engines."""
    with served(app(**engines)) as url:
        client = openai.AsyncOpenAI(
            api_key="any", base_url=f"{url}/v1", websocket_base_url=f"ws{url[4:]}/v1"
        )
        yield client
        await client.close()


DIALECTS = ["now", "beta"]


def connected(client, dialect):
    if dialect == "beta":
        return client.beta.realtime.connect(model="gpt-4o-realtime-preview")
    return client.realtime.connect(model="gpt-realtime")


async def say(connection, *script):
    """Append sound as a microphone would, in real time: ("speak", 0.5), ("wait", 1)."""
    for action, seconds in script:
        level = 0.5 if action == "speak" else 0.0
        for _ in range(round(seconds / 0.05)):
            piece = to_pcm16(Audio(np.full(1200, level, np.float32), 24000))
            await connection.input_audio_buffer.append(audio=base64.b64encode(piece).decode())
            await asyncio.sleep(0.05)


async def until(connection, kind, events=None):
    """The first event of this kind; those before it are kept."""
    events = [] if events is None else events
    async with asyncio.timeout(100):
        while True:
            event = await connection.recv()
            events.append(event)
            if event.type == kind:
                return event
            assert event.type != "error", event


SOUND = {"now": "response.output_audio.delta", "beta": "response.audio.delta"}


async def configure(connection, dialect):
    """Ask for transcripts."""
    if dialect == "beta":
        session = {"input_audio_transcription": {"model": "whisper-1"}}
    else:
        session = {
            "type": "realtime",
            "audio": {"input": {"transcription": {"model": "whisper-1"}}},
        }
    await connection.session.update(session=session)
    return await until(connection, "session.updated")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_spoken_question_is_answered_aloud(dialect):
    async def life():
        async with serving() as client, connected(client, dialect) as connection:
            await configure(connection, dialect)
            await say(connection, ("speak", 0.6), ("wait", 0.8))
            events = []
            done = await until(connection, "response.done", events)
            return [event.type for event in events], events, done.response

    kinds, events, response = asyncio.run(life())
    completed = "conversation.item.input_audio_transcription.completed"
    assert [e.transcript for e in events if e.type == completed] == ["hello there"]
    assert kinds.index("input_audio_buffer.speech_started") < kinds.index(
        "input_audio_buffer.speech_stopped"
    )
    sound = b"".join(base64.b64decode(e.delta) for e in events if e.type == SOUND[dialect])
    assert len(sound) / 2 / 24000 == pytest.approx(0.9, abs=0.05)
    assert response.status == "completed"
    assert response.output[0].content[0].transcript == "It is noon."


def test_a_real_question_is_answered_by_real_engines(tmp_path):
    with wave.open(str(EXAMPLES / "question.wav")) as recording:
        audio = from_pcm16(recording.readframes(recording.getnframes()), recording.getframerate())
    sound = to_pcm16(Audio(Resampler(24000).feed(audio), 24000)) + bytes(48000 * 2)

    async def ask(url):
        client = openai.AsyncOpenAI(api_key="any", base_url=f"{url}/v1")
        async with client, connected(client, "now") as connection:
            await configure(connection, "now")
            for start in range(0, len(sound), 4800):
                piece = base64.b64encode(sound[start : start + 4800]).decode()
                await connection.input_audio_buffer.append(audio=piece)
                await asyncio.sleep(0.1)
            events = []
            await until(connection, "response.done", events)
            return events

    with embedded(tmp_path) as real, served(real) as url:
        events = asyncio.run(ask(url))
    completed = "conversation.item.input_audio_transcription.completed"
    assert ["apple" in e.transcript.lower() for e in events if e.type == completed] == [True]
    response = events[-1].response
    assert response.status == "completed"
    assert "apple" in response.output[0].content[0].transcript.lower()
    assert sum(len(e.delta) for e in events if e.type == SOUND["now"]) > 100_000


@pytest.mark.parametrize("dialect", DIALECTS)
def test_speaking_over_the_answer_ends_it_and_truncation_keeps_what_was_heard(dialect):
    async def life():
        tts = room.Synthesizer(times=True)
        async with (
            serving(llm=room.ChatModel(*STORY, takes=0), tts=tts) as client,
            connected(client, dialect) as connection,
        ):
            talking = asyncio.create_task(say(connection, ("speak", 0.6), ("wait", 1.2)))
            await until(connection, SOUND[dialect])
            await talking
            talking = asyncio.create_task(say(connection, ("speak", 0.6)))
            events = []
            done = await until(connection, "response.done", events)
            await talking
            (item,) = done.response.output
            await connection.conversation.item.truncate(
                item_id=item.id, content_index=0, audio_end_ms=650
            )
            truncated = await until(connection, "conversation.item.truncated")
            await connection.send({"type": "conversation.item.retrieve", "item_id": item.id})
            retrieved = await until(connection, "conversation.item.retrieved")
            return [event.type for event in events], done.response, truncated, retrieved.item

    kinds, response, truncated, item = asyncio.run(life())
    assert "input_audio_buffer.speech_started" in kinds
    assert (response.status, response.status_details.reason) == ("cancelled", "turn_detected")
    # A good second had passed when the user was heard: three or four words of 0.3 s.
    assert response.output[0].content[0].transcript.startswith("One two three.")
    assert len(response.output[0].content[0].transcript.split()) < 8
    assert truncated.audio_end_ms == 650
    assert item.content[0].transcript == "One two"
    assert item.status == "incomplete"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_client_may_commit_by_hand_and_want_text(dialect):
    stt = room.Transcriber(takes=0)

    async def life():
        async with serving(stt=stt) as client, connected(client, dialect) as connection:
            if dialect == "beta":
                session = {"turn_detection": None, "modalities": ["text"]}
            else:
                session = {"type": "realtime", "output_modalities": ["text"],
                           "audio": {"input": {"turn_detection": None}}}  # fmt: skip
            await connection.session.update(session=session)
            await until(connection, "session.updated")
            await say(connection, ("speak", 0.3))
            await connection.input_audio_buffer.commit()
            await connection.response.create()
            events = []
            done = await until(connection, "response.done", events)
            return [event.type for event in events], done.response

    kinds, response = asyncio.run(life())
    assert "input_audio_buffer.speech_started" not in kinds
    assert kinds.index("input_audio_buffer.committed") < kinds.index("response.created")
    assert not [kind for kind in kinds if "audio.delta" in kind]
    assert response.output[0].content[0].text == "It is noon. "
    assert stt.given[-1] == pytest.approx(0.3, abs=0.002)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_typed_question_is_answered_and_the_answer_can_be_cancelled(dialect):
    async def life():
        llm = room.ChatModel(*STORY, takes=0)
        async with serving(llm=llm) as client, connected(client, dialect) as connection:
            await connection.conversation.item.create(
                item={"type": "message", "role": "user",
                      "content": [{"type": "input_text", "text": "Tell me a story."}]}
            )  # fmt: skip
            await connection.response.create()
            await until(connection, SOUND[dialect])
            await connection.response.cancel()
            done = await until(connection, "response.done")
            await connection.response.cancel()
            error = await connection.recv()
            return done.response, error, llm.given

    response, error, given = asyncio.run(life())
    assert (response.status, response.status_details.reason) == ("cancelled", "client_cancelled")
    assert error.error.code == "response_cancel_not_active"
    assert [(m.role, m.text) for m in given[-1]][-1] == ("user", "Tell me a story.")


WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_spoken_question_is_answered_with_what_the_clients_function_returns(dialect):
    forecast = " ".join(STORY)
    llm = Scripted("Let me look.", {"city": "Rome"}, takes=0)

    async def life():
        async with serving(llm=llm) as client, connected(client, dialect) as connection:
            kind = {} if dialect == "beta" else {"type": "realtime"}
            await connection.session.update(session={**kind, "tools": [WEATHER]})
            await until(connection, "session.updated")
            await say(connection, ("speak", 0.6), ("wait", 0.8))
            heard, answered = [], []
            call = await until(connection, "response.function_call_arguments.done", heard)
            asking = await until(connection, "response.done")
            output = {"type": "function_call_output", "call_id": call.call_id}
            await connection.conversation.item.create(item={**output, "output": forecast})
            await connection.response.create()
            await until(connection, SOUND[dialect])
            await asyncio.sleep(1.0)
            await say(connection, ("speak", 0.4))  # over the answer
            cut = await until(connection, "response.done", answered)
            return [event.type for event in heard], call, asking.response, answered, cut.response

    heard, call, asking, answered, cut = asyncio.run(life())
    assert call.arguments == '{"city": "Rome"}'
    assert heard.index(SOUND[dialect]) < heard.index("response.function_call_arguments.done")
    assert [item.type for item in asking.output] == ["message", "function_call"]
    assert asking.output[1].call_id == call.call_id
    assert "input_audio_buffer.speech_started" in [event.type for event in answered]
    assert (cut.status, cut.status_details.reason) == ("cancelled", "turn_detected")
    said = cut.output[0].content[0].transcript
    assert said.startswith("One two three.")
    assert len(said) < len(forecast)


def test_functions_are_called_through_a_server_behind_us():
    far = Scripted("Let me look.", {"city": "Rome"}, {"city": "Paris"}, takes=0)

    async def life(near):
        async with serving(llm=near) as client, connected(client, "now") as connection:
            await connection.session.update(session={"type": "realtime", "tools": [WEATHER]})
            await say(connection, ("speak", 0.6), ("wait", 0.8))
            asking = (await until(connection, "response.done")).response
            message, *calls = asking.output
            for call, weather in zip(calls, ["Rain.", "Sun."], strict=True):
                item = {"type": "function_call_output", "call_id": call.call_id}
                await connection.conversation.item.create(item={**item, "output": weather})
            await connection.response.create()
            answer = (await until(connection, "response.done")).response
            return message, calls, answer.output[0]

    with served(app(llm=far)) as url:
        message, calls, answer = asyncio.run(life(OpenAIChat(f"{url}/v1", "gpt-4o")))
    assert message.content[0].transcript == "Let me look."
    assert [call.arguments for call in calls] == ['{"city": "Rome"}', '{"city": "Paris"}']
    # The model says again what the last one returned.
    assert answer.content[0].transcript == "Sun."
    *_, called, first, second = far.given[-1]
    assert [call.name for call in called.calls] == ["weather", "weather"]
    assert [(m.role, m.text) for m in (first, second)] == [("tool", "Rain."), ("tool", "Sun.")]
    assert [m.call_id for m in (first, second)] == [call.id for call in called.calls]


def test_a_secret_lets_a_browser_in_with_the_session_it_was_made_for():
    async def life():
        async with serving() as client:
            secret = await client.realtime.client_secrets.create(
                session={"type": "realtime", "instructions": "Rhyme."},
                expires_after={"anchor": "created_at", "seconds": 60},
            )
            assert secret.value.startswith("ek_")
            client.api_key = secret.value
            async with connected(client, "now") as connection:
                created = await until(connection, "session.created")
            beta = await client.beta.realtime.sessions.create(voice="alloy")
            return secret.session, created.session, beta

    made, session, beta = asyncio.run(life())
    assert made.instructions == session.instructions == "Rhyme."
    assert beta.client_secret.value.startswith("ek_")
