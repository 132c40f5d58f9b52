"""/openapi.json is true: every answer to whatever is sent is one that it describes."""

import base64

import pytest
import room
from scripted import Scripted
from serving import app, served, wav

schemathesis = pytest.importorskip("schemathesis")
from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402 - after the skip
from schemathesis import GenerationMode, checks  # noqa: E402

OPERATIONS = [
    ("post", "/v1/audio/transcriptions"),
    ("post", "/v1/audio/translations"),
    ("post", "/v1/audio/speech"),
    ("post", "/v1/chat/completions"),
    ("post", "/v1/completions"),
    ("get", "/v1/audio/models"),
    ("get", "/v1/audio/voices"),
    ("post", "/v1/responses"),
    ("get", "/v1/responses/{id}"),
    ("delete", "/v1/responses/{id}"),
    ("get", "/v1/responses/{id}/input_items"),
    ("post", "/v1/realtime/client_secrets"),
    ("post", "/v1/realtime/sessions"),
    ("post", "/v1/realtime/transcription_sessions"),
    ("post", "/v1/realtime/calls"),
    ("post", "/v1/realtime/calls/{call_id}/hangup"),
    ("get", "/v1/documents"),
    ("get", "/v1/models"),
    ("get", "/v1/models/{model}"),
    ("get", "/metrics"),
    ("get", "/health"),
    ("get", "/ready"),
]
# What a schema cannot say: the name of a model that is there, and a file that is a recording.
SENSIBLE = {
    "/v1/audio/transcriptions": {"model": "whisper-1", "file": wav()},
    "/v1/audio/translations": {"model": "whisper-1", "file": wav()},
    "/v1/audio/speech": {"model": "tts-1"},
    "/v1/chat/completions": {
        "model": "gpt-4o",
        # What each role needs, and this model cannot do.
        "messages": [],
        "response_format": None,
        "logprobs": False,
        "tool_choice": "auto",
        "function_call": None,
        "max_tokens": None,
        "max_completion_tokens": None,
    },
    "/v1/completions": {"model": "gpt-4o", "prompt": "Hello.", "n": 1},
    "/v1/responses": {"model": "gpt-4o", "input": "Hello."},
    "/v1/realtime/client_secrets": {},
    "/v1/realtime/sessions": {},
    "/v1/realtime/transcription_sessions": {},
}
CHECKS = [
    checks.not_a_server_error,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.status_code_conformance,
]


@schemathesis.serializer("application/sdp")
def as_sdp(context, value):
    return str(value).encode()


class Polyglot(room.Transcriber):
    """Takes all that can be asked of a transcriber."""

    async def transcribe(self, audio, *, language=None, translate=False):
        async for segment in super().transcribe(audio):
            yield segment


class Actor(room.Synthesizer):
    """Takes all that can be asked of a synthesizer."""

    async def synthesize(self, text, *, voice=None, speed=None):
        async for speech in super().synthesize(text[:20]):
            yield speech


@pytest.fixture(scope="module")
def api():
    llm = Scripted("Yes.", {"city": "Rome"}, takes=0)
    with served(app(llm=llm, stt=Polyglot(takes=0), tts=Actor())) as url:
        yield schemathesis.openapi.from_url(f"{url}/openapi.json")


def test_every_operation_is_tried(api):
    described = [operation.ok() for operation in api.get_all_operations()]
    assert sorted((o.method, o.path) for o in described) == sorted(OPERATIONS)


@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [
        (method, path, mode)
        for method, path in OPERATIONS
        for mode in GenerationMode
        # The others ask for nothing that could be wrong.
        if (method == "post" and "{" not in path) or mode is GenerationMode.POSITIVE
    ],
)
def test_whatever_is_sent_the_answer_is_as_described(api, method, path, mode):
    operation = api[path][method]
    # What the schema allows may still name a model that is not there; what it forbids is refused.
    more = [checks.negative_data_rejection] if mode is GenerationMode.NEGATIVE else []

    @settings(
        max_examples=50,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def try_it(case):
        asks = mode is GenerationMode.POSITIVE and operation.path in SENSIBLE
        if asks and isinstance(case.body, dict):
            case.body |= SENSIBLE[operation.path]
            if "file" in case.body and case.media_type == "application/json":
                case.body["file"] = base64.b64encode(wav()).decode()
                case.body.pop("input_audio", None)
            # Whatever was said before, somebody has to ask something.
            if "messages" in case.body:
                case.body["messages"] = [{"role": "user", "content": "Hello."}]
        statuses.append(case.call_and_validate(checks=[*CHECKS, *more]).status_code)

    statuses = []
    try_it()
    if path in SENSIBLE and mode is GenerationMode.POSITIVE:
        assert 200 in statuses
