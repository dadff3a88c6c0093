"""The processes that hold domain code: `api` answers calls and, by default, reacts; `reactor` only reacts."""

from __future__ import annotations

import asyncio
import sys

import structlog

from closedloop_chassis.edge.drain import drain, terminated
from closedloop_chassis.edge.server import EdgeServer
from closedloop_chassis.events.reactor import Reactor
from closedloop_chassis.process import Process
from closedloop_chassis.service import Service
from closedloop_chassis.settings import Settings
from closedloop_chassis.telemetry import endpoint, metrics, tracing

log = structlog.get_logger(__name__)


async def serve(service: Service, settings: Settings) -> None:
    """Runs until SIGTERM. Listens at once; ready when the schema and what it keeps in memory are there."""
    leaving = terminated(settings)
    process = Process(service, settings)
    reactor = Reactor(process)
    try:
        server = EdgeServer(process)
        operations = endpoint.serve(settings.metrics_address, lambda: process.ready.is_set() and not leaving.is_set())
    except (OSError, RuntimeError) as error:
        sys.exit(f"closedloop-{service.name}: cannot listen: {error}")
    metrics.watch_pool(process.database.pool.stats)
    await process.start()
    await server.start()

    async def become_ready() -> None:
        await process.ready.wait()
        if settings.reactor == "api":
            reactor.start()
        await server.ready()
        log.info("ready", address=settings.grpc_address, port=server.port)

    async def close() -> None:
        await reactor.stop()
        await process.stop()

    becoming = asyncio.create_task(become_ready())
    await leaving.wait()
    becoming.cancel()
    await drain(server, settings, close)
    operations.close()


async def react(service: Service, settings: Settings) -> None:
    """The reactor on its own, where the api runs with CLOSEDLOOP_REACTOR=own."""
    leaving = terminated(settings)
    process = Process(service, settings)
    reactor = Reactor(process)
    metrics.watch_pool(process.database.pool.stats)
    operations = endpoint.serve(settings.metrics_address, process.ready.is_set)
    await process.start()
    waiting = [asyncio.create_task(process.ready.wait()), asyncio.create_task(leaving.wait())]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    if process.ready.is_set():
        reactor.start()
        log.info("reacting")
    await leaving.wait()
    for task in waiting:
        task.cancel()
    await reactor.stop()
    await process.stop()
    tracing.stop()
    operations.close()
