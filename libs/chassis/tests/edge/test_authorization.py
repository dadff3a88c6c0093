"""Who may call what, and over which records."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
import sample
from pydantic import ValidationError

from closedloop_chassis import client
from closedloop_chassis.edge.authorization import scope
from closedloop_chassis.permissions import PermissionRules
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


def narrowed(edge: Any, **reaches: str) -> None:
    """As if "platform.permissions" had been published."""
    rules = PermissionRules.model_validate({"narrowed": {"sample.SampleService.Echo": reaches}})
    edge.process.rulebooks.in_force = lambda model, at: rules if model is PermissionRules else model()


@pytest.mark.mission("S100")
async def test_a_company_may_let_in_fewer_and_show_them_less(serve: Any) -> None:
    seen: list[Any] = []

    async def look(request: Any, call: Any) -> Any:
        seen.append((call.scope.company, set(call.scope.unit_ids)))
        return sample.pb.Sample(id="x")

    async with serve() as edge:
        edge.handlers.echo = look
        narrowed(edge, manager="unit", rep="none")
        for roles in (("manager",), ("manager", "operations"), ("rep", "engineer")):
            await edge.stub.Echo(sample.pb.EchoRequest(), metadata=edge.metadata(*roles))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await edge.stub.Echo(sample.pb.EchoRequest(), metadata=edge.metadata("rep"))
    assert seen == [(False, {"east"}), (True, set()), (False, {"east"})]
    info = client.info(caught.value)
    assert info.reason == "ROLE_NOT_GRANTED"
    assert "rep" not in info.metadata["allowed"].split(", ")


@pytest.mark.mission("S100")
@pytest.mark.parametrize(
    ("name", "reaches", "says"),
    [
        ("sample.SampleService.Ecko", {"rep": "none"}, "is no RPC"),
        ("sample.SimpleService", {"rep": "none"}, "is no RPC"),
        ("nobody.SampleService", {"rep": "none"}, "is no RPC"),
        ("platform.RulebookService", {"operations": "none"}, "is no RPC"),
        ("sample.SampleService.Echo", {"rep": "company"}, "no more than own"),
        ("sample.SampleService.Echo", {"auditor": "none"}, "nothing to narrow"),
        ("sample.SampleService.Echo", {"service": "none"}, "Input should be"),
        ("sample.SampleService.Echo", {"rep": "everything"}, "Input should be"),
    ],
)
def test_what_a_company_cannot_narrow_is_refused(name: str, reaches: dict[str, str], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        PermissionRules.model_validate({"narrowed": {name: reaches}})


@pytest.mark.mission("S100")
def test_what_is_said_of_an_rpc_goes_before_its_service() -> None:
    said = {
        "sample.SampleService.Echo": {"manager": "unit"},
        "sample.SampleService": {"manager": "own", "operations": "none"},
    }
    rules = PermissionRules.model_validate({"narrowed": said})
    assert rules.of("closedloop.sample.v1.SampleService.Echo") == {"manager": 1, "operations": -1}
    assert rules.of("closedloop.sample.v1.SampleService.WriteSample") == {"manager": 0, "operations": -1}
    assert rules.of("closedloop.other.v1.OtherService.Echo") == {}


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
