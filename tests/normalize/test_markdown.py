"""Markdown becomes words while it is written, however it is cut into deltas."""

import random
import time
from itertools import pairwise

import pytest

from voicebot.normalize.markdown import Code, Markdown, plain

CASES = {
    "Hello there.": ["Hello there."],
    "# Title\n\nText.": ["Title\n\nText."],
    "- one\n- two\n* three\n+ four": ["one\ntwo\nthree\nfour"],
    "- [ ] open\n- [x] done": ["open\ndone"],
    "> quoted\n> - item": ["quoted\nitem"],
    "1. First\n2. Second": ["1. First\n2. Second"],
    "**Bold** start, -5 degrees\n-5 more": ["**Bold** start, -5 degrees\n-5 more"],
    "a\n\n---\n\nb\n***\nc": ["a\n\n\n\nb\n\nc"],
    "Title\n=====\nText": ["Title\n\nText"],
    "See [the docs](https://x.y/a_(b)), ok!": ["See the docs, ok!"],
    "![A cat](cat.png) sleeps": ["A cat sleeps"],
    "As [1] says, [not a link] x": ["As [1] says, [not a link] x"],
    "Wow! Really!\nYes!": ["Wow! Really!\nYes!"],
    "open [bracket": ["open [bracket"],
    "| Name | Age |\n|:---|---:|\n| Anna | 5 |\n| [Bob](x) | a\\|b |\n\nDone.": [
        "Name, Age.\nAnna, 5.\nBob, a|b.\n\nDone."
    ],
    "Try:\n```python\nprint('# no heading')\n```\nDone.": [
        "Try:\n",
        Code("```python\n", opens=True),
        Code("print('# no heading')\n```\n"),
        "Done.",
    ],
    "~~~\na\n```\nb\n~~~~": [Code("~~~\n", opens=True), Code("a\n```\nb\n~~~~\n")],
    "```\nnever closed": [Code("```\n", opens=True), Code("never closed\n")],
    "- item\n  ```sh\n  ls\n  ```\n- next": [
        "item\n",
        Code("```sh\n", opens=True),
        Code("  ls\n  ```\n"),
        "next",
    ],
    "```inline``` stays": ["```inline``` stays"],
    "`x = 1` is code": ["`x = 1` is code"],
    "": [],
}


def read(text, cuts=()):
    """What comes of the text, cut at these places; neighbouring texts are one."""
    markdown, taken, edges = Markdown(), [], [0, *sorted(cuts), len(text)]
    for start, end in pairwise(edges):
        taken += markdown.feed(text[start:end])
    taken += markdown.flush()
    joined = []
    for piece in taken:
        if joined and isinstance(piece, str) and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


@pytest.mark.parametrize(("written", "read_as"), CASES.items(), ids=lambda case: repr(case)[:30])
def test_markup_is_taken_out_however_it_is_cut(written, read_as):
    assert read(written) == read_as
    assert read(written, range(1, len(written))) == read_as  # character by character
    for seed in range(20):
        cuts = random.Random(seed).sample(range(len(written) + 1), min(4, len(written)))
        assert read(written, cuts) == read_as


def test_plain_words_are_not_held_back():
    markdown = Markdown()
    assert markdown.feed("Hel") == ["Hel"]
    assert markdown.feed("lo") == ["lo"]


def test_a_block_of_code_is_told_of_as_soon_as_it_begins():
    markdown = Markdown()
    assert markdown.feed("```python\nprint(") == [Code("```python\n", opens=True)]


@pytest.mark.parametrize(
    "text",
    [
        *(sign * 50_000 for sign in "[|#*a"),
        *(some * 20_000 for some in ("![", "> ", "```\n", "```", "- ", "[a](", "\n", "- [ ")),
        "[a](b(c" * 10_000,
        "```\n" + "a " * 20_000,
    ],
    ids=lambda text: repr(text[:6]),
)
def test_hostile_markdown_is_read_in_time(text):
    begun = time.process_time()
    markdown = Markdown()
    for start in range(0, len(text), 50):
        markdown.feed(text[start : start + 50])
    markdown.flush()
    assert time.process_time() - begun < 10


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("**bold** and *it*, __too__.", "bold and it, too."),
        ("`code` and ~~gone~~", "code and gone"),
        ("snake_case and 3 * 4", "snake_case and 3 * 4"),
        ("**bold", "bold"),
    ],
)
def test_emphasis_is_taken_out_of_any_piece(written, spoken):
    assert plain(written) == spoken
