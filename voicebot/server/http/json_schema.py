"""Check a value against the part of JSON Schema that our API is described in.

The same schemas are published in /openapi.json: what it says of a field is what is checked.
"""

from __future__ import annotations

import json
import math
import re
import reprlib
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, TypeAlias

Schema: TypeAlias = dict[str, Any]


def record(
    required: dict[str, Schema], optional: dict[str, Schema] | None = None, *, closed: bool = False
) -> Schema:
    """An object with these properties, and with others unless it is `closed`."""
    properties = required | (optional or {})
    schema: Schema = {"type": "object", "required": [*required], "properties": properties}
    return schema | {"additionalProperties": False} if closed else schema


def listed(items: Schema, least: int = 0, most: int | None = None) -> Schema:
    bound = {} if most is None else {"maxItems": most}
    return {"type": "array", "items": items, "minItems": least, **bound}


def one_of(*words: str) -> Schema:
    return {"type": "string", "enum": [*words]}


def or_null(schema: Schema, **about: Any) -> Schema:
    return {"anyOf": [schema, {"type": "null"}], **about}


Problem: TypeAlias = tuple[str, str]
"""The path of the wrong value, as "messages[0].role", and what is wrong with it."""

SHOWN = 60
"""Characters of a wrong value that are quoted."""
COMPARED = 8
"""Problems of a value that are looked for to see which of several schemas it is most like. To find
all of them would take a body of a megabyte, full of them, seconds."""

_HALF = re.compile("[\ud800-\udfff]")
_QUOTE = reprlib.Repr()
_QUOTE.maxlevel, _QUOTE.maxlist, _QUOTE.maxdict = 4, 20, 20
_QUOTE.maxstring = _QUOTE.maxlong = _QUOTE.maxother = 4 * SHOWN


def has_half(value: Any) -> bool:
    """Whether a text anywhere in a JSON value holds a lone surrogate, which no answer can."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of over 308 digits, which no float can hold
        return False


_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "number": _is_number,
    "integer": lambda value: _is_number(value) and value == int(value),
    "null": lambda value: value is None,
}


def problem(value: Any, schema: Schema, path: str = "") -> Problem | None:
    """The first thing about `value` that is not as `schema` says; None if all is."""
    return next(_problems(value, schema, path), None)


def _problems(value: Any, schema: Schema, path: str) -> Iterator[Problem]:
    if choices := schema.get("anyOf"):
        # The one of its type says best what is wrong with it.
        near = [s for s in choices if _TYPES[s["type"]](value)]
        if not near:
            kinds = " or ".join(s["type"] for s in choices)
            yield path, f"{_called(path)} should be {kinds}, not {_shown(value)}"
        elif all(problem(value, s, path) for s in near):
            # Of several of its type, the one that it is most like.
            found = ([*islice(_problems(value, s, path), COMPARED)] for s in near)
            yield from min(found, key=len)
        return
    kind = schema["type"]
    if not _TYPES[kind](value):
        yield path, f"{_called(path)} should be {kind}, not {_shown(value)}"
        return
    if "enum" in schema and value not in schema["enum"]:
        choices = ", ".join(map(str, schema["enum"]))
        among = "one of " if len(schema["enum"]) > 1 else ""
        yield path, f"{_called(path)} should be {among}{choices}, not {_shown(value)}"
    yield from _PARTS.get(kind, _no_parts)(value, schema, path)


def _no_parts(value: Any, schema: Schema, path: str) -> Iterator[Problem]:
    yield from ()


def _number(value: float, schema: Schema, path: str) -> Iterator[Problem]:
    if value < (least := schema.get("minimum", -math.inf)):
        yield path, f"{_called(path)} should be at least {least}, not {value}"
    if value > (most := schema.get("maximum", math.inf)):
        yield path, f"{_called(path)} should be at most {most}, not {value}"


def _string(value: str, schema: Schema, path: str) -> Iterator[Problem]:
    if len(value) < (least := schema.get("minLength", 0)):
        yield path, f"{_called(path)} should have at least {least} characters, not {len(value)}"
    if len(value) > (most := schema.get("maxLength", math.inf)):
        yield path, f"{_called(path)} should have at most {most} characters, not {len(value)}"
    if _HALF.search(value):
        yield path, f"{_called(path)} holds half a character (a lone surrogate)"


def _array(value: list[Any], schema: Schema, path: str) -> Iterator[Problem]:
    if len(value) < (least := schema.get("minItems", 0)):
        yield path, f"{_called(path)} should hold at least {least}, not {len(value)}"
    if len(value) > (most := schema.get("maxItems", math.inf)):
        yield path, f"{_called(path)} should hold at most {most}, not {len(value)}"
    for index, item in enumerate(value):
        yield from _problems(item, schema["items"], f"{path}[{index}]")


def _object(value: dict[str, Any], schema: Schema, path: str) -> Iterator[Problem]:
    before = f"{path}." if path else ""
    known = schema.get("properties", {})
    if not known and has_half(value):
        yield path, f"{_called(path)} holds half a character (a lone surrogate)"
    for name, item in value.items():
        if name in known:
            yield from _problems(item, known[name], before + name)
        elif not schema.get("additionalProperties", True):
            now = schema.get("x-replaced", {}).get(name)
            instead = f"say {now}" if now else f"there is {', '.join(known)}"
            yield before + name, f"{_called(before + name)} is not known here; {instead}"
    # Last: a part of another type, or a misspelt name, says better what is wrong.
    for name in schema.get("required", ()):
        if name not in value:
            yield before + name, f"{_called(before + name)} is missing"


_PARTS: dict[str, Callable[[Any, Schema, str], Iterator[Problem]]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "number": _number,
    "integer": _number,
}


def _called(path: str) -> str:
    return _shown(path).strip("'") if path else "the body"


def _shown(value: Any) -> str:
    text = _QUOTE.repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
