"""The way of spans to an OpenTelemetry collector: in batches, from a thread, or not at all.

A conversation only puts them into a bounded queue. What a collector that is slow, or dead, does
not take in time is lost, and the log says once that it does not take them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from threading import Thread

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from .. import __version__

log = logging.getLogger(__name__)

LAST_S = 2.0
"""Seconds that the last spans may take when we end."""

_COMPLAIN = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk._shared_internal",
)
"""The loggers that tell of spans which do not arrive: of every batch, and of every attempt."""


class Export:
    """Sends spans to a collector, from `with` to its end.

    endpoint: its address without a path, or "env": what the environment says.
    """

    def __init__(self, endpoint: str) -> None:
        url = None if endpoint == "env" else f"{endpoint.rstrip('/')}/v1/traces"
        self._complaint = _Complaint("the collector" if url is None else url)
        self._exporter = _Exporter(OTLPSpanExporter(url), self._complaint)
        ours = Resource.create({"service.name": "voicebot", "service.version": __version__})
        # What the environment says of us goes before what we say.
        self._provider = TracerProvider(
            resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self.tracer = self._provider.get_tracer("voicebot", __version__)

    def __enter__(self) -> Export:
        for name in _COMPLAIN:
            logging.getLogger(name).addFilter(self._complaint)
        return self

    def __exit__(self, *error: object) -> None:
        """Send what waits. A collector that takes too long for it is given up."""
        ending = Thread(target=self._provider.shutdown, name="traces", daemon=True)
        ending.start()
        ending.join(LAST_S)
        if ending.is_alive():
            self._exporter.shutdown()
        for name in _COMPLAIN:
            logging.getLogger(name).removeFilter(self._complaint)


class _Complaint(logging.Filter):
    """Lets the log say once that nothing arrives, and once that it does again."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self._where, self._told = where, False

    def filter(self, record: logging.LogRecord) -> bool:
        if not self._told:
            self._told = True
            log.warning("no traces reach %s: %s", self._where, record.getMessage())
        return False

    def withdraw(self) -> None:
        """Something has arrived."""
        if self._told:
            self._told = False
            log.info("traces reach %s again", self._where)


class _Exporter(SpanExporter):
    def __init__(self, exporter: SpanExporter, complaint: _Complaint) -> None:
        self._exporter, self._complaint = exporter, complaint

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            self._complaint.withdraw()
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()
