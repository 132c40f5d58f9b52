"""Questions that the documents answer, drawn from them to be offered as examples."""

import asyncio
from itertools import islice
from pathlib import Path

import pytest
from room import ChatModel

from voicebot.engines.extractive import NO_ANSWER, answer
from voicebot.knowledge import DocumentIndex, RetrievalChatModel
from voicebot.knowledge.index import CHECKS
from voicebot.knowledge.questions import MAX_QUESTION_CHARACTERS, candidates

ROOT = Path(__file__).parents[2]
HOUSE = ROOT / "examples" / "house"
GARDEN = "# Garden\n\nAll green.\n\n## Watering\n\nEvery evening.\n\n## Roses\n\nThey are red.\n"


def library(folder, **texts):
    for name, text in texts.items():
        (folder / f"{name}.md").write_text(text, "utf-8")
    return DocumentIndex(folder)


def questions(*given, **texts):
    return [question for question in library(*given, **texts).questions() if question]


def test_the_first_questions_are_of_different_documents_and_sound_like_somebodys():
    assert [*islice(filter(None, DocumentIndex(HOUSE).questions()), 4)] == [
        "Where is the rain barrel?",
        "How do I start a fire?",
        "When was the house built?",
        "Where is the good bread knife?",
    ]


@pytest.mark.parametrize("folder", [HOUSE, ROOT / "docs"])
def test_every_question_is_short_and_answered_from_the_documents(folder):
    documents = DocumentIndex(folder)
    drawn = [question for question in documents.questions() if question]
    assert len(drawn) > 8
    assert len(set(drawn)) == len(drawn)
    for question in drawn:
        assert len(question) <= MAX_QUESTION_CHARACTERS
        quoted = answer(question, documents.search(question))
        assert quoted not in (NO_ANSWER, question)


def test_the_same_documents_give_the_same_questions():
    assert [*DocumentIndex(HOUSE).questions()] == [*DocumentIndex(HOUSE).questions()]


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        ("The apple tree was planted in 1931 by Mister Hill.", "When was the apple tree planted?"),
        ("DECnet was released for everybody in 1975.", "When was DECnet released?"),
        ("The code of the door is written on the cup.", "Where is the code of the door written?"),
        ("The good bread knife hangs behind the door.", "Where is the good bread knife?"),
        ("The keys are in the drawer below.", "Where are the keys?"),
        ("The doctor lives in the yellow house.", "Where does the doctor live?"),
        ("The village shop opens at eight.", "When does the village shop open?"),
        ("To reset the boiler, press the red button.", "How do I reset the boiler?"),
        ("If the lights go out, look for the fuse box.", "What if the lights go out?"),
        ("Internet2 is a network of universities.", "What is Internet2?"),
        ("Das Haus wurde 1894 für uns gebaut.", "Wann wurde das Haus für uns gebaut?"),
        ("Die Regentonne steht hinter dem Schuppen.", "Wo steht die Regentonne?"),
        ("Der Laden öffnet um acht.", "Wann öffnet der Laden?"),
        ("Wenn das Licht ausgeht, ist die Sicherung im Flur.", "Was ist, wenn das Licht ausgeht?"),
    ],
)  # fmt: skip
def test_a_sentence_is_turned_round(tmp_path, sentence, question):
    assert questions(tmp_path, notes=sentence) == [question]


@pytest.mark.parametrize(
    "sentence",
    [
        "It was planted in 1931.",
        "When Sky Digital was launched in 1998 the service had few channels.",
        "If it is empty, use the tap.",
        "To do this, press the red button.",
        "They stand behind the shed.",
        "The meeting is in an early stage.",
        "Water the tomatoes every evening.",
        "Who knows?",
        "",
    ],
)
def test_what_would_make_no_good_question_makes_none(tmp_path, sentence):
    assert questions(tmp_path, notes=sentence) == []


FAQ = """# Questions

**Q: How often do I water the ferns?**

Twice a week, from below.

**Q: May the cat come in?**

Only into the kitchen.
"""


def test_questions_that_somebody_wrote_come_first_and_are_answered_by_what_follows(tmp_path):
    documents = library(tmp_path, faq=FAQ)
    drawn = [question for question in documents.questions() if question]
    assert drawn[:2] == ["How often do I water the ferns?", "May the cat come in?"]
    said = [answer(question, documents.search(question)) for question in drawn[:2]]
    assert said == ["Twice a week, from below.", "Only into the kitchen."]


@pytest.mark.parametrize(
    ("heading", "text", "question"),
    [
        ("How do I pay?", "By card.", "How do I pay?"),
        ("3. How do I pay?", "By card.", "How do I pay?"),
        ("The stove", "The stove is old and the wood is dry.", "What about the stove?"),
        ("Watering", "It is for the evening and the roots.", "What about watering?"),
        ("Berlin", "It is the capital and in the east.", "What about Berlin?"),
        ("API keys", "The keys are secret and the server knows.", "What about API keys?"),
        ("When we are away", "Leave it on and keep the gas.", "What about when we are away?"),
        ("Install the program", "It is in the box and for all.", "How do I install the program?"),
        ("How to pay the bill", "It is in the post and for all.", "How do I pay the bill?"),
        ("Der Ofen", "Der Ofen ist alt und das Holz ist nass.", "Was gibt es zu „Der Ofen“?"),
        ("El horno", "El horno es viejo y la leña es del bosque.", "¿Qué hay sobre «El horno»?"),
        ("Le poêle", "Le poêle est vieux et les bûches sont là.", "Qu'y a-t-il sur « Le poêle » ?"),
        ("Печь", "Печь старая.", "Печь"),
    ],
)
def test_a_heading_is_asked_for_in_the_language_below_it(heading, text, question):
    assert [each.text for each in candidates(heading, text)][-1] == question


@pytest.mark.parametrize("heading", ["", "[documents]", "…", "`--set`:", "x" * 80])
def test_what_is_no_heading_of_words_is_not_asked_for(heading):
    assert [*candidates(heading, "It is the one and the other.")] == []


def test_a_heading_that_finds_another_section_first_is_not_asked_for(tmp_path):
    kitchen = (
        "# Kitchen\n\n## The soup\n\nFry two onions.\n\n## Watering\n\nThe basil and the fern.\n"
    )
    drawn = questions(tmp_path, garden=GARDEN, kitchen=kitchen)
    assert sum("atering" in question for question in drawn) == 1


def test_documents_that_make_no_questions_are_named_all_the_same(tmp_path):
    documents = library(tmp_path, notes="Mind the step.", more="Nothing here.")
    assert documents.documents == ["more.md", "notes.md"]
    assert questions(tmp_path) == []


def test_no_documents_have_no_questions(tmp_path):
    assert library(tmp_path).documents == []
    assert questions(tmp_path) == []


def test_of_thousands_of_documents_no_more_is_looked_up_than_of_a_few(tmp_path):
    for i in range(3000):
        # Each heading finds the first of them all, so that no question is any good.
        (tmp_path / f"{i:04}.md").write_text(
            "# Same\n\n## The same\n\nIt is the same and the same.\n"
        )
    documents = DocumentIndex(tmp_path)
    tried = [*documents.questions()]
    assert len(tried) <= CHECKS
    assert len(documents.documents) == 3000


class Counted(DocumentIndex):
    drawn = 0

    def questions(self):
        type(self).drawn += 1
        return super().questions()


def test_who_answers_from_a_library_draws_a_few_questions_once():
    informed = RetrievalChatModel(ChatModel("Yes."), Counted(HOUSE))

    async def twice():
        return await informed.examples(), await informed.examples()

    try:
        first, second = asyncio.run(twice())
        assert first == second
        assert len(first) == 4
        assert Counted.drawn == 1
        assert informed.documents[0] == "garden.md"
    finally:
        informed.close()
