"""Whatever dies, and however: nothing acknowledged is lost, nothing takes effect twice, and the rest goes on."""

from __future__ import annotations

import asyncio
import random
import time

import pytest
import redis.asyncio

from closedloop_devstack.platform.process import ServiceProcess
from closedloop_devstack.servers.server import Server
from closedloop_proofs import loop
from closedloop_proofs.loop import Load, Stage, Turn, say

EXIT_SECONDS = 15.0
OUTAGE_SECONDS = 60.0
HEALTHY_SECONDS = 90.0


@pytest.mark.timeout(300)
async def test_kill_each_of_the_ten_processes(stage: Stage) -> None:
    seed = random.SystemRandom().randrange(10**6)
    say(f"order of the kills: seed {seed}")
    processes = list(stage.platform.processes.values())
    random.Random(seed).shuffle(processes)
    assert len(processes) == 10
    async with Load(stage) as load:
        for process in processes:
            await asyncio.sleep(1.0)
            await asyncio.to_thread(_kill, process)
        await _healthy(stage)
    say(f"{len(load.turns)} turns")
    assert all(turn.complete for turn in load.turns)
    await loop.expect_once(stage, load.turns)


@pytest.mark.timeout(240)
async def test_rabbitmq_away_for_a_minute(over_rabbitmq: Stage) -> None:
    stage = over_rabbitmq
    broker = _server(stage.platform.rabbit)
    turns: list[Turn] = []
    await asyncio.to_thread(broker.stop)
    stage.slowest = 0.0
    give_up = time.monotonic() + OUTAGE_SECONDS
    while time.monotonic() < give_up:
        turn = loop.new_turn()
        # All of it within customers; what the funnel makes of it waits in the outbox. No call is repeated.
        stage.patience = 0.0
        await loop.lead_in(stage, turn)
        await loop.converted(stage, turn)
        turns.append(turn)
        await asyncio.sleep(2.0)
    stage.patience = loop.PATIENCE_SECONDS
    say(f"{len(turns)} leads converted without a broker; slowest answer {stage.slowest:.2f} s")
    waiting = await stage.backlog("customers")
    assert waiting.outbox >= len(turns)
    await asyncio.to_thread(broker.start)
    for turn in turns:
        await loop.opened(stage, turn)
    await loop.expect_once(stage, turns)


@pytest.mark.timeout(180)
async def test_redis_as_a_cache_away(over_rabbitmq: Stage) -> None:
    cache = _server(over_rabbitmq.platform.redis)
    await asyncio.to_thread(cache.stop)
    try:
        turns = await asyncio.gather(*(loop.play(over_rabbitmq, loop.new_turn()) for _ in range(2)))
        await loop.expect_once(over_rabbitmq, turns)
    finally:
        await asyncio.to_thread(cache.start)


@pytest.mark.timeout(240)
async def test_redis_as_the_broker_stopped_killed_and_emptied(over_redis: Stage) -> None:
    broker = _server(over_redis.platform.redis)
    async with Load(over_redis) as load:
        await asyncio.sleep(2)
        await asyncio.to_thread(broker.stop)
        await asyncio.sleep(4)
        await asyncio.to_thread(broker.start)
        for _ in range(5):
            await asyncio.sleep(0.5)
            async with redis.asyncio.from_url(over_redis.platform.urls.redis) as connection:
                await connection.flushall()
        await asyncio.to_thread(broker.kill)
        await asyncio.sleep(2)
        await asyncio.to_thread(broker.start)
        await asyncio.sleep(2)
    await loop.expect_once(over_redis, load.turns)


@pytest.mark.timeout(240)
async def test_postgresql_restarted_and_killed(over_redis: Stage) -> None:
    database = _server(over_redis.platform.postgres)
    pids = {name: process.pid for name, process in over_redis.platform.processes.items()}
    async with Load(over_redis) as load:
        await asyncio.sleep(2)
        await asyncio.to_thread(database.restart)
        await asyncio.sleep(3)
        await asyncio.to_thread(database.kill)
        await asyncio.sleep(2)
        await asyncio.to_thread(database.start)
        await asyncio.sleep(2)
    await loop.expect_once(over_redis, load.turns)
    await _healthy(over_redis)
    assert {name: process.pid for name, process in over_redis.platform.processes.items()} == pids


@pytest.mark.timeout(300)
async def test_sigterm_under_load(stage: Stage) -> None:
    async with Load(stage) as load:
        await asyncio.sleep(2)
        for role in ("courier", "api"):
            await _terminate(stage, role)
            await _start(stage)
    await loop.expect_once(stage, load.turns)


@pytest.mark.timeout(300)
async def test_sigterm_while_the_broker_is_down(stage: Stage) -> None:
    broker = _server(stage.platform.rabbit or stage.platform.redis)
    async with Load(stage) as load:
        await asyncio.sleep(2)
        await asyncio.to_thread(broker.stop)
        await asyncio.sleep(3)
        try:
            await asyncio.gather(_terminate(stage, "courier"), _terminate(stage, "api"))
        finally:
            await asyncio.to_thread(broker.start)
            await _start(stage)
    await loop.expect_once(stage, load.turns)


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
