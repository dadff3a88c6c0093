"""Whatever dies, and however: nothing acknowledged is lost, nothing takes effect twice, and the rest goes on.

What each broker alone can show is shown over it: kills and a long absence over RabbitMQ, a broker that forgets over
Redis. A SIGTERM comes over Redis with everything well, over RabbitMQ while it is away.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
import redis.asyncio

from closedloop.approvals.v1 import worklist_pb2, worklist_pb2_grpc
from closedloop.customers.v1 import accounts_pb2, accounts_pb2_grpc
from closedloop.funnel.v1 import opportunities_pb2, opportunities_pb2_grpc
from closedloop.integrations.v1 import deliveries_pb2, deliveries_pb2_grpc
from closedloop.targets.v1 import products_pb2, products_pb2_grpc
from closedloop_devstack.platform.process import ServiceProcess
from closedloop_devstack.servers.server import Server
from closedloop_proofs import loop
from closedloop_proofs.loop import OPERATIONS, Load, Stage, say

EXIT_SECONDS = 15.0
OUTAGE_SECONDS = 60.0
HEALTHY_SECONDS = 90.0
# One call in each service, again and again; who waits longer than this says the service is down.
ANSWER_SECONDS = 2.0
PROBES = (
    (products_pb2_grpc.ProductServiceStub, "ListProducts", products_pb2.ListProductsRequest(page_size=5)),
    (accounts_pb2_grpc.AccountServiceStub, "ListAccounts", accounts_pb2.ListAccountsRequest(page_size=5)),
    (
        opportunities_pb2_grpc.OpportunityServiceStub,
        "ListOpportunities",
        opportunities_pb2.ListOpportunitiesRequest(page_size=5),
    ),
    (worklist_pb2_grpc.WorklistServiceStub, "ListWork", worklist_pb2.ListWorkRequest(page_size=5)),
    (deliveries_pb2_grpc.DeliveryServiceStub, "ListDeliveries", deliveries_pb2.ListDeliveriesRequest(page_size=5)),
)


@pytest.mark.timeout(300)
async def test_kill_each_of_the_ten_processes_while_the_cache_is_away(over_rabbitmq: Stage) -> None:
    """Those killed come back without Redis, too."""
    stage = over_rabbitmq
    seed = random.SystemRandom().randrange(10**6)
    say(f"order of the kills: seed {seed}")
    processes = list(stage.platform.processes.values())
    random.Random(seed).shuffle(processes)
    assert len(processes) == 10
    cache = _server(stage.platform.redis)
    await asyncio.to_thread(cache.stop)
    try:
        async with Load(stage) as load:
            for process in processes:
                await asyncio.to_thread(_kill, process)
                await asyncio.sleep(0.5)
            await _healthy(stage)
        await loop.expect_once(stage, load.turns)
    finally:
        await asyncio.to_thread(cache.start)
    assert load.complete == len(load.turns) >= load.players


@pytest.mark.timeout(300)
async def test_a_minute_without_rabbitmq_and_a_restart_in_it(over_rabbitmq: Stage, busy: Callable[[], float]) -> None:
    """The API keeps serving; SIGTERM ends all ten under load in time; all events arrive after."""
    stage = over_rabbitmq
    broker = _server(stage.platform.rabbit)
    async with Load(stage) as load:
        await asyncio.to_thread(broker.stop)
        give_up = time.monotonic() + OUTAGE_SECONDS
        try:
            answers = await _probe(stage, OUTAGE_SECONDS / 3)
            waiting = await stage.backlog("customers")
            await asyncio.gather(_terminate(stage, "courier"), _terminate(stage, "api"))
            await _start(stage)
            again = await _probe(stage, max(2.0, give_up - time.monotonic()))
        finally:
            await asyncio.to_thread(broker.start)
    await loop.expect_once(stage, load.turns)
    assert waiting.outbox > 0
    assert load.complete == len(load.turns) >= load.players
    for found in (answers, again):
        for rpc, seconds in found.items():
            say(
                f"{rpc}: {len(seconds)} calls, median {sorted(seconds)[len(seconds) // 2]:.3f} s, worst {max(seconds):.3f} s"
            )
            assert max(seconds) < ANSWER_SECONDS * busy(), rpc


@pytest.mark.timeout(240)
async def test_redis_as_the_broker_stopped_killed_and_emptied(over_redis: Stage) -> None:
    broker = _server(over_redis.platform.redis)
    async with Load(over_redis) as load:
        await asyncio.sleep(1)
        await asyncio.to_thread(broker.stop)
        await asyncio.sleep(3)
        await asyncio.to_thread(broker.start)
        for _ in range(3):
            await asyncio.sleep(0.5)
            async with redis.asyncio.from_url(over_redis.platform.urls.redis) as connection:
                await connection.flushall()
        await asyncio.to_thread(broker.kill)
        await asyncio.sleep(1)
        await asyncio.to_thread(broker.start)
    await loop.expect_once(over_redis, load.turns)
    assert load.complete == len(load.turns) >= load.players


@pytest.mark.timeout(240)
async def test_postgresql_restarted_and_killed(over_redis: Stage) -> None:
    database = _server(over_redis.platform.postgres)
    pids = {name: process.pid for name, process in over_redis.platform.processes.items()}
    async with Load(over_redis) as load:
        await asyncio.sleep(1)
        await asyncio.to_thread(database.restart)
        await asyncio.sleep(2)
        await asyncio.to_thread(database.kill)
        await asyncio.sleep(1)
        await asyncio.to_thread(database.start)
    await loop.expect_once(over_redis, load.turns)
    assert load.complete == len(load.turns) >= load.players
    await _healthy(over_redis)
    assert {name: process.pid for name, process in over_redis.platform.processes.items()} == pids


@pytest.mark.timeout(240)
async def test_sigterm_under_load(over_redis: Stage) -> None:
    async with Load(over_redis) as load:
        await asyncio.sleep(1)
        await asyncio.gather(_terminate(over_redis, "courier"), _terminate(over_redis, "api"))
        await _start(over_redis)
    await loop.expect_once(over_redis, load.turns)
    assert load.complete == len(load.turns) >= load.players


async def _probe(stage: Stage, seconds: float) -> dict[str, list[float]]:
    """How long each of `PROBES` took, one call each every half second, none repeated. Raises AioRpcError."""
    found: dict[str, list[float]] = defaultdict(list)

    async def call(stub: Callable[[Any], Any], rpc: str, request: Any) -> None:
        began = time.monotonic()
        await stage.once(stub, rpc, request, OPERATIONS)
        found[rpc].append(time.monotonic() - began)

    # Our connections are back once these are answered.
    await asyncio.gather(*(stage.ask(*probe, OPERATIONS) for probe in PROBES))
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        await asyncio.gather(*(call(*probe) for probe in PROBES))
        await asyncio.sleep(0.5)
    return found


async def _terminate(stage: Stage, role: str) -> None:
    """SIGTERM to all processes of the role at once; each must exit with 0 in time."""

    def stop(name: str) -> tuple[str, int | None, float]:
        began = time.monotonic()
        code = stage.platform.processes[name].stop(EXIT_SECONDS)
        return name, code, time.monotonic() - began

    names = [name for name, process in stage.platform.processes.items() if process.role == role]
    ended = await asyncio.gather(*(asyncio.to_thread(stop, name) for name in names))
    say(*(f"{name}: exit {code} after {seconds:.1f} s" for name, code, seconds in ended))
    assert [(name, code) for name, code, _ in ended] == [(name, 0) for name in names]


async def _start(stage: Stage) -> None:
    for process in stage.platform.processes.values():
        await asyncio.to_thread(process.start)
    await _healthy(stage)


async def _healthy(stage: Stage) -> None:
    await asyncio.to_thread(stage.platform.wait_healthy, seconds=HEALTHY_SECONDS)


def _kill(process: ServiceProcess) -> None:
    assert process.pid is not None, f"{process.name} was down before it was killed"
    process.kill()


def _server(found: Server | None) -> Server:
    assert found is not None
    return found
