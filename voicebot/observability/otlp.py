"""The way of spans to an OpenTelemetry collector: made and sent by threads, in batches.

Their queues are bounded. What a collector that is slow, or dead, does not take in time is lost,
and the log says once that it does not take them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Full, Queue
from threading import Thread

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from .. import __version__
from ..errors import ConfigError

log = logging.getLogger(__name__)

WAITING = 512
"""Turns of which spans may still have to be made. More outlasts a busier machine, at about 10 kB
each."""
LAST_S = 2.0
"""Seconds that the last spans may take when we end."""

_COMPLAIN = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk._shared_internal",
)
"""The loggers that tell of spans which do not arrive: of every batch, and of every attempt."""


class Export:
    """Sends spans to a collector, from `with` to its end.

    endpoint: the address below which it takes `v1/traces`, or "env": what the environment says.

    Raises:
        ConfigError: the environment says what cannot be.
    """

    def __init__(self, endpoint: str) -> None:
        url = None if endpoint == "env" else f"{endpoint.rstrip('/')}/v1/traces"
        # Without a name and password, which the log should not have.
        self._complaint = _ExportWarnings(re.sub("//.*@", "//", url) if url else "the collector")
        ours = Resource.create({"service.name": "voicebot", "service.version": __version__})
        # What the environment says of us goes before what we say.
        who = ours.merge(OTELResourceDetector().detect())
        try:
            exporter = _Exporter(OTLPSpanExporter(url), self._complaint)
            self._provider = TracerProvider(resource=who, shutdown_on_exit=False)
            self._provider.add_span_processor(BatchSpanProcessor(exporter))
        except ValueError as error:
            raise ConfigError(f"[traces] OTEL_ variables of the environment: {error}") from error
        self.tracer = self._provider.get_tracer("voicebot", __version__)
        self._waiting: Queue[Callable[[], None] | None] = Queue(WAITING)
        self._thread = Thread(target=self._work, name="traces", daemon=True)

    def later(self, make: Callable[[], None]) -> None:
        """Make spans in a thread of ours, in the order they are asked for, or not at all."""
        try:
            self._waiting.put_nowait(make)
        except Full:
            self._complaint.make("more turns end than can be told of")

    def __enter__(self) -> Export:
        for name in _COMPLAIN:
            logging.getLogger(name).addFilter(self._complaint)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Send what waits. A collector that takes too long for it is given up."""
        with suppress(Full):
            self._waiting.put(None, timeout=LAST_S)
        self._thread.join(LAST_S)
        if self._thread.is_alive():
            self._complaint.make("the last of them take too long")

    def _work(self) -> None:
        while make := self._waiting.get():
            make()
        self._provider.shutdown()
        # Here, because what was given up goes on complaining for a while.
        for name in _COMPLAIN:
            logging.getLogger(name).removeFilter(self._complaint)


class _ExportWarnings(logging.Filter):
    """Lets the log say once that spans do not arrive, and once that they do again."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self._where, self._made = where, False

    def filter(self, record: logging.LogRecord) -> bool:
        self.make(record.getMessage())
        return False

    def make(self, why: str) -> None:
        if not self._made:
            self._made = True
            log.warning("no traces reach %s: %s", self._where, why)

    def withdraw(self) -> None:
        """Something has arrived."""
        if self._made:
            self._made = False
            log.info("traces reach %s again", self._where)


class _Exporter(SpanExporter):
    def __init__(self, exporter: SpanExporter, complaint: _ExportWarnings) -> None:
        self._exporter, self._complaint = exporter, complaint

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            self._complaint.withdraw()
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()
