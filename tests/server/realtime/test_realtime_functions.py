"""A Realtime client's functions: called by the model, carried out by the client, answered from."""

import asyncio
import json
from dataclasses import replace

import pytest
from realtime_client import ASK, COMPLETED, Client, item
from scripted import WEATHER, Scripted

from voicebot.engines import Delta

TOOL = {"type": "function", **WEATHER}
ROME, PARIS = {"city": "Rome"}, {"city": "Paris"}
ASKED = ("conversation.item.create", {"item": item("user", "Will it rain?")})
RESPOND = ("response.create", {})


def returned(id, output="Rain at noon."):
    output = {"type": "function_call_output", "call_id": id, "output": output}
    return ("conversation.item.create", {"item": output})


def client(*script, **session):
    return Client(llm=Scripted(*script), **{"tools": [TOOL], **session})


def outputs(client, nth=-1):
    return client.all("response.done")[nth]["response"]["output"]


def test_a_call_is_told_and_the_answer_comes_from_what_it_returned():
    caller = client(ROME).does(*ASK, ("wait", 0.5), returned("call_1"), RESPOND, ("wait", 3.0))
    (call,) = outputs(caller, 0)
    assert call["type"] == "function_call"
    assert (call["name"], call["call_id"]) == ("weather", "call_1")
    assert json.loads(call["arguments"]) == ROME
    assert outputs(caller, 1)[0]["content"][0]["transcript"] == "Rain at noon."
    assert caller.llm.asked == [
        ("system", "Be brief."),
        ("user", "hello there"),
        ("assistant", "", json.dumps(ROME)),
        ("tool", "Rain at noon."),
    ]
    assert caller.llm.given[-1][-1].call_id == "call_1"


def test_what_is_said_before_a_call_is_spoken_before_it_is_told():
    caller = client("Let me look.", ROME).does(*ASK, ("wait", 2.0))
    message, call = outputs(caller)
    assert message["content"][0]["transcript"] == "Let me look."
    assert call["type"] == "function_call"
    assert caller.sound_s == pytest.approx(0.9, abs=0.01)
    last = caller.when("response.output_audio.delta", -1)
    assert last <= caller.when("response.function_call_arguments.done")


def test_all_of_what_is_said_is_sent_before_a_call_is_told():
    # A sound of another rate ends a little after what it is made from.
    telephone = {"output": {"format": {"type": "audio/pcmu"}}}
    caller = client("Let me look.", ROME, audio=telephone).does(*ASK, ("wait", 2.0))
    assert [output["type"] for output in outputs(caller)] == ["message", "function_call"]
    assert len(caller.sound) / 8000 == pytest.approx(0.9, abs=0.001)


def test_a_reply_in_text_calls_too():
    caller = client("Let me look. ", ROME, output_modalities=["text"])
    caller.does(ASKED, RESPOND, ("wait", 1.0))
    message, call = outputs(caller)
    assert message["content"][0]["text"] == "Let me look. "
    assert call["name"] == "weather"


@pytest.mark.parametrize("where", ["session", "response"])
@pytest.mark.parametrize(("parallel", "cities"), [(True, [ROME, PARIS]), (False, [ROME])])
def test_several_functions_are_called_unless_only_one_may_be(where, parallel, cities):
    asks = {"parallel_tool_calls": parallel}
    caller = client(ROME, PARIS, **(asks if where == "session" else {}))
    wish = {"response": asks} if where == "response" else {}
    caller.does(ASKED, ("response.create", wish), ("wait", 1.0))
    assert [json.loads(call["arguments"]) for call in outputs(caller)] == cities
    assert caller.all("response.done")[0]["response"]["status"] == "completed"


@pytest.mark.parametrize("parallel", [True, False])
def test_what_a_call_was_drawn_with_is_told(parallel):
    class Drawn(Scripted):
        async def reply(self, messages, *, tools=(), must_call=False):
            async for delta in super().reply(messages, tools=tools, must_call=must_call):
                yield replace(delta, seed=7)

    caller = Client(llm=Drawn(ROME, PARIS), tools=[TOOL], parallel_tool_calls=parallel)
    caller.does(ASKED, RESPOND, ("wait", 1.0))
    (done,) = caller.all("response.done")
    assert done["response"]["voicebot"]["spoke"]["seed"] == 7


@pytest.mark.parametrize(
    ("choice", "offered"),
    [
        ("auto", (["weather", "time"], False)),
        ("none", ([], False)),
        ("required", (["weather", "time"], True)),
        ({"type": "function", "name": "time"}, (["time"], True)),
    ],
)
def test_the_client_chooses_what_may_be_called(choice, offered):
    tools = [TOOL, {"type": "function", "name": "time", "description": None, "parameters": None}]
    caller = client("Yes.", tools=tools, tool_choice=choice).does(ASKED, RESPOND, ("wait", 1.0))
    assert caller.llm.offered == [offered]


@pytest.mark.parametrize(
    ("llm", "session", "says"),
    [
        (Scripted("No."), {"tools": []}, "there are no tools"),
        (Scripted("No."), {"tools": [TOOL], "tool_choice": {"type": "function", "name": "time"}},
         "names 'time', and of tools there is weather"),
    ],
)  # fmt: skip
def test_a_call_that_cannot_be_made_fails_one_response(llm, session, says):
    caller = Client(llm=llm, **{"tool_choice": "required", **session})
    caller.does(*ASK, ("response.create", {"response": {"tool_choice": "auto"}}), ("wait", 1.0))
    failed, answered = [event["response"] for event in caller.all("response.done")]
    assert failed["status"] == "failed"
    assert failed["status_details"]["error"]["type"] == "invalid_request_error"
    assert says in failed["status_details"]["error"]["message"]
    assert answered["status"] == "completed"
    # What was asked is known all the same.
    assert [event["transcript"] for event in caller.all(COMPLETED)] == ["hello there"]
    assert caller.when(COMPLETED) < caller.when("response.created", 1)


def test_a_model_that_calls_nothing_answers_without():
    caller = Client("Yes.", tools=[TOOL]).does(*ASK, ("wait", 1.0))
    assert outputs(caller)[0]["content"][0]["transcript"] == "Yes."


def test_what_a_function_returned_informs_a_model_that_calls_nothing():
    items = [
        item("user", "Will it rain?"),
        {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"},
        item("assistant", "Let me look."),
        {"type": "function_call_output", "call_id": "c", "output": "Rain at noon."},
    ]
    created = [("conversation.item.create", {"item": each}) for each in items]
    caller = Client("Yes.").does(*created, RESPOND, ("wait", 1.0))
    question = caller.llm.given[-1][-1]
    assert (question.role, question.text) == ("user", "Will it rain?")
    assert [(p.id, p.text) for p in question.passages] == [("weather", "Rain at noon.")]


def test_nobody_hears_of_a_call_before_the_user_has_finished():
    caller = client(ROME).does(("speak", 1.0), ("wait", 0.35), ("speak", 1.0), ("wait", 1.5))
    assert len(caller.llm.given) == 2
    (call,) = caller.all("response.function_call_arguments.done")
    # It was called while the silence was still being proved.
    assert caller.when("response.function_call_arguments.done") == pytest.approx(
        caller.when("response.created"), abs=0.06
    )
    assert call["call_id"] == "call_2"


def test_who_speaks_over_the_announcement_hears_of_no_call():
    tens = "one", "twenty-one", "thirty-one", "forty-one", "fifty-one"
    story = " ".join(f"From {first} on one counts up to the next ten of them." for first in tens)
    caller = client(story, ROME).does(*ASK, ("wait", 0.5), *ASK)
    first = caller.all("response.done")[0]["response"]
    assert first["status_details"]["reason"] == "turn_detected"
    assert [output["type"] for output in first["output"]] == ["message"]


def test_a_response_can_be_cancelled_while_its_call_is_written():
    caller = client("Let me look.", ROME)
    caller.llm.takes = 1.0
    caller.does(ASKED, RESPOND, ("wait", 1.5), ("response.cancel", {}), ("wait", 1.0), RESPOND,
                ("wait", 4.0))  # fmt: skip
    statuses = [event["response"]["status"] for event in caller.all("response.done")]
    assert statuses == ["cancelled", "completed"]
    assert len(caller.all("response.function_call_arguments.done")) == 1


def test_a_call_out_of_the_conversation_is_not_remembered():
    wish = {"conversation": "none", "input": [item("user", "Will it rain?")]}
    caller = client(ROME).does(
        ("response.create", {"response": wish}), ("wait", 1.0), ASKED, RESPOND, ("wait", 1.0)
    )
    assert len(caller.all("response.function_call_arguments.done")) == 2
    assert caller.llm.asked[1:] == [("user", "Will it rain?")]


class Forecaster(Scripted):
    """Says all that functions have returned, and then what of it had not."""

    async def reply(self, messages, *, max_tokens=None, tools=(), must_call=False):
        results = [m.text for m in messages if m.role == "tool"]
        if messages[-1].role != "tool" or not results:
            async for delta in super().reply(messages, tools=tools, must_call=must_call):
                yield delta
            return
        self.given.append(list(messages))
        await asyncio.sleep(self.takes)
        for result in results:
            yield Delta(f"{result} ")
        yield Delta(finish="stop")


def forecast(*script, takes=0.3):
    caller = Client(llm=Forecaster(ROME, PARIS, takes=takes), tools=[TOOL])
    caller.does(*ASK, ("wait", 2.0), *script, ("wait", 9.0))
    done = [event["response"] for event in caller.all("response.done")]
    assert caller.all("error") == []
    assert {each["status"] for each in done} == {"completed"}
    said = [item["content"][0]["transcript"] for each in done for item in each["output"]
            if item["type"] == "message"]  # fmt: skip
    return caller, said


RAIN, SUN = "Rain in Rome.", "Sun in Paris."


def test_functions_that_return_together_are_answered_together():
    """Each is followed by its own response.create, as some clients do."""
    caller, said = forecast(
        returned("call_1", RAIN), RESPOND, ("wait", 0.05), returned("call_2", SUN), RESPOND
    )
    assert said == [f"{RAIN} {SUN}"]
    assert len(caller.all("response.created")) == 2


def test_the_others_may_be_asked_for_once_the_first_is_done():
    """As others do, @openai/agents among them."""
    caller, said = forecast(
        returned("call_1", RAIN), RESPOND, ("wait", 0.05), returned("call_2", SUN), ("wait", 5.0),
        RESPOND,
    )  # fmt: skip
    assert said == [f"{RAIN} {SUN}"]
    assert len(caller.all("response.done")) == 3
    assert outputs(caller) == []
    # What is asked next is answered again.
    assert caller.protocol.response is None


@pytest.mark.parametrize("at_once", [True, False])
def test_a_function_that_returns_while_the_first_is_answered_is_answered_next(at_once):
    wait = [] if at_once else [("wait", 4.0)]
    caller, said = forecast(
        returned("call_1", RAIN), RESPOND, ("wait", 0.6), returned("call_2", SUN), *wait, RESPOND
    )
    first, second = said
    assert RAIN in first
    assert SUN not in first
    assert SUN in second
    assert [m.text for m in caller.llm.given[-1] if m.role == "tool"] == [RAIN, SUN]


def test_one_answer_more_than_there_are_results_is_given():
    caller, _ = forecast(
        returned("call_1", RAIN), RESPOND, ("wait", 0.05), returned("call_2", SUN), RESPOND,
        ("wait", 5.0), ASKED, RESPOND,
    )  # fmt: skip
    assert len(caller.all("response.done")) == 3
    assert outputs(caller) != []
