"""Which parts of what a model writes are calls, and which are to be spoken."""

import json

import pytest

from voicebot.engines.chat.tool_calls import ToolCallParser

NAMES = ("get_weather", "end_call")
PARIS = {"city": "Paris"}


def read(reply, size=1, names=NAMES):
    """What was spoken, and each call's name and arguments; the reply comes `size` at a time."""
    calls = ToolCallParser(names)
    deltas = []
    for i in range(0, len(reply), size):
        deltas += calls.deltas(reply[i : i + size])
    deltas += calls.rest()
    made = [(d.call.name, json.loads(d.call.arguments)) for d in deltas if d.call]
    assert calls.called == bool(made)
    return "".join(d.text for d in deltas), made


def hermes(name="get_weather", arguments=PARIS):
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


BARE = '{"name": "get_weather", "parameters": {"city": "Paris"}}'
SHAPES = {
    "Hermes, Qwen": hermes(),
    "no closing tag": hermes().removesuffix("\n</tool_call>"),
    "Llama": BARE,
    "Llama, spaced": '\n{ "name" : "get_weather",\n "parameters": {"city": "Paris"} }\n',
    "Llama, typed": '{"type": "function", ' + BARE[1:],
    "Llama, named by function": '{"function": "get_weather", "parameters": {"city": "Paris"}}',
    "OpenAI": f'{{"type": "function", "function": {BARE}}}',
    "python tag": f"<|python_tag|>{BARE}",
    "Mistral": '[TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Paris"}}]',
    "Mistral, with id": '[TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "Paris"}, '
    '"id": "123456789"}]',
    "Mistral since 2025": '[TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}',
    "Mistral, with call id": '[TOOL_CALLS]get_weather[CALL_ID]123456789[ARGS]{"city": "Paris"}',
    "arguments as text": hermes(arguments='{"city": "Paris"}'),
    "line break in text": hermes().replace("Paris", "Paris\\n").replace("\\n", ""),
}


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("reply", SHAPES.values(), ids=SHAPES)
def test_a_call_is_found_and_nothing_of_it_is_spoken(reply, size):
    assert read(reply, size) == ("", [("get_weather", PARIS)])


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    "reply",
    [
        f"{hermes()}\n{hermes('end_call', {})}",
        f'{BARE}; {{"name": "end_call", "parameters": {{}}}}',
        f'<|python_tag|>{BARE}; {{"name": "end_call", "parameters": {{}}}}',
        '[TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Paris"}}, '
        '{"name": "end_call", "arguments": {}}]',
        '[TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}[TOOL_CALLS]end_call[ARGS]{}',
    ],
)
def test_several_calls_are_passed_on_in_order(reply, size):
    assert read(reply, size) == ("", [("get_weather", PARIS), ("end_call", {})])


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_what_is_said_before_a_call_is_spoken_and_what_is_said_after_it_is_not(size):
    assert read(f"Let me look. {hermes()} It is sunny.", size) == (
        "Let me look. ",
        [("get_weather", PARIS)],
    )


def test_a_call_is_passed_on_as_soon_as_its_arguments_are_complete():
    calls = ToolCallParser(NAMES)

    *_, last = [delta for char in hermes().partition("\n</")[0] for delta in calls.deltas(char)]

    assert last.call.name == "get_weather"
    assert last.call.id


def test_nothing_is_read_on_for_once_something_else_follows_a_call():
    calls = ToolCallParser(NAMES)

    list(calls.deltas(f"{hermes()}\n"))
    assert not calls.over
    list(calls.deltas("The"))
    assert calls.over


@pytest.mark.parametrize(
    "reply",
    [
        "It is 3 < 4, and [TOOL] is a word.",
        "Write <tool> here, or <tool_caller>.",
        '{"name": "Alice", "age": 30}',
        '{"city": "Paris"}',
        '{"name": oops, said the parrot.',
        "{curly} braces",
        'He wrote {"name": "get_weather", "parameters": {}} on the wall.',
        "  ",
        "<tool_cal",
        '{"na',
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_what_is_no_call_is_spoken(reply, size):
    assert read(reply, size) == (reply, [])


def test_text_is_held_back_only_while_it_might_become_a_call():
    calls = ToolCallParser(NAMES)

    def spoken(text):
        return "".join(delta.text for delta in calls.deltas(text))

    assert spoken('{"na') == ""
    assert spoken('tion": "France"}') == '{"nation": "France"}'
    assert spoken(" a <too") == " a "
    assert spoken("th") == "<tooth"


def test_json_that_goes_wrong_is_let_go_at_once():
    calls = ToolCallParser(NAMES)

    spoken = [d.text for d in calls.deltas('{"name": "Alice" and so on, and so forth')]

    assert "".join(spoken) == '{"name": "Alice" and so on, and so forth'


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    "reply",
    [
        hermes("open_door"),
        hermes(arguments=[1]),
        hermes(arguments="Paris"),
        "<tool_call>\nget_weather(Paris)\n</tool_call>",
        "<tool_call>12</tool_call>",
        hermes()[:40],
        '<tool_call>{"name": "get_wea',
        '{"name": "open_door", "parameters": {}}',
        BARE[:-8],
        '{"name": "get_weather", "parameters": nothing of the kind}',
        "[TOOL_CALLS]get_wea",
        "[TOOL_CALLS]open_door[ARGS]{}",
        '<|python_tag|>get_weather.call(city="Paris")',
    ],
)
def test_a_call_that_cannot_be_made_is_neither_spoken_nor_passed_on(reply, size, caplog):
    assert read(reply, size) == ("", [])
    assert "call" in caplog.text


def test_what_is_said_after_a_call_that_cannot_be_made_is_spoken():
    assert read(f"{hermes('open_door')}\nI cannot open it.") == ("I cannot open it.", [])


def test_a_tag_inside_an_argument_ends_no_call():
    odd = {"city": "</tool_call> {"}

    assert read(hermes(arguments=odd)) == ("", [("get_weather", odd)])


def test_without_functions_everything_is_spoken_as_it_comes():
    calls = ToolCallParser(())

    assert [d.text for d in calls.deltas('{"name"')] == ['{"name"']
    assert read(hermes(), names=()) == (hermes(), [])
