"""Quotes and contracts while their deal changes under them: its customer, its owner, its end; and those without a quote."""

from __future__ import annotations

import pytest

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.common.v1.common_pb2 import Provenance
from closedloop.funnel.v1 import contracts_pb2, contracts_pb2_grpc
from closedloop.funnel.v1 import opportunities_pb2 as deals
from closedloop.funnel.v1 import quotes_pb2 as pb

from .conftest import ACME, Company, account, cny, day, rid
from .test_import import bring
from .test_opportunities import closing, updating
from .test_quotes_and_contracts import Desk, line

SMALL = "0190a000-0000-7000-8000-000000000003"
DRAFT, APPROVED = pb.QUOTE_STATE_DRAFT, pb.QUOTE_STATE_APPROVED


@pytest.fixture
async def desk(company: Company) -> Desk:
    owner = {"owner_id": "rep1", "unit_id": "team1"}
    await company.live.hear(account(SMALL, "小客户", grade="C", ownership=owner))
    return Desk(company)


async def taken_back(desk: Desk) -> list[tuple[str, str, int]]:
    told = await desk.live.told(approvals.ApprovalWithdrawn)
    return [(one.kind, one.subject_id, one.version) for one in told]


async def for_customer(desk: Desk, deal: deals.Opportunity, account_id: str) -> deals.Opportunity:
    deal = await desk.company.read(deal.id)
    return await desk.company.deals("rep1", "rep").UpdateOpportunity(
        updating(deal, "account_id", account_id=account_id)
    )


@pytest.mark.mission("S63", "S66")
async def test_a_decision_is_about_one_customer(desk: Desk) -> None:
    """Approved for a customer of grade A, the deal is given another of grade C; and then records that turn out to be one."""
    deal = await desk.company.open(account_id=ACME)
    issued = await desk.issue(await desk.approved(deal))
    contract = await desk.submit_contract(await desk.contract(deal, issued))
    paper = await desk.subject()
    await desk.decide(paper)
    approved = await desk.approved(deal)
    offer = await desk.subject()
    pending = await desk.submit(await desk.draft(deal))
    waits = await desk.subject()
    contract = await desk.read_contract(contract)
    # Straight into the table, past the service: neither leaves the house.
    await desk.live.db.all(f"UPDATE opportunity SET account_id = '{SMALL}' WHERE id = '{deal.id}' RETURNING id")
    with desk.live.refused("FAILED_PRECONDITION", "QUOTE_NOT_APPROVED"):
        await desk.issue(approved)
    with desk.live.refused("FAILED_PRECONDITION", "CONTENT_CHANGED_SINCE_DECISION"):
        await desk.sign(contract)
    await desk.live.db.all(f"UPDATE opportunity SET account_id = '{ACME}' WHERE id = '{deal.id}' RETURNING id")
    await for_customer(desk, deal, SMALL)
    gone = {(one.kind, one.id, one.version) for one in (offer, waits, paper)}
    assert set(await taken_back(desk)) == gone
    approved, pending = await desk.read(approved), await desk.read(pending)
    assert (approved.state, pending.state, (await desk.read(issued)).state) == (DRAFT, DRAFT, pb.QUOTE_STATE_ISSUED)
    contract = await desk.read_contract(contract)
    assert contract.state == contracts_pb2.CONTRACT_STATE_DRAFT
    with desk.live.refused("FAILED_PRECONDITION", "QUOTE_NOT_APPROVED"):
        await desk.issue(approved)
    with desk.live.refused("FAILED_PRECONDITION", "CONTRACT_NOT_APPROVED"):
        await desk.sign(contract)
    await desk.decide(waits)
    assert (await desk.read(pending)).state == DRAFT, "a decision on its way when the customer changed"
    approved = await desk.submit(approved)
    asked = (await desk.live.told(approvals.ApprovalRequested))[-1]
    assert (asked.facts.account_id, asked.facts.account_grade) == (SMALL, "C")
    assert asked.subject.digest != offer.digest
    await desk.decide(asked.subject)

    # The small customer's record becomes part of ACME's: the same customer as before, and by that name from now on.
    await desk.live.hear(account(SMALL, "小客户", version=2, merged_into_id=ACME))
    approved = await desk.read(approved)
    assert approved.state == APPROVED
    await desk.issue(approved)
    await desk.submit(await desk.read(pending))
    told = (await desk.live.told(approvals.ApprovalRequested))[-1]
    assert (told.facts.account_id, told.facts.account_grade) == (ACME, "A")


@pytest.mark.mission("S63", "S66")
async def test_a_contract_stands_on_a_quote(desk: Desk) -> None:
    """Ten for what was offered at 482,100: where the pipeline asks for a quote there is one, elsewhere the last offer counts."""
    deal = await desk.company.open(account_id=ACME)
    drafting = contracts_pb2.CreateContractRequest(
        request_id=rid(), opportunity_id=deal.id, title="产线升级合同", amount=cny(10)
    )
    with desk.live.refused("FAILED_PRECONDITION", "QUOTE_REQUIRED"):
        await desk.contracts.CreateContract(drafting)
    source = Provenance(source="crm", source_id="c-1")
    row = deals.OpportunityRow(provenance=source, owner="rep1", account="阿克姆", stage="Engaging")
    free = await desk.company.read((await bring(desk.company, row)).opportunity_ids[0])
    drafting.request_id, drafting.opportunity_id = rid(), free.id
    contract = await desk.contracts.CreateContract(drafting)
    await desk.submit_contract(contract)
    quote = await desk.submit(await desk.draft(free, line(0, 100)))
    await desk.decide(await desk.subject())
    await desk.issue(await desk.read(quote))
    drafting.request_id = rid()
    low = await desk.contracts.CreateContract(drafting)
    with desk.live.refused("FAILED_PRECONDITION", "AMOUNT_BELOW_QUOTE"):
        await desk.submit_contract(low)
    drafting.request_id, drafting.amount.units = rid(), 482_100
    await desk.submit_contract(await desk.contracts.CreateContract(drafting))


@pytest.mark.mission("S66", "S67")
async def test_nothing_is_offered_or_signed_on_a_deal_that_is_over(desk: Desk) -> None:
    deal = await desk.company.open(account_id=ACME)
    issued = await desk.issue(await desk.approved(deal))
    contract = await desk.submit_contract(await desk.contract(deal, issued))
    await desk.decide(await desk.subject())
    approved, contract = await desk.approved(deal), await desk.read_contract(contract)
    seller = desk.company.deals("rep1", "rep")
    await seller.CloseOpportunity(closing(await desk.company.read(deal.id), deals.OPPORTUNITY_STATE_LOST, "price"))
    with desk.live.refused("FAILED_PRECONDITION", "OPPORTUNITY_CLOSED"):
        await desk.issue(approved)
    with desk.live.refused("FAILED_PRECONDITION", "OPPORTUNITY_CLOSED"):
        await desk.sign(contract)
    # Another system says that a deal is lost, or whose it is.
    source = Provenance(source="wechat", source_id="w-1")
    row = deals.OpportunityRow(provenance=source, owner="rep1", account="阿克姆", stage="need", pipeline_id="b2b")
    (other,) = (await bring(desk.company, row)).opportunity_ids
    quote = await desk.submit(await desk.draft(await desk.company.read(other)))
    row.owner = "rep2"
    assert (await bring(desk.company, row)).summary.updated == 1
    (given,) = await desk.live.told(approvals.ApprovalReassigned)
    assert (given.subject_id, given.ownership.owner_id, given.actor_id) == (quote.id, "rep2", "ops")
    row.stage, row.owner = "lost", "rep1"
    row.close_date.CopyFrom(day(2026, 1, 5))
    assert (await bring(desk.company, row)).summary.updated == 1
    assert await taken_back(desk) == [("quote", quote.id, given.version)]
    assert (await desk.read(quote)).state == DRAFT


@pytest.mark.mission("S63", "S82")
async def test_approvals_hears_whose_the_papers_are_now(desk: Desk) -> None:
    deal = await desk.company.open(account_id=ACME)
    issued = await desk.issue(await desk.approved(deal))
    contract = await desk.submit_contract(await desk.contract(deal, issued))
    paper = await desk.subject()
    quote = await desk.submit(await desk.draft(deal))
    offer = await desk.subject()
    ops = desk.company.deals("ops", "operations")
    call = deals.TransferOpportunitiesRequest(
        request_id=rid(), opportunity_ids=[deal.id], new_owner_id="lead1", reason="接手"
    )
    await ops.TransferOpportunities(call)
    told = await desk.live.told(approvals.ApprovalReassigned)
    assert sorted((one.kind, one.subject_id, one.version, one.ownership.owner_id) for one in told) == sorted(
        (one.kind, one.id, one.version, "lead1") for one in (paper, offer)
    )
    assert {(one.actor_id, one.reason, one.ownership.unit_id) for one in told} == {("ops", "接手", "team1")}
    assert (await desk.live.told(approvals.ApprovalRequested))[-1].subject.id == quote.id, "asked once"
    boss = desk.live.stub(contracts_pb2_grpc.ContractServiceStub, "ops", "operations")
    back = contracts_pb2.TransferContractsRequest(
        request_id=rid(), contract_ids=[contract.id], new_owner_id="rep1", reason="原签约人"
    )
    await boss.TransferContracts(back)
    last = (await desk.live.told(approvals.ApprovalReassigned))[-1]
    assert (last.kind, last.subject_id, last.ownership.owner_id) == ("contract", contract.id, "rep1")
