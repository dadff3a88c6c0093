"""A customer's own system that subscribed to our events: it checks signatures with nothing of ours, and keeps what it got."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

FRESH_SECONDS = 60.0
LONGEST_HOLD_SECONDS = 30.0


class Subscriber:
    """Answers 200 unless told otherwise; `answers` are (status, headers, body) of the next calls, `hold` lets none be answered
    while it is cleared."""

    def __init__(self) -> None:
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.hold = threading.Event()
        self.hold.set()
        subscriber = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                subscriber.calls.append(({name.lower(): value for name, value in self.headers.items()}, body))
                subscriber.hold.wait(LONGEST_HOLD_SECONDS)
                status, headers, answer = subscriber.answers.pop(0) if subscriber.answers else (200, {}, b"thanks")
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(answer))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host}/hooks"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def says(self, *statuses: int, **headers: str) -> None:
        self.answers += [(status, {n.replace("_", "-"): v for n, v in headers.items()}, b"no") for status in statuses]

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.calls]

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, body in self.calls]

    def signed(self, secret: str, place: int = -1) -> bool:
        """Whether a call carries a signature of that secret, made within the minute."""
        headers, body = self.calls[place]
        key = base64.b64decode(secret.removeprefix("whsec_"))
        content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
        fresh = abs(time.time() - int(headers["webhook-timestamp"])) < FRESH_SECONDS
        return fresh and expected in headers["webhook-signature"].split()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()
