"""The grpc.aio server of a service: every RPC of its contract, one generic handler each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from closedloop_chassis import contract, packages, tls
from closedloop_chassis.contract import Method
from closedloop_chassis.edge import channelz, drain, statuses
from closedloop_chassis.edge.chain import compose
from closedloop_chassis.edge.door import Backlog, Behaviour, Context, Door
from closedloop_chassis.edge.exchange import Edge, Exchange, Handler
from closedloop_chassis.edge.health import Health
from closedloop_chassis.edge.keys import key_set
from closedloop_chassis.edge.load_shedding import Load
from closedloop_chassis.edge.tokens import Tokens
from closedloop_chassis.edge.validation import Validator
from closedloop_chassis.process import Process
from closedloop_chassis.service import RpcHandler, Slice, StreamHandler
from closedloop_chassis.settings import Settings

# More wait only to be refused; beyond that gRPC itself cuts them off, without a word.
MOST_WAITING = 10_000


class EdgeServer:
    """Serves the contract of `process.service` and the platform's, whose `slices` are given besides.

    `options` are gRPC's, taken besides ours. Raises RuntimeError when the address cannot be had, OSError when
    a certificate cannot be read.
    """

    def __init__(self, process: Process, options: Iterable[tuple[str, Any]] = ()) -> None:
        settings = process.settings
        self.streams = drain.Streams()
        self._edge = Edge(
            process=process,
            tokens=Tokens(key_set(settings.jwks), settings.token_issuer, settings.token_audience),
            load=Load(settings),
            validator=Validator(),
            streams=self.streams,
        )
        wanted = packages.services(process.service.package), packages.services(packages.PLATFORM)
        names = list(dict.fromkeys(chain.from_iterable(wanted)))
        if not settings.development:
            names.remove(packages.DEVELOPMENT)
        self._door = self._doors(names, process)
        self.health = Health(names)
        # First of all, so that it counts what the others serve, too.
        self._server = grpc.aio.server(handlers=[self._door], options=[*_options(settings), *options])
        self._backlog = Backlog(self._edge.load)
        self._watch: asyncio.Task[None] | None = None
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server)
        credentials = tls.of_server(settings)
        self.port: int = (
            self._server.add_secure_port(settings.grpc_address, credentials)
            if credentials
            else self._server.add_insecure_port(settings.grpc_address)
        )

    async def start(self) -> None:
        """Accepts calls; health says NOT_SERVING until `ready`."""
        await self._server.start()
        self._watch = asyncio.create_task(self._edge.load.watch(self._backlog))

    async def ready(self, is_ready: bool = True) -> None:
        await self.health.tell(is_ready)

    async def stop(self, grace: float) -> None:
        """Takes no new calls and gives those under way `grace` seconds. `drain.drain` does all that belongs to it."""
        await self._server.stop(grace)
        if self._watch is not None:
            self._watch.cancel()

    @property
    def backlog(self) -> int:
        """Calls that have arrived and wait to be taken up."""
        return self._backlog()

    @property
    def shedding(self) -> bool:
        """Whether those who come next are refused for the sake of those who came before."""
        return self._edge.load.arrived < self._edge.load.refused_until

    @property
    def silent(self) -> int:
        """Calls that were taken up and owe their message."""
        return self._door.silent

    def _doors(self, names: Sequence[str], process: Process) -> Door:
        door = Door(self._edge.load, 2 * process.settings.max_concurrent_calls, statuses.domain(process.service.name))
        served = _served(names, process.slices)
        for name in names:
            for method in contract.methods(name):
                if contract.service(name).methods_by_name[method.name].client_streaming:
                    raise LookupError(f"{method.full_name} streams requests, which the chain does not know")
                door.add(method, _behaviour(method, compose(method, self._edge, served.get(method.full_name))))
        for method, serve in channelz.methods():
            door.add(method, _behaviour(method, compose(method, self._edge, serve)))
        return door


def _behaviour(method: Method, handler: Handler) -> Behaviour:
    async def behave(payload: bytes, context: Context) -> bytes:
        exchange = Exchange(payload, context, method)
        answer = await handler(exchange)
        refusal = exchange.refusal
        if refusal is not None:
            await context.abort(statuses.CODES[refusal.code], refusal.message, statuses.trailing(refusal))
        return answer

    return behave


def _served(names: Sequence[str], slices: Sequence[Slice]) -> dict[str, RpcHandler | StreamHandler]:
    found: dict[str, RpcHandler | StreamHandler] = {}
    for rpcs in (rpcs for part in slices for rpcs in part.rpcs):
        if rpcs.service not in names:
            if rpcs.service == packages.DEVELOPMENT:
                continue
            raise LookupError(f"{rpcs.service} is not of this service's contract")
        handlers: dict[str, RpcHandler | StreamHandler] = {**rpcs.unary, **rpcs.streams}
        for name, serve in handlers.items():
            if (full_name := f"{rpcs.service}.{name}") in found:
                raise LookupError(f"two handlers for {full_name}")
            found[full_name] = serve
    return found


def _options(settings: Settings) -> list[tuple[str, Any]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        # More than we serve at once, so that who comes too often is told so rather than left waiting.
        ("grpc.max_concurrent_streams", 2 * settings.max_concurrent_calls + 16),
        ("grpc.server.max_pending_requests", MOST_WAITING),
        ("grpc.server.max_pending_requests_hard_limit", 2 * MOST_WAITING),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        ("grpc.max_connection_age_ms", int(settings.max_connection_age_seconds * 1000)),
        ("grpc.max_connection_age_grace_ms", int(settings.max_connection_age_grace_seconds * 1000)),
        # A second process on the same port shall be an error, not a lottery.
        ("grpc.so_reuseport", 0),
        ("grpc.enable_channelz", 1),
    ]
