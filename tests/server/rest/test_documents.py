"""`/v1/documents`: what the server answers from, and questions that it answers."""

from pathlib import Path

import pytest
from serving import EMBEDDED
from starlette.testclient import TestClient

from voicebot import config
from voicebot.assistant.assembly import assemble
from voicebot.engines.extractive import NO_ANSWER, NO_PASSAGES
from voicebot.server.app import create


@pytest.fixture
def client(tmp_path):
    settings = tmp_path / "voicebot.toml"
    settings.write_text(EMBEDDED)
    with assemble(config.read(settings), tmp_path) as parts:
        yield TestClient(create(parts, config.ServerSettings()), base_url="http://localhost")


def test_every_question_that_is_offered_is_answered(client):
    about = client.get("/v1/documents").json()
    assert about["quotes"]
    assert [Path(each["id"]).suffix for each in about["data"]] == [
        ".md",
        ".md",
        ".txt",
        ".md",
        ".md",
    ]
    assert len(about["questions"]) == 4
    for question in about["questions"]:
        wish = {"model": "extractive", "messages": [{"role": "user", "content": question}]}
        answer = client.post("/v1/chat/completions", json=wish).json()
        assert answer["choices"][0]["message"]["content"] not in (NO_ANSWER, NO_PASSAGES)
    assert client.get("/v1/documents").json() == about
