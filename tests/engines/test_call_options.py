"""What is asked of an engine for one call holds for that call, and what it lacks is named."""

import asyncio
from contextlib import aclosing

import pytest
import recordings
from engines.loopback import Loopback, pieces, whole

from voicebot.audio import join
from voicebot.engines import Message
from voicebot.engines.call_options import OptionError, taken
from voicebot.engines.espeak.engine import Espeak
from voicebot.engines.extractive import Extractive
from voicebot.engines.openai.chat import OpenAIChat
from voicebot.engines.openai.speech import OpenAISynthesizer
from voicebot.engines.openai.transcription import OpenAITranscriber
from voicebot.engines.pocketsphinx.engine import PocketSphinx
from voicebot.engines.whisper.engine import Whisper
from voicebot.events import Passage

pytest.importorskip("faster_whisper")
from miniatures.whisper import build

HELLO = [Message("user", "Hello.")]


async def every(stream):
    async with aclosing(stream) as items:
        return [item async for item in items]


@pytest.fixture(scope="module")
def espeak():
    engine = Espeak()
    yield engine
    engine.close()


def speak(espeak, **options):
    speech = asyncio.run(every(espeak.synthesize("Good morning everybody.", **options)))
    return join([chunk.audio for chunk in speech])


def test_espeak_speaks_one_text_faster(espeak):
    normal, fast = speak(espeak), speak(espeak, speed=2.0)
    assert fast.seconds < 0.7 * normal.seconds
    assert speak(espeak).seconds == pytest.approx(normal.seconds, rel=0.01)


def test_espeak_speaks_one_text_in_another_voice(espeak):
    german, usual = speak(espeak, voice="de"), speak(espeak)
    assert german.samples.tobytes() != usual.samples.tobytes()


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [("voice", "en-ux", "no voice 'en-ux'; near it: en-us"), ("speed", 9.0, "between 0.5 and 2.5")],
)
def test_espeak_names_what_it_does_not_take(espeak, option, value, says):
    with pytest.raises(OptionError, match=says) as caught:
        speak(espeak, **{option: value})
    assert caught.value.option == option


def test_whisper_listens_for_the_language_of_one_recording(tmp_path):
    whisper = Whisper(str(build(tmp_path, "What time is it?")), device="cpu", threads=1)
    audio = recordings.voice(2)
    segments = asyncio.run(every(whisper.transcribe(audio, language="de")))
    assert [(s.text, s.language) for s in segments] == [("What time is it?", "de")]
    with pytest.raises(OptionError, match="knows no language 'xx'"):
        whisper.transcribe(audio, language="xx")
    assert taken(whisper.transcribe) == {"language", "translate", "recorded"}
    translated = asyncio.run(every(whisper.transcribe(audio, translate=True)))
    assert [s.text for s in translated] == ["What time is it?"]
    whisper.close()


def test_pocketsphinx_takes_no_language_but_english():
    sphinx = PocketSphinx()
    sphinx.transcribe(recordings.voice(1), language="en")
    with pytest.raises(OptionError, match="only English"):
        sphinx.transcribe(recordings.voice(1), language="de")
    sphinx.close()


def test_an_answer_from_documents_ends_at_so_many_tokens():
    passage = Passage("a.md#1", "The stove is lit with dry birch bark and a long match.", 1.0)
    question = [Message("user", "How is the stove lit?", (passage,))]
    *words, last = asyncio.run(every(Extractive().reply(question, max_tokens=3)))
    assert "".join(delta.text for delta in words) == "The stove is "
    assert last.finish == "length"
    assert last.tokens == (19, 3)  # 75 and 12 bytes
    whole_answer = asyncio.run(every(Extractive().reply(question)))
    assert whole_answer[-1].finish == "stop"


def test_servers_are_asked_for_the_same():
    reply = b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'

    async def conversation():
        scripts = (
            pieces(reply),
            whole(200, bytes(64), kind="audio/pcm"),
            whole(200, {"text": "Ja."}),
        )
        async with Loopback(*scripts) as server:
            chat = OpenAIChat(url=server.url, model="m")
            await every(chat.reply(HELLO, max_tokens=5, top_p=0.5, seed=0))
            tts = OpenAISynthesizer(url=server.url, model="m", voice="mine")
            await every(tts.synthesize("Hello.", voice="yours", speed=2))
            stt = OpenAITranscriber(url=server.url, model="m")
            await every(stt.transcribe(recordings.voice(0.1), language="de"))
            return server.requests

    chat, tts, stt = asyncio.run(conversation())
    assert (chat.json["max_tokens"], chat.json["top_p"], chat.json["temperature"]) == (5, 0.5, 0.7)
    assert chat.json["seed"] == 0
    assert (tts.json["voice"], tts.json["speed"]) == ("yours", 2)
    assert b'name="language"\r\n\r\nde' in stt.body
