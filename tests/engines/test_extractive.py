"""Without a language model the answer is a quotation, or that there is nothing to quote."""

import asyncio
import json
from contextlib import aclosing, closing, contextmanager
from pathlib import Path

import pytest

from voicebot.engines import Message, load
from voicebot.engines.extractive import (
    MAX_SENTENCE_CHARACTERS,
    NO_ANSWER,
    NO_PASSAGES,
    Extractive,
    speakable,
)
from voicebot.events import Passage
from voicebot.knowledge import DocumentIndex, RetrievalChatModel

ROOT = Path(__file__).resolve().parents[2]
RAG = ROOT / "../shared/rag"

STOVE = Passage(
    "house.md#stove",
    "# House: Stove\n\nThe stove heats the ground floor. Burn *dry* wood only. "
    "Sweep the chimney in September.\n\nTo start a fire:\n\n1. Open the window\n2. Pull the "
    "`iron` handle\n3. Put a match to the paper\n",
    4.0,
)
BINS = Passage(
    "house.md#bins",
    "# House: Bins\n\n| Bin | Collected |\n|---|---|\n| Black bin | Tuesday |\n"
    "| Green bin | every [second](http://x.org) Friday |\n\n```\ngreen = 1\n```\n",
    2.0,
)


@pytest.fixture
def answer():
    model = Extractive()

    def to(*said, passages=(STOVE, BINS)):
        return "".join(delta.text for delta in deltas(model, *said, passages=passages))

    yield to
    model.close()


def deltas(model, *said, passages=()):
    messages = [Message("user", text) for text in said]
    messages[-1] = Message("user", said[-1], passages)
    return replied(model, messages)


def replied(model, messages):
    async def collect():
        async with aclosing(model.reply(messages)) as stream:
            return [delta async for delta in stream]

    return asyncio.run(collect())


def test_the_sentence_that_holds_the_question_is_the_answer(answer):
    assert answer("When do I sweep the chimney?") == "Sweep the chimney in September."


def test_marks_of_the_page_are_not_read_out(answer):
    assert answer("Which wood may I burn?") == "Burn dry wood only."


def test_a_row_of_a_table_is_a_sentence(answer):
    assert answer("When is the green bin collected?") == "Green bin, every second Friday."


def test_what_a_colon_promises_follows_it(answer):
    said = answer("How do I start a fire?")
    assert said == "To start a fire: Open the window. Pull the iron handle."


def test_inflections_are_the_same_word(answer):
    assert answer("sweeping chimneys") == "Sweep the chimney in September."


def test_a_misheard_word_still_gets_the_answer(answer):
    assert answer("when do i sleep the chimney") == "Sweep the chimney in September."


def test_a_follow_up_question_leans_on_the_one_before(answer):
    assert answer("How do I sweep the chimney?", "and when?") == "Sweep the chimney in September."


def test_passages_that_hold_no_answer_are_said_to_hold_none(answer):
    assert answer("Who won the football championship in Brazil?") == NO_ANSWER
    assert answer("???") == NO_ANSWER


def test_without_passages_it_says_that_it_has_nothing_to_answer_from(answer):
    assert answer("Hello, how are you?", passages=()) == NO_PASSAGES


def test_passages_of_code_alone_are_no_answer(answer):
    assert answer("green?", passages=(Passage("a.md#1", "```\ngreen = 1\n```"),)) == NO_ANSWER


def test_an_answer_is_never_longer_than_three_sentences(answer):
    alike = Passage("a.md#1", " ".join(f"The boiler has valve number {n}." for n in range(20)), 1)
    assert answer("boiler valves", passages=(alike,)).count(".") == 3


def test_sentences_are_said_in_the_order_they_are_written(answer):
    first, better = "Red tap, pipes, cellar, lamp.", "Red tap, pipes, cellar, lamp, boiler."
    others = " ".join(f"Nothing about number {n}." for n in range(8))
    passage = Passage("a.md#1", f"{first} {others} {better}", 1)
    said = answer(
        "the red tap, the pipes, the cellar, the lamp and the boiler", passages=(passage,)
    )
    assert said == f"{first} {better}"


def test_a_heading_says_what_the_sentences_below_it_are_about(answer):
    stove = Passage("a.md#stove", "# Stove\n\nClean it in September.", 1)
    lamp = Passage("a.md#lamp", "# Lamp\n\nClean it in March.", 1)
    assert answer("When do I clean the lamp?", passages=(stove, lamp)) == "Clean it in March."


def test_of_two_sentences_alike_the_one_from_the_better_passage_is_said(answer):
    ours = Passage("ours.md#1", "The key is under the pot.", 9)
    theirs = Passage("theirs.md#1", "The key is in the drawer.", 2)
    assert answer("Where is the key?", passages=(theirs, ours)) == "The key is under the pot."


def test_a_sentence_in_two_passages_is_said_once(answer):
    twice = (Passage("a.md#1", "The key is red.", 2), Passage("b.md#1", "The key is red.", 1))
    assert answer("Where is the key?", passages=twice) == "The key is red."


def test_writing_without_spaces_is_answered_too(answer):
    passage = Passage("zh.md#1", "今天天气很好。水管总阀在地下室的门后面。晚饭七点开始。", 1)
    assert answer("总阀在哪里？", passages=(passage,)) == "水管总阀在地下室的门后面。"
    assert answer("请问你知道晚饭到底什么时候才能开始吗？", passages=(passage,)) == "晚饭七点开始。"


def test_the_answer_comes_word_by_word_and_then_its_end():
    model = load("llm", "extractive")
    found = deltas(model, "When do I sweep the chimney?", passages=(STOVE,))
    model.close()
    assert [delta.text for delta in found] == [
        "Sweep ",
        "the ",
        "chimney ",
        "in ",
        "September.",
        "",
    ]
    assert [delta.finish for delta in found] == ["", "", "", "", "", "stop"]


def test_what_is_read_out_holds_no_marks():
    page = (
        "## Heading\n> Quoted **bold** and _slanted_, snake_case too.\n\n"
        "- [x] first item\n  goes on\n* see <https://a.org/b>\n+ ![picture](a.png)\n\n"
        "A [link](http://b.org) &amp; <b>more</b>[^1]. 3 \\* 4.\n\n~~~\ncode\n~~~\n"
    )
    assert speakable(page) == [
        "Quoted bold and slanted, snake_case too.",
        "first item goes on.",
        "see.",
        "A link & more.",
        "3 * 4.",
    ]


@pytest.mark.parametrize(
    ("question", "held"),
    [
        ("When was the house built?", "1894"),
        ("Where does the doctor live?", "yellow house across the bridge"),
        ("What do I do when the lights go out?", "behind the picture of the ship"),
        ("How long does the apple cake bake?", "fifty minutes"),
        ("When is the green bin collected?", "every second Friday"),
        ("How do I start a fire?", "Open the little window"),
        ("Where is the password of the wireless network?", "blue teapot"),
        ("How long does the hot water last?", "two baths"),
        ("Who won the football championship in Brazil?", "documents"),
    ],
)
def test_the_documents_in_examples_answer_what_one_would_ask(question, held):
    with over(ROOT / "examples/house") as model:
        said = "".join(delta.text for delta in deltas(model, question))
    assert held in said


@pytest.mark.skipif(not RAG.exists(), reason="the question sets are not on this machine")
@pytest.mark.parametrize(("name", "share"), [("xquad_en", 0.84), ("xquad_de", 0.75)])
def test_answers_about_wikipedia_mostly_hold_what_was_asked_for(tmp_path, name, share):
    """Found and answered over all documents; with Informed, as in a conversation."""
    for page in lines(name, "corpus"):
        (tmp_path / f"{page['_id']}.md").write_text(f"# {page['title']}\n\n{page['text']}", "utf-8")

    async def holds(model, query):
        said = ""
        async with aclosing(model.reply([Message("user", query["text"])])) as stream:
            async for delta in stream:
                said += delta.text
        return any(right.lower() in said.lower() for right in query["answers"])

    async def all_of_them():
        with over(tmp_path) as model:
            return [await holds(model, query) for query in lines(name, "queries")]

    held = asyncio.run(all_of_them())
    assert sum(held) / len(held) >= share


@contextmanager
def over(folder):
    """The engine with the documents below `folder`."""
    engine = Extractive()
    with closing(engine), closing(RetrievalChatModel(engine, DocumentIndex(folder))) as model:
        yield model


def lines(name, kind):
    return [json.loads(one) for one in (RAG / name / f"{kind}.jsonl").read_bytes().splitlines()]


@pytest.mark.parametrize(
    ("returned", "spoken"),
    [
        (["It is 21 degrees in Paris."], "It is 21 degrees in Paris."),
        (["It is *21* degrees"], "It is 21 degrees."),
        (['{"temp_c": 21, "sky": ["blue", "clear"]}'], "temp c: 21, sky: blue, clear."),
        (['{"open": true, "locked": false}'], "open: yes, locked: no."),
        (["21", '"mild"'], "21. mild."),
        (["One. Two. Three. Four."], "One. Two. Three."),
        ([""], "That is done."),
        (["null"], "That is done."),
    ],
)
def test_what_functions_returned_is_read_out(returned, spoken):
    messages = [Message("user", "How warm is it?"), Message("tool", "Of before.", call_id="x")]
    messages += [Message("assistant", "")]
    messages += [Message("tool", text, call_id=str(i)) for i, text in enumerate(returned)]

    with closing(Extractive()) as model:
        assert "".join(delta.text for delta in replied(model, messages)) == spoken


@pytest.mark.parametrize(
    "line",
    [
        "The boiler " + "and the stove " * 20_000,
        '{"boiler":1,' * 20_000,
        "锅炉在厨房里" * 20_000,
        "The boiler has the key " + "MIIEvQIBADANBgkqhkiG9w0BAQEF" * 9000 + " in its memory.",
    ],
)
def test_what_is_quoted_from_an_endless_line_can_be_said_in_half_a_minute(line):
    said = speakable(f"{line}\n\nThe bins are black.")
    assert said[-1] == "The bins are black."
    assert all(len(sentence) <= MAX_SENTENCE_CHARACTERS + 1 for sentence in said)
    assert not any("MIIEv" in sentence for sentence in said)


def test_a_long_word_of_a_language_written_without_spaces_is_said():
    text = "今天天气很好我们去公园散步" * 8 + "。"
    assert speakable(text) == [text]
