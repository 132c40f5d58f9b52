"""A history as long as a body may be is refused by a real model before it is read."""

import json
import time

import httpx
import pytest
from serving import app, served

from voicebot.engines import load

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
SIZE = 475_000
TURNS = 998
"""As many as a chat may have, but for the question."""
SECONDS = 5.0
"""CPU time for one, wide: it took 5 to 16 s where each of thousands of turns was rendered."""


@pytest.fixture(scope="module")
def url(real):
    llm = load("llm", "llama", model=str(real("smollm2-135m") / GGUF), threads=1, max_tokens=8)
    try:
        with served(app(llm=llm)) as url:
            yield url
    finally:
        llm.close()


def history(text, turns):
    spoken = [{"role": ("user", "assistant")[n % 2], "content": text} for n in range(turns)]
    return [*spoken, {"role": "user", "content": "Hello?"}]


HISTORIES = {
    "one-long": history("word " * (SIZE // 5), 2),
    "long": history("word " * (SIZE // 480), 96),
    "short": history("Why?", TURNS),
    "no-spaces": history("x" * SIZE, 2),
    "chinese": history("字" * (SIZE // 3), 2),
}


@pytest.mark.parametrize("messages", HISTORIES.items(), ids=HISTORIES.keys())
def test_it_is_refused_before_anything_is_computed(url, messages):
    name, sent = messages
    before = time.process_time()
    body = json.dumps({"model": "llama3", "messages": sent, "max_tokens": 8}, ensure_ascii=False)
    answer = httpx.post(f"{url}/v1/chat/completions", content=body.encode(), timeout=120,
                        headers={"content-type": "application/json"})  # fmt: skip
    took = time.process_time() - before
    assert answer.status_code == 400, answer.text[:300]
    assert answer.json()["error"]["code"] == "context_length_exceeded"
    print(f"{len(body)} characters of history, {name}: {took:.2f} s of CPU")
    assert took < SECONDS
