"""OpenAI's Python client finds `/v1/responses` as it is there: items, events, what is kept."""

import json

import httpx
import openai
import pytest
import room
from scripted import WEATHER, Scripted
from serving import app, parts, served

from voicebot.config import ServerSettings
from voicebot.engines import Delta
from voicebot.errors import ContextExceeded, EngineError
from voicebot.server.app import create
from voicebot.server.auth import keys
from voicebot.server.errors import ApiError
from voicebot.server.rest.responses_store import ResponseStore, StoredResponse

TOOL = {"type": "function", **WEATHER}
ROME, PARIS = {"city": "Rome"}, {"city": "Paris"}


@pytest.fixture
def serve():
    """Serves a model; gives OpenAI's client of it."""
    closing = []

    def begin(llm):
        server = served(app(llm=llm))
        client = openai.OpenAI(base_url=f"{server.__enter__()}/v1", api_key="none", max_retries=0)
        closing.append((server, client))
        return client

    yield begin
    for server, client in closing:
        client.close()
        server.__exit__(None, None, None)


def test_a_question_is_answered(serve):
    llm = room.ChatModel("It", "is", "noon.", takes=0)
    reply = serve(llm).responses.create(
        model="gpt-4o", input="What time is it?", instructions="Be brief."
    )
    assert (reply.output_text, reply.status, reply.error) == ("It is noon. ", "completed", None)
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (7, 3)
    assert [(m.role, m.text) for m in llm.given[-1]] == [
        ("system", "Be brief."),
        ("user", "What time is it?"),
    ]


def test_it_is_gone_on_from_without_its_instructions(serve):
    llm = room.ChatModel("Noon.", takes=0)
    client = serve(llm)
    first = client.responses.create(model="gpt-4o", input="Time?", instructions="Be brief.")
    second = client.responses.create(
        model="gpt-4o", input="And now?", previous_response_id=first.id
    )
    third = client.responses.create(model="gpt-4o", input="Now?", previous_response_id=second.id)
    assert third.previous_response_id == second.id
    assert [(m.role, m.text) for m in llm.given[-1]] == [
        ("user", "Time?"),
        ("assistant", "Noon. "),
        ("user", "And now?"),
        ("assistant", "Noon. "),
        ("user", "Now?"),
    ]


EVENTS_OF_TEXT = [
    "response.created", "response.in_progress", "response.output_item.added",
    "response.content_part.added", "response.output_text.delta", "response.output_text.delta",
    "response.output_text.done", "response.content_part.done", "response.output_item.done",
    "response.completed",
]  # fmt: skip
EVENTS_OF_CALL = [
    "response.output_item.added", "response.function_call_arguments.delta",
    "response.function_call_arguments.done", "response.output_item.done",
]  # fmt: skip


def test_it_is_streamed_in_the_order_clients_rely_on(serve):
    client = serve(Scripted("Let ", "me look.", ROME, PARIS, takes=0))
    with client.responses.stream(model="gpt-4o", input="Rain?", tools=[TOOL]) as stream:
        events = list(stream)
        whole = stream.get_final_response()
    kinds = [event.type for event in events]
    assert kinds == [*EVENTS_OF_TEXT[:-1], *EVENTS_OF_CALL, *EVENTS_OF_CALL, EVENTS_OF_TEXT[-1]]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [item.type for item in whole.output] == ["message", "function_call", "function_call"]
    assert whole.output_text == "Let me look."
    assert [json.loads(call.arguments) for call in whole.output[1:]] == [ROME, PARIS]
    assert {event.output_index for event in events if hasattr(event, "output_index")} == {0, 1, 2}
    kept = client.responses.retrieve(whole.id)
    assert [item.id for item in kept.output] == [item.id for item in whole.output]


def test_a_line_of_the_stream_names_its_event():
    with served(app()) as url:
        sent = {"model": "gpt-4o", "input": "Time?", "stream": True}
        lines = httpx.post(f"{url}/v1/responses", json=sent).text.split("\n\n")
    first = lines[0].split("\n")
    assert first[0] == "event: response.created"
    assert json.loads(first[1].removeprefix("data: "))["sequence_number"] == 0


@pytest.mark.parametrize("kept", [True, False])
def test_a_function_is_called_and_answered_from(serve, kept):
    llm = Scripted(ROME, PARIS, takes=0)
    client = serve(llm)
    called = client.responses.create(model="gpt-4o", input="Rain?", tools=[TOOL], store=kept)
    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": "Rain at noon."}
        for call in called.output
    ]
    if kept:
        sent = {"input": results, "previous_response_id": called.id}
    else:
        sent = {"input": [{"role": "user", "content": "Rain?"}, *called.output, *results]}
    answer = client.responses.create(model="gpt-4o", tools=[TOOL], store=kept, **sent)
    assert answer.output_text == "Rain at noon."
    assert [(m.role, len(m.calls), m.text) for m in llm.given[-1]] == [
        ("user", 0, "Rain?"),
        ("assistant", 2, ""),
        ("tool", 0, "Rain at noon."),
        ("tool", 0, "Rain at noon."),
    ]


def test_the_client_chooses_what_may_be_called(serve):
    llm = Scripted(ROME, PARIS, takes=0)
    client = serve(llm)
    only = {"type": "function", "name": "weather"}
    reply = client.responses.create(
        model="gpt-4o", input="Rain?", tools=[TOOL], tool_choice=only, parallel_tool_calls=False
    )
    assert llm.offered[-1] == (["weather"], True)
    assert len(reply.output) == 1


def test_what_is_kept_can_be_read_and_deleted(serve):
    client = serve(room.ChatModel("Noon.", takes=0))
    first = client.responses.create(model="gpt-4o", input="Time?", metadata={"a": "b"})
    second = client.responses.create(model="gpt-4o", input="Now?", previous_response_id=first.id)
    assert client.responses.retrieve(first.id) == first
    items = client.responses.input_items.list(second.id, order="asc").data
    assert [(item.role, item.content[0].text) for item in items] == [
        ("user", "Time?"),
        ("assistant", "Noon. "),
        ("user", "Now?"),
    ]
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError, match="there is no response"):
        client.responses.retrieve(first.id)
    again = client.responses.create(model="gpt-4o", input="?", previous_response_id=second.id)
    assert again.output_text == "Noon. "


def test_what_is_not_to_be_kept_is_not(serve):
    client = serve(room.ChatModel("Noon.", takes=0))
    reply = client.responses.create(model="gpt-4o", input="Time?", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(reply.id)
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="gpt-4o", input="?", previous_response_id=reply.id)
    assert refused.value.code == "previous_response_not_found"
    assert refused.value.param == "previous_response_id"


def test_nobody_reads_what_another_key_has_asked(tmp_path):
    file = tmp_path / "keys"
    mine, other = keys.add(file, "laptop"), keys.add(file, "phone")
    with served(create(parts(), ServerSettings(keys=str(file)))) as url:

        def client(key):
            return openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)

        with client(mine) as me, client(other) as stranger:
            reply = me.responses.create(model="gpt-4o", input="Time?")
            assert me.responses.retrieve(reply.id).id == reply.id
            with pytest.raises(openai.NotFoundError):
                stranger.responses.retrieve(reply.id)
            with pytest.raises(openai.NotFoundError):
                stranger.responses.delete(reply.id)


def kept(id, size=10):
    response = {"id": id, "output": []}
    return StoredResponse(response, [], [{"type": "message", "text": "x" * size}])


def test_the_latest_are_kept_and_no_more_than_so_many_bytes():
    store = ResponseStore(most=2, size=1000, altogether=1500)
    for id in "abc":
        store.keep("me", kept(id))
    with pytest.raises(ApiError):
        store.find("me", "a")
    assert store.find("me", "c") == kept("c")
    store.keep("me", kept("large", 900))
    store.keep("me", kept("too large", 2000))
    for gone in ("b", "c", "too large"):
        with pytest.raises(ApiError):
            store.find("me", gone)
    store.keep("other", kept("also large", 900))
    with pytest.raises(ApiError):
        store.find("me", "large")
    store.forget("other")
    with pytest.raises(ApiError):
        store.find("other", "also large")


class Cut(room.ChatModel):
    async def reply(self, messages, *, max_tokens=None):
        yield Delta("It is")
        yield Delta(finish="length", tokens=(5, 2))


@pytest.mark.parametrize("stream", [True, False])
def test_a_reply_cut_short_is_incomplete(serve, stream):
    reply = serve(Cut()).responses.create(
        model="gpt-4o", input="Time?", max_output_tokens=2, stream=stream
    )
    if stream:
        *_, last = reply
        assert last.type == "response.incomplete"
        reply = last.response
    assert (reply.status, reply.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert reply.output[0].status == "incomplete"


class Breaks(room.ChatModel):
    async def reply(self, messages):
        if any("long" in message.text for message in messages):
            raise ContextExceeded("llm", "too long")
        yield Delta("It is")
        if messages[-1].text == "Break.":
            raise EngineError("llm", "out of words")


def test_a_reply_that_fails_half_way_says_so(serve):
    client = serve(Breaks())
    with client.responses.create(model="gpt-4o", input="Break.", stream=True) as stream:
        *_, last = stream
    assert last.type == "response.failed"
    assert "out of words" in last.response.error.message
    assert last.response.output[0].content[0].text == "It is"
    with pytest.raises(openai.InternalServerError):
        client.responses.create(model="gpt-4o", input="Break.")


@pytest.mark.parametrize("stream", [True, False])
def test_a_conversation_that_is_too_long_is_the_clients_error(serve, stream):
    with pytest.raises(openai.BadRequestError) as refused:
        serve(Breaks()).responses.create(model="gpt-4o", input="a long one", stream=stream)
    assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "input")


def test_a_conversation_does_not_grow_beyond_what_is_read(serve):
    client = serve(room.ChatModel("Noon.", takes=0))
    half = "a" * 600_000
    first = client.responses.create(model="gpt-4o", input=half)
    with pytest.raises(openai.BadRequestError, match="1200") as refused:
        client.responses.create(model="gpt-4o", input=half, previous_response_id=first.id)
    assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "input")


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"input": 7}, "input", "input should be string or array, not 7"),
        ({"input": [{"role": "user"}]}, "input[0].content", "is missing"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type", "one of message"),
        ({"input": [{"type": "function_call"}]}, "input[0].call_id", "is missing"),
        (
            {"input": [{"type": "function_call_output", "call_id": "x", "output": "y"}]},
            "input",
            "nothing before it called a function as 'x'",
        ),
        ({"background": True}, "background", "should be False"),
        ({"conversation": "conv_1"}, "conversation", "should be null"),
        ({"prompt": {"id": "x"}}, "prompt", "should be null"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "should be function"),
        ({"tool_choice": "required"}, "tool_choice", "there are no tools"),
        ({"text": {"format": {"type": "json_object"}}}, "text.format", "cannot write JSON"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema", "is missing"),
        ({"previous_response_id": "resp_1"}, "previous_response_id", "no response 'resp_1'"),
        ({"model": "gpt:17"}, "model", "is no model that answers here"),
    ],
)
def test_what_cannot_be_done_is_refused(serve, fields, param, says):
    client = serve(room.ChatModel("Noon.", takes=0))
    sent = {"model": "gpt-4o", "input": "Time?", **fields}
    with pytest.raises(openai.APIStatusError, match=says.replace("[", r"\[")) as refused:
        client.post("/responses", body=sent, cast_to=object)
    assert refused.value.param == param


def test_what_means_nothing_here_is_named_and_ignored():
    with served(app()) as url:
        sent = {"model": "gpt-4o", "input": [{"role": "system", "content": "Hi."}]}
        sent |= {"include": [], "reasoning": {"effort": "low"}, "service_tier": "auto"}
        sent |= {"tools": None, "text": {"verbosity": "low"}, "top_logprobs": None}
        answer = httpx.post(f"{url}/v1/responses", json=sent)
    assert answer.json()["output"][0]["content"][0]["text"] == "It is noon. "
    assert answer.headers["x-voicebot-ignored"] == ("include, service_tier, text.verbosity")
