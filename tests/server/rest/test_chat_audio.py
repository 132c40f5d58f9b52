"""Questions that are spoken and answers read aloud, over `/v1/chat/completions`."""

import base64
import io

import av
import openai
import pytest
import room
from scripted import WEATHER, Scripted
from serving import EXAMPLES, app, embedded, served, wav

QUESTION = (EXAMPLES / "question.wav").read_bytes()
HELLO = [{"role": "user", "content": "What time is it?"}]
ALOUD = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}


def client(url):
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def admission(tmp_path_factory):
    """A client of the engines that come with voicebot."""
    with (
        embedded(tmp_path_factory.mktemp("house")) as real,
        served(real) as url,
        client(url) as calls,
    ):
        yield calls


@pytest.fixture
def noon():
    """A client, and the model that it asks."""
    llm = room.ChatModel("It", "is", "noon.", takes=0)
    with served(app(llm=llm)) as url, client(url) as calls:
        yield calls, llm


def spoken(data, form="wav"):
    sound = {"data": base64.b64encode(data).decode(), "format": form}
    return {"type": "input_audio", "input_audio": sound}


def length(data):
    with av.open(io.BytesIO(data)) as container:
        return sum(f.samples / f.sample_rate for f in container.decode(audio=0))


def test_a_spoken_question_is_answered_aloud(admission):
    answer = admission.chat.completions.create(
        model="gpt-4o-audio-preview",
        messages=[{"role": "user", "content": [spoken(QUESTION)]}],
        **ALOUD,
    )
    message = answer.choices[0].message
    assert "1931" in message.audio.transcript
    assert message.content is None
    assert 1 < length(base64.b64decode(message.audio.data)) < 30


def test_what_is_said_stands_between_what_is_written(noon):
    calls, llm = noon
    parts = [
        {"type": "text", "text": "Write down:"},
        spoken(wav()),
        {"type": "text", "text": "So?"},
    ]
    calls.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": parts}])
    assert llm.given[-1][-1].text == "Write down:\nhello there\nSo?"


@pytest.mark.parametrize(
    ("sound", "says"), [(b"nothing at all" * 99, "cannot be read"), (b"", "at least 1")]
)
def test_what_is_no_sound_is_refused(noon, sound, says):
    calls, _ = noon
    with pytest.raises(openai.BadRequestError, match=says):
        calls.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": [spoken(sound)]}]
        )


def test_an_answer_is_streamed_with_its_sound(noon):
    calls, _ = noon
    *chunks, cost = calls.chat.completions.create(
        model="gpt-4o",
        messages=HELLO,
        stream=True,
        stream_options={"include_usage": True},
        modalities=["text", "audio"],
        audio={"voice": "alloy", "format": "pcm16"},
    )
    deltas = [chunk.choices[0].delta.model_dump(exclude_none=True) for chunk in chunks]
    told = [delta.get("audio", {}) for delta in deltas]
    assert [bool(each.get("id")) for each in told].count(True) == 1
    assert told[0]["id"].startswith("audio_")
    assert "".join(each.get("transcript", "") for each in told) == "It is noon. "
    sound = b"".join(base64.b64decode(each["data"]) for each in told if "data" in each)
    assert len(sound) / 48000 == pytest.approx(0.9, abs=0.2)
    assert told[-2]["expires_at"] > chunks[0].created
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert cost.usage.completion_tokens == 3


@pytest.mark.parametrize("stream", [True, False])
def test_a_spoken_answer_is_gone_on_from_by_its_id(noon, stream):
    calls, llm = noon
    answer = calls.chat.completions.create(model="gpt-4o", messages=HELLO, stream=stream, **ALOUD)
    if stream:
        first, *_ = answer
        id = first.choices[0].delta.audio.id
    else:
        id = answer.choices[0].message.audio.id
    said = {"role": "assistant", "audio": {"id": id}}
    calls.chat.completions.create(model="gpt-4o", messages=[*HELLO, said, *HELLO])
    assert [(m.role, m.text) for m in llm.given[-1]][1] == ("assistant", "It is noon. ")
    said["audio"]["id"] = "audio_nobody_knows"
    with pytest.raises(openai.BadRequestError, match="there is no response") as refused:
        calls.chat.completions.create(model="gpt-4o", messages=[*HELLO, said, *HELLO])
    assert refused.value.param == "messages[1].audio.id"


@pytest.mark.parametrize("stream", [True, False])
def test_functions_are_called_beside_what_is_said(stream):
    llm = Scripted("Let me look.", {"city": "Rome"}, takes=0)
    with served(app(llm=llm)) as url, client(url) as calls:
        answer = calls.chat.completions.create(
            model="gpt-4o",
            messages=HELLO,
            tools=[{"type": "function", "function": WEATHER}],
            stream=stream,
            **ALOUD,
        )
        if stream:
            deltas = [chunk.choices[0] for chunk in answer]
            called = [call for c in deltas for call in c.delta.tool_calls or []]
            finish = deltas[-1].finish_reason
        else:
            called, finish = answer.choices[0].message.tool_calls, answer.choices[0].finish_reason
            assert answer.choices[0].message.audio.transcript == "Let me look."
    assert [call.function.name for call in called] == ["weather"]
    assert finish == "tool_calls"


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_with_nothing_to_say_has_no_sound(stream):
    with served(app(llm=room.ChatModel(takes=0))) as url, client(url) as calls:
        answer = calls.chat.completions.create(
            model="gpt-4o", messages=HELLO, stream=stream, **ALOUD
        )
        if stream:
            assert [*answer][-1].choices[0].finish_reason == "stop"
        else:
            assert answer.choices[0].message.audio.data == ""


def test_an_unknown_voice_is_refused_before_anything_is_asked(admission):
    with pytest.raises(openai.BadRequestError, match="no voice 'nobody'"):
        admission.chat.completions.create(
            model="gpt-4o", messages=HELLO, **ALOUD | {"audio": {"voice": "nobody"}}
        )
