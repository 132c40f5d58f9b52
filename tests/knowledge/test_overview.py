"""What may be asked about the documents: headings that find their own section."""

import asyncio

from room import ChatModel

from voicebot.knowledge import Informed, Library

GARDEN = "# Garden\n\nAll green.\n\n## Watering\n\nEvery evening.\n\n## Roses\n\nThey are red.\n"
KITCHEN = "# Kitchen\n\n## The soup\n\nFry two onions.\n\n## Watering\n\nThe basil, too.\n"


def overview(folder, most=6, **texts):
    for name, text in texts.items():
        (folder / f"{name}.md").write_text(text)
    return Library(folder).overview(most)


def test_topics_come_from_as_many_documents_as_there_are(tmp_path):
    documents, topics = overview(tmp_path, 2, garden=GARDEN, kitchen=KITCHEN)
    assert documents == ["garden.md", "kitchen.md"]
    assert topics == ["Watering", "The soup"]


def test_a_heading_that_finds_another_section_first_is_no_topic(tmp_path):
    _, topics = overview(tmp_path, garden=GARDEN, kitchen=KITCHEN)
    assert sorted(topics) == ["Roses", "The soup", "Watering"]


def test_a_document_without_sections_is_named_and_offers_no_topic(tmp_path):
    assert overview(tmp_path, notes="The key hangs behind the door.") == (["notes.md"], [])


def test_no_documents_have_no_topics(tmp_path):
    assert overview(tmp_path) == ([], [])


def test_who_answers_from_a_library_tells_what_is_in_it(tmp_path):
    (tmp_path / "garden.md").write_text(GARDEN)
    informed = Informed(ChatModel("Yes."), Library(tmp_path))
    try:
        assert asyncio.run(informed.overview()) == (["garden.md"], ["Watering", "Roses"])
    finally:
        informed.close()
