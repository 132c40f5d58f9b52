"""A Realtime conversation holds so much text and no more, however it is cut into items."""

import pytest

from voicebot.server.realtime.fields import ProtocolError
from voicebot.server.realtime.items import (
    MAX_ITEMS,
    MAX_TEXT_CHARACTERS,
    WRITTEN,
    Item,
    Items,
    Part,
)


def message(number):
    return Item(
        f"item_{number}", role="user", content=[Part("input_text", "x" * MAX_TEXT_CHARACTERS)]
    )


def output(number):
    call = {"call_id": "a", "output": "x" * MAX_TEXT_CHARACTERS}
    return Item(f"item_{number}", type="function_call_output", call=call)


def _fill(items):
    for number in range(MAX_ITEMS, 2 * MAX_ITEMS):
        items.add(message(number))


@pytest.mark.parametrize("item", [message, output])
def test_text_beyond_what_a_conversation_may_hold_is_refused(item):
    items = Items()
    items.add(item(0))
    with pytest.raises(ProtocolError) as refused:
        _fill(items)
    assert refused.value.code == "too_many_characters"
    assert sum(each.characters for each in items) <= WRITTEN
    items.delete("item_0")
    items.add(item(0))
