"""What is refused early, so that the rest is served well."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
import sample
from google.rpc.error_details_pb2 import RetryInfo

from closedloop_chassis import client
from closedloop_chassis.edge.load_shedding import Load
from closedloop_chassis.settings import Settings

pytestmark = pytest.mark.timeout(60)


async def test_more_calls_at_once_than_allowed_are_refused_with_a_delay(serve: Any) -> None:
    release = asyncio.Event()

    async def wait(request: Any, call: Any) -> Any:
        await release.wait()
        return sample.pb.Sample(id="served")

    async with serve(max_concurrent_calls=3) as edge:
        edge.handlers.echo = wait
        calls = [
            asyncio.ensure_future(edge.stub.Echo(sample.pb.EchoRequest(), metadata=edge.operations)) for _ in range(5)
        ]
        done, pending = await asyncio.wait(calls, timeout=0.3)
        assert (len(done), len(pending)) == (2, 3)
        for call in done:
            error: Any = call.exception()
            assert (error.code().name, client.info(error).reason) == ("RESOURCE_EXHAUSTED", "OVERLOADED")
            assert any(detail.Is(RetryInfo.DESCRIPTOR) for detail in client.status(error).details)
        release.set()
        assert [(await call).id for call in pending] == ["served"] * 3
        # The places are free again.
        assert (await edge.stub.Echo(sample.pb.EchoRequest(), metadata=edge.operations)).id == "served"


async def test_one_loud_caller_does_not_silence_another(serve: Any) -> None:
    async with serve(rate_per_caller=10) as edge:
        loud = edge.metadata("operations", subject="loud")
        calls = [edge.stub.Echo(sample.pb.EchoRequest(), metadata=loud) for _ in range(20)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
        assert 8 <= len(refused) <= 10
        assert {client.info(error).reason for error in refused} == {"RATE_EXCEEDED"}
        quiet = edge.metadata("operations", subject="quiet")
        assert (await edge.stub.Echo(sample.pb.EchoRequest(), metadata=quiet)).id == "quiet"


async def test_the_bucket_fills_again_and_zero_means_no_limit() -> None:
    load = Load(Settings(database_url="x", rate_per_caller=20))
    assert [load.wait("lin") for _ in range(20)] == [0.0] * 20
    assert 0 < load.wait("lin") <= 0.05
    await asyncio.sleep(0.12)
    assert load.wait("lin") == 0.0
    free = Load(Settings(database_url="x", rate_per_caller=0))
    assert not any(free.wait("lin") for _ in range(1000))
