"""Deals and contracts go to a new owner, all or none, and what they wait for goes with them (S82)."""

from __future__ import annotations

from datetime import date

import pytest

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.funnel.v1 import contracts_pb2, contracts_pb2_grpc
from closedloop.funnel.v1 import events_pb2 as events
from closedloop.funnel.v1 import opportunities_pb2 as pb
from closedloop.targets.v1 import events_pb2 as targets

from .conftest import ACME, Company, rid
from .raw_history import moment
from .test_quotes_and_contracts import Desk

UNKNOWN = "0190a000-0000-7000-8000-00000000dead"


def transfer(*ids: str, to: str = "rep2") -> pb.TransferOpportunitiesRequest:
    return pb.TransferOpportunitiesRequest(request_id=rid(), opportunity_ids=ids, new_owner_id=to, reason="转区域")


@pytest.mark.mission("S82")
async def test_deals_go_with_contracts_and_clocks_or_not_at_all(company: Company) -> None:
    live, refused, ops = company.live, company.live.refused, company.deals("ops", "operations")
    await live.move_to(moment(date(2026, 1, 5), 9))
    first, second = await company.open(account_id=ACME), await company.open()
    desk = Desk(company)
    draft = await desk.contract(first, await desk.approved(first))
    with refused("NOT_FOUND", "OPPORTUNITY_UNKNOWN"):
        await ops.TransferOpportunities(transfer(first.id, UNKNOWN))
    with refused("INVALID_ARGUMENT", "PERSON_UNKNOWN"):
        await ops.TransferOpportunities(transfer(first.id, to="nobody"))
    with refused("PERMISSION_DENIED"):
        await company.deals("m1", "manager").TransferOpportunities(transfer(first.id))
    assert (await company.read(first.id)).ownership.owner_id == "rep1", "all or none"

    done = await ops.TransferOpportunities(transfer(second.id, first.id))
    assert [(one.id, one.ownership.owner_id, one.ownership.unit_id) for one in done.opportunities] == [
        (second.id, "rep2", "north"),
        (first.id, "rep2", "north"),
    ]
    told = (await live.told(events.OpportunityChanged))[-2:]
    assert [(one.ownership.owner_id, one.version) for one in told] == [("rep2", 2), ("rep2", 2)]
    gone = await live.stub(contracts_pb2_grpc.ContractServiceStub, "rep2", "rep").GetContract(
        contracts_pb2.GetContractRequest(contract_id=draft.id)
    )
    assert (gone.ownership.owner_id, gone.etag != draft.etag) == ("rep2", True)
    # The deal sticks: it is the new owner's manager who hears of it.
    await live.move_to(moment(date(2026, 1, 13), 9))
    tasks = [one.content for one in await live.told(approvals.TaskRequested)]
    assert {one.ownership.owner_id for one in tasks if one.opportunity_id in (first.id, second.id)} == {"rep2"}

    etag = (await company.read(first.id)).etag
    again = await ops.TransferOpportunities(transfer(first.id))
    assert again.opportunities[0].etag == etag, "who has it already keeps it as it is"
    back = contracts_pb2.TransferContractsRequest(
        request_id=rid(), contract_ids=[draft.id], new_owner_id="rep1", reason="原签约人"
    )
    boss = live.stub(contracts_pb2_grpc.ContractServiceStub, "ops", "operations")
    moved = await boss.TransferContracts(back)
    assert [one.ownership.owner_id for one in moved.contracts] == ["rep1"]
    await live.hear(targets.PersonChanged(person_id="rep1", unit_id="team1", name="张三", active=False, version=10**9))
    back.request_id = rid()
    with refused("FAILED_PRECONDITION", "PERSON_LEFT"):
        await boss.TransferContracts(back)
    back.request_id, back.new_owner_id = rid(), "rep2"
    back.contract_ids.append(UNKNOWN)
    with refused("NOT_FOUND", "CONTRACT_UNKNOWN"):
        await boss.TransferContracts(back)
