"""A collector of traces: OTLP over HTTP, decoded and kept."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class SpanSeen:
    """`process` is "customers.api", `trace` and `parent` are hex; `parent` is empty where the trace begins."""

    process: str
    name: str
    trace: str
    span: str
    parent: str


class Collector:
    def __init__(self) -> None:
        self._spans: list[SpanSeen] = []
        self._turn = Lock()
        collector = self

        class Receiver(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/v1/traces":
                    collector._keep(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing: every batch would be a line."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def spans(self) -> list[SpanSeen]:
        with self._turn:
            return list(self._spans)

    def _keep(self, request: ExportTraceServiceRequest) -> None:
        found: list[SpanSeen] = []
        for group in request.resource_spans:
            about = {pair.key: pair.value.string_value for pair in group.resource.attributes}
            process = f"{about['service.name'].removeprefix('closedloop-')}.{about['closedloop.process']}"
            for scope in group.scope_spans:
                found += [
                    SpanSeen(process, span.name, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
                    for span in scope.spans
                ]
        with self._turn:
            self._spans += found

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
