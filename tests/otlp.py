"""A collector on loopback that takes OTLP over HTTP, as OpenTelemetry's own does."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("opentelemetry")
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

ERROR = 2


class Span:
    """A span that has arrived, its values plain ones."""

    def __init__(self, span, resource):
        self.name, self.kind = span.name, span.kind
        self.trace, self.id, self.parent = (
            field.hex() for field in (span.trace_id, span.span_id, span.parent_span_id)
        )
        self.begins, self.ends = (
            at / 1e9 for at in (span.start_time_unix_nano, span.end_time_unix_nano)
        )
        self.about, self.resource = _plain(span.attributes), _plain(resource.attributes)
        self.events = [
            (event.name, event.time_unix_nano / 1e9, _plain(event.attributes))
            for event in span.events
        ]
        self.failed, self.reason = span.status.code == ERROR, span.status.message

    def __repr__(self):
        return f"<{self.name} {self.about}>"


def _plain(attributes):
    return {each.key: _value(each.value) for each in attributes}


def _value(value):
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind)


class Collector:
    """What was sent to it, and when it answers."""

    def __init__(self):
        self.bodies, self.headers, self.paths = [], [], []
        self.answers = threading.Event()
        """Cleared, it takes what is sent and says nothing."""
        self.answers.set()
        self._came = threading.Condition()
        self.url = ""

    def take(self, path, headers, body):
        with self._came:
            self.paths.append(path)
            self.headers.append(headers)
            self.bodies.append(body)
            self._came.notify_all()

    def until(self, enough):
        """Wait until what has come is enough."""
        with self._came:
            assert self._came.wait_for(lambda: enough(self), 100)

    @property
    def spans(self):
        """All that have arrived, in the order they began; a parent before its children."""
        found = []
        for body in self.bodies:
            for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
                found += [
                    Span(span, sent.resource) for scope in sent.scope_spans for span in scope.spans
                ]
        parents = {span.parent for span in found}
        return sorted(found, key=lambda span: (span.begins, span.id not in parents))


@contextmanager
def collecting(port=0):
    """A collector that is there for a while."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.take(self.path, self.headers, body)
            collector.answers.wait(20)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *told):
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield collector
        finally:
            collector.answers.set()
            server.shutdown()
            thread.join()
