"""OpenAI's Python client has its functions called by `/v1/chat/completions`."""

import json

import openai
import pytest
import room
from scripted import WEATHER, Scripted
from serving import app, served

TOOL = {"type": "function", "function": WEATHER}
TIME = {"type": "function", "function": {"name": "time"}}
ROME, PARIS = {"city": "Rome"}, {"city": "Paris"}
ASKED = {"role": "user", "content": "Will it rain?"}
CALL = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RETURNED = {"role": "tool", "tool_call_id": "c", "content": "Rain at noon."}


@pytest.fixture
def ask():
    """Asks a server of the given model; its `llm` keeps what it was given since."""
    closing = []

    def begin(llm):
        server = served(app(llm=llm))
        client = openai.OpenAI(base_url=f"{server.__enter__()}/v1", api_key="none", max_retries=0)
        closing.append((server, client))

        def create(*messages, **options):
            return client.chat.completions.create(
                model="gpt-4o", messages=messages or [ASKED], **options
            )

        return create

    yield begin
    for server, client in closing:
        client.close()
        server.__exit__(None, None, None)


def test_a_call_is_made_carried_out_and_answered_from(ask):
    llm = Scripted(ROME, takes=0)
    create = ask(llm)
    called = create(tools=[TOOL])
    (choice,) = called.choices
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    (call,) = choice.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", ROME)
    returned = {"role": "tool", "tool_call_id": call.id, "content": "Rain at noon."}
    # The message goes back as the client's own object, as its documentation has it.
    answer = create(ASKED, choice.message, returned, tools=[TOOL]).choices[0]
    assert (answer.finish_reason, answer.message.content) == ("stop", "Rain at noon.")
    assert llm.asked == [
        ("user", "Will it rain?"),
        ("assistant", "", call.function.arguments),
        ("tool", "Rain at noon."),
    ]
    dumped = choice.message.model_dump()
    assert create(ASKED, dumped, returned).choices[0].message.content == "Rain at noon."


def test_calls_are_streamed_after_what_is_said(ask):
    create = ask(Scripted("Let me look.", ROME, PARIS, takes=0))
    options = {"include_usage": True}
    *chunks, last, cost = create(tools=[TOOL], stream=True, stream_options=options)
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert "".join(delta.content or "" for delta in deltas) == "Let me look."
    calls = [call for delta in deltas for call in delta.tool_calls or []]
    assert [(c.index, c.type, c.function.name) for c in calls] == [
        (0, "function", "weather"), (1, "function", "weather"),
    ]  # fmt: skip
    assert [json.loads(call.function.arguments) for call in calls] == [ROME, PARIS]
    assert len({call.id for call in calls}) == 2
    whole = create(tools=[TOOL])
    assert last.choices[0].finish_reason == whole.choices[0].finish_reason == "tool_calls"
    assert whole.choices[0].message.content == "Let me look."
    assert len(whole.choices[0].message.tool_calls) == 2
    assert cost.usage == whole.usage


@pytest.mark.parametrize("stream", [True, False])
def test_only_the_first_call_is_made_where_one_is_wanted(ask, stream):
    create = ask(Scripted(ROME, PARIS, takes=0))
    reply = create(tools=[TOOL], parallel_tool_calls=False, stream=stream)
    if stream:
        choices = [chunk.choices[0] for chunk in reply]
        calls = [call for choice in choices for call in choice.delta.tool_calls or []]
        finish = choices[-1].finish_reason
    else:
        calls, finish = reply.choices[0].message.tool_calls, reply.choices[0].finish_reason
    assert [json.loads(call.function.arguments) for call in calls] == [ROME]
    assert finish == "tool_calls"


@pytest.mark.parametrize(
    ("choice", "offered"),
    [
        ("auto", (["weather", "time"], False)),
        ("none", ([], False)),
        ("required", (["weather", "time"], True)),
        ({"type": "function", "function": {"name": "time"}}, (["time"], True)),
    ],
)
def test_the_client_chooses_what_may_be_called(ask, choice, offered):
    llm = Scripted("Yes.", takes=0)
    ask(llm)(tools=[TOOL, TIME], tool_choice=choice)
    assert llm.offered[-1] == offered


def test_a_model_that_calls_nothing_answers_unless_it_must(ask):
    llm = room.ChatModel("Yes.", takes=0)
    create = ask(llm)
    assert create(tools=[TOOL]).choices[0].message.content == "Yes. "
    with pytest.raises(openai.BadRequestError, match="cannot be made to call") as refused:
        create(tools=[TOOL], tool_choice="required")
    assert refused.value.param == "tool_choice"
    create(ASKED, CALLED, RETURNED)
    (question,) = llm.given[-1]
    assert question.text == "Will it rain?"
    assert [(p.id, p.text) for p in question.passages] == [("weather", "Rain at noon.")]
    create(CALLED, RETURNED)
    assert [(m.role, m.text) for m in llm.given[-1]] == [("user", "")]


def test_an_empty_question_is_asked_as_it_is(ask):
    llm = room.ChatModel("Yes.", takes=0)
    create = ask(llm)
    nothing = {"role": "user", "content": ""}
    create(nothing)
    assert [(m.role, m.text) for m in llm.given[-1]] == [("user", "")]
    create(ASKED, {"role": "assistant", "content": "No."}, nothing)
    assert [m.role for m in llm.given[-1]] == ["user", "assistant", "user"]


def test_functions_in_the_old_form_are_called_and_answered_in_it(ask):
    llm = Scripted(ROME, takes=0)
    create = ask(llm)
    choice = create(functions=[WEATHER], function_call="auto").choices[0]
    assert (choice.finish_reason, choice.message.tool_calls) == ("function_call", None)
    assert json.loads(choice.message.function_call.arguments) == ROME
    returned = {"role": "function", "name": "weather", "content": "Rain at noon."}
    answer = create(ASKED, choice.message, returned, functions=[WEATHER]).choices[0]
    assert (answer.finish_reason, answer.message.content) == ("stop", "Rain at noon.")
    *_, last = create(functions=[WEATHER], function_call={"name": "weather"}, stream=True)
    assert last.choices[0].finish_reason == "function_call"
    assert llm.offered[-1] == (["weather"], True)


def test_what_a_function_returned_may_have_its_name_as_home_assistant_sends_it(ask):
    create = ask(Scripted("Yes.", takes=0))
    answer = create(ASKED, CALLED, RETURNED | {"name": "weather"}, tools=[TOOL])
    assert answer.choices[0].message.content == "Rain at noon."


def test_what_a_function_returned_stands_alone_as_extended_openai_conversation_sends_it(ask):
    """It sends back each result in the old form, and never the call."""
    llm = Scripted("Yes.", takes=0)
    returned = {"role": "function", "name": "weather", "content": "Rain at noon."}
    again = {"role": "function", "name": "time", "content": "It is eleven."}
    answer = ask(llm)(ASKED, returned, again, functions=[WEATHER])
    assert answer.choices[0].message.content == "It is eleven."
    assert [(m.role, m.text, *(call.name for call in m.calls)) for m in llm.given[-1]] == [
        ("user", ASKED["content"]),
        ("assistant", "", "weather"),
        ("tool", "Rain at noon."),
        ("assistant", "", "time"),
        ("tool", "It is eleven."),
    ]


@pytest.mark.parametrize(
    ("messages", "options", "says"),
    [
        ([ASKED], {"tool_choice": "required"}, "there are no tools"),
        (
            [ASKED],
            {"tools": [{**TOOL, "function": {"name": "a\0b"}}], "tool_choice": "required"},
            "no model can be made to call",
        ),
        ([ASKED], {"tools": [TOOL], "tool_choice": {**TIME}}, "names 'time'"),
        ([ASKED], {"tools": [{**TOOL, "type": "custom"}]}, r"tools\[0\].type should be function"),
        ([ASKED, RETURNED], {}, "nothing before it called a function as 'c'"),
        ([ASKED, CALLED, RETURNED, RETURNED], {}, "nothing before it called"),
        ([ASKED, CALLED, ASKED], {}, "answers the calls c"),
        ([ASKED, CALLED, ASKED, RETURNED], {}, "answers the calls c"),
        ([ASKED, {**CALLED, "tool_calls": [CALL, {**CALL, "id": "d"}]}, RETURNED], {},
         "answers the calls d"),
        ([{"role": "user", "content": None}], {}, r"messages\[0\].content is missing"),
        ([ASKED, {"role": "tool", "content": "x"}], {}, r"messages\[1\].tool_call_id is missing"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_refused(ask, messages, options, says):
    with pytest.raises(openai.BadRequestError, match=says):
        ask(Scripted("Yes.", takes=0))(*messages, extra_body=options)
