"""LiveKit's agents with its plugin for OpenAI: chat, functions, ears, voice, Realtime."""

import asyncio
import wave

import pytest
from conftest import QUESTION
from livekit import rtc
from livekit.agents import Agent, AgentSession, function_tool
from livekit.agents.utils import http_context
from livekit.plugins import openai


@function_tool
async def weather(city: str) -> str:
    """The weather of a city."""
    return f"sunshine over {city}"


def at(url):
    return {"base_url": f"{url}/v1", "api_key": "none"}


def heard_by_microphone(path):
    with wave.open(str(path)) as sound:
        rate, count = sound.getframerate(), sound.getnframes()
        return rtc.AudioFrame(sound.readframes(count), rate, 1, count)


def typed(model, text, tools=()):
    """What an agent says to a typed text."""

    async def turn():
        async with http_context.open(), AgentSession(llm=model) as session:
            await session.start(Agent(instructions="Be brief.", tools=list(tools)))
            result = await session.run(user_input=text)
            return result.events[-1].item.text_content

    return asyncio.run(turn())


ROUTES = ["chat", "responses", "websocket"]


def model(url, route):
    if route == "chat":
        return openai.LLM(model="gpt-4o", **at(url))
    return openai.responses.LLM(model="gpt-4o", use_websocket=route == "websocket", **at(url))


@pytest.mark.parametrize("route", ROUTES)
def test_a_question_is_answered_from_the_documents(admission, route):
    assert "1931" in typed(model(admission, route), QUESTION)


@pytest.mark.parametrize("route", ROUTES)
def test_a_tool_is_called_and_its_result_answered(talker, route):
    said = typed(model(talker, route), "What is the weather in Rome?", [weather])
    assert said == "It returned sunshine over Rome"


@pytest.mark.parametrize("route", ROUTES)
def test_a_conversation_goes_on(talker, route):
    """By a websocket LiveKit sends what is new, and the id of the response before it."""

    async def turns():
        async with http_context.open(), AgentSession(llm=model(talker, route)) as session:
            await session.start(Agent(instructions="Be brief."))
            for text in ("One.", "Two.", "Three."):
                result = await session.run(user_input=text)
            return result.events[-1].item.text_content

    assert asyncio.run(turns()) == "You said, as number 3: Three."


def test_a_recording_is_written_down(admission, recording):
    async def heard():
        stt = openai.STT(model="whisper-1", **at(admission))
        return await stt.recognize(heard_by_microphone(recording))

    assert "old apple tree" in asyncio.run(heard()).alternatives[0].text


def test_a_text_is_spoken(admission):
    async def spoken():
        tts = openai.TTS(model="tts-1", voice="nova", **at(admission))
        async with tts.synthesize("The kettle is on.") as stream:
            return [piece.frame async for piece in stream]

    assert sum(frame.duration for frame in asyncio.run(spoken())) > 0.5


def test_a_spoken_question_is_answered_over_realtime(talker, recording):
    async def call():
        model = openai.realtime.RealtimeModel(**at(talker))
        session = model.session()
        made = asyncio.get_running_loop().create_future()
        errors = []
        session.on("generation_created", lambda event: made.done() or made.set_result(event))
        session.on("error", errors.append)
        try:
            session.push_audio(heard_by_microphone(recording))
            for _ in range(15):
                session.push_audio(rtc.AudioFrame(bytes(4800), 24000, 1, 2400))
            generation = await asyncio.wait_for(made, 30)
            said, seconds = "", 0.0
            async for message in generation.message_stream:
                said = "".join([piece async for piece in message.text_stream])
                seconds = sum([frame.duration async for frame in message.audio_stream])
            return said, seconds, errors
        finally:
            await session.aclose()
            await model.aclose()

    said, seconds, errors = asyncio.run(call())
    assert errors == []
    assert said.startswith("You said, as number 1: ")
    assert "apple tree" in said  # a turn short of time is heard less well
    assert seconds > 1
