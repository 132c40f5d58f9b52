"""OpenAI's agents for Python: chat completions, Realtime, and the voice pipeline."""

import asyncio
import wave

import agents
import numpy as np
import pytest
from agents.models.openai_responses import OpenAIResponsesWSModel
from agents.realtime import RealtimeAgent, RealtimeRunner
from agents.voice import (
    AudioInput,
    OpenAIVoiceModelProvider,
    SingleAgentVoiceWorkflow,
    VoicePipeline,
    VoicePipelineConfig,
)
from conftest import QUESTION
from openai import AsyncOpenAI
from pydantic import BaseModel

agents.set_tracing_disabled(True)
CHAT, RESPONSES = agents.OpenAIChatCompletionsModel, agents.OpenAIResponsesModel
SOCKET = OpenAIResponsesWSModel
either = pytest.mark.parametrize(
    "route", [CHAT, RESPONSES, SOCKET], ids=["chat", "responses", "websocket"]
)


class City(BaseModel):
    city: str


@agents.function_tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"sunshine over {city}"


def client(url):
    return AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


def agent(url, route=CHAT, **options):
    model = route("gpt-4o", openai_client=client(url))
    return agents.Agent("assistant", instructions="Be brief.", model=model, **options)


def samples(path):
    """The recording as the int16 samples that a microphone of 24 kHz gives."""
    with wave.open(str(path)) as sound:
        rate = sound.getframerate()
        pcm = np.frombuffer(sound.readframes(sound.getnframes()), np.int16)
    at = np.arange(0, len(pcm), rate / 24000)
    return np.interp(at, np.arange(len(pcm)), pcm).astype(np.int16)


@either
def test_a_question_is_answered_from_the_documents(admission, route):
    assert "1931" in agents.Runner.run_sync(agent(admission, route), QUESTION).final_output


@either
def test_a_conversation_goes_on(talker, route):
    first = agents.Runner.run_sync(agent(talker, route), "Good morning.")
    again = [*first.to_input_list(), {"role": "user", "content": "Again?"}]
    said = agents.Runner.run_sync(agent(talker, route), again).final_output
    assert said == "You said, as number 2: Again?"


def test_the_server_keeps_a_conversation_of_responses(talker):
    first = agents.Runner.run_sync(agent(talker, RESPONSES), "Good morning.")
    again = agents.Runner.run_sync(
        agent(talker, RESPONSES), "Again?", previous_response_id=first.last_response_id
    )
    assert again.final_output == "You said, as number 2: Again?"


@either
def test_a_tool_is_called_and_its_result_answered(talker, route):
    whole = agent(talker, route, tools=[weather])
    done = agents.Runner.run_sync(whole, "What is the weather in Rome?")
    assert done.final_output == "It returned sunshine over Rome"


@either
def test_another_agent_takes_over(talker, route):
    second = agent(talker, route)
    first = agent(talker, route, handoffs=[second])
    done = agents.Runner.run_sync(first, "Good morning.")
    assert done.last_agent is second


@either
def test_a_structure_is_filled_in(talker, route):
    done = agents.Runner.run_sync(agent(talker, route, output_type=City), "Where is it sunny?")
    assert done.final_output == City(city="Rome")


@either
def test_a_stream_calls_tools_too(talker, route):
    async def streamed():
        whole = agent(talker, route, tools=[weather])
        running = agents.Runner.run_streamed(whole, "The weather?")
        kinds = [event.type async for event in running.stream_events()]
        return kinds, running.final_output

    kinds, said = asyncio.run(streamed())
    assert said == "It returned sunshine over Rome"
    assert kinds.count("raw_response_event") > 5


def test_a_recording_goes_through_the_voice_pipeline(admission, recording):
    async def spoken():
        pipeline = VoicePipeline(
            workflow=SingleAgentVoiceWorkflow(agent(admission)),
            stt_model="whisper-1",
            tts_model="tts-1",
            config=VoicePipelineConfig(
                model_provider=OpenAIVoiceModelProvider(openai_client=client(admission)),
                tracing_disabled=True,
            ),
        )
        result = await pipeline.run(AudioInput(samples(recording)))
        events = [event async for event in result.stream()]
        sound = [
            e.data for e in events if e.type == "voice_stream_event_audio" and e.data is not None
        ]
        return np.concatenate(sound)

    assert len(asyncio.run(spoken())) > 24000  # a second


@pytest.mark.parametrize("tools", [[], [weather]])
def test_a_spoken_question_is_answered_over_realtime(talker, recording, tools):
    said, sound = asyncio.run(call(talker, recording, tools))
    # A turn short of time is heard less well.
    assert ("It returned sunshine over Rome" if tools else "apple tree") in said
    assert sound > 24000


async def call(url, recording, tools):
    """Says the recording; gives what the assistant said, and how many bytes of sound."""
    runner = RealtimeRunner(RealtimeAgent("assistant", instructions="Be brief.", tools=tools))
    config = {
        "url": f"ws{url[4:]}/v1/realtime",
        "api_key": "none",
        "initial_model_settings": {"turn_detection": {"type": "server_vad"}},
    }
    sound, said, errors = 0, "", []
    async with asyncio.timeout(40), await runner.run(model_config=config) as session:
        pcm = np.concatenate([samples(recording), np.zeros(24000, np.int16)])
        for start in range(0, len(pcm), 2400):
            await session.send_audio(pcm[start : start + 2400].tobytes())
        async for event in session:
            if event.type == "error":
                errors.append(event.error)
            elif event.type == "audio":
                sound += len(event.audio.data)
            elif event.type == "audio_end":
                break
        for item in session._history:  # the SDK tells of it in events of changes alone
            if getattr(item, "role", "") == "assistant":
                said = item.content[-1].transcript
    assert errors == []
    return said, sound
