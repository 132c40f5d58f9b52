"""Two real engines of each kind in one server: `model` chooses, through OpenAI's client."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import openai
import pytest
from server.serving import create_of, served

HOUSE = Path(__file__).resolve().parents[2] / "examples" / "house"
GERMAN = "gibt es mehrere praktische Ärzte"
ASKED = [{"role": "user", "content": "When was the old apple tree planted?"}]


@pytest.fixture(scope="module")
def client(real, tmp_path_factory):
    settings = f"""
[documents]
folder = "{HOUSE}"
[stt]
engine = "whisper"
model = "{real("whisper-tiny.en")}"
[stt.models.accurate]
engine = "whisper"
model = "{real("whisper-base")}"
[llm]
engine = "extractive"
[llm.models.smollm2]
engine = "llama"
model = "{real("smollm2-135m") / "SmolLM2-135M-Instruct.Q4_1.gguf"}"
temperature = 0.0
context = 1024
max_tokens = 16
[tts]
engine = "hibari"
[tts.models.robot]
engine = "espeak"
voice = "en-gb"
"""
    with create_of(settings, tmp_path_factory.mktemp("models")) as app, served(app) as url:
        yield openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=300)


def heard(client, recording, model, **options):
    with recording.open("rb") as file:
        return client.audio.transcriptions.create(file=file, model=model, **options)


def test_two_whispers_hear_one_german_recording_each_as_it_can(client, shared):
    recording = shared("audio") / "de_kerstin" / "de_rhasspy-0073.flac"
    assert GERMAN in heard(client, recording, "accurate", language="de").text
    assert GERMAN in heard(client, recording, "accurate").text  # which finds the language out
    assert GERMAN not in heard(client, recording, "whisper-1").text
    with pytest.raises(openai.BadRequestError, match="there is no language 'de'; there is en"):
        heard(client, recording, "whisper-1", language="de")


def test_whisper_base_is_found_by_the_names_of_its_weights(client, shared):
    recording = shared("audio") / "de_kerstin" / "de_rhasspy-0073.flac"
    for name in ("whisper-base", "Systran/faster-whisper-base"):
        raw = client.audio.transcriptions.with_raw_response
        with recording.open("rb") as file:
            answer = raw.create(file=file, model=name)
        assert "whisper-base" in answer.headers["x-voicebot-stt"]


def test_a_chat_model_answers_beside_what_quotes(client):
    quoted = client.chat.completions.create(model="gpt-4o", messages=ASKED)
    assert "1931" in quoted.choices[0].message.content
    raw = client.chat.completions.with_raw_response
    answer = raw.create(model="smollm2:no-documents", messages=ASKED)
    assert answer.headers["x-voicebot-llm"].startswith("llama")
    written = answer.parse()
    assert written.model == "smollm2:no-documents"
    assert written.usage.completion_tokens == 16  # words of its own, as far as it may
    assert "1931" not in written.choices[0].message.content
    by_responses = client.responses.create(model="smollm2", input="Say hello.")
    assert by_responses.output_text.strip()


def test_two_voices_speak_by_the_model_or_by_the_name_of_the_voice(client):
    for model, voice in (("tts-1", "heart"), ("robot", "en-us"), ("tts-1", "en-gb+f2")):
        raw = client.audio.speech.with_raw_response
        answer = raw.create(model=model, voice=voice, input="Hello.", response_format="wav")
        with wave.open(io.BytesIO(answer.content)) as sound:
            assert sound.getnframes() > 0.3 * sound.getframerate()
        engine = "hibari" if voice == "heart" else "espeak"
        assert answer.headers["x-voicebot-tts"].startswith(engine)
    with pytest.raises(openai.NotFoundError, match=r"there is .*robot; did you mean robot\?"):
        client.audio.speech.create(model="robt", voice="en-us", input="Hello.")


def test_all_are_listed(client):
    listed = {model.id: model for model in client.models.list()}
    assert listed.keys() >= {"accurate", "smollm2", "smollm2:no-documents", "robot", "extractive"}
    assert listed["accurate"].task == "automatic-speech-recognition"
    assert client.models.retrieve("espeak-ng").root == "robot"
