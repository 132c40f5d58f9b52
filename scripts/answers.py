#!/usr/bin/env python3
"""How often a chat engine answers questions about documents rightly: the table of docs/answers.md.

    scripts/answers.py extractive
    scripts/answers.py llama --model models/smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf
    scripts/answers.py extractive --set FOLDER --every 25    # BEIR's layout, with "answers"

An answer is right if one of the accepted ones is in it, as whole words; where there are none to
accept, because the documents do not say it, if it says that it does not know. Models answer at
temperature 0, on one thread, with at most 64 tokens.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
import unicodedata
from contextlib import aclosing, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voicebot import engines
from voicebot.bench.knowledge import beir
from voicebot.config import INSTRUCTIONS
from voicebot.engines import ChatModel, Message
from voicebot.knowledge import DocumentIndex, RetrievalChatModel

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
MOST = 64
"""Tokens of an answer: three spoken sentences."""

_UNKNOWING = re.compile(
    r"i (?:can only|cannot|can.t|don.t|do not) |say nothing|not (?:mentioned|provided|specified)"
    r"|(?:does|do) not (?:hold|contain|mention|say)|no (?:information|mention)|sorry|unable to",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and the answers to accept; none where the documents do not say it."""

    text: str
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question."""

    asked: Asked
    said: str
    passages: str
    """The text of those it was given."""
    cut: bool
    """It ran into its limit."""

    @property
    def is_right(self) -> bool:
        if not self.asked.answers:
            return bool(_UNKNOWING.search(self.said))
        return _holds(self.said, self.asked.answers)

    @property
    def was_given(self) -> bool:
        """Whether the passages hold the answer."""
        return _holds(self.passages, self.asked.answers)


def _holds(text: str, answers: tuple[str, ...]) -> bool:
    return any(_plain(answer) in _plain(text) for answer in answers)


def _plain(text: str) -> str:
    words = re.findall(r"[^\W_]+", unicodedata.normalize("NFKD", text.lower()))
    return f" {' '.join(words)} "


def questions(path: Path) -> list[Asked]:
    """Those in a file with one JSON object a line, which have "text" and "answers"."""
    read = [json.loads(line) for line in path.read_bytes().splitlines()]
    return [Asked(each["text"], tuple(each["answers"])) for each in read]


async def answer(llm: ChatModel, asked: Asked) -> Answer:
    said, passages, finish = "", "", ""
    messages = [Message("system", INSTRUCTIONS), Message("user", asked.text)]
    async with aclosing(llm.reply(messages)) as deltas:
        async for delta in deltas:
            said += delta.text
            finish = delta.finish or finish
            if delta.passages:
                passages = "\n".join(passage.text for passage in delta.passages)
    return Answer(asked, said, passages, finish == "length")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("engine")
    parser.add_argument("--model", help="weights, for an engine that takes some")
    parser.add_argument("--set", type=Path, help="a question set in BEIR's layout")
    parser.add_argument("--every", type=int, default=1, help="ask only every so many questions")
    parser.add_argument("--wrong", action="store_true", help="print what was answered wrongly")
    asked = parser.parse_args()
    settings: dict[str, Any] = {}
    if asked.model:
        settings = {"model": asked.model, "temperature": 0.0, "max_tokens": MOST, "threads": 1}
    documents = beir(asked.set) if asked.set else nullcontext()
    with documents as there:
        folder = Path(there.folder) if there else EXAMPLES / "house"
        every = questions(
            asked.set / "queries.jsonl" if asked.set else EXAMPLES / "questions.jsonl"
        )[:: asked.every]
        llm = engines.load("llm", asked.engine, **settings)
        with closing(llm), closing(RetrievalChatModel(llm, DocumentIndex(folder))) as informed:
            began = time.process_time()

            async def run() -> list[Answer]:
                return [await answer(informed, each) for each in every]

            told = asyncio.run(run())
            seconds = time.process_time() - began
    known = [each for each in told if each.asked.answers]
    others = [each for each in told if not each.asked.answers]
    words = sum(len(each.said.split()) for each in known) / len(known)
    print(f"right            {sum(each.is_right for each in known)} of {len(known)}")
    print(f"passages hold it {sum(each.was_given for each in known)} of {len(known)}")
    print(f"does not know    {sum(each.is_right for each in others)} of {len(others)}")
    print(f"words            {words:.0f}")
    print(f"cut at the limit {sum(each.cut for each in told)} of {len(told)}")
    print(f"CPU              {seconds / len(told):.2f} s a question")
    for each in told if asked.wrong else ():
        if not each.is_right:
            print(f"- {each.asked.text} {each.asked.answers}: {each.said[:200]!r}")


if __name__ == "__main__":
    main()
