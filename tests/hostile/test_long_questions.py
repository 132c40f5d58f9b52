"""Questions as long as a body may be hold nobody up who searches documents after them."""

import asyncio
import random
import time

import pytest

from voicebot import prose
from voicebot.engines.espeak.engine import Espeak
from voicebot.knowledge import DocumentIndex, index

SECONDS = 2.0
"""CPU time of one search of a megabyte, which takes 0.02 s: unbounded, it took up to 102 s."""


@pytest.fixture
def library(tmp_path):
    random.seed(1)
    words = [f"w{number}" for number in range(5000)]
    for number in range(40):
        text = "\n\n".join(" ".join(random.choices(words, k=150)) for _ in range(20))
        (tmp_path / f"{number}.md").write_text(f"# Page {number}\n\n{text}")
    (tmp_path / "boiler.md").write_text("The boiler is in the cellar. Fill it with the red tap.")
    library = DocumentIndex(tmp_path)
    yield library
    library.close()


QUESTIONS = {
    "stop-words": ["and what about it? " * 50] * 1000,
    "one-letter-each": ["a"] * 100_000,
    "all-words-there-are": [" ".join(f"w{number}" for number in range(5000)) * 30],
    "new-words": [" ".join(f"x{number}" for number in range(130_000))],
    "chinese": ["".join(chr(0x4E00 + number % 20_000) for number in range(300_000))],
}


@pytest.mark.parametrize("questions", QUESTIONS.values(), ids=QUESTIONS.keys())
def test_a_megabyte_of_questions_is_searched_in_no_time(library, questions, figure):
    before = time.process_time()
    asked = prose.asked(questions)
    prose.points_back(questions[-1])
    library.search(asked)
    took = time.process_time() - before
    figure(f"search of {sum(map(len, questions))} characters: {took:.3f} s of CPU")
    assert took < SECONDS


def test_only_so_many_questions_are_looked_through_for_a_subject(monkeypatch):
    looked = []
    subject = prose.subject
    monkeypatch.setattr(prose, "subject", lambda text: looked.append(len(text)) or subject(text))
    prose.asked(["and what about it? " * 1000] * 1000)
    assert len(looked) == prose.LEANS
    assert max(looked) <= prose.LONGEST_QUESTION + 1


def test_a_question_of_many_terms_is_searched_by_the_rarest(library):
    many = " ".join(f"w{number}" for number in range(500))
    weights = library._weights(prose.subject(f"{many} boiler"))
    assert len(weights) == index.TERMS
    assert "boiler" in weights


@pytest.mark.parametrize("question", ["Where is the boiler? {}", "{} Where is the boiler?"])
def test_a_question_before_or_behind_a_pasted_text_is_answered(library, question):
    (passage, *_) = library.search(question.format("and so on " * 100_000))
    assert passage.id == "boiler.md#1"


def test_a_text_without_spaces_is_spoken_in_pieces_of_bounded_length(figure):
    # It was one word of 20 minutes once, and copied at each of its 50,000 pieces.
    voice = Espeak()

    async def longest():
        return max([speech.audio.seconds async for speech in voice.synthesize("字" * 4096)])

    try:
        before = time.process_time()
        assert asyncio.run(longest()) < 3
        figure(f"4096 Chinese characters spoken: {time.process_time() - before:.3f} s of CPU")
        assert time.process_time() - before < 5
    finally:
        voice.close()
