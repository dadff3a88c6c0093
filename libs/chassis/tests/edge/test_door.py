"""Those who come and say nothing, and those who come by the thousand: others are served meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import grpc.aio
import pytest
import sample
from google.rpc.error_details_pb2 import RetryInfo

from closedloop_chassis import client
from closedloop_chassis.edge import door

pytestmark = pytest.mark.timeout(60)


def silent(edge: Any, method: str) -> Any:
    """A call that sends its headers and never its message."""

    async def nothing() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    kind = edge.channel.stream_stream if method == "WatchSamples" else edge.channel.stream_unary
    return kind(f"/{sample.SERVICE}/{method}")(nothing(), metadata=edge.operations)


async def outcome(call: Any) -> str:
    try:
        await (call.read() if hasattr(call, "read") else call)
    except grpc.aio.AioRpcError as error:
        return f"{error.code().name} {client.info(error).reason}"
    return "OK"


async def test_so_many_may_be_silent_and_whoever_speaks_is_served(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "PATIENCE_SECONDS", 0.3)
    async with serve(max_concurrent_calls=2) as edge:
        for _ in range(2):
            patient = [silent(edge, "Echo") for _ in range(4)]
            while edge.server.silent < 4:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert await outcome(silent(edge, "Echo")) == "RESOURCE_EXHAUSTED SILENT"
            assert await outcome(silent(edge, "WatchSamples")) == "RESOURCE_EXHAUSTED SILENT"
            # Unary and streaming, through the careful door.
            assert (await edge.stub.Echo(sample.pb.EchoRequest(), metadata=edge.operations)).id == "lin"
            stream = edge.stub.WatchSamples(sample.pb.EchoRequest(), metadata=edge.operations)
            assert [message.id async for message in stream] == ["0", "1", "2"]
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await edge.stub.Echo(sample.pb.EchoRequest(text="x" * 101), metadata=edge.operations)
            assert client.info(refused.value).reason == "VALIDATION_FAILED"
            assert not any(call.done() for call in patient)
            for call in patient:
                call.cancel()
            # Who has left holds no place, and the next may be as patient.
            while edge.server.silent:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_those_who_come_by_the_hundred_to_what_computes_hear_so_and_are_not_cut_off(serve: Any) -> None:
    async def compute(request: Any, call: Any) -> Any:
        time.sleep(0.005)  # noqa: ASYNC251
        return sample.pb.Sample(id="served")

    async with serve(max_concurrent_calls=32, rate_per_caller=0) as edge, AsyncExitStack() as channels:
        edge.handlers.echo = compute
        address, alone = f"127.0.0.1:{edge.server.port}", [("grpc.use_local_subchannel_pool", 1)]
        calls = []
        for _ in range(15):
            channel = await channels.enter_async_context(grpc.aio.insecure_channel(address, options=alone))
            stub = sample.Stub(channel)
            calls += [stub.Echo(sample.pb.EchoRequest(), metadata=edge.operations) for _ in range(80)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        refused: list[Any] = [answer for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
        said = Counter((error.code().name, client.info(error).reason) for error in refused)
        assert said.keys() == {("RESOURCE_EXHAUSTED", "OVERLOADED")}, said
        assert all(any(one.Is(RetryInfo.DESCRIPTOR) for one in client.status(error).details) for error in refused)
        assert len(refused) < len(answers)
        # It is over when they are gone.
        while edge.server.backlog or edge.server.shedding:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert (await edge.stub.Echo(sample.pb.EchoRequest(), metadata=edge.operations)).id == "served"
