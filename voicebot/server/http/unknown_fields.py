"""What a client says beyond what we know: ignored, and named to it and to the log.

Programs send the options of whatever server they were written for. What we do not know is left
out, null is the default, and an option that would change the answer and cannot be followed is
part of a schema, so that it is refused.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .json_schema import Schema, or_null

log = logging.getLogger(__name__)

NAMED = 20
"""Ignored names that one answer tells: a body may hold thousands."""
MAX_NAME_CHARACTERS = 60
"""Characters of such a name that are told."""
LOGGED_SETS = 200
"""Sets of names that were logged, so that a program that asks all day is logged once."""


def body(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    """An object with these properties, of which the optional ones may be null, and any others."""
    given = {name: _nullable(schema) for name, schema in (optional or {}).items()}
    return {"type": "object", "required": [*required], "properties": required | given}


def _nullable(schema: Schema) -> Schema:
    null: Schema = {"type": "null"}
    if schema == null or null in schema.get("anyOf", ()):
        return schema
    if "anyOf" in schema:
        return schema | {"anyOf": [*schema["anyOf"], null]}
    about = {key: schema[key] for key in ("description", "default") if key in schema}
    return or_null({key: schema[key] for key in schema if key not in about}, **about)


def understood(value: Any, schema: Schema, ignored: set[str], path: str = "") -> Any:
    """`value` less the properties that `schema` does not know, and those that are null.

    ignored: gets the paths of the unknown ones, as "messages[].colour".
    """
    if isinstance(value, list):
        items = [s["items"] for s in _choices(schema) if s.get("type") == "array"]
        if not items:
            return value
        one = _any(items)
        return [understood(item, one, ignored, f"{path}[]") for item in value]
    objects = [s for s in _choices(schema) if s.get("type") == "object" and "properties" in s]
    if not isinstance(value, dict) or not objects:
        return value
    before = f"{path}." if path else ""
    kept: dict[str, Any] = {}
    for name, item in value.items():
        known = [s["properties"][name] for s in objects if name in s["properties"]]
        if item is None and not any(name in s["required"] for s in objects):
            continue
        if known:
            kept[name] = understood(item, _any(known), ignored, before + name)
        elif len(ignored) < NAMED:
            ignored.add((before + name)[:MAX_NAME_CHARACTERS])
    return kept


def _choices(schema: Schema) -> list[Schema]:
    found: list[Schema] = schema.get("anyOf") or [schema]
    return found


def _any(schemas: list[Schema]) -> Schema:
    first, *others = schemas
    if not others:
        return first
    return {"anyOf": [choice for schema in schemas for choice in _choices(schema)]}


def tell(scope: Scope, ignored: set[str]) -> None:
    """Have the answer to this request name what was ignored of it."""
    scope.setdefault("ignored", set()).update(ignored)


class UnknownFieldsMiddleware:
    """ASGI middleware: `x-voicebot-ignored` on the answer, and a line in the log, name what was
    ignored of a request; of what comes over a websocket, the line alone."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._logged: set[tuple[str, str]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        ignored: set[str] = scope.setdefault("ignored", set())

        async def named(message: Message) -> None:
            if ignored and message["type"] in ("http.response.start", "websocket.send"):
                names = ", ".join(sorted(_ascii(name) for name in ignored))
                if message["type"] == "http.response.start":
                    MutableHeaders(scope=message)["x-voicebot-ignored"] = names
                ignored.clear()  # the next message of a websocket may have others
                self._log(scope["path"], names)
            await send(message)

        return await self._app(scope, receive, named)

    def _log(self, path: str, names: str) -> None:
        if (path, names) in self._logged or len(self._logged) >= LOGGED_SETS:
            return
        self._logged.add((path, names))
        log.info("%s: fields that are not known here were ignored: %s", path, names)


def _ascii(text: str) -> str:
    """The text as a header and a line of a log may hold it."""
    return re.sub(r"[^ -~]", "?", text).strip() or "?"
