"""Requests that are wrong whatever the state."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
import sample

from closedloop_chassis import client

pytestmark = pytest.mark.timeout(60)


async def violations(edge: Any, rpc: str, request: Any) -> dict[str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(edge.stub, rpc)(request, metadata=edge.operations)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert client.info(caught.value).reason == "VALIDATION_FAILED"
    return dict(client.violations(caught.value))


async def test_every_violation_is_named_by_its_path(serve: Any) -> None:
    async with serve() as edge:
        request = sample.pb.WriteSampleRequest(request_id="short", id="")
        assert await violations(edge, "WriteSample", request) == {
            "request_id": "must be at least 8 characters",
            "id": "must be at least 1 characters",
        }
        nested = sample.pb.EchoRequest(samples=[sample.pb.Sample(id="a"), sample.pb.Sample()])
        assert await violations(edge, "Echo", nested) == {"samples[1].id": "must be at least 1 characters"}


async def test_nul_characters_are_refused_wherever_they_hide(serve: Any) -> None:
    says = "must not contain NUL characters"
    inner = sample.pb.Sample(id="a", inner=[sample.pb.Sample(id="b\0")])
    async with serve() as edge:
        assert await violations(edge, "Echo", sample.pb.EchoRequest(text="a\0b")) == {"text": says}
        assert await violations(edge, "Echo", sample.pb.EchoRequest(samples=[inner])) == {
            "samples[0].inner[0].id": says
        }
        assert await violations(edge, "Echo", sample.pb.EchoRequest(labels={"k": "\0"})) == {'labels["k"]': says}


async def test_zero_bytes_that_are_no_text_are_fine(serve: Any) -> None:
    async with serve() as edge:
        request = sample.pb.EchoRequest(text="ok", number=1.0)
        assert b"\0" in request.SerializeToString()
        assert (await edge.stub.Echo(request, metadata=edge.operations)).text == "ok"


@pytest.mark.parametrize("payload", [b"\xff\xff\xff", b"\x0a\x05ab", b"\x0a\x02\xff\xfe", b"\x12" * 40])
async def test_malformed_bytes_are_the_callers_fault(serve: Any, payload: bytes) -> None:
    async with serve() as edge:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await edge.channel.unary_unary(f"/{sample.SERVICE}/Echo")(payload, metadata=edge.operations)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert client.info(caught.value).reason == "MALFORMED_REQUEST"


async def test_messages_beyond_the_limit_are_refused(serve: Any) -> None:
    async with serve(max_message_bytes=10_000) as edge:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await edge.stub.Echo(sample.pb.EchoRequest(text="x" * 20_000), metadata=edge.operations)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
