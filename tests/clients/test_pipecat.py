"""pipecat's services for OpenAI: ears, chat, functions, voice, Realtime."""

import asyncio
import wave

from conftest import QUESTION
from pipecat.frames.frames import (
    InputAudioRawFrame,
    LLMContextFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.openai.stt import OpenAISTTService
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.tests.utils import SleepFrame, run_test


def at(url):
    return {"base_url": f"{url}/v1", "api_key": "none"}


def sent(processor, *frames):
    """The frames that come out of it."""
    down, _ = asyncio.run(run_test(processor, frames_to_send=frames, start_timeout=20))
    return down


def microphone(path):
    """The recording as frames of 20 ms."""
    with wave.open(str(path)) as sound:
        rate = sound.getframerate()
        while pcm := sound.readframes(rate // 50):
            yield InputAudioRawFrame(pcm, rate, 1)


def test_a_recording_is_written_down(house, recording):
    stt = OpenAISTTService(**at(house), settings=OpenAISTTService.Settings(model="whisper-1"))
    frames = sent(
        stt,
        VADUserStartedSpeakingFrame(),
        *microphone(recording),
        VADUserStoppedSpeakingFrame(),
        SleepFrame(3),
    )
    (heard,) = [frame for frame in frames if isinstance(frame, TranscriptionFrame)]
    assert "old apple tree" in heard.text


def test_a_question_is_answered_from_the_documents_and_spoken(house):
    llm = OpenAILLMService(**at(house), settings=OpenAILLMService.Settings(model="gpt-4o"))
    context = LLMContext([{"role": "user", "content": QUESTION}])
    frames = sent(llm, LLMContextFrame(context))
    answer = "".join(frame.text for frame in frames if isinstance(frame, LLMTextFrame))
    assert "1931" in answer


def test_a_text_is_spoken(house):
    settings = OpenAITTSService.Settings(model="tts-1", voice="nova")
    frames = sent(OpenAITTSService(**at(house), settings=settings), TTSSpeakFrame("It is noon."))
    sound = [frame for frame in frames if isinstance(frame, TTSAudioRawFrame)]
    assert {frame.sample_rate for frame in sound} == {24000}
    assert sum(len(frame.audio) for frame in sound) > 24000
