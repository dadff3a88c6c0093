"""Who may call what, and over which records."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
import sample

from closedloop_chassis import client
from closedloop_chassis.edge.authorization import scope
from closedloop_chassis.work import Caller

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize(
    ("reach", "subject", "company", "units"),
    [
        ("own", "lin", False, set()),
        ("unit", "lin", False, {"east"}),
        ("subtree", "lin", False, {"east", "team-1"}),
        ("subtree", "wang", False, {"team-1"}),
        ("company", "lin", True, set()),
        ("subtree", "stranger", False, set()),
        ("subtree", "gone", False, set()),
    ],
)
async def test_how_far_a_grant_reaches(reach: str, subject: str, company: bool, units: set[str]) -> None:
    found = scope(Caller(subject, frozenset()), reach, sample.ORG)
    assert (found.company, found.owner_id, found.unit_ids) == (company, subject, units)


async def test_the_widest_of_several_roles_counts(serve: Any) -> None:
    seen: list[Any] = []

    async def look(request: Any, call: Any) -> Any:
        seen.append(call.scope)
        return sample.pb.Sample(id="x")

    async with serve() as edge:
        edge.handlers.echo = look
        for roles in (("rep",), ("rep", "manager"), ("engineer", "REP"), ("manager", "operations", "unheard_of")):
            await edge.stub.Echo(sample.pb.EchoRequest(), metadata=edge.metadata(*roles))
    assert [(found.company, set(found.unit_ids)) for found in seen] == [
        (False, set()),
        (False, {"east", "team-1"}),
        (False, {"east"}),
        (True, set()),
    ]


@pytest.mark.parametrize(
    ("rpc", "roles"), [("Echo", ("auditor",)), ("Echo", ()), ("Forbidden", ("operations", "admin"))]
)
async def test_without_a_grant_the_call_is_denied(serve: Any, rpc: str, roles: tuple[str, ...]) -> None:
    async with serve() as edge:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await getattr(edge.stub, rpc)(sample.pb.EchoRequest(), metadata=edge.metadata(*roles))
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    info = client.info(caught.value)
    assert (info.reason, info.domain) == ("ROLE_NOT_GRANTED", "closedloop.sample")


async def test_a_record_out_of_reach_is_denied(serve: Any) -> None:
    async def look(request: Any, call: Any) -> Any:
        call.authorize("wang", "team-1")
        return sample.pb.Sample(id="x")

    async with serve() as edge:
        edge.handlers.echo = look
        await edge.stub.Echo(sample.pb.EchoRequest(), metadata=edge.metadata("manager"))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await edge.stub.Echo(sample.pb.EchoRequest(), metadata=edge.metadata("rep"))
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert client.info(caught.value).reason == "OUT_OF_SCOPE"
