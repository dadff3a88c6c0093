"""What a server offers besides its contract, and what it refuses to start with."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
import sample
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from pydantic import SecretStr

from closedloop.platform.v1 import platform_pb2, platform_pb2_grpc
from closedloop_chassis import client, contract, packages
from closedloop_chassis.edge import unit_of_work
from closedloop_chassis.edge.server import EdgeServer
from closedloop_chassis.process import Process
from closedloop_chassis.service import Service
from closedloop_chassis.settings import Settings

pytestmark = pytest.mark.timeout(60)

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


async def test_what_no_slice_serves_says_so_to_those_who_may_call(serve: Any) -> None:
    async with serve() as edge:
        seen = []
        for metadata in (None, edge.metadata("rep"), edge.operations):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await edge.stub.Unserved(sample.pb.EchoRequest(), metadata=metadata)
            seen.append((caught.value.code().name, client.info(caught.value).reason))
    assert seen == [
        ("UNAUTHENTICATED", "TOKEN_MISSING"),
        ("PERMISSION_DENIED", "ROLE_NOT_GRANTED"),
        ("UNIMPLEMENTED", "NOT_SERVED"),
    ]


async def test_nobody_is_answered_out_of_an_empty_memory(serve: Any) -> None:
    async with serve() as edge:
        edge.process.ready.clear()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await edge.stub.Echo(sample.pb.EchoRequest(text="early"), metadata=edge.operations)
        assert (caught.value.code().name, client.info(caught.value).reason) == ("UNAVAILABLE", "STARTING")
        edge.process.ready.set()
        assert (await edge.stub.Echo(sample.pb.EchoRequest(text="now"), metadata=edge.operations)).text


async def test_health_follows_readiness_for_the_server_and_every_service_without_a_token(serve: Any) -> None:
    async with serve() as edge:
        health = health_pb2_grpc.HealthStub(edge.channel)
        names = ["", sample.SERVICE, "closedloop.platform.v1.RulebookService"]

        async def states() -> set[int]:
            return {(await health.Check(health_pb2.HealthCheckRequest(service=name))).status for name in names}

        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == SERVING
        assert await states() == {SERVING}
        await edge.server.ready(False)
        assert (await watch.read()).status == NOT_SERVING
        assert await states() == {NOT_SERVING}
        watch.cancel()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health.Check(health_pb2.HealthCheckRequest(service="closedloop.nothing.v1.NoService"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_server_is_not_serving_before_it_is_ready(signers: Any) -> None:
    settings = Settings(database_url=SecretStr("postgresql://"), grpc_address="127.0.0.1:0", jwks=str(signers.path))
    server = EdgeServer(Process(sample.service(sample.Handlers()), settings))
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert answer.status == NOT_SERVING
    await server.stop(0)


async def test_reflection_lists_the_services_without_a_token(serve: Any) -> None:
    async def asked() -> Any:
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    async with serve() as edge:
        stub = reflection_pb2_grpc.ServerReflectionStub(edge.channel)
        async for answer in stub.ServerReflectionInfo(asked()):
            names = {service.name for service in answer.list_services_response.service}
    assert {sample.SERVICE, "closedloop.platform.v1.ClockService", "grpc.health.v1.Health"} <= names
    assert packages.DEVELOPMENT not in names


async def test_channelz_is_for_administrators(serve: Any) -> None:
    async with serve() as edge:
        stub = channelz_pb2_grpc.ChannelzStub(edge.channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetServers(channelz_pb2.GetServersRequest(), metadata=edge.operations)
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
        admin = edge.metadata("admin")
        answer = await stub.GetServers(channelz_pb2.GetServersRequest(), metadata=admin)
        assert sum(server.data.calls_started for server in answer.server) >= 2
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetSocket(channelz_pb2.GetSocketRequest(socket_id=10**9), metadata=admin)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("development", [False, True])
async def test_the_development_service_exists_in_development_only(serve: Any, development: bool) -> None:
    async with serve(development=development) as edge:
        stub = platform_pb2_grpc.DevelopmentServiceStub(edge.channel)
        metadata = edge.metadata("admin")
        if development:
            assert (await stub.GetTime(platform_pb2.GetTimeRequest(), metadata=metadata)).HasField("time")
            return
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetTime(platform_pb2.GetTimeRequest(), metadata=metadata)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_port_in_use_is_an_error_at_once(signers: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = Settings(
            database_url=SecretStr("postgresql://"),
            grpc_address=f"127.0.0.1:{taken.getsockname()[1]}",
            jwks=str(signers.path),
        )
        with pytest.raises(RuntimeError, match="bind"):
            EdgeServer(Process(sample.service(sample.Handlers()), settings))


def test_a_handler_for_another_contract_or_twice_the_same_is_an_error_at_start(signers: Any) -> None:
    settings = Settings(database_url=SecretStr("postgresql://"), grpc_address="127.0.0.1:0", jwks=str(signers.path))
    samples = sample.Handlers().slice()

    async def starting(service: Service) -> None:
        EdgeServer(Process(service, settings))

    foreign = Service("other", packages.PLATFORM, (samples,), Path("none"))
    with pytest.raises(LookupError, match="not of this service's contract"):
        asyncio.run(starting(foreign))
    with pytest.raises(LookupError, match="two handlers for"):
        asyncio.run(starting(Service("sample", sample.PACKAGE, (samples, samples), Path("none"))))
    with pytest.raises(LookupError, match="no contract describes"):
        asyncio.run(starting(Service("sample", "closedloop.nothing.v1", (), Path("none"))))


def test_a_contract_that_cannot_be_kept_is_an_error_at_start() -> None:
    methods = {method.name: method for method in contract.methods(sample.SERVICE)}
    edge: Any = None
    with pytest.raises(LookupError, match="takes no request_id"):
        unit_of_work.innermost(replace(methods["Echo"], mutates=True), edge, sample.echo)
    with pytest.raises(LookupError, match="streams and mutates"):
        unit_of_work.innermost(replace(methods["WatchSamples"], mutates=True), edge, sample.watch_samples)
