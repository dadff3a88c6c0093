"""How we call: what is retried, and what is passed on."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
import sample
from pydantic import SecretStr

from closedloop_chassis import client, contract, errors
from closedloop_chassis.edge.deadline import expires
from closedloop_chassis.settings import Settings
from closedloop_chassis.telemetry.tracing import current_traceparent

pytestmark = pytest.mark.timeout(60)

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


@pytest.fixture
def token_file(signers: Any, tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(signers.token("operations", subject="funnel") + "\n")
    return path


def test_the_service_config_says_for_every_method_what_the_contract_says() -> None:
    config = json.loads(client.service_config(sample.PACKAGE))
    assert config["loadBalancingConfig"] == [{"round_robin": {}}]
    (entry,) = config["methodConfig"]
    # All of them: reads, and mutations that carry a request_id. And nothing but UNAVAILABLE.
    assert {name["method"] for name in entry["name"]} == {
        "Echo",
        "WriteSample",
        "WatchSamples",
        "Unserved",
        "Forbidden",
    }
    assert entry["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE", "CANCELLED"]


def test_a_mutation_without_a_request_id_is_not_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = list(contract.methods(sample.SERVICE))
    monkeypatch.setattr(contract, "methods", lambda name: [replace(method, mutates=True) for method in reads])
    (entry,) = json.loads(client.service_config(sample.PACKAGE))["methodConfig"]
    assert [name["method"] for name in entry["name"]] == ["WriteSample"]


async def test_a_server_back_from_an_absence_is_noticed_within_seconds(token_file: Path) -> None:
    """Whoever answers the door and hangs up, as a proxy before a dead server does, must not be given up for minutes."""
    knocks: list[float] = []

    async def hang_up(reader: Any, writer: Any) -> None:
        knocks.append(time.monotonic())
        writer.close()

    door = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    target = f"127.0.0.1:{door.sockets[0].getsockname()[1]}"
    async with client.channel(target, sample.PACKAGE, token_file=token_file) as channel:
        give_up = time.monotonic() + 17
        while time.monotonic() < give_up:
            with pytest.raises(grpc.aio.AioRpcError):
                await sample.Stub(channel).Echo(sample.pb.EchoRequest(), timeout=1)
            await asyncio.sleep(0.1)
    door.close()
    pauses = [after - before for before, after in itertools.pairwise([*knocks, time.monotonic()])]
    assert max(pauses) < 4.5


async def test_a_call_waits_no_longer_than_its_contract_though_the_server_hangs(token_file: Path) -> None:
    async def hang(reader: Any, writer: Any) -> None:
        await asyncio.sleep(5)

    silent = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with client.channel(f"127.0.0.1:{port}", sample.PACKAGE, token_file=token_file) as channel:
        began = time.monotonic()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await sample.Stub(channel).Echo(sample.pb.EchoRequest(), wait_for_ready=True)
    silent.close()
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert 0.7 < time.monotonic() - began < 1.2


async def test_unavailable_is_retried_and_other_refusals_are_not(serve: Any, token_file: Path) -> None:
    calls: list[str] = []

    async def stumble(request: Any, call: Any) -> Any:
        calls.append(request.text)
        if request.text == "twice" and len(calls) < 3:
            raise errors.Unavailable("AWAY", "away")
        if request.text == "never":
            raise errors.Aborted("CONFLICT", "conflict")
        return sample.pb.Sample(id="served")

    async with serve() as edge:
        edge.handlers.echo = stumble
        async with client.channel(f"127.0.0.1:{edge.server.port}", sample.PACKAGE, token_file=token_file) as channel:
            stub = sample.Stub(channel)
            assert (await stub.Echo(sample.pb.EchoRequest(text="twice"))).id == "served"
            assert calls == ["twice"] * 3
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.Echo(sample.pb.EchoRequest(text="never"))
            assert calls == ["twice"] * 3 + ["never"]


async def test_a_retried_mutation_acts_once(serve: Any, database_url: str, sql: Any, token_file: Path) -> None:
    calls = 0

    async def answer_lost(request: Any, call: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise errors.Unavailable("AWAY", "away")
        return await sample.write_sample(request, call)

    async with serve(database_url) as edge:
        edge.handlers.write_sample = answer_lost
        async with client.channel(f"127.0.0.1:{edge.server.port}", sample.PACKAGE, token_file=token_file) as channel:
            request = sample.pb.WriteSampleRequest(request_id="retried-1", id="r")
            assert (await sample.Stub(channel).WriteSample(request)).id == "r"
    assert calls == 2
    assert sql.execute("SELECT owner_id FROM sample").fetchall() == [("funnel",)]


def renew(path: Path, token: str) -> None:
    path.write_text(token)
    os.utime(path, (1, 1))


async def test_deadline_trace_and_token_are_passed_on(serve: Any, token_file: Path, signers: Any) -> None:
    seen: list[tuple[str, float, str]] = []

    async def look(request: Any, call: Any) -> Any:
        seen.append((call.caller.subject, call.expires - time.monotonic(), current_traceparent()))
        return sample.pb.Sample(id="x")

    async def relayed(request: Any, call: Any) -> Any:
        await sample.Stub(edge.process.peer).Echo(sample.pb.EchoRequest())
        return sample.pb.Sample(id="relayed")

    async with serve() as far, serve() as edge:
        far.handlers.echo = look
        edge.handlers.echo = relayed
        address = f"127.0.0.1:{far.server.port}"
        peers = client.Peers(
            Settings(database_url=SecretStr("postgresql://"), peers={"sample": address}, service_token_file=token_file)
        )
        edge.process.peer = peers.channel("sample")
        metadata = (*edge.operations, ("traceparent", TRACEPARENT))
        await edge.stub.Echo(sample.pb.EchoRequest(), metadata=metadata, timeout=0.3)
        # A new token in the file is used without a restart.
        renew(token_file, signers.token("operations", subject="approvals"))
        await asyncio.sleep(1.05)
        assert (await peers.stub("sample", sample.Stub).Echo(sample.pb.EchoRequest())).id == "x"
        with pytest.raises(LookupError, match="targets"):
            peers.stub("targets", sample.Stub)
        await peers.close()
    assert [subject for subject, _, _ in seen] == ["funnel", "approvals"]
    # Each hop leaves itself a little time for the answer.
    assert 0.05 < seen[0][1] < 0.285
    assert seen[0][2] == TRACEPARENT


async def test_a_call_whose_time_is_spent_is_not_sent(serve: Any, token_file: Path) -> None:
    async with (
        serve() as edge,
        client.channel(f"127.0.0.1:{edge.server.port}", sample.PACKAGE, token_file=token_file) as channel,
    ):
        expires.set(time.monotonic() - 1)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await sample.Stub(channel).Echo(sample.pb.EchoRequest())
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
