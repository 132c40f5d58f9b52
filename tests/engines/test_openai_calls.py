"""Functions that a model on a server calls, over real HTTP."""

import asyncio
import json
from contextlib import aclosing

import pytest
from engines.loopback import Loopback, pieces, whole

from voicebot.engines import Message, Tool, ToolCall, load
from voicebot.engines.call_options import taken

WEATHER = Tool("get_weather", "How warm it is.", {"properties": {"city": {"type": "string"}}})
HANG_UP = Tool("hang_up")
QUESTION = [Message("user", "How warm is it in Paris?")]
HEAD = {"index": 0, "id": "call_1", "type": "function"}


def chunk(*calls, text=None, finish=None):
    delta = {"content": text, "tool_calls": list(calls)} if calls else {"content": text}
    event = {"choices": [{"delta": delta, "finish_reason": finish}]}
    return f"data: {json.dumps(event)}\n\n".encode()


def piece(arguments="", name=None, **head):
    function = {"arguments": arguments} | ({"name": name} if name else {})
    return {**head, "function": function}


def asked(script, messages=QUESTION, tools=(WEATHER, HANG_UP), **options):
    """The deltas of the reply, and what the server was sent."""

    async def conversation():
        async with Loopback(script) as server:
            engine = load("llm", "openai", url=server.url, model="tiny")
            async with aclosing(engine.reply(messages, tools=tools, **options)) as deltas:
                return [delta async for delta in deltas], server.requests[0].json

    return asyncio.run(conversation())


def made(deltas):
    return [(d.call.name, json.loads(d.call.arguments)) for d in deltas if d.call]


def test_a_call_in_pieces_is_told_whole_and_the_reply_waits_for_it():
    deltas, _ = asked(
        pieces(
            chunk(text="Let me look."),
            chunk(piece(name="get_weather", **HEAD)),
            chunk(piece('{"city": "Pa', index=0)),
            chunk(piece('ris"}', index=0)),
            chunk(finish="tool_calls"),
        )
    )

    assert "".join(d.text for d in deltas) == "Let me look."
    assert [d.call for d in deltas if d.call] == [
        ToolCall("call_1", "get_weather", '{"city": "Paris"}')
    ]
    assert [d.finish for d in deltas] == ["", "", "tool_calls"]


PARIS, ROME = '{"city": "Paris"}', '{"city": "Rome"}'


@pytest.mark.parametrize(
    "stream",
    [
        [
            chunk(piece(PARIS, "get_weather", index=0, id="a")),
            chunk(piece(ROME, "get_weather", index=1, id="b")),
        ],
        [
            chunk(
                piece(PARIS[:5], "get_weather", index=0, id="a"),
                piece(ROME[:5], "get_weather", index=1, id="b"),
            ),
            chunk(piece(PARIS[5:], index=0), piece(ROME[5:], index=1)),
        ],
        [  # one index for all
            chunk(piece(PARIS, "get_weather", index=0, id="a")),
            chunk(piece(ROME, "get_weather", index=0, id="b")),
        ],
        [  # no index
            chunk(piece(PARIS[:5], "get_weather", id="a")),
            chunk(piece(PARIS[5:])),
            chunk(piece(ROME[:5], "get_weather", id="b")),
            chunk(piece(ROME[5:])),
        ],
        [  # the id in every piece
            chunk(piece(PARIS[:5], "get_weather", index=0, id="a")),
            chunk(piece(PARIS[5:], index=0, id="a")),
            chunk(piece(ROME, "get_weather", index=1, id="b")),
        ],
        [  # no text
            chunk(piece(json.loads(PARIS), "get_weather", index=0, id="a")),
            chunk(piece(json.loads(ROME), "get_weather", index=1, id="b")),
        ],
    ],
)
def test_several_calls_are_told_apart_however_a_server_counts_them(stream):
    deltas, _ = asked(pieces(*stream, chunk(finish="tool_calls")))

    assert made(deltas) == [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome"})]
    assert [d.call.id for d in deltas if d.call] == ["a", "b"]


def test_calls_without_ids_get_different_ones():
    calls = chunk(piece(PARIS, "get_weather", index=0), piece(ROME, "get_weather", index=1))
    deltas, _ = asked(pieces(calls, chunk(finish="stop")))

    ids = {d.call.id for d in deltas if d.call}
    assert len(ids) == 2
    assert "" not in ids
    assert deltas[-1].finish == "tool_calls"


@pytest.mark.parametrize("nothing", ["", None, " "])
def test_a_call_without_arguments_has_an_empty_object(nothing):
    deltas, _ = asked(pieces(chunk(piece(nothing, "hang_up", **HEAD)), chunk(finish="tool_calls")))

    assert made(deltas) == [("hang_up", {})]


@pytest.mark.parametrize(
    "call",
    [
        piece(PARIS[:9], "get_weather", **HEAD),
        piece("[]", "get_weather", **HEAD),
        piece(PARIS, "open_door", **HEAD),
        piece(PARIS, **HEAD),
        {**HEAD, "function": None},
        "rubbish",
    ],
)
def test_a_call_that_cannot_be_made_is_not_told(call):
    deltas, _ = asked(pieces(chunk(text="Well."), chunk(call), chunk(finish="length")))

    assert made(deltas) == []
    assert deltas[-1].finish == "length"


def test_a_thought_may_end_in_a_call():
    script = pieces(
        chunk(text="<think>I do not know that."),
        chunk(piece(PARIS, "get_weather", **HEAD), finish="tool_calls"),
    )

    assert made(asked(script)[0]) == [("get_weather", {"city": "Paris"})]


def test_a_server_that_does_not_stream_may_call_too():
    message = {"content": None, "tool_calls": [piece(PARIS, "get_weather", id="a")]}
    answer = {"choices": [{"message": message, "finish_reason": "tool_calls"}]}

    deltas, _ = asked(whole(200, answer))

    assert made(deltas) == [("get_weather", {"city": "Paris"})]
    assert deltas[-1].finish == "tool_calls"


OKAY = chunk(text="Yes.", finish="stop")


def test_the_functions_are_offered_with_their_schemas():
    _, request = asked(pieces(OKAY))

    assert request["tool_choice"] == "auto"
    assert request["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "description": "How warm it is.",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
            },
        },
        {
            "type": "function",
            "function": {
                "name": "hang_up",
                "description": "",
                "parameters": {"type": "object", "properties": {}},
            },
        },
    ]


def test_a_model_that_must_call_is_told_so():
    _, request = asked(pieces(OKAY), must_call=True)

    assert request["tool_choice"] == "required"


@pytest.mark.parametrize("must_call", [False, True])
def test_nothing_about_functions_is_sent_where_there_are_none(must_call):
    _, request = asked(pieces(OKAY), tools=(), must_call=must_call)

    assert not request.keys() & {"tools", "tool_choice"}


def test_calls_and_results_are_sent_as_the_server_knows_them():
    call = ToolCall("call_1", "get_weather", PARIS)
    history = [
        *QUESTION,
        Message("assistant", "Let me look.", calls=(call,)),
        Message("tool", "21 degrees", call_id="call_1"),
    ]
    _, request = asked(pieces(OKAY), history, tools=())

    function = {"name": "get_weather", "arguments": PARIS}
    assert request["messages"][1:] == [
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "21 degrees"},
    ]


def test_a_silent_call_has_no_content():
    history = [
        *QUESTION,
        Message("assistant", "", calls=(ToolCall("call_1", "hang_up", "{}"),)),
        Message("tool", "", call_id="call_1"),
    ]
    _, request = asked(pieces(OKAY), history)

    assert [m["content"] for m in request["messages"]] == [QUESTION[0].text, None, ""]


def test_the_engine_says_that_it_takes_functions():
    engine = load("llm", "openai", url="http://localhost:1/v1", model="tiny")

    assert {"tools", "must_call"} <= taken(engine.reply)
