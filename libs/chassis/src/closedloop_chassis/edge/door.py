"""Where calls come in, before the chain sees any of them: which ones still owe their message, how many still wait.

A call that has sent its headers holds a place here until its message comes, be it for ever. So many may do so at once;
whoever comes while they do is given a moment for the message, and then turned away. Those who speak are served as ever.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from closedloop_chassis import errors
from closedloop_chassis.contract import Method
from closedloop_chassis.edge import statuses
from closedloop_chassis.edge.load_shedding import Load
from closedloop_chassis.telemetry.metrics import RPC_REFUSED

Context = grpc.aio.ServicerContext[bytes, bytes]
Behaviour = Callable[[bytes, Context], Awaitable[bytes]]

# For the message to arrive, once too many others owe theirs.
PATIENCE_SECONDS = 5.0
# The same once as many again are waited for.
CROWDED_SECONDS = 0.5
SILENT = RPC_REFUSED.labels("SILENT")


class Door(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Finds the handler of each call. `most` calls may be silent; `domain` stands in refusals."""

    def __init__(self, load: Load, most: int, domain: str) -> None:
        self._load = load
        self._most = most
        self._status = statuses.status(errors.ResourceExhausted("SILENT", "the request never came"), domain)
        self._silent: set[asyncio.Task[Any] | None] = set()
        self._awaited = 0
        self._handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        self._careful: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    def add(self, method: Method, behave: Behaviour) -> None:
        silent, this = self._silent, asyncio.current_task

        async def spoken(payload: bytes, context: Context) -> bytes:
            silent.discard(this())
            return await behave(payload, context)

        async def awaited(messages: AsyncIterator[bytes], context: Context) -> bytes:
            self._awaited += 1
            patience = PATIENCE_SECONDS if self._awaited <= self._most else CROWDED_SECONDS
            try:
                async with asyncio.timeout(patience):
                    payload = await anext(messages)
            except (TimeoutError, StopAsyncIteration):
                SILENT.inc()
                refusal = self._status
                await context.abort(statuses.CODES[refusal.code], refusal.message, statuses.trailing(refusal))
            finally:
                self._awaited -= 1
            return await behave(payload, context)

        # No (de)serialisers: the chain takes bytes and answers bytes, so that a bad request gets a proper refusal.
        # On the wire a request that is a stream of one is the same; gRPC calls its handler without waiting for it.
        quick: Any = grpc.unary_stream_rpc_method_handler if method.streams else grpc.unary_unary_rpc_method_handler
        slow: Any = grpc.stream_stream_rpc_method_handler if method.streams else grpc.stream_unary_rpc_method_handler
        self._handlers[method.path] = quick(spoken)
        self._careful[method.path] = slow(awaited)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        self._load.arrived += 1
        handler = self._handlers.get(details.method)
        if handler is not None:
            if len(self._silent) >= self._most and self.silent >= self._most:
                return self._careful[details.method]
            self._silent.add(asyncio.current_task())
        return handler

    @property
    def silent(self) -> int:
        # Who left without a word is forgotten only when asked: that is rare, and coming is not.
        self._silent -= {task for task in self._silent if task is None or task.done()}
        return len(self._silent)


class Backlog:
    """How many calls have arrived and nobody has taken up yet. Must be made right after its server."""

    def __init__(self, load: Load) -> None:
        self._load = load
        servers = json.loads(cygrpc.channelz_get_servers(0))["server"]
        self._server = max(int(server["ref"]["serverId"]) for server in servers)

    def __call__(self) -> int:
        data = json.loads(cygrpc.channelz_get_server(self._server))["server"]["data"]
        started, succeeded, failed = (int(data.get(f"calls{name}", 0)) for name in ("Started", "Succeeded", "Failed"))
        # What gRPC cuts off by itself never gets here, and is open no more.
        return min(started - self._load.arrived, started - succeeded - failed)
