"""SmolLM2 behind `/v1/chat/completions` writes JSON to order and tells its words' chances."""

from __future__ import annotations

import json
import math
from typing import Literal

import openai
import pytest
from pydantic import BaseModel, Field
from server.serving import app, served

from voicebot.engines import load

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
CITY = [{"role": "user", "content": "Name a city in France and say how many people live there."}]


class Person(BaseModel):
    name: str = Field(max_length=20)
    age: int


class City(BaseModel):
    name: str = Field(max_length=20)
    size: Literal["small", "large"]
    people: int | None
    mayor: Person
    rivers: list[Literal["Seine", "Loire"]] = Field(max_length=2)


@pytest.fixture(scope="module")
def client(real):
    model = real("smollm2-135m") / GGUF
    llm = load("llm", "llama", model=str(model), threads=1, max_tokens=200)
    with (
        served(app(llm=llm)) as url,
        openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client,
    ):
        yield client
    llm.close()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_reply_is_parsed_as_the_class_it_was_asked_for_as(client, seed):
    reply = client.chat.completions.parse(
        model="gpt-4o", messages=CITY, response_format=City, seed=seed
    )
    assert isinstance(reply.choices[0].message.parsed, City)


def test_a_response_is_parsed_likewise(client):
    reply = client.responses.parse(model="gpt-4o", input=CITY, text_format=City)
    assert isinstance(reply.output_parsed, City)


@pytest.mark.parametrize("seed", range(4))
def test_beside_functions_a_reply_is_a_call_or_follows_the_schema(client, seed):
    function = {"name": "look_up_city", "parameters": Person.model_json_schema()}
    reply = client.chat.completions.create(
        model="gpt-4o",
        messages=CITY,
        tools=[{"type": "function", "function": function}],
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "person", "schema": Person.model_json_schema()},
        },
        seed=seed,
    )
    message = reply.choices[0].message
    if message.tool_calls:
        Person.model_validate_json(message.tool_calls[0].function.arguments)
    else:
        Person.model_validate_json(message.content)


def test_a_reply_may_be_any_json_object(client):
    reply = client.chat.completions.create(
        model="gpt-4o",
        messages=[{"role": "user", "content": 'Answer in JSON: {"sky": "blue"}'}],
        response_format={"type": "json_object"},
        temperature=0,
    )
    assert isinstance(json.loads(reply.choices[0].message.content), dict)


def test_a_schema_that_makes_no_grammar_is_refused_where_it_stands(client):
    with pytest.raises(openai.BadRequestError, match="no grammar") as refused:
        client.chat.completions.create(
            model="gpt-4o",
            messages=CITY,
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": {"$ref": "#/nowhere"}},
            },
        )
    assert refused.value.param == "response_format"


@pytest.mark.parametrize("stream", [True, False])
def test_each_token_has_its_chance_and_those_it_was_chosen_from(client, stream):
    reply = client.chat.completions.create(
        model="gpt-4o",
        messages=[{"role": "user", "content": "What is the capital of France?"}],
        logprobs=True,
        top_logprobs=3,
        temperature=0,
        max_tokens=8,
        stream=stream,
    )
    choices = [chunk.choices[0] for chunk in reply] if stream else reply.choices
    texts = [choice.delta.content if stream else choice.message.content for choice in choices]
    tokens = [token for c in choices if c.logprobs for token in c.logprobs.content]
    assert b"".join(bytes(token.bytes) for token in tokens).decode() == "".join(filter(None, texts))
    assert len(tokens) == 8
    for token in tokens:
        likely = [other.logprob for other in token.top_logprobs]
        assert likely == sorted(likely, reverse=True)
        assert len(likely) == 3
        assert token.top_logprobs[0].token == token.token, "at temperature 0 the likeliest is taken"
        assert token.logprob == pytest.approx(likely[0])
        assert sum(map(math.exp, likely)) <= 1 + 1e-6


def test_choices_differ_and_come_again_with_their_seed(client):
    def texts():
        reply = client.chat.completions.create(
            model="gpt-4o", messages=CITY, n=3, seed=5, max_tokens=20, temperature=1
        )
        return [choice.message.content for choice in reply.choices]

    first = texts()
    assert len(set(first)) == 3
    assert texts() == first
