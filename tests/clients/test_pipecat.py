"""pipecat's services for OpenAI: ears, chat, functions, voice, Realtime."""

import asyncio
import wave

import numpy as np
from conftest import QUESTION
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    EndFrame,
    InputAudioRawFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.openai.realtime.events import (
    AudioConfiguration,
    AudioInput,
    InputAudioTranscription,
    SessionProperties,
    TurnDetection,
)
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.services.openai.responses.llm import OpenAIResponsesLLMService
from pipecat.services.openai.stt import OpenAISTTService
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.workers.runner import WorkerRunner

GIVEN = (TranscriptionFrame, LLMTextFrame, TTSAudioRawFrame)


def at(url):
    return {"base_url": f"{url}/v1", "api_key": "none"}


class Last(FrameProcessor):
    """Keeps what comes out of the processor before it, until a frame of the type `last`."""

    def __init__(self, last):
        super().__init__()
        self.frames, self.last, self.done = [], last, asyncio.Event()

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        if direction is FrameDirection.DOWNSTREAM:
            self.frames.append(frame)
            said = {type(each) for each in self.frames} & {*GIVEN}
            if isinstance(frame, self.last) and said:
                self.done.set()
        await self.push_frame(frame, direction)


def sent(processor, *frames, last, after=()):
    """The frames that come out of it up to one of the type `last`, once it has given anything."""

    async def run():
        out, started = Last(last), asyncio.Event()
        worker = PipelineWorker(Pipeline([processor, out, *after]), cancel_on_idle_timeout=False)

        @worker.event_handler("on_pipeline_started")
        async def begun(worker, frame):
            started.set()

        async def feed():
            await started.wait()
            for frame in frames:
                await worker.queue_frame(frame)
            await out.done.wait()
            await worker.queue_frame(EndFrame())

        runner = WorkerRunner()
        await runner.add_workers(worker)
        async with asyncio.timeout(50):
            await asyncio.gather(runner.run(), feed())
        return out.frames

    return asyncio.run(run())


def resampled(frame):
    """Its sound at 24 kHz."""
    pcm = np.frombuffer(frame.audio, np.int16)
    at = np.arange(0, len(pcm), frame.sample_rate / 24000)
    return np.interp(at, np.arange(len(pcm)), pcm).astype(np.int16).tobytes()


def microphone(path):
    """The recording as frames of 20 ms."""
    with wave.open(str(path)) as sound:
        rate = sound.getframerate()
        while pcm := sound.readframes(rate // 50):
            yield InputAudioRawFrame(pcm, rate, 1)


def test_a_recording_is_written_down(admission, recording):
    stt = OpenAISTTService(**at(admission), settings=OpenAISTTService.Settings(model="whisper-1"))
    frames = sent(
        stt,
        VADUserStartedSpeakingFrame(),
        *microphone(recording),
        VADUserStoppedSpeakingFrame(),
        last=TranscriptionFrame,
    )
    (heard,) = [frame for frame in frames if isinstance(frame, TranscriptionFrame)]
    assert "old apple tree" in heard.text


def test_a_question_is_answered_from_the_documents_and_spoken(admission):
    llm = OpenAILLMService(**at(admission), settings=OpenAILLMService.Settings(model="gpt-4o"))
    context = LLMContext([{"role": "user", "content": QUESTION}])
    frames = sent(llm, LLMContextFrame(context), last=LLMFullResponseEndFrame)
    answer = "".join(frame.text for frame in frames if isinstance(frame, LLMTextFrame))
    assert "1931" in answer


def test_a_question_is_answered_over_a_websocket_of_responses(admission):
    settings = OpenAIResponsesLLMService.Settings(model="gpt-4o")
    address = f"ws{admission[4:]}/v1/responses"
    llm = OpenAIResponsesLLMService(api_key="none", ws_url=address, settings=settings)
    context = LLMContext([{"role": "user", "content": QUESTION}])
    frames = sent(llm, LLMContextFrame(context), last=LLMFullResponseEndFrame)
    answer = "".join(frame.text for frame in frames if isinstance(frame, LLMTextFrame))
    assert "1931" in answer


def test_a_text_is_spoken(admission):
    settings = OpenAITTSService.Settings(model="tts-1", voice="nova")
    tts = OpenAITTSService(**at(admission), settings=settings)
    frames = sent(tts, TTSSpeakFrame("It is noon."), last=TTSStoppedFrame)
    sound = [frame for frame in frames if isinstance(frame, TTSAudioRawFrame)]
    assert {frame.sample_rate for frame in sound} == {24000}
    assert sum(len(frame.audio) for frame in sound) > 24000


def test_a_function_is_called_and_its_result_answered(talker):
    async def weather(params):
        await params.result_callback(f"sunshine over {params.arguments['city']}")

    schema = FunctionSchema("weather", "", {"city": {"type": "string"}}, ["city"])
    context = LLMContext([{"role": "user", "content": "The weather?"}], tools=ToolsSchema([schema]))
    llm = OpenAILLMService(**at(talker), settings=OpenAILLMService.Settings(model="gpt-4o"))
    llm.register_function("weather", weather)
    pair = LLMContextAggregatorPair(context)
    sent(llm, LLMContextFrame(context), last=LLMFullResponseEndFrame, after=[pair.assistant()])
    assert context.messages[-1]["content"] == 'It returned "sunshine over Rome"'


def test_a_spoken_question_is_answered_over_realtime(talker, recording):
    properties = SessionProperties(
        audio=AudioConfiguration(
            input=AudioInput(
                transcription=InputAudioTranscription(), turn_detection=TurnDetection()
            )
        )
    )
    service = OpenAIRealtimeLLMService(
        api_key="none",
        base_url=f"ws{talker[4:]}/v1/realtime",
        settings=OpenAIRealtimeLLMService.Settings(session_properties=properties),
    )
    spoken = [InputAudioRawFrame(resampled(frame), 24000, 1) for frame in microphone(recording)]
    frames = sent(
        service,
        LLMContextFrame(LLMContext()),
        *spoken,
        *[InputAudioRawFrame(bytes(960), 24000, 1)] * 60,
        last=TTSStoppedFrame,
    )
    said = "".join(frame.text for frame in frames if isinstance(frame, TTSTextFrame))
    sound = b"".join(frame.audio for frame in frames if isinstance(frame, TTSAudioRawFrame))
    assert "apple tree" in said  # a turn short of time is heard less well
    assert len(sound) > 48000
