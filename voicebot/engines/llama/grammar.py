"""Grammars, in GBNF, of what may be written whatever the model: a call, or JSON of a schema."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .. import Tool
from ..chat.tool_calls import Layout

logger = logging.getLogger(__name__)

SIZES = ("minLength", "maxLength", "minItems", "maxItems")
MAX_REPETITIONS = 128
"""Repetitions that a schema may demand or limit. Each is spelled out: a million would hang us."""
ANY = {"type": "object"}

CHOICES = ("enum", "const")
MAX_GRAMMAR_CHARACTERS = 32_000
"""Characters of a schema's grammar. With 240,000, an enum of 20,000, a token took 3 s, which other
replies would wait."""

_HALVES = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_QUOTED_OR_NAME = re.compile(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|[a-zA-Z][a-zA-Z0-9-]*')


def gbnf(
    tools: Sequence[Tool], layout: Layout, valid: Callable[[str], bool], opening: str = ""
) -> str:
    """The grammar of `opening` and one call to one of the tools, with a rule `root`.

    The arguments follow the tool's schema where that can be put as a grammar `valid` accepts, and
    are any object else. Patterns are not enforced.
    """
    calls, rules = [], []
    for i, tool in enumerate(tools):
        prefix = f"tool{i}-"
        before, after = opening + layout.before + tool.name + layout.between, layout.after
        calls.append(f"{_literal(before)} {prefix}root {_literal(after)}")
        rules.append(_prefixed(_arguments(tool, valid), prefix))
    return "\n".join([f"root ::= {' | '.join(calls)}", *rules])


def gbnf_of_json(
    schema: Mapping[str, Any],
    valid: Callable[[str], bool],
    opening: str = "",
    calls: str = "",
) -> str | None:
    """The grammar of `opening` and JSON that follows the schema; None where that makes no grammar.

    calls: a grammar of what may be written instead, as `gbnf` makes it.

    Patterns and sizes above MOST are not enforced.
    """
    rules = None if _has_escaped_choice(dict(schema)) else _rules(schema, valid)
    if rules is None:
        return None
    lines = [_prefixed(rules, "json-")]
    written = f"{_literal(opening)} json-root" if opening else "json-root"
    if calls:
        lines.append(_prefixed(calls, "call-"))
        written += " | call-root"
    grammar = "\n".join([f"root ::= {written}", *lines])
    return grammar if valid(grammar) else None


def _arguments(tool: Tool, valid: Callable[[str], bool]) -> str:
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    rules = _rules({"type": "object", "properties": {}, **tool.parameters}, valid)
    return str(json_schema_to_gbnf(json.dumps(ANY))) if rules is None else rules


def _rules(schema: Mapping[str, Any], valid: Callable[[str], bool]) -> str | None:
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    try:
        bounded = _bounded(dict(schema))
        if _has_escaped_name(bounded):
            return None
        rules = _whole_characters(json_schema_to_gbnf(json.dumps(bounded)))
        if len(rules) <= MAX_GRAMMAR_CHARACTERS and valid(rules):
            return rules
    except Exception:  # anything may be wrong with a schema, or unknown to the library
        logger.debug("the schema makes no grammar", exc_info=True)
    return None


def _bounded(schema: Any) -> Any:
    """The schema less what would make its grammar huge, or wrong."""
    if isinstance(schema, list):
        return [_bounded(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _bounded(value) for key, value in schema.items() if not _left_out(key, value)}


def _has_escaped_name(schema: Any) -> bool:
    """Whether a name in it has what JSON escapes. The library does not escape it again: a grammar
    with a NUL in a name would end the process when a reply reaches it."""
    return _has(schema, lambda part: _is_escaped([*part]))


def _has_escaped_choice(schema: Any) -> bool:
    """Whether it has choices that no grammar is made of."""
    return _has(schema, lambda part: any(_left_out(k, part[k]) for k in CHOICES if k in part))


def _has(schema: Any, test: Callable[[dict[str, Any]], bool]) -> bool:
    if isinstance(schema, list):
        return any(_has(item, test) for item in schema)
    if not isinstance(schema, dict):
        return False
    return test(schema) or any(_has(item, test) for item in schema.values())


def _is_escaped(value: Any) -> bool:
    return "\\" in json.dumps(value, ensure_ascii=False)


def _whole_characters(grammar: str) -> str:
    """The grammar with one escape for each character: of two halves a model makes no UTF-8."""

    def whole(found: re.Match[str]) -> str:
        high, low = (int(half, 16) for half in found.groups())
        return f"\\U{0x10000 + ((high - 0xD800) << 10) + low - 0xDC00:08X}"

    return _HALVES.sub(whole, grammar)


def _left_out(key: str, value: Any) -> bool:
    if key in SIZES:
        return isinstance(value, int) and value > MAX_REPETITIONS
    if key in CHOICES:  # the library does not escape what JSON has escaped
        return _is_escaped(value)
    return key == "pattern" and isinstance(value, str)  # and no property of that name


def _prefixed(grammar: str, prefix: str) -> str:
    return _QUOTED_OR_NAME.sub(
        lambda found: prefix + found[0] if found[0][0].isalpha() else found[0], grammar
    )


def _literal(text: str) -> str:
    escaped = text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'"{escaped}"'
