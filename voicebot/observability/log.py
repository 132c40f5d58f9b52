"""The log: whoever logs puts a record into a bounded queue, and a thread writes it.

So neither a slow disk nor a reader that has stopped reading holds up a conversation: lines that
do not fit are lost, and their number is told once there is room again.
"""

from __future__ import annotations

import faulthandler
import hashlib
import io
import json
import logging
import os
import re
import sys
import textwrap
from contextlib import suppress
from copy import copy
from datetime import UTC, datetime
from logging.handlers import QueueHandler, RotatingFileHandler
from queue import Full, Queue
from threading import Thread
from typing import TYPE_CHECKING, Any

from .. import context
from ..errors import ConfigError, EngineError, Quoting
from ..standard_streams import ESCAPED, printable

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


if TYPE_CHECKING:
    from ..config import LogSettings

WAITING = 4096
"""Lines that may wait to be written. More outlasts a slower disk, at about 1 kB each."""
LAST_S = 2.0
"""Seconds that the last lines may take when we end."""

_OURS = "voicebot"
_DETAILED = "%(name)s: %(message)s"
_DATED = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_PLAIN = logging.Formatter()


class Log:
    """The log of this process, from `with` to its end.

    verbose: tell every detail on standard error, of the libraries too; otherwise only warnings.
    """

    def __init__(self, *, verbose: bool = False) -> None:
        terminal = logging.StreamHandler()
        terminal.setFormatter(TextFormatter(_DETAILED if verbose else "voicebot: %(message)s"))
        terminal.setLevel(logging.DEBUG if verbose else logging.WARNING)
        self._terminal, self._verbose = terminal, verbose
        self._deferred = ThreadedHandler(terminal)

    def keep(self, settings: LogSettings) -> None:
        """Write it down from now on, as these settings say.

        Raises:
            ConfigError: the file cannot be written.
        """
        # Standard error may be kept, too: by a service manager.
        self._deferred.quotes = settings.transcripts or self._verbose
        if not settings.file:
            return
        level = logging.getLevelNamesMapping()[settings.level.upper()]
        written = self._terminal if settings.file == "-" else _opened(settings)
        as_json = settings.format == "json"
        written.setFormatter(
            JsonFormatter(transcripts=settings.transcripts) if as_json else TextFormatter(_DATED)
        )
        if not self._verbose or written is not self._terminal:
            written.setLevel(level)
            written.addFilter(_worth_keeping)
        if written is not self._terminal:
            self._deferred.also(written)
        logging.getLogger(_OURS).setLevel(logging.DEBUG if self._verbose else level)

    def __enter__(self) -> Log:
        root = logging.getLogger()
        root.addHandler(self._deferred)
        root.setLevel(logging.DEBUG if self._verbose else logging.WARNING)
        return self

    def __exit__(self, *error: object) -> None:
        root = logging.getLogger()
        root.removeHandler(self._deferred)
        root.setLevel(logging.WARNING)
        logging.getLogger(_OURS).setLevel(logging.NOTSET)
        self._deferred.close()


def _worth_keeping(record: logging.LogRecord) -> bool:
    # The details of libraries hold what clients send, word for word.
    return record.levelno >= logging.WARNING or record.name.partition(".")[0] == _OURS


def _opened(settings: LogSettings) -> logging.Handler:
    try:
        return _File(settings)
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(f"[log] file {settings.file}: cannot be written ({reason})") from error


class _File(RotatingFileHandler):
    def __init__(self, settings: LogSettings) -> None:
        size, keep = settings.size_mb * 10**6, settings.keep
        super().__init__(settings.file, "a", size, keep, "utf-8", errors="backslashreplace")
        self._complained = False
        self._lost = 0
        self._why: BaseException | None = None

    def _open(self) -> io.TextIOWrapper:
        # Even without transcripts it tells who talked, and when: to its owner alone.
        file = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        stream = open(file, "a", encoding=self.encoding, errors=self.errors)
        # Whoever looks for why we ended looks here. It keeps the number of the file only.
        faulthandler.enable(stream)
        return stream

    def close(self) -> None:
        if sys.__stderr__:
            faulthandler.enable(sys.__stderr__)
        else:
            faulthandler.disable()
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        lost = self._lost
        super().emit(record)
        if lost and self._lost == lost:  # there is room again
            self._lost = 0
            # What was still in a buffer is not lost.
            super().emit(_loss(f"up to {lost}", self._why))

    def doRollover(self) -> None:
        try:
            super().doRollover()
        except OSError as error:
            # It may be the only file that we may write. Better too large a log than none.
            self._complain("begun anew", error)

    def handleError(self, record: logging.LogRecord) -> None:
        self._lost += 1
        self._why = sys.exc_info()[1]
        self._complain("written", self._why)

    def _complain(self, what: str, why: BaseException | None) -> None:
        # Once: a full disk must not fill standard error too.
        if not self._complained:
            self._complained = True
            print(f"voicebot: the log {self.baseFilename} cannot be {what}: {why}", file=sys.stderr)


class BrokenPipeSafeStderr(io.TextIOWrapper):
    """Standard error that goes on when nobody reads it any more, instead of failing."""

    def __init__(self) -> None:
        lasting = io.BufferedWriter(_BrokenPipeSafe(2, "w", closefd=False))
        super().__init__(lasting, sys.stderr.encoding, ESCAPED, line_buffering=True)


class _BrokenPipeSafe(io.FileIO):
    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


class ThreadedHandler(QueueHandler):
    """Has its records handled by other handlers, in a thread.

    waiting: how many may wait; more are lost.
    """

    def __init__(self, *handlers: logging.Handler, waiting: int = WAITING) -> None:
        self.quotes = True
        """Write down what people said, where a line quotes it."""
        self._waiting: Queue[logging.LogRecord | None] = Queue(waiting)
        super().__init__(self._waiting)
        self._handlers = [*handlers]
        self._lost = 0
        self._thread = Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def also(self, handler: logging.Handler) -> None:
        """Have them handled by this one too."""
        self._handlers.append(handler)

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Only what is true now and here: whose request it is, and the text."""
        record = copy(record)
        if not hasattr(record, "request"):
            record.request = context.label()
        if not self.quotes and isinstance(record.args, tuple):
            record.args = tuple(map(bare, record.args))
        record.msg, record.args = record.getMessage(), None
        if record.exc_info and not record.exc_text:
            # Kept, a traceback would keep all that was in its frames.
            record.exc_text = _PLAIN.formatException(record.exc_info)
        record.exc_info = None
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self._waiting.put_nowait(record)
        except Full:
            self._lost += 1

    def close(self) -> None:
        """Write what waits, and no more. What takes too long is given up."""
        with suppress(Full):
            self._waiting.put(None, timeout=LAST_S)
        self._thread.join(LAST_S)
        if not self._thread.is_alive():  # else one of them is stuck, and closing it would be too
            for handler in self._handlers:
                with suppress(OSError):  # what it still holds cannot be written either
                    handler.close()
        super().close()

    def _write(self) -> None:
        while True:
            record = self._waiting.get()
            if lost := self._lost:
                self.acquire()
                self._lost -= lost
                self.release()
                self._handle(_loss(lost, "too many came at once"))
            if record is None:
                return
            self._handle(record)

    def _handle(self, record: logging.LogRecord) -> None:
        for handler in self._handlers:
            if record.levelno >= handler.level:
                handler.handle(record)


def _loss(lines: object, why: object) -> logging.LogRecord:
    return logging.makeLogRecord(
        {
            "name": __name__,
            "levelno": logging.WARNING,
            "levelname": "WARNING",
            "msg": f"{lines} lines of the log were lost: {why}",
        }
    )
