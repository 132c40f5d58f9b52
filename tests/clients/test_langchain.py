"""LangChain's ChatOpenAI: replies, streams, tools and structured output."""

import pytest
from conftest import QUESTION
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"sunshine over {city}"


class City(BaseModel):
    """A city, and where it is."""

    city: str


def chat(url, **options):
    return ChatOpenAI(base_url=f"{url}/v1", api_key="none", model="gpt-4o", **options)


def test_a_question_is_answered_from_the_documents(admission):
    assert "1931" in chat(admission).invoke(QUESTION).text


def test_a_stream_is_the_reply_in_pieces_and_counts_its_tokens(talker):
    pieces = list(chat(talker, stream_usage=True).stream("Good morning."))
    assert "".join(piece.text for piece in pieces) == "You said, as number 1: Good morning."
    assert sum(bool(piece.text) for piece in pieces) > 3
    usage = [piece.usage_metadata for piece in pieces if piece.usage_metadata]
    assert [each["output_tokens"] for each in usage] == [7]


def test_a_tool_is_called_and_its_result_answered(talker):
    model = chat(talker).bind_tools([weather])
    asked = HumanMessage("What is the weather in Rome?")
    called = model.invoke([asked])
    (call,) = called.tool_calls
    assert (call["name"], call["args"]) == ("weather", {"city": "Rome"})
    answered = model.invoke([asked, called, weather.invoke(call)])
    assert answered.text == "It returned sunshine over Rome"


@pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode"])
def test_a_structure_is_filled_in(talker, method):
    found = chat(talker).with_structured_output(City, method=method).invoke("Where is it sunny?")
    assert found == City(city="Rome")


def test_the_responses_route_answers_streams_and_calls_tools(talker):
    model = chat(talker, use_responses_api=True)
    assert model.invoke("Good morning.").text == "You said, as number 1: Good morning."
    pieces = [piece.text for piece in model.stream("Good morning.")]
    assert "".join(pieces) == "You said, as number 1: Good morning."
    asked = HumanMessage("What is the weather in Rome?")
    called = model.bind_tools([weather]).invoke([asked])
    (call,) = called.tool_calls
    answered = model.bind_tools([weather]).invoke([asked, called, weather.invoke(call)])
    assert answered.text == "It returned sunshine over Rome"


def test_batches_are_answered_each_on_its_own(talker):
    replies = chat(talker).batch(["One.", "Two.", "Three."])
    assert [reply.text.split()[-1] for reply in replies] == ["One.", "Two.", "Three."]
