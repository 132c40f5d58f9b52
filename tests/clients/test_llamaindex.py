"""LlamaIndex's OpenAILike: replies, streams, tools and structured output."""

from conftest import QUESTION
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel


class City(BaseModel):
    """A city, and where it is."""

    city: str


def weather(city: str) -> str:
    """The weather of a city."""
    return f"sunshine over {city}"


def chat(url, **options):
    return OpenAILike(
        api_base=f"{url}/v1",
        api_key="none",
        model="gpt-4o",
        is_chat_model=True,
        is_function_calling_model=True,
        **options,
    )


def test_a_question_is_answered_from_the_documents(admission):
    assert "1931" in chat(admission).complete(QUESTION).text


def test_a_stream_is_the_reply_in_pieces(talker):
    told = [ChatMessage("Hello.", role="user"), ChatMessage("Good day.", role="assistant")]
    pieces = list(chat(talker).stream_chat([*told, ChatMessage("Again?", role="user")]))
    assert pieces[-1].message.content == "You said, as number 2: Again?"
    assert len(pieces) > 3


def test_a_tool_is_called_and_its_result_answered(talker):
    tool = FunctionTool.from_defaults(weather)
    reply = chat(talker).predict_and_call([tool], user_msg="What is the weather in Rome?")
    assert reply.response == "sunshine over Rome"


def test_what_a_tool_returned_is_answered_in_the_next_request(talker):
    model, tool = chat(talker), FunctionTool.from_defaults(weather)
    asked = ChatMessage("What is the weather in Rome?", role="user")
    called = model.chat_with_tools([tool], chat_history=[asked])
    (call,) = model.get_tool_calls_from_response(called)
    returned = ChatMessage(
        weather(**call.tool_kwargs), role="tool", additional_kwargs={"tool_call_id": call.tool_id}
    )
    answered = model.chat_with_tools([tool], chat_history=[asked, called.message, returned])
    assert answered.message.content == "It returned sunshine over Rome"


def test_a_structure_is_filled_in(talker):
    found = chat(talker).as_structured_llm(City).complete("Where is it sunny?")
    assert found.raw == City(city="Rome")
