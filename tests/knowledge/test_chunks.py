"""Documents are cut where their authors would have cut them."""

import pytest

from voicebot.knowledge.chunks import BUDGET, LETTERS, LIMIT, Chunk, chunks


def cut(text: str, document: str = "house.md") -> list[Chunk]:
    return list(chunks(document, text))


def texts(text: str) -> list[str]:
    return [chunk.text for chunk in cut(text)]


def long_paragraph(sentences: int = 60) -> str:
    return " ".join(f"This is sentence number {n} of a long story." for n in range(sentences))


def test_every_section_is_a_chunk_that_knows_the_headings_above_it():
    found = cut("Welcome.\n\n# House\nBuilt long ago.\n## Roof\nIt leaks.\n# Garden\nIt grows.")
    assert [(chunk.heading, chunk.text) for chunk in found] == [
        ("", "Welcome."),
        ("House", "Built long ago."),
        ("House: Roof", "It leaks."),
        ("Garden", "It grows."),
    ]


def test_underlined_headings_and_closing_hashes_are_understood():
    found = cut("House\n=====\n\nOld.\n\nRoof\n----\n\nNew.\n\n### Tiles ###\n\nRed.")
    assert [chunk.heading for chunk in found] == ["House", "House: Roof", "House: Roof: Tiles"]


def test_ids_name_the_document_and_the_section():
    found = cut("Hello.\n\n# The Boiler\nHot.\n\n# Côté jardin\nGreen.\n\n# The Boiler\nStill hot.")
    assert [chunk.id for chunk in found] == [
        "house.md#1",
        "house.md#the-boiler",
        "house.md#cote-jardin",
        "house.md#the-boiler-2",
    ]


def test_what_is_written_in_another_section_changes_no_id():
    before = cut("# Roof\nIt leaks.\n# Garden\nIt grows.")
    after = cut(f"# Cellar\n{long_paragraph()}\n# Roof\n{long_paragraph()}\n# Garden\nIt grows.")
    assert before[-1] == after[-1]


def test_a_long_section_is_packed_without_cutting_a_sentence():
    found = texts("# Story\n" + long_paragraph())
    assert len(found) > 1
    assert all(len(text.split()) <= BUDGET * 1.25 for text in found)
    assert all(text.startswith("This") and text.endswith("story.") for text in found)
    assert " ".join(found) == long_paragraph()


def test_no_chunk_of_a_long_section_is_a_scrap():
    for sentences in range(18, 60):
        assert all(len(text.split()) >= BUDGET // 4 for text in texts(long_paragraph(sentences)))


def test_paragraphs_stay_whole_where_they_fit():
    paragraphs = [f"{long_paragraph(10)} The end of part {n}." for n in range(4)]
    found = texts("\n\n".join(paragraphs))
    assert len(found) > 1
    assert all(text.endswith(tuple(f"part {n}." for n in range(4))) for text in found)


def test_a_table_and_a_block_of_code_are_never_cut():
    table = "\n".join(
        ["| Bin | Day |", "|---|---|", *(f"| bin {n} | day {n} |" for n in range(80))]
    )
    code = "\n".join(["```sh", "# not a heading", "", *(f"run step {n}" for n in range(90)), "```"])
    found = texts(f"# Lists\n{long_paragraph(10)}\n\n{table}\n\n{code}\n\nAfter.")
    assert any(table in text for text in found)
    assert any(code in text for text in found)


def test_what_would_crowd_out_everything_else_is_cut_by_lines():
    rows = [f"| row {n} | holds {n * n} |" for n in range(2000)]
    found = texts("\n".join(rows))
    assert all(len(text.split()) < 1000 for text in found)
    assert "\n".join(found).split("\n") == rows


def test_a_blob_without_spaces_is_cut_and_nothing_of_it_lost():
    found = texts("x+" * 20_000)
    assert all(len(text) < 10_000 for text in found)
    assert "".join(found) == "x+" * 20_000


def test_what_follows_a_block_of_code_is_not_code():
    story = long_paragraph(40)
    found = texts(f"```\nrun\n```\n{story}")
    assert found[0].startswith("```\nrun\n```\n\nThis is")
    assert len(found) > 1


def test_items_of_a_list_stay_with_their_second_lines():
    items = [f"- step {n} of the plan, which is\n  a little longer than a line" for n in range(40)]
    found = texts("\n".join(items))
    assert len(found) > 1
    assert all(text.startswith("- step") and text.endswith("line") for text in found)


def test_front_matter_and_rules_are_not_text():
    assert texts("---\ntitle: House\n---\n\nOld.\n\n---\n\nCold.\n\n***") == ["Old.\n\nCold."]


def test_writing_without_spaces_is_packed_by_its_characters():
    found = texts("今天天气很好，我们去公园散步。" * 60)
    assert len(found) > 1
    assert all(text.endswith("。") and len(text) < 2 * BUDGET for text in found)


def test_nothing_written_is_no_chunk():
    assert cut("") == cut(" \n\n \t\n") == cut("# Only a heading") == []


PICTURE = "data:image/png;base64," + "/T/rPJJQt5dKm1KLaWNj" * 3000


@pytest.mark.parametrize("picture", [f"![tank]({PICTURE})", f'<img src="{PICTURE}" alt="tank">'])
def test_pictures_inside_a_document_are_left_out(picture):
    (found,) = texts(f"Press the button.\n\n{picture}\n\nThe filter is behind {picture} the tank.")
    assert len(found) < 200
    assert found.startswith("Press the button.")
    assert "tank" in found


def test_a_picture_named_at_the_end_is_left_out():
    assert len(texts(f"See ![logo].\n\n[logo]: {PICTURE}")[0]) < 50


@pytest.mark.parametrize(
    "line",
    ["word " * 60_000, "x" * 300_000, '{"a":1,' * 40_000, "| a | b " * 40_000, "a-b" * 90_000],
)
def test_no_chunk_of_an_endless_line_is_long(line):
    found = texts(f"Short.\n\n{line}\n\nShort.")
    assert max(map(len, found)) <= LIMIT * LETTERS
    assert sum(map(len, found)) >= len(line) * 0.99
