"""No body of the allowed size holds the event loop up: the first problem ends its check, what is
large is checked on a thread, and what the parser itself would take long for is refused."""

import json
import threading
import time

import httpx
import pytest
from serving import app, served

from voicebot.server.http import bodies
from voicebot.server.http.json_marks import exceeds
from voicebot.server.http.json_schema import COMPARED, problem
from voicebot.server.rest.chat_schema import CHAT

USER = {"role": "user", "content": "Hello."}


class Parts(list):
    """A list that counts how many of its items were looked at."""

    looked = 0

    def __iter__(self):
        for item in super().__iter__():
            self.looked += 1
            yield item


@pytest.mark.parametrize(
    "message",
    [
        lambda parts: {"role": "user", "content": parts},
        lambda parts: {"content": parts, "role": "user"},
        lambda parts: {"role": "assistant", "tool_calls": parts},
    ],
    ids=["content", "content-first", "calls"],
)
def test_the_first_problem_ends_the_check(message):
    parts = Parts([{}] * 100_000)
    assert problem({"model": "gpt-4o", "messages": [message(parts)]}, CHAT)
    assert parts.looked <= 4 * COMPARED


def test_what_is_wrong_in_a_long_value_is_quoted_without_writing_all_of_it():
    class Unwritten(list):
        def __repr__(self):
            raise AssertionError("a value of megabytes was written out")

    _, wrong = problem({"model": Unwritten(["x"] * 1000), "messages": [USER]}, CHAT)
    assert len(wrong) < 150


@pytest.fixture(scope="module")
def url():
    with served(app()) as url:
        yield url


def post(url, body):
    return httpx.post(
        f"{url}/v1/chat/completions",
        content=json.dumps(body, separators=(",", ":")),
        headers={"content-type": "application/json"},
        timeout=60,
    )


@pytest.mark.parametrize(
    "hostile", [[{}] * 300_000, [[[]]] * 150_000, [[]] * 300_000], ids=["parts", "nested", "lists"]
)
def test_more_parts_than_any_conversation_has_are_refused_unread(url, hostile):
    answer = post(url, {"model": "gpt-4o", "messages": [{"role": "user", "content": hostile}]})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "too_many_parts"


def test_brackets_in_a_text_are_no_parts(url):
    text = "[{" * 100_000 + '\\"' * 100
    answer = post(url, {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]})
    assert answer.status_code == 200


@pytest.mark.parametrize(("size", "aside"), [(100, False), (bodies.LARGE, True)])
def test_a_large_body_is_checked_while_others_go_on(url, monkeypatch, size, aside):
    on = []

    def watched(value, schema):
        on.append(threading.current_thread().name)
        return problem(value, schema)

    monkeypatch.setattr(bodies, "problem", watched)
    assert post(url, {"model": "gpt-4o", "messages": [USER | {"name": "x" * size}]}).is_success
    assert on[0].startswith("asyncio_") == aside


HALF = "\ud800"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("responses", {"model": "gpt-4o", "input": "Hi.", "metadata": {"a": HALF}}),
        ("responses", {"model": "gpt-4o", "input": "Hi.", "metadata": {HALF: "a"}}),
        ("responses", {"model": "gpt-4o", "input": "Hi.", "tools": [
            {"type": "function", "name": "f", "parameters": {"a": [HALF]}}]}),
        ("chat/completions", {"model": "gpt-4o", "messages": [USER], "metadata": {"a": HALF}}),
        ("realtime/client_secrets", {"session": {"instructions": HALF}}),
        ("realtime/sessions", {"instructions": "x", "voice": HALF}),
    ],
)  # fmt: skip
def test_half_a_character_anywhere_is_told_and_is_nobodys_fault(url, path, body):
    answer = httpx.post(f"{url}/v1/{path}", content=json.dumps(body), timeout=60,
                        headers={"content-type": "application/json"})  # fmt: skip
    assert answer.status_code in (200, 400)
    if answer.status_code == 400:
        assert "half a character" in answer.json()["error"]["message"]


def test_a_text_that_never_ends_is_looked_through_once():
    body = b"[" * (bodies.PARTS + 1) + b'"' + b'\\"' * 450_000
    before = time.process_time()
    assert exceeds(body, "{[", bodies.PARTS)
    assert not exceeds(body, "{[", bodies.PARTS + 1)
    assert time.process_time() - before < 5  # once takes 0.01 s; from every quote on, minutes
