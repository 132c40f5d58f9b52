"""A line of the log: for people or for programs, without secrets and without what was said."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import textwrap
from datetime import UTC, datetime
from typing import Any

from ..errors import EngineError, Quoting
from ..standard_streams import printable

_SECRET = re.compile(
    r"(Bearer\s+|openai-insecure-api-key\.|\bvb-|\bek_|\bsk-|\bhf_|\"token\\?\":\s*\\?\")"
    r"[\w.~+/=-]{16,}"
)
"""A key, or a token that resumes a conversation, as a header or a message has it. Nothing of ours
logs one; the libraries that carry them do, when asked for every detail."""

SPOKEN = ("heard", "said", "reached")
"""Of a turn's record, what people said and were told."""


def hidden(line: str) -> str:
    """The line without the secrets in it."""
    return _SECRET.sub(r"\1***", line)


def bare(value: object) -> object:
    """The text or failure without what it quotes, or else itself."""
    return value.bare if isinstance(value, Quoting | EngineError) else value


def redacted(turn: dict[str, Any]) -> dict[str, Any]:
    """A turn's record with only the length and a hash of what was said.

    The hash tells whoever has the text that it is the same; a word or two can be guessed from it.
    """
    return {key: _measured(v) if key in SPOKEN else bare(v) for key, v in turn.items()}


def _measured(text: str) -> dict[str, Any]:
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]
    return {"words": len(text.split()), "characters": len(text), "sha256": digest}


class TextFormatter(logging.Formatter):
    """One line, and a traceback set in below it: nobody can write a line of their own."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record).rstrip()
        if not line.isprintable():  # else a client could forge lines, or steer a terminal
            line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
        request: str = getattr(record, "request", "")
        return f"{line} [{request}]" if request else line

    def format(self, record: logging.LogRecord) -> str:
        line, _, traceback = super().format(record).partition("\n")
        below = f"\n{textwrap.indent(traceback, '  ')}" if traceback else ""
        return hidden(line + below)


class JsonFormatter(logging.Formatter):
    """One JSON object a line.

    transcripts: write down what was said.
    """

    def __init__(self, *, transcripts: bool = False) -> None:
        super().__init__()
        self._transcripts = transcripts

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "at": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage().rstrip(),
        }
        if request := getattr(record, "request", ""):
            line["request"] = request
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            line["error"] = record.exc_text
        if turn := getattr(record, "turn", None):
            line["turn"] = turn if self._transcripts else redacted(turn)
        return printable(hidden(json.dumps(line, ensure_ascii=False, default=str)))
