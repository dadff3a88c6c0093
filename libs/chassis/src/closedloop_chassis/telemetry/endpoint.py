"""The HTTP endpoint of operations: /metrics for Prometheus, /healthz for readiness, /livez for life.

Threads and sockets of the standard library only, so that it runs beside asyncio and, made green, under eventlet.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder

from closedloop_chassis.telemetry.logs import logger

log = logger(__name__)


class Endpoint:
    def __init__(self, server: ThreadingHTTPServer) -> None:
        self._server = server
        self.port: int = server.server_address[1]
        self._thread = threading.Thread(target=server.serve_forever, name="metrics-endpoint", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def serve(address: str, ready: Callable[[], bool]) -> Endpoint:
    """Listens on `address` ("host:port", port 0 for any). /healthz answers 200 while `ready()`, else 503."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")

    class Handler(_Handler):
        is_ready = staticmethod(ready)

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        def handle_error(self, request: object, client_address: object) -> None:
            """A prober who hung up is one line; the standard library would print its traceback past the log."""
            log.info("metrics connection broke off", cause=repr(sys.exc_info()[1]))

    return Endpoint(Server((host, int(port)), Handler))


class _Handler(BaseHTTPRequestHandler):
    is_ready: Callable[[], bool]
    timeout = 10
    server_version, sys_version = "closedloop", ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            # Exemplars travel in OpenMetrics only, which Prometheus asks for.
            encode, content_type = choose_encoder(self.headers.get("Accept", ""))
            self._answer(200, encode(REGISTRY), content_type)
        elif path == "/healthz":
            ready = self.is_ready()
            self._answer(200 if ready else 503, b"ready\n" if ready else b"not ready\n")
        elif path == "/livez":
            self._answer(200, b"alive\n")
        else:
            self._answer(404, b"/metrics, /healthz or /livez\n")

    def _answer(self, status: int, body: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Probes and scrapes are no news."""
