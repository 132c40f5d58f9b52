"""What is wrong with a request is told in OpenAI's form, with the field that is wrong."""

import json

import httpx
import pytest
import room
from serving import EXAMPLES, app, embedded, served, wav
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from voicebot.engines import Delta
from voicebot.errors import ContextExceeded, EngineError


@pytest.fixture(scope="module")
def costless():
    with served(app()) as url, httpx.Client(base_url=url) as client:
        yield client


@pytest.fixture(scope="module")
def admission(tmp_path_factory):
    with (
        embedded(tmp_path_factory.mktemp("house")) as real,
        served(real) as url,
        httpx.Client(base_url=url, timeout=20) as client,
    ):
        yield client


def refused(response, status, param=None, code=None):
    """What it says, once it is known to be a refusal in the right form."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == ("server_error" if status >= 500 else "invalid_request_error")
    assert (error["param"], error["code"]) == (param, code)
    return error["message"]


def hear(client, file=None, route="transcriptions", **fields):
    files = {"file": ("question.wav", wav() if file is None else file)}
    data = {"model": "whisper-1", **fields}
    return client.post(f"/v1/audio/{route}", files=files, data=data)


def speak(client, **fields):
    # Not by the client's own JSON, which holds no half characters.
    body = json.dumps({"model": "tts-1", "input": "Hello.", **fields})
    kind = {"content-type": "application/json"}
    return client.post("/v1/audio/speech", content=body, headers=kind)


def chat(client, *messages, **fields):
    asked = messages or ({"role": "user", "content": "Hello."},)
    body = {"model": "gpt-4o", "messages": list(asked), **fields}
    return client.post("/v1/chat/completions", json=body)


# Recordings


@pytest.mark.parametrize("file", [b"", b"no sound at all" * 500, b"RIFF", b"ffconcat version 1.0"])
def test_what_is_no_recording_is_refused(costless, file):
    says = refused(hear(costless, file), 400, "file")
    assert says.startswith("question.wav: ")


@pytest.mark.parametrize("stream", ["true", "false"])
def test_what_is_no_recording_is_refused_also_of_a_stream(costless, stream):
    refused(hear(costless, b"nothing", stream=stream), 400, "file")


def test_a_recording_larger_than_25_mib_is_refused(costless):
    says = refused(hear(costless, bytes(25 * 2**20 + 10**5)), 413, code="too_large")
    assert "larger than 26279936 bytes" in says


def test_a_recording_of_unknown_size_is_refused_once_it_is_too_large(costless):
    def endless():
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(60):
            yield bytes(2**19)

    kind = {"content-type": "multipart/form-data; boundary=x"}
    sent = costless.post("/v1/audio/transcriptions", content=endless(), headers=kind)
    refused(sent, 413, code="too_large")


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"response_format": "pdf"}, "response_format", "one of json, text, srt, verbose_json"),
        ({"temperature": "hot"}, "temperature", "temperature should be number, not 'hot'"),
        ({"temperature": "nan"}, "temperature", "temperature should be number"),
        ({"stream": "maybe"}, "stream", "stream should be boolean, not 'maybe'"),
        ({"language": "de"}, "language", "cannot be chosen here"),
        ({"timestamp_granularities[]": "word"}, "timestamp_granularities[]", "only verbose_json"),
        (
            {"timestamp_granularities[]": "year", "response_format": "verbose_json"},
            "timestamp_granularities[][0]",
            "one of word, segment, not 'year'",
        ),
        ({"model": ["a", "b"]}, "model", "model is there 2 times"),
    ],
)
def test_each_wrong_field_of_a_form_is_named(costless, fields, param, says):
    assert says in refused(hear(costless, **fields), 400, param)


def test_a_language_the_engine_does_not_know_is_named(admission):
    recording = (EXAMPLES / "question.wav").read_bytes()
    assert "there is en" in refused(hear(admission, recording, language="de"), 400, "language")


def test_only_whisper_translates(admission):
    says = refused(hear(admission, route="translations"), 400, "model")
    assert says == "pocketsphinx cannot translate; Whisper can"


class Interpreter(room.Transcriber):
    async def transcribe(self, audio, *, translate=False):
        self.texts = ["in English" if translate else "auf Deutsch"]
        async for segment in super().transcribe(audio):
            yield segment


def test_an_engine_that_can_translate_does_when_asked_to():
    with served(app(stt=Interpreter(takes=0))) as url, httpx.Client(base_url=url) as client:
        translated = hear(client, route="translations", response_format="verbose_json").json()
        assert (translated["text"], translated["task"]) == ("in English", "translate")
        assert hear(client).json()["text"] == "auf Deutsch"


def test_a_form_without_its_file_is_refused(costless):
    sent = costless.post("/v1/audio/transcriptions", data={"model": "whisper-1", "file": "x"})
    refused(sent, 415, code="content_type")
    form = {"model": (None, "whisper-1"), "file": (None, "text")}
    refused(costless.post("/v1/audio/transcriptions", files=form), 400, "file")
    form = {"model": (None, "whisper-1")}
    sent = costless.post("/v1/audio/transcriptions", files=form)
    assert refused(sent, 400, "file") == "file is missing"


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=x"])
@pytest.mark.parametrize("body", [b"", b"--x", b"--x\r\nrubbish", b"\0" * 99])
def test_what_is_no_form_is_refused(costless, kind, body):
    sent = costless.post("/v1/audio/transcriptions", content=body, headers={"content-type": kind})
    assert sent.status_code == 400
    assert sent.json()["error"]["message"]


# Speech


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"input": ""}, "input", "at least 1 characters, not 0"),
        ({"input": "a" * 4097}, "input", "at most 4096 characters, not 4097"),
        ({"input": "\ud83d"}, "input", "half a character"),
        ({"input": " ... \n"}, "input", "nothing in input that can be said"),
        ({"input": ["Hello."]}, "input", "input should be string, not ['Hello.']"),
        ({"speed": 5}, "speed", "at most 4, not 5"),
        ({"speed": True}, "speed", "speed should be number or null, not True"),
        ({"response_format": "midi"}, "response_format", "one of mp3, opus, aac, flac, wav, pcm"),
        ({"voice": "en-ux"}, "voice", "espeak has no voice 'en-ux'; near it: en-us"),
        ({"speed": 4}, "speed", "speed = 4 is not between 0.5 and 2.5"),
    ],
)
def test_each_wrong_field_of_a_text_to_speak_is_named(admission, fields, param, says):
    assert says in refused(speak(admission, **fields), 400, param)


def test_an_engine_that_takes_no_voice_speaks_in_its_own(costless):
    assert speak(costless, voice="alloy").status_code == 200
    assert "takes no voice" in refused(speak(costless, voice="bob"), 400, "voice")
    assert "takes no speed" in refused(speak(costless, speed=2), 400, "speed")


# Chat


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"messages": []}, "messages", "at least 1, not 0"),
        ({"messages": "Hello."}, "messages", "messages should be array, not 'Hello.'"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "is missing"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", "one of system"),
        ({"logprobs": True}, "logprobs", "does not tell how likely"),
        ({"top_logprobs": 21}, "top_logprobs", "at most 20, not 21"),
        ({"response_format": {"type": "json_object"}}, "response_format", "cannot write JSON"),
        (
            {"response_format": {"type": "json_schema"}},
            "response_format.json_schema.schema",
            "is missing",
        ),
        ({"modalities": ["text", "video"]}, "modalities[1]", "one of text, audio, not 'video'"),
        ({"modalities": ["text", "audio"], "n": 2}, "n", "should be 1"),
        ({"web_search_options": {}}, "web_search_options", "should be null, not {}"),
        ({"n": 17}, "n", "at most 16, not 17"),
        ({"max_tokens": 0}, "max_tokens", "at least 1, not 0"),
        ({"max_tokens": 5}, "max_tokens", "room:ChatModel, which answers here, takes no max_token"),
        ({"stop": ""}, "stop", "at least 1 characters"),
        ({"stream": "yes"}, "stream", "stream should be boolean or null, not 'yes'"),
    ],
)
def test_each_wrong_field_of_a_conversation_is_named(costless, fields, param, says):
    assert says in refused(chat(costless, **fields), 400, param)


def test_a_picture_is_refused_where_it_stands(costless):
    picture = {"type": "image_url", "image_url": {"url": "data:,"}}
    says = refused(
        chat(costless, {"role": "user", "content": [picture]}), 400, "messages[0].content[0].type"
    )
    assert says.endswith("type should be one of text, input_audio, refusal, not 'image_url'")


def test_a_misspelt_field_is_named_beside_the_one_it_should_have_been(costless):
    body = {"model": "gpt-4o", "massages": []}
    sent = costless.post("/v1/chat/completions", json=body)
    says = refused(sent, 400, "messages")
    assert says == "messages is missing; not known here: massages"


@pytest.mark.parametrize(
    "fields",
    [
        {"logprobs": False, "top_logprobs": 0},
        {"reasoning_effort": "low", "verbosity": "low", "service_tier": "auto"},
        {"prompt_cache_key": "a", "safety_identifier": "b", "user": "c"},
        {"modalities": ["text"], "response_format": {"type": "text"}},
        {"logit_bias": {"50256": -100}, "prediction": {"type": "content", "content": "It is"}},
        dict.fromkeys(["logprobs", "top_logprobs", "modalities", "audio", "response_format"]),
        dict.fromkeys(["user", "reasoning_effort", "logit_bias", "prediction", "service_tier"]),
    ],
)
def test_what_changes_nothing_about_an_answer_may_be_said(costless, fields):
    sent = chat(costless, **fields)
    assert sent.json()["choices"][0]["message"]["content"] == "It is noon. "


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[" * 40_000, b'{"model": NaN}', b"\xff\xfe", b"1" * 5000]
)
def test_what_is_no_json_is_refused(costless, body):
    sent = costless.post(
        "/v1/chat/completions", content=body, headers={"content-type": "application/json"}
    )
    assert sent.status_code == 400
    assert "the body is no JSON" in sent.json()["error"]["message"]


def test_a_conversation_larger_than_1_mib_is_more_than_a_model_reads(costless):
    sent = chat(costless, {"role": "user", "content": "a" * 2**20})
    says = refused(sent, 400, "messages", code="context_length_exceeded")
    assert "longer than 1048576 bytes" in says


def test_another_body_larger_than_1_mib_is_refused(costless):
    refused(speak(costless, input="a" * 2**20), 413, code="too_large")


@pytest.mark.parametrize(
    ("send", "known"), [(hear, "Transcriber"), (speak, "Synthesizer"), (chat, "ChatModel")]
)
def test_an_unknown_model_is_told_which_there_is(costless, send, known):
    says = refused(send(costless, model="gpt:17"), 404, "model", "model_not_found")
    assert says.endswith(f"there is room:{known}")


# Engines that fail, and what is elsewhere


class Failing(room.ChatModel):
    """Fails on the second conversation, after so many words."""

    def __init__(self, *words):
        super().__init__(*words, takes=0)

    async def reply(self, messages):
        for word in self.words:
            yield Delta(f"{word} ")
        if "fail" in messages[-1].text:
            raise EngineError("llm", "ran out of words")


def test_an_engine_that_fails_is_an_error_of_the_servers():
    fail = {"role": "user", "content": "fail"}
    with served(app(llm=Failing())) as url, httpx.Client(base_url=url) as client:
        assert refused(chat(client, fail), 500, code="llm_failed") == "llm: ran out of words"
        streamed = chat(client, fail, stream=True)
    assert refused(streamed, 500, code="llm_failed") == "llm: ran out of words"


class Small(room.ChatModel):
    """Can read no more than three words."""

    async def reply(self, messages, *, whole=False):
        if whole and sum(len(message.text.split()) for message in messages) > 3:
            raise ContextExceeded("llm", "this model's maximum context length is 3 tokens")
        yield Delta("Yes.", finish="stop")


@pytest.mark.parametrize("options", [{}, {"stream": True}])
def test_messages_longer_than_the_model_can_read_are_refused_as_openai_does(options):
    long = {"role": "user", "content": "one two three four"}
    with served(app(llm=Small())) as url, httpx.Client(base_url=url) as client:
        sent = chat(client, long, **options)
        assert sent.headers["content-type"] == "application/json"
        said = refused(sent, 400, code="context_length_exceeded", param="messages")
        assert said == "this model's maximum context length is 3 tokens"
        assert chat(client, {"role": "user", "content": "one"}, **options).status_code == 200


def test_an_engine_that_fails_in_the_middle_is_an_event():
    fail = {"role": "user", "content": "fail"}
    with served(app(llm=Failing("Once", "upon"))) as url, httpx.Client(base_url=url) as client:
        lines = [line for line in chat(client, fail, stream=True).text.splitlines() if line]
    assert json.loads(lines[1][6:])["choices"][0]["delta"] == {"content": "Once "}
    assert json.loads(lines[-1][6:])["error"]["message"] == "llm: ran out of words"


class Hoarse(room.Synthesizer):
    async def synthesize(self, text):
        async for speech in super().synthesize(text):
            yield speech
        if "fail" in text:
            raise EngineError("tts", "lost its voice")


def test_speech_that_fails_in_the_middle_is_cut_off(caplog):
    with served(app(tts=Hoarse())) as url, httpx.Client(base_url=url) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            speak(client, input="This is about to fail.")
        assert speak(client).status_code == 200
    assert "tts: lost its voice" in caplog.text
    assert "Traceback" not in caplog.text


class Broken(room.ChatModel):
    async def reply(self, messages):
        yield Delta("Yes.", finish="stop")
        if "break" in messages[-1].text:
            raise ZeroDivisionError


def test_a_bug_is_no_secret_told_to_strangers(caplog):
    broken = {"role": "user", "content": "break"}
    with served(app(llm=Broken())) as url, httpx.Client(base_url=url) as client:
        sent = chat(client, broken)
    assert (
        refused(sent, 500)
        == f"internal server error; the log has it under {sent.headers['x-request-id']}"
    )
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status", "says"),
    [
        ("GET", "/nowhere", 404, "there is no /nowhere here"),
        ("GET", "/v1/audio/speech", 405, "/v1/audio/speech takes POST, not GET"),
        ("POST", "/v1/models", 405, "/v1/models takes "),
        ("GET", "/v1/models/none", 404, "there is no model 'none'; there is"),
        ("GET", "/v1/talk", 426, "/v1/talk is for websockets"),
        ("GET", "/v1/realtime", 426, "/v1/realtime is for websockets"),
        ("POST", "/v1/realtime", 415, "the body should be application/sdp"),
        ("POST", "/v1/realtime/calls", 415, "the body should be application/sdp"),
        ("POST", "/v1/realtime/calls/rtc_1/hangup", 404, "there is no call 'rtc_1'"),
    ],
)
def test_what_is_elsewhere_is_told_in_json(costless, method, path, status, says):
    sent = costless.request(method, path)
    assert sent.status_code == status
    assert sent.json()["error"]["message"].startswith(says)


@pytest.mark.parametrize(
    ("given", "kept"), [("abc-1.2:3", True), ("", False), ("a b", False), ("x" * 129, False)]
)
def test_every_answer_has_an_id(costless, given, kept):
    for path in ("/health", "/nowhere"):
        named = costless.get(path, headers={"x-request-id": given}).headers["x-request-id"]
        assert (named == given) == kept
        assert len(named) >= 9


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [("/v1/talk", {"origin": "https://evil.example"}, 403), ("/nowhere", {}, 404)],
)
def test_a_websocket_that_is_denied_is_told_why_and_by_which_id(
    costless, caplog, path, headers, status
):
    url = f"ws{str(costless.base_url).removeprefix('http').rstrip('/')}{path}"
    with pytest.raises(InvalidStatus) as denied:
        connect(url, additional_headers={"x-request-id": "mine-1", **headers}, proxy=None)
    answer = denied.value.response
    assert (answer.status_code, answer.headers["x-request-id"]) == (status, "mine-1")
    assert json.loads(answer.body)["error"]["message"]
    costless.get("/health")  # by when the server has done with the one before
    assert not caplog.records
