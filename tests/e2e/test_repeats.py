"""The same request id, twice or eight times at once, acts once and answers the same, through a service as it runs."""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio
import pytest

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import leads_pb2, leads_pb2_grpc
from closedloop.funnel.v1 import opportunities_pb2, opportunities_pb2_grpc
from closedloop.platform.v1 import platform_pb2, platform_pb2_grpc
from closedloop_chassis import client, ids
from closedloop_proofs import loop
from closedloop_proofs.loop import ADMIN, Stage

AT_ONCE = 8


@pytest.mark.mission("S21", "U15")
@pytest.mark.parametrize("times", [2, AT_ONCE])
async def test_at_once(over_redis: Stage, times: int) -> None:
    turn = await _customer(over_redis)
    stub = opportunities_pb2_grpc.OpportunityServiceStub
    request = opportunities_pb2.CreateOpportunityRequest(
        request_id=ids.new_id(), name=f"second of {turn.company}", account_id=turn.account_id,
        amount=loop.cny(5_000_00), expected_close_date=loop.day(30),
    )  # fmt: skip
    calls = (over_redis.once(stub, "CreateOpportunity", request, turn.owner) for _ in range(times))
    answers = await asyncio.gather(*calls)
    assert len({answer.SerializeToString(deterministic=True) for answer in answers}) == 1
    listing = opportunities_pb2.ListOpportunitiesRequest(query=request.name)
    found = await over_redis.once(stub, "ListOpportunities", listing, turn.owner)
    assert [one.id for one in found.opportunities] == [answers[0].id]
    audit = platform_pb2.ListAuditEntriesRequest(subject=answers[0].id)
    trail = await over_redis.once(platform_pb2_grpc.AuditServiceStub, "ListAuditEntries", audit, ADMIN, "funnel")
    assert len([entry for entry in trail.entries if entry.cause.endswith(".CreateOpportunity")]) == 1


async def test_one_after_the_other(over_redis: Stage) -> None:
    turn = await _customer(over_redis)
    stub = leads_pb2_grpc.LeadServiceStub
    request = leads_pb2.IntakeLeadRequest(
        request_id=ids.new_id(),
        profile=leads_pb2.LeadProfile(company_name=f"{turn.company} works", region_code="310000"),
        provenance=Provenance(source="phone"),
    )
    first = await over_redis.once(stub, "IntakeLead", request, turn.owner)
    second = await over_redis.once(stub, "IntakeLead", request, turn.owner)
    assert first == second

    # The same id for something else is refused.
    request.profile.need = "another thing"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await over_redis.once(stub, "IntakeLead", request, turn.owner)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert client.info(refused.value).reason == "REQUEST_ID_REUSED"


async def _customer(stage: Stage) -> loop.Turn:
    turn = loop.new_turn()
    await loop.lead_in(stage, turn)
    await loop.converted(stage, turn)
    await loop.opened(stage, turn)
    return turn
