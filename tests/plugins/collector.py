"""A collector of OpenTelemetry for tests and bench: a small HTTP server in a thread.

Decides what it answers: always 200. Knows nothing of what spans mean.
"""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """Takes spans by OTLP over HTTP, and keeps them if it `keeps`. Listens when it is made, until it is closed."""

    def __init__(self, *, keeps: bool = True) -> None:
        self.spans: list[Any] = []
        self.requests = 0
        self.authorizations: set[str | None] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.authorizations.add(self.headers["authorization"])
                collector.requests += 1
                if keeps:
                    collector.keep(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Nobody reads it."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self._thread = threading.Thread(target=self.server.serve_forever)
        self._thread.start()

    def keep(self, request: ExportTraceServiceRequest) -> None:
        """Note the spans of a request."""
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans += scope.spans

    def close(self) -> None:
        """Listen no longer."""
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()
