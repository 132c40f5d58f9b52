"""What programs written for other servers send is understood, or ignored and named."""

import logging

import httpx
import pytest
import room
from serving import app, served, wav

from voicebot.server.http.json_schema import listed, problem
from voicebot.server.http.unknown_fields import NAMED, body, understood

HELLO = {"role": "user", "content": "Hello."}


@pytest.fixture(scope="module")
def model():
    return room.ChatModel("It", "is", "noon.", takes=0)


@pytest.fixture(scope="module")
def client(model):
    with served(app(llm=model)) as url, httpx.Client(base_url=url, timeout=20) as client:
        yield client


def chat(client, *messages, **fields):
    sent = {"model": "gpt-4o", "messages": list(messages) or [HELLO], **fields}
    return client.post("/v1/chat/completions", json=sent)


def test_what_is_not_known_is_ignored_and_named(client, caplog):
    caplog.set_level(logging.INFO, "voicebot.server.http.unknown_fields")
    fields = {"top_k": 40, "min_p": 0.1, "repeat_penalty": 1.1, "keep_alive": "5m"}
    message = HELLO | {"colour": "red"}
    for _ in range(2):
        answer = chat(client, message, **fields, chat_template_kwargs={"enable_thinking": False})
        assert answer.status_code == 200
        named = answer.headers["x-voicebot-ignored"].split(", ")
        assert named == [
            "chat_template_kwargs", "keep_alive", "messages[].colour", "min_p", "repeat_penalty",
            "top_k",
        ]  # fmt: skip
    assert len(caplog.records) == 1
    assert "keep_alive" in caplog.text


def test_an_answer_to_known_fields_names_none(client):
    assert "x-voicebot-ignored" not in chat(client, temperature=0.5, max_tokens=None).headers


def test_names_that_are_ignored_cannot_forge_a_header(client):
    answer = chat(client, **{"a\r\nset-cookie: b": 1, "é": 2, "x" * 999: 3})
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert len(answer.headers["x-voicebot-ignored"]) < 200


def test_ignored_names_are_bounded():
    ignored = set()
    understood({str(n): 1 for n in range(10_000)}, body({}), ignored)
    assert len(ignored) == NAMED


@pytest.mark.parametrize(
    "fields",
    [
        dict.fromkeys(["temperature", "stream", "stream_options", "tools", "stop", "n", "seed"]),
        dict.fromkeys(["tool_choice", "response_format", "modalities", "max_completion_tokens"]),
        {"tools": [], "stop": []},
        {"stream_options": {"include_usage": None}},
    ],
)
def test_null_and_nothing_are_the_default(client, fields):
    answer = chat(client, **fields)
    assert answer.json()["choices"][0]["message"]["content"] == "It is noon. "
    assert "x-voicebot-ignored" not in answer.headers


@pytest.mark.parametrize("voice", [None, {"id": "alloy"}, {"id": "alloy", "name": "Alloy"}, "nova"])
def test_a_voice_may_be_an_object_with_an_id(client, voice):
    sent = {"model": "tts-1", "input": "Hello.", "voice": voice, "lang_code": "a"}
    answer = client.post("/v1/audio/speech", json=sent)
    assert answer.status_code == 200
    assert "lang_code" in answer.headers["x-voicebot-ignored"]


def test_empty_and_unknown_fields_of_a_form_are_absent(client):
    empty = dict.fromkeys(["language", "prompt", "temperature", "response_format", "stream"], "")
    more = {"vad_filter": "true", "languages[]": ["en", "de"], "include[]": "logprobs"}
    answer = client.post(
        "/v1/audio/transcriptions",
        data={"model": "whisper-1", **empty, **more},
        files={"file": ("a.wav", wav())},
    )
    assert answer.json()["text"] == "hello there"
    assert answer.headers["x-voicebot-ignored"] == "include[], languages[], vad_filter"


def test_a_list_in_a_form_needs_no_brackets(client):
    answer = client.post(
        "/v1/audio/transcriptions",
        data={
            "model": "whisper-1",
            "response_format": "verbose_json",
            "timestamp_granularities": ["word", "segment"],
        },
        files={"file": ("a.wav", wav())},
    )
    assert {"words", "segments"} <= set(answer.json())


SYSTEM = {"role": "system", "content": "Be brief."}
SAID = {"role": "assistant", "content": "It is", "reasoning_content": "Hm."}


@pytest.mark.parametrize(
    ("messages", "given"),
    [
        ([SYSTEM], ["system", "user"]),
        ([HELLO, SYSTEM], ["system", "user"]),
        ([HELLO, SAID], ["user", "assistant", "user"]),
        ([SAID], ["assistant", "user"]),
        ([HELLO, SAID, SYSTEM], ["system", "user", "assistant", "user"]),
        ([HELLO, {"role": "assistant", "content": None}], ["user", "assistant", "user"]),
    ],
)
def test_messages_that_end_with_no_question_are_answered(client, model, messages, given):
    answer = chat(client, *messages)
    assert answer.json()["choices"][0]["message"]["content"] == "It is noon. "
    assert [message.role for message in model.given[-1]] == given


def test_alternatives_know_together_what_one_of_them_knows():
    one, other = (
        body({}, {"a": listed(body({"x": {"type": "string"}}))}),
        body({}, {"b": {"type": "string"}}),
    )
    ignored = set()
    value = {"a": [{"x": "y", "z": 1}], "b": None, "c": 2}
    kept = understood(value, {"anyOf": [one, other]}, ignored)
    assert kept == {"a": [{"x": "y"}]}
    assert ignored == {"a[].z", "c"}
    assert problem(kept, one) is None
