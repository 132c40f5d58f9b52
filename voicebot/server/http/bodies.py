"""What a client sends, read no farther than it may go and checked against its schema."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NoReturn

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Scope

from ..auth.middleware import quota
from ..errors import ApiError
from .json_marks import exceeds
from .json_schema import Schema, problem
from .unknown_fields import tell, understood

UPLOAD = 25 * 2**20
"""Bytes of a recording, as at OpenAI: 13 minutes of CD sound, a day of telephone Opus."""
FORM = 64 * 2**10
"""Bytes beside the recording in a form: its other fields and what is between them."""
DOCUMENT = 2**20
"""Bytes of a JSON body: a very long conversation."""
PARTS = 50_000
"""Objects and arrays in a JSON body. The parser keeps everybody waiting while it makes them, some
30 ms for so many; 1000 messages of 16 parts are fewer."""
LARGE = 32 * 2**10
"""Bytes from which on a JSON body is read and checked on a thread."""
QUIET_S = 30.0
"""Seconds without a byte after which a client that was sending is given up."""
PACE = 32 * 2**10
"""Bytes a second that a body comes at, those seconds aside: a poor telephone's. Who sends slower
holds a place that others want."""


async def document(
    request: Request,
    schema: Schema,
    most: int = DOCUMENT,
    sound: Callable[[dict[str, Any]], int] | None = None,
) -> dict[str, Any]:
    """The JSON object in the body, less what is null or not known to the schema.

    most: bytes of the body.
    sound: of a conversation, how many of them are sound; the rest may be DOCUMENT.

    Raises:
        ApiError: it is too large, no JSON, or not as the schema says.
    """
    _expect(request, "application/json")
    body = await limited(request, most).body()
    if len(body) < LARGE:
        return _document(request, body, schema)
    # Other conversations go on meanwhile.
    fields = await asyncio.to_thread(_document, request, body, schema)
    if sound and len(body) - sound(fields) > DOCUMENT:
        says = f"the conversation is longer than {DOCUMENT} bytes; shorten it"
        raise ApiError(400, says, param="messages", code="context_length_exceeded")
    return fields


def _document(request: Request, body: bytes, schema: Schema) -> dict[str, Any]:
    fields: dict[str, Any] = checked(request.scope, parsed(body), schema)
    return fields


def parsed(body: bytes, name: str = "the body") -> Any:
    """The value that a JSON text stands for. name: what errors call it.

    Raises:
        ApiError: it is no JSON, or holds more than could be read while others wait.
    """
    if exceeds(body, "{[", PARTS):
        raise ApiError(
            400, f"{name} holds more than {PARTS} objects and arrays", code="too_many_parts"
        )
    try:
        # NaN and the infinities are Python's idea of JSON only.
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"{name} is no JSON: {error}") from error


@asynccontextmanager
async def form(request: Request, schema: Schema) -> AsyncIterator[dict[str, Any]]:
    """The fields of a multipart body, numbers and booleans read as the schema says.

    A file is an UploadFile, on disk if it is large, and is gone when the block ends.

    Raises:
        ApiError: it is too large, no form, or not as the schema says.
    """
    _expect(request, "multipart/form-data")
    try:
        sent = limited(request, UPLOAD + FORM).form(max_files=1, max_fields=40, max_part_size=FORM)
        async with AsyncExitStack() as kept:
            try:
                received = await kept.enter_async_context(sent)
            except OSError as error:  # the disk for temporary files is full, or cannot be written
                raise ApiError(
                    507, f"there is no room for the file on this machine ({error.strerror})"
                ) from error
            fields: dict[str, Any] = {}
            for sent_as in received:
                # An empty field is one that a page has and nobody filled in.
                values = [value for value in received.getlist(sent_as) if value != ""]
                if not values:
                    continue
                listed = f"{sent_as}[]"
                name = listed if listed in schema["properties"] else sent_as
                known = schema["properties"].get(name, {"type": "array"})
                if known["type"] == "array":
                    fields[name] = values
                elif len(values) > 1:
                    raise ApiError(400, f"{name} is there {len(values)} times", param=name)
                else:
                    fields[name] = _read(values[0], known)
            if isinstance(fields.get("file"), str):
                raise ApiError(400, "file should be a file, not a text", param="file")
            shown = {k: "" if isinstance(v, UploadFile) else v for k, v in fields.items()}
            known_ones = checked(request.scope, shown, schema)
            yield {name: fields[name] for name in known_ones}
    except HTTPException as error:  # what the parser cannot read
        raise ApiError(400, f"the body is no form: {error.detail}") from error


def content_type(request: Request) -> str:
    """What the body is said to be, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _expect(request: Request, kind: str) -> None:
    sent = content_type(request)
    if sent != kind:
        raise ApiError(
            415, f"the body should be {kind}, not {sent or 'of no type'}", code="content_type"
        )


def limited(request: Request, most: int) -> Request:
    """The same request, whose body is read as long as it is no larger than that, nor than its key
    may send, and keeps coming.

    Raises:
        ApiError: it says itself that it is larger. Whoever reads it may be told so, too.
    """
    most = quota(request.scope).limits.upload(most)
    told = request.headers.get("content-length", "")
    if told.isdecimal() and int(told) > most:
        _too_large(most)
    received, begun = 0, asyncio.get_running_loop().time()

    async def receive() -> Message:
        nonlocal received
        try:
            async with asyncio.timeout(QUIET_S):
                message = await request.receive()
        except TimeoutError as error:
            raise ApiError(408, f"nothing came for {QUIET_S:g} s") from error
        received += len(message.get("body", b""))
        if received > most:
            _too_large(most)
        late = asyncio.get_running_loop().time() - begun - QUIET_S - received / PACE
        if late > 0 and message.get("more_body"):
            raise ApiError(408, f"the body comes slower than {PACE} bytes a second")
        return message

    return Request(request.scope, receive)


def _too_large(most: int) -> NoReturn:
    raise ApiError(413, f"the body is larger than {most} bytes", code="too_large")


def checked(scope: Scope, value: Any, schema: Schema) -> Any:
    """The value, less what is null or not known to the schema.

    Raises:
        ApiError: it is not as the schema says.
    """
    ignored: set[str] = set()
    known = understood(value, schema, ignored)
    tell(scope, ignored)
    if found := problem(known, schema):
        path, wrong = found
        if ignored and wrong.endswith(" is missing"):  # it may be one of those, misspelt
            wrong += f"; not known here: {', '.join(sorted(ignored))}"
        raise ApiError(400, wrong, param=path or None)
    return known


def _read(value: Any, schema: Schema) -> Any:
    """A form's text as the number or truth it stands for; as it is where it stands for none."""
    if not isinstance(value, str):
        return value
    try:
        if schema["type"] == "number":
            return float(value)
        if schema["type"] == "boolean":
            return {"true": True, "false": False, "1": True, "0": False}[value.lower()]
    except (ValueError, KeyError):
        pass
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number there")
