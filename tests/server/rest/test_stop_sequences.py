"""A text ends before the first stop sequence, wherever it was cut."""

import asyncio
from contextlib import aclosing

import pytest

from voicebot.server.rest.stop_sequences import until


def cut(pieces, *stops):
    async def text():
        for piece in pieces:
            yield piece

    async def read():
        async with aclosing(until(text(), stops)) as kept:
            return [piece async for piece in kept]

    return asyncio.run(read())


def test_without_stops_nothing_is_held_back():
    assert cut(["Hello ", "there."]) == ["Hello ", "there."]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_however_it_is_cut_it_ends_there(size):
    text = "One. Two.\nUser: three"
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert "".join(cut(pieces, "\nUser:", "never")) == "One. Two."


def test_the_earliest_of_several_ends_it():
    assert "".join(cut(["a b c"], "c", "b")) == "a "


def test_what_only_begins_like_a_stop_is_told_once_that_is_certain():
    assert cut(["a##", "b"], "###") == ["a", "##b"]
    assert "".join(cut(["a##"], "###")) == "a##"


def test_a_text_may_be_nothing_but_its_stop():
    assert cut(["END"], "END") == []


def test_what_is_told_between_ends_the_text():
    assert cut(["a##", 1, "#", 2], "###") == ["a", "##", 1, "#", 2]
    assert cut(["a###", 1], "###") == ["a"]
