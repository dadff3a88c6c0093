"""What the HTTP simulators share: a server in a thread, faults on demand, control routes under `/_control`."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Faults:
    """What is wrong now. `failures`: so many next requests answer 500. `delay`: seconds before any answer."""

    failures: int = 0
    delay: float = 0.0


class HttpSimulator(ABC):
    """A server on loopback. `port=0` picks a free one at the first start and keeps it over restarts.

    `clock` tells the time the simulated system believes in (aware); faults never touch the control routes. `held`: how
    many requests a `delay` keeps without an answer now.
    """

    def __init__(self, port: int = 0, *, host: str = "127.0.0.1", clock: Clock = utc_now) -> None:
        self.host = host
        self.port = port
        self.clock = clock
        self.faults = self.no_faults()
        self.held = 0
        self.lock = threading.RLock()
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @abstractmethod
    def routes(self) -> Sequence[Route]: ...

    def no_faults(self) -> Faults:
        return Faults()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def start(self) -> Self:
        """Returns when the server answers. Raises OSError when the port is taken."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self.host, self.port))
        except OSError:
            listener.close()
            raise
        self.port = listener.getsockname()[1]
        app = Starlette(
            routes=[Route("/_control/faults", self._set_faults, methods=["POST"]), *self.routes()],
            exception_handlers={HTTPException: _refuse},
        )
        config = uvicorn.Config(
            _Faulty(app, self),
            lifespan="off",
            access_log=False,
            log_level="warning",
            loop="asyncio",
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name=type(self).__name__, daemon=True
        )
        self._thread.start()
        until = time.monotonic() + 10
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > until:
                raise OSError(f"{type(self).__name__} did not start on {self.url}")
            time.sleep(0.005)
        return self

    def stop(self) -> None:
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(10)
        self._server = self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def _set_faults(self, request: Request) -> Response:
        wanted = await body(request)
        known = {field.name for field in fields(self.faults)}
        if unknown := set(wanted) - known:
            raise HTTPException(422, f"unknown faults {sorted(unknown)}; there are {sorted(known)}")
        with self.lock:
            self.faults = replace(self.faults, **wanted)
        return JSONResponse({"faults": wanted})


class _Faulty:
    """Makes the server slow or broken as `faults` says."""

    def __init__(self, app: ASGIApp, simulator: HttpSimulator) -> None:
        self.app = app
        self.simulator = simulator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith("/_control"):
            if self.simulator.faults.delay:
                self.simulator.held += 1
                try:
                    await asyncio.sleep(self.simulator.faults.delay)
                finally:
                    self.simulator.held -= 1
            with self.simulator.lock:
                faults = self.simulator.faults
                failing = faults.failures > 0
                if failing:
                    self.simulator.faults = replace(faults, failures=faults.failures - 1)
            if failing:
                await PlainTextResponse("Internal Server Error", 500)(scope, receive, send)
                return
        await self.app(scope, receive, send)


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


async def body(request: Request) -> dict[str, Any]:
    """The JSON object a request carries; 422 where it is something else."""
    try:
        value = json.loads(await request.body())
    except ValueError as error:
        raise HTTPException(422, f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise HTTPException(422, "the body is not a JSON object")
    return value
