"""Server streams pass the same chain as everything else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import sample

from closedloop_chassis import client, errors

pytestmark = pytest.mark.timeout(60)


async def test_messages_arrive_in_order(serve: Any) -> None:
    async with serve() as edge:
        stream = edge.stub.WatchSamples(sample.pb.EchoRequest(), metadata=edge.operations)
        assert [message.id async for message in stream] == ["0", "1", "2"]


async def test_a_stream_is_authenticated_authorized_and_validated(serve: Any) -> None:
    async def reason(**call: Any) -> str:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await anext(aiter(edge.stub.WatchSamples(call.pop("request", sample.pb.EchoRequest()), **call)))
        return client.info(caught.value).reason

    async with serve() as edge:
        assert await reason() == "TOKEN_MISSING"
        assert await reason(metadata=edge.metadata("rep")) == "ROLE_NOT_GRANTED"
        bad = sample.pb.EchoRequest(text="x" * 101)
        assert await reason(metadata=edge.operations, request=bad) == "VALIDATION_FAILED"


async def test_an_error_after_some_messages_ends_the_stream_with_its_status(serve: Any) -> None:
    async def breaks(request: Any, call: Any) -> AsyncIterator[Any]:
        yield sample.pb.Sample(id="first")
        raise errors.FailedPrecondition("ENOUGH", "enough")

    async with serve() as edge:
        edge.handlers.watch_samples = breaks
        stream = aiter(edge.stub.WatchSamples(sample.pb.EchoRequest(), metadata=edge.operations))
        assert (await anext(stream)).id == "first"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await anext(stream)
    assert client.info(caught.value).reason == "ENOUGH"


async def test_a_caller_who_leaves_ends_the_handler_at_once(serve: Any) -> None:
    closed = asyncio.Event()

    async def endless(request: Any, call: Any) -> AsyncIterator[Any]:
        try:
            yield sample.pb.Sample(id="first")
            await asyncio.Event().wait()
        finally:
            closed.set()

    async with serve() as edge:
        edge.handlers.watch_samples = endless
        stream = edge.stub.WatchSamples(sample.pb.EchoRequest(), metadata=edge.operations)
        assert (await anext(aiter(stream))).id == "first"
        stream.cancel()
        await asyncio.wait_for(closed.wait(), 5)


async def test_a_caller_who_leaves_in_mid_write_is_no_error(serve: Any, log_lines: Any) -> None:
    async def pouring(request: Any, call: Any) -> AsyncIterator[Any]:
        while True:
            yield sample.pb.Sample(id="x" * 50_000)

    async with serve() as edge:
        edge.handlers.watch_samples = pouring
        for _ in range(120):
            stream = edge.stub.WatchSamples(sample.pb.EchoRequest(), metadata=edge.operations)
            await anext(aiter(stream))
            stream.cancel()
        await asyncio.sleep(0.2)
    assert "rpc failed" not in {line["event"] for line in log_lines()}


async def test_open_streams_do_not_use_up_the_places_of_calls(serve: Any) -> None:
    async def endless(request: Any, call: Any) -> AsyncIterator[Any]:
        yield sample.pb.Sample(id="first")
        await asyncio.Event().wait()

    async with serve(max_concurrent_calls=2) as edge:
        edge.handlers.watch_samples = endless
        watch = edge.stub.WatchSamples
        streams = [watch(sample.pb.EchoRequest(), metadata=edge.operations) for _ in range(2)]
        for stream in streams:
            await anext(aiter(stream))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await anext(aiter(watch(sample.pb.EchoRequest(), metadata=edge.operations)))
        assert client.info(caught.value).reason == "OVERLOADED"
        assert (await edge.stub.Echo(sample.pb.EchoRequest(), metadata=edge.operations)).id == "lin"
        for stream in streams:
            stream.cancel()
