"""How long a call may take."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc
import pytest
import sample

from closedloop_chassis import client

pytestmark = pytest.mark.timeout(60)


async def test_the_contract_caps_a_caller_who_would_wait_longer(serve: Any) -> None:
    cancelled = asyncio.Event()

    async def sleep(request: Any, call: Any) -> Any:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with serve() as edge:
        edge.handlers.echo = sleep
        began = time.monotonic()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await edge.stub.Echo(sample.pb.EchoRequest(), metadata=edge.operations)
        assert 0.45 < time.monotonic() - began < 1.5
        assert cancelled.is_set()
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert client.info(caught.value).reason == "DEADLINE_EXCEEDED"


async def test_the_handler_knows_when_its_caller_stops_waiting(serve: Any) -> None:
    left: list[float] = []

    async def look(request: Any, call: Any) -> Any:
        left.append(call.expires - time.monotonic())
        return sample.pb.Sample(id="x")

    async with serve() as edge:
        edge.handlers.echo = look
        await edge.stub.Echo(sample.pb.EchoRequest(), metadata=edge.operations)
        await edge.stub.Echo(sample.pb.EchoRequest(), metadata=edge.operations, timeout=0.3)
    assert 0.4 < left[0] <= 0.5
    assert 0.1 < left[1] <= 0.295


async def test_a_spent_deadline_is_refused_before_the_work(serve: Any) -> None:
    worked: list[str] = []

    async def work(request: Any, call: Any) -> Any:
        worked.append(request.text)
        return sample.pb.Sample(id="x")

    async with serve() as edge:
        edge.handlers.echo = work
        await edge.stub.Echo(sample.pb.EchoRequest(text="warm"), metadata=edge.operations)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await edge.stub.Echo(sample.pb.EchoRequest(text="spent"), metadata=edge.operations, timeout=0.008)
        await asyncio.sleep(0.1)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert worked == ["warm"]


async def test_a_handlers_own_timeout_is_not_the_callers(serve: Any) -> None:
    async def impatient(request: Any, call: Any) -> Any:
        raise TimeoutError("of its own")

    async with serve() as edge:
        edge.handlers.echo = impatient
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await edge.stub.Echo(sample.pb.EchoRequest(), metadata=edge.operations)
    assert caught.value.code() is grpc.StatusCode.INTERNAL
