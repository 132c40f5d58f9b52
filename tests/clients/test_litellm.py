"""litellm with the provider `openai`: completion, transcription, speech, and what is refused."""

import litellm
import pytest
from conftest import QUESTION
from pydantic import BaseModel

HELLO = [{"role": "user", "content": "Good morning."}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def at(url, model):
    return {"model": f"openai/{model}", "api_base": f"{url}/v1", "api_key": "none"}


def test_a_question_is_answered_from_the_documents(admission):
    asked = [{"role": "user", "content": QUESTION}]
    reply = litellm.completion(messages=asked, **at(admission, "extractive"))
    assert "1931" in reply.choices[0].message.content


def test_a_stream_is_the_reply_in_pieces_and_counts_its_tokens(talker):
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(litellm.completion(messages=HELLO, **options, **at(talker, "gpt-4o")))
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == "You said, as number 1: Good morning."
    assert chunks[-1].usage.completion_tokens == 7


def test_a_tool_is_called_and_its_result_answered(talker):
    options = {"tools": [WEATHER], **at(talker, "gpt-4o")}
    called = litellm.completion(messages=HELLO, **options).choices[0].message
    (call,) = called.tool_calls
    assert call.function.arguments == '{"city": "Rome"}'
    returned = {"role": "tool", "tool_call_id": call.id, "name": "weather", "content": "sunshine"}
    answered = litellm.completion(messages=[*HELLO, called, returned], **options)
    assert answered.choices[0].message.content == "It returned sunshine"


def test_a_structure_is_filled_in(talker):
    class City(BaseModel):
        city: str

    reply = litellm.completion(messages=HELLO, response_format=City, **at(talker, "gpt-4o"))
    assert City.model_validate_json(reply.choices[0].message.content) == City(city="Rome")


def test_responses_are_made_and_go_on(talker):
    first = litellm.responses(input="Good morning.", **at(talker, "gpt-4o"))
    said = first.output[0].content[0].text
    assert said == "You said, as number 1: Good morning."


def test_a_recording_is_written_down(admission, recording):
    with recording.open("rb") as file:
        heard = litellm.transcription(file=file, **at(admission, "whisper-1"))
    assert "old apple tree" in heard.text


def test_a_text_is_spoken(admission):
    spoken = litellm.speech(input="The kettle is on.", voice="alloy", **at(admission, "tts-1"))
    assert len(spoken.content) > 2000


def test_a_model_that_is_not_there_is_told_as_that(admission):
    with pytest.raises(litellm.NotFoundError, match="there is extractive"):
        litellm.completion(messages=HELLO, **at(admission, "tts-1"))
