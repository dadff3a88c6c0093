"""SIGTERM: how a process leaves under load, and when what it stands on is away."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
import sample
from grpc_health.v1 import health_pb2, health_pb2_grpc

from closedloop_chassis import client
from closedloop_chassis.edge import drain

pytestmark = pytest.mark.timeout(90)

NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
GONE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}

Start = Callable[..., tuple[subprocess.Popen[str], str]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def start(signers: Any) -> Iterator[Start]:
    """Starts the sample service as a process of its own; answers it and its address."""
    started: list[subprocess.Popen[str]] = []

    def starting(**settings: str) -> tuple[subprocess.Popen[str], str]:
        address = f"127.0.0.1:{free_port()}"
        wanted = {
            "jwks": str(signers.path),
            "grpc_address": address,
            "metrics_address": "127.0.0.1:0",
            "redis_url": "redis://127.0.0.1:1/0",
            "reactor": "off",
            "log_level": "INFO",
        } | settings
        environment = os.environ | {f"CLOSEDLOOP_{name.upper()}": value for name, value in wanted.items()}
        program = str(Path(sample.__file__))
        process = subprocess.Popen(
            [sys.executable, program], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        started.append(process)
        return process, address

    yield starting
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


async def left(process: subprocess.Popen[str], within: float) -> tuple[int, float, str]:
    """Sends SIGTERM; answers exit status, seconds and what was printed."""
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    printed, _ = await asyncio.wait_for(asyncio.to_thread(process.communicate), within)
    return process.returncode, time.monotonic() - began, printed


async def wait_serving(channel: grpc.aio.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    async for answer in health.Watch(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=20):
        if answer.status == health_pb2.HealthCheckResponse.SERVING:
            return


async def test_under_load_nothing_acknowledged_is_lost_and_watches_are_ended(
    start: Start, signers: Any, database_url: str, sql: psycopg.Connection[Any]
) -> None:
    process, address = start(database_url=database_url, drain_seconds="4")
    metadata = (("authorization", f"Bearer {signers.token('operations')}"),)
    acknowledged: list[str] = []
    failures: list[grpc.aio.AioRpcError] = []
    seen: list[int] = []

    async with grpc.aio.insecure_channel(address) as channel, grpc.aio.insecure_channel(address) as watching:
        await wait_serving(channel)
        stub = sample.Stub(channel)

        async def load(worker: int) -> None:
            for number in range(10_000):
                request = sample.pb.WriteSampleRequest(request_id=f"load-{worker}-{number:05}", id=f"{worker}-{number}")
                try:
                    acknowledged.append((await stub.WriteSample(request, metadata=metadata)).id)
                except grpc.aio.AioRpcError as error:
                    failures.append(error)
                    return

        async def watch_health() -> grpc.StatusCode:
            call = health_pb2_grpc.HealthStub(watching).Watch(health_pb2.HealthCheckRequest())
            async for answer in call:
                seen.append(answer.status)  # noqa: PERF401  read while the call goes on
            return await call.code()

        async def watch_samples() -> grpc.aio.AioRpcError:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                async for _ in sample.Stub(watching).WatchSamples(sample.pb.EchoRequest(), metadata=metadata):
                    pass
            return caught.value

        workers = [asyncio.create_task(load(worker)) for worker in range(6)]
        health, stream = asyncio.create_task(watch_health()), asyncio.create_task(watch_samples())
        await asyncio.sleep(0.8)
        status, seconds, printed = await left(process, 15)
        await asyncio.gather(*workers)
        # Told NOT_SERVING, then ended in good order, not torn off.
        assert await health is grpc.StatusCode.OK
        ended = await stream
    assert status == 0, printed
    assert seconds < 6
    assert seen[-1] == NOT_SERVING
    assert (ended.code().name, client.info(ended).reason) == ("UNAVAILABLE", "DRAINING")
    assert len(acknowledged) > 20
    assert {error.code() for error in failures} <= GONE
    kept = {row[0] for row in sql.execute("SELECT id FROM sample").fetchall()}
    assert set(acknowledged) <= kept


async def test_without_database_and_redis_it_leaves_in_time_too(start: Start, signers: Any) -> None:
    nowhere = f"postgresql://127.0.0.1:{free_port()}/none"
    process, address = start(database_url=nowhere, drain_seconds="2", pool_wait_seconds="30")
    metadata = (("authorization", f"Bearer {signers.token('operations')}"),)
    async with grpc.aio.insecure_channel(address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=20)
        assert answer.status == NOT_SERVING
        # A call that waits for the database when the signal comes.
        request = sample.pb.WriteSampleRequest(request_id="waiting-1", id="w")
        waiting = sample.Stub(channel).WriteSample(request, metadata=metadata)
        await asyncio.sleep(0.3)
        status, seconds, printed = await left(process, 15)
        with pytest.raises(grpc.aio.AioRpcError):
            await waiting
    assert status == 0, printed
    assert seconds < 8


async def test_closing_that_hangs_or_fails_holds_nobody(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    async def fail() -> None:
        raise OSError("already gone")

    monkeypatch.setattr(drain, "CLOSE_SECONDS", 0.3)
    for close, most in ((hang, 1.5), (fail, 1.2)):
        async with serve(drain_seconds=0.5) as edge:
            began = time.monotonic()
            await drain.drain(edge.server, edge.process.settings, close)
            assert time.monotonic() - began < most
