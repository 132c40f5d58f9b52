"""Which JSON Schemas become a grammar of a reply: what cannot be kept to is refused."""

import pytest

from voicebot.engines import Tool
from voicebot.engines.chat.tool_calls import HERMES
from voicebot.engines.llama.grammar import gbnf, gbnf_of_json

NAMED = {"type": "object", "properties": {"a\0b": {"type": "string"}}, "required": ["a\0b"]}


def grammar(schema, valid=lambda text: True, **more):
    return gbnf_of_json(schema, valid, **more)


@pytest.mark.parametrize(
    "schema",
    [
        NAMED,
        {"type": "array", "items": NAMED},
        {"enum": ['a"b']},
        {"type": "object", "properties": {"a": {"const": "c\\d"}}},
        {"enum": [f"value {number}" for number in range(20_000)]},
        {"$ref": "#/nowhere"},
        {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {"type": "nonsense"},
    ],
    ids=["name", "deep name", "choice", "deep choice", "long", "nowhere", "loop", "nonsense"],
)
def test_a_schema_that_no_grammar_keeps_to_makes_none(schema):
    pytest.importorskip("llama_cpp")
    assert grammar(schema) is None


def test_a_function_whose_names_no_grammar_holds_takes_any_object():
    pytest.importorskip("llama_cpp")
    made = gbnf([Tool("f", parameters=NAMED)], HERMES, lambda text: True)
    assert "u0000" not in made
    assert made.startswith("root ::= ")


def test_characters_outside_the_first_plane_are_whole():
    pytest.importorskip("llama_cpp")
    made = grammar({"enum": ["\N{GRINNING FACE}"]})
    assert "0001F600" in made.upper()
    assert "ud83d" not in made.lower()


def test_what_the_library_does_not_parse_makes_none():
    pytest.importorskip("llama_cpp")
    assert grammar({"type": "string"}, valid=lambda text: False) is None


def test_beside_functions_a_call_may_be_written_instead():
    pytest.importorskip("llama_cpp")
    made = grammar({"type": "string"}, opening="</think>\n\n", calls='root ::= "f" x\nx ::= "y"')
    first, *rules = made.splitlines()
    assert first == r'root ::= "</think>\n\n" json-root | call-root'
    assert 'call-root ::= "f" call-x' in rules
    assert 'call-x ::= "y"' in rules
