"""No quote and no contract outside the flow: asked, decided, bound to the content, issued, signed, filed."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import requests_pb2
from closedloop.common.v1.common_pb2 import CustomFieldRange
from closedloop.funnel.v1 import contracts_pb2, contracts_pb2_grpc, quotes_pb2_grpc
from closedloop.funnel.v1 import events_pb2 as events
from closedloop.funnel.v1 import opportunities_pb2 as deals
from closedloop.funnel.v1 import quotes_pb2 as pb
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop.targets.v1 import events_pb2 as targets
from closedloop.targets.v1 import rates_pb2

from .conftest import ACME, PROFILE, PROPOSAL, Company, cny, day, matrix, rid

CONTACT = "0190a000-0000-7000-8000-0000000000c1"
UNKNOWN = "0190a000-0000-7000-8000-00000000dead"


def line(discount: float = 0.0, quantity: float = 2, product: str = "gtx-pro") -> pb.QuoteLine:
    return pb.QuoteLine(product_id=product, quantity=quantity, list_price=cny(4821), discount_ratio=discount)


def own(**fields: Any) -> Struct:
    found = Struct()
    found.update(fields)
    return found


class Desk:
    """Quotes and contracts of rep1, and what approvals says of them."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.live = company.live
        self.quotes = company.live.stub(quotes_pb2_grpc.QuoteServiceStub, "rep1", "rep")
        self.contracts = company.live.stub(contracts_pb2_grpc.ContractServiceStub, "rep1", "rep")

    async def draft(self, deal: deals.Opportunity, *lines: pb.QuoteLine, **fields: Any) -> pb.Quote:
        lines = lines or (line(0.25),)
        return await self.quotes.CreateQuote(
            pb.CreateQuoteRequest(request_id=rid(), opportunity_id=deal.id, lines=lines, **fields)
        )

    async def submit(self, quote: pb.Quote) -> pb.Quote:
        return await self.quotes.SubmitQuote(
            pb.SubmitQuoteRequest(request_id=rid(), quote_id=quote.id, etag=quote.etag, comment="战略客户")
        )

    async def issue(self, quote: pb.Quote, *contacts: str) -> pb.Quote:
        return await self.quotes.IssueQuote(
            pb.IssueQuoteRequest(request_id=rid(), quote_id=quote.id, etag=quote.etag, contact_ids=contacts)
        )

    async def read(self, quote: pb.Quote) -> pb.Quote:
        return await self.quotes.GetQuote(pb.GetQuoteRequest(quote_id=quote.id))

    async def subject(self) -> requests_pb2.Subject:
        """What approvals was asked about last."""
        return (await self.live.told(approvals.ApprovalRequested))[-1].subject

    async def decide(self, subject: requests_pb2.Subject, *, approve: bool = True) -> None:
        state = requests_pb2.REQUEST_STATE_APPROVED if approve else requests_pb2.REQUEST_STATE_REJECTED
        decided = approvals.RequestDecided(
            request_id="r-1", subject=subject, state=state, decided_by="lead1", comment="同意" if approve else "太低"
        )
        await self.live.hear(decided, subject="r-1", source="approvals")

    async def approved(self, deal: deals.Opportunity) -> pb.Quote:
        quote = await self.submit(await self.draft(deal))
        await self.decide(await self.subject())
        return await self.read(quote)

    async def contract(self, deal: deals.Opportunity, quote: pb.Quote, **fields: Any) -> contracts_pb2.Contract:
        return await self.contracts.CreateContract(
            contracts_pb2.CreateContractRequest(
                request_id=rid(), opportunity_id=deal.id, quote_id=quote.id, title="产线升级合同", **fields
            )
        )

    async def sign(self, contract: contracts_pb2.Contract, **fields: Any) -> contracts_pb2.Contract:
        fields.setdefault("sign_date", day(2026, 1, 5))
        return await self.contracts.SignContract(
            contracts_pb2.SignContractRequest(request_id=rid(), contract_id=contract.id, etag=contract.etag, **fields)
        )

    async def submit_contract(self, contract: contracts_pb2.Contract) -> contracts_pb2.Contract:
        return await self.contracts.SubmitContract(
            contracts_pb2.SubmitContractRequest(request_id=rid(), contract_id=contract.id, etag=contract.etag)
        )

    async def read_contract(self, contract: contracts_pb2.Contract) -> contracts_pb2.Contract:
        return await self.contracts.GetContract(contracts_pb2.GetContractRequest(contract_id=contract.id))


@pytest.fixture
async def desk(company: Company) -> Desk:
    return Desk(company)


@pytest.mark.mission("S63")
async def test_a_quote_asks_with_everything_the_policies_judge_by(desk: Desk) -> None:
    deal = await desk.company.open(account_id=ACME)
    quote = await desk.draft(deal, line(0.25), line(0, 1, "mg-special"), justification="竞品低价", terms="30天付款")
    assert (quote.state, quote.version, quote.number) == (pb.QUOTE_STATE_DRAFT, 1, "Q2026-000001")
    assert quote.list_total == cny(3 * 4821)
    assert quote.total == cny(2 * 4821 * 0.75 + 4821)
    assert quote.discount_ratio == pytest.approx(1 / 6)
    submitted = await desk.submit(quote)
    assert submitted.state == pb.QUOTE_STATE_SUBMITTED
    [asked] = await desk.live.told(approvals.ApprovalRequested)
    assert (asked.subject.origin, asked.subject.kind, asked.subject.id) == ("funnel", "quote", quote.id)
    assert asked.subject.digest == submitted.approval.content_digest
    assert asked.subject.opportunity_id == deal.id
    assert (asked.facts.amount, asked.facts.account_grade) == (quote.total, "A")
    assert asked.facts.discount_ratio == pytest.approx(1 / 6)
    assert asked.facts.custom_fields["deepest_line_discount"] == 0.25, "not hidden behind the mean"
    assert list(asked.facts.product_ids) == ["gtx-pro", "mg-special"]
    assert (asked.facts.ownership.owner_id, asked.submitter_id, asked.reason) == ("rep1", "rep1", "战略客户")
    assert not asked.facts.major_project
    due = Timestamp(seconds=1_767_700_000)
    opened = approvals.RequestOpened(request_id="r-9", subject=asked.subject, due_time=due)
    await desk.live.hear(opened, subject="r-9", source="approvals")
    seen = await desk.read(quote)
    assert (seen.approval.approval_id, seen.approval.due_time) == ("r-9", due)


@pytest.mark.mission("S100")
async def test_quotes_and_contracts_are_found_by_own_fields(desk: Desk) -> None:
    deal = await desk.company.open(account_id=ACME, pipeline_id=await desk.company.gateless())
    quote = await desk.draft(deal, custom_fields=own(warranty_months=24, payment_terms="30-60-10"))
    await desk.draft(await desk.company.open(account_id=ACME))
    contract = await desk.contract(
        deal, pb.Quote(), amount=cny(9000), custom_fields=own(framework=True, ends="2027-01-31")
    )

    async def quotes(**sought: Any) -> list[str]:
        return [one.id for one in (await desk.quotes.ListQuotes(pb.ListQuotesRequest(**sought))).quotes]

    async def contracts(**sought: Any) -> list[str]:
        found = await desk.contracts.ListContracts(contracts_pb2.ListContractsRequest(**sought))
        return [one.id for one in found.contracts]

    assert await quotes(custom_fields=own(payment_terms="30-60-10")) == [quote.id]
    assert await quotes(custom_field_ranges=[CustomFieldRange(name="warranty_months", least=24)]) == [quote.id]
    assert not await quotes(custom_field_ranges=[CustomFieldRange(name="warranty_months", least=25)])
    assert len(await quotes()) == 2
    year = CustomFieldRange(name="ends", first_day=day(2027, 1, 1), last_day=day(2027, 12, 31))
    assert await contracts(custom_fields=own(framework=True), custom_field_ranges=[year]) == [contract.id]
    assert not await contracts(custom_fields=own(framework=False))
    with desk.live.refused("INVALID_ARGUMENT", "CUSTOM_FIELD_INVALID"):
        await quotes(custom_fields=own(payment_terms=None))


@pytest.mark.mission("S64")
async def test_a_major_project_is_called_one(desk: Desk) -> None:
    deal = await desk.company.open()
    await desk.submit(await desk.draft(deal, line(0, 300)))
    [asked] = await desk.live.told(approvals.ApprovalRequested)
    assert asked.facts.major_project


@pytest.mark.mission("S66")
async def test_no_quote_leaves_the_house_without_the_decision_on_its_content(desk: Desk) -> None:
    deal = await desk.company.open(account_id=ACME)
    quote = await desk.draft(deal)
    with desk.live.refused("FAILED_PRECONDITION", "QUOTE_NOT_APPROVED"):
        await desk.issue(quote)
    submitted = await desk.submit(quote)
    with desk.live.refused("FAILED_PRECONDITION", "QUOTE_NOT_APPROVED"):
        await desk.issue(submitted)
    subject = await desk.subject()
    forged = requests_pb2.Subject()
    forged.CopyFrom(subject)
    forged.digest = "0" * 64
    await desk.decide(forged)
    older = requests_pb2.Subject()
    older.CopyFrom(subject)
    older.version -= 1
    await desk.decide(older)
    assert (await desk.read(quote)).state == pb.QUOTE_STATE_SUBMITTED
    decided = approvals.RequestDecided(request_id="r-1", subject=subject, state=requests_pb2.REQUEST_STATE_APPROVED)
    with pytest.raises(AssertionError, match="integrations tells what only approvals tells"):
        await desk.live.hear(decided, subject="r-1", source="integrations")
    await desk.live.db.all("DELETE FROM inbox WHERE error IS NOT NULL RETURNING id")
    assert (await desk.read(quote)).state == pb.QUOTE_STATE_SUBMITTED
    await desk.decide(subject)
    seen = await desk.read(quote)
    assert (seen.state, seen.approval.state) == (pb.QUOTE_STATE_APPROVED, pb.APPROVAL_STATE_APPROVED)
    assert list(seen.approval.decider_ids) == ["lead1"]
    issued = await desk.issue(seen, CONTACT)
    assert issued.state == pb.QUOTE_STATE_ISSUED
    [mail] = await desk.live.told(integrations.DeliveryRequested)
    assert (mail.content.recipient.contact_id, mail.content.template.template) == (CONTACT, "quote_issued")
    answered = await desk.quotes.RecordQuoteAnswer(
        pb.RecordQuoteAnswerRequest(
            request_id=rid(), quote_id=quote.id, etag=issued.etag, accepted=True, comment="可以"
        )
    )
    assert (answered.state, answered.answer_comment) == (pb.QUOTE_STATE_ACCEPTED, "可以")
    with desk.live.refused("FAILED_PRECONDITION", "QUOTE_NOT_ISSUED"):
        await desk.quotes.RecordQuoteAnswer(
            pb.RecordQuoteAnswerRequest(request_id=rid(), quote_id=quote.id, etag=answered.etag, accepted=False)
        )


@pytest.mark.mission("S66")
async def test_content_that_changed_behind_the_decision_is_not_issued(desk: Desk) -> None:
    quote = await desk.approved(await desk.company.open())
    await desk.live.db.all(f"UPDATE quote SET terms = 'free delivery' WHERE id = '{quote.id}' RETURNING id")
    with desk.live.refused("FAILED_PRECONDITION", "QUOTE_NOT_APPROVED"):
        await desk.issue(quote)


@pytest.mark.mission("U10")
async def test_a_quote_is_withdrawn_sent_back_changed_and_submitted_again(desk: Desk) -> None:
    deal = await desk.company.open()
    quote = await desk.draft(deal)

    def updating(of: pb.Quote, *paths: str, **fields: Any) -> pb.UpdateQuoteRequest:
        mask = FieldMask(paths=paths)
        return pb.UpdateQuoteRequest(request_id=rid(), quote_id=of.id, etag=of.etag, update_mask=mask, **fields)

    submitted = await desk.submit(quote)
    with desk.live.refused("FAILED_PRECONDITION", "QUOTE_NOT_DRAFT"):
        await desk.quotes.UpdateQuote(updating(submitted, "terms", terms="x"))
    withdrawing = pb.WithdrawQuoteRequest(request_id=rid(), quote_id=quote.id, etag=submitted.etag, reason="改数量")
    draft = await desk.quotes.WithdrawQuote(withdrawing)
    assert (draft.state, draft.approval.state) == (pb.QUOTE_STATE_DRAFT, pb.APPROVAL_STATE_WITHDRAWN)
    [taken_back] = await desk.live.told(approvals.ApprovalWithdrawn)
    first = await desk.subject()
    assert (taken_back.subject_id, taken_back.version) == (quote.id, first.version)
    with desk.live.refused("FAILED_PRECONDITION", "QUOTE_NOT_SUBMITTED"):
        withdrawing.request_id, withdrawing.etag = rid(), draft.etag
        await desk.quotes.WithdrawQuote(withdrawing)
    with desk.live.refused("INVALID_ARGUMENT", "FIELD_UNKNOWN"):
        await desk.quotes.UpdateQuote(updating(draft, "state"))
    draft = await desk.quotes.UpdateQuote(
        updating(draft, "lines", "valid_until_date", lines=[line(0.1)], valid_until_date=day(2026, 1, 31))
    )
    again = await desk.submit(draft)
    # The decision on what was withdrawn comes late and decides nothing.
    await desk.decide(first)
    assert (await desk.read(again)).state == pb.QUOTE_STATE_SUBMITTED
    second = await desk.subject()
    assert second.version > first.version
    assert second.digest != first.digest
    returned = approvals.RequestReturned(request_id="r-2", subject=second, returned_by="lead1", comment="补充理由")
    await desk.live.hear(returned, subject="r-2", source="approvals")
    back = await desk.read(again)
    assert (back.state, back.approval.comment) == (pb.QUOTE_STATE_SENT_BACK, "补充理由")
    changed = await desk.quotes.UpdateQuote(updating(back, "justification", justification="年度框架"))
    await desk.submit(changed)
    await desk.decide(await desk.subject(), approve=False)
    assert (await desk.read(again)).state == pb.QUOTE_STATE_REFUSED
    trail = await desk.live.db.all(
        "SELECT action FROM audit_entry WHERE subject = %(id)s ORDER BY id", {"id": quote.id}
    )
    assert [entry["action"] for entry in trail] == [
        "draft",
        "submit",
        "withdraw",
        "update",
        "submit",
        "approval_approved_ignored",
        "approval_sent_back",
        "update",
        "submit",
        "approval_refused",
    ]


@pytest.mark.mission("S63")
async def test_a_price_below_the_catalogues_is_a_discount_and_wants_its_signature(desk: Desk) -> None:
    deal = await desk.company.open()
    refused = desk.live.refused
    with refused("INVALID_ARGUMENT", "LIST_PRICE_BELOW_CATALOGUE"):
        await desk.draft(deal, pb.QuoteLine(product_id="gtx-pro", quantity=1, list_price=cny(1)))
    dollars = pb.QuoteLine(product_id="gtx-pro", quantity=1, list_price=Money(currency_code="USD", units=660))
    with refused("FAILED_PRECONDITION", "RATE_UNKNOWN"):
        await desk.draft(deal, dollars)
    spot = rates_pb2.ExchangeRate(
        base_currency="CNY", quote_currency="USD", kind=rates_pb2.RATE_KIND_SPOT, start_date=day(2026, 1, 1)
    )
    spot.rate.value = "0.14"
    await desk.live.hear(targets.ExchangeRateChanged(rates=[spot]), "CNY/USD:spot")
    with refused("INVALID_ARGUMENT", "LIST_PRICE_BELOW_CATALOGUE"):
        await desk.draft(deal, dollars)
    dollars.list_price.units = 675
    assert (await desk.draft(deal, dollars)).total.units == 675
    # The price went up between draft and submission.
    drafted = await desk.draft(deal, line())
    dearer = targets.ProductChanged(product_id="gtx-pro", name="GTX Pro", list_price=cny(5000), line="GTX", version=2)
    await desk.live.hear(dearer, "gtx-pro")
    with refused("INVALID_ARGUMENT", "LIST_PRICE_BELOW_CATALOGUE"):
        await desk.submit(drafted)


async def test_what_cannot_be_quoted_is_refused(desk: Desk) -> None:
    deal = await desk.company.open()
    refused = desk.live.refused
    with refused("INVALID_ARGUMENT", "PRODUCT_UNKNOWN"):
        await desk.draft(deal, line(product="nothing"))
    with refused("INVALID_ARGUMENT", "CURRENCY_MIXED"):
        usd = pb.QuoteLine(product_id="gtx-pro", quantity=1, list_price=Money(currency_code="USD", units=1))
        await desk.draft(deal, line(), usd)
    with refused("NOT_FOUND", "OPPORTUNITY_UNKNOWN"):
        await desk.draft(deals.Opportunity(id=UNKNOWN))
    with refused("NOT_FOUND", "QUOTE_UNKNOWN"):
        await desk.draft(deal, revises_quote_id=UNKNOWN)
    empty = await desk.quotes.CreateQuote(pb.CreateQuoteRequest(request_id=rid(), opportunity_id=deal.id))
    with refused("FAILED_PRECONDITION", "QUOTE_EMPTY"):
        await desk.submit(empty)
    late = await desk.draft(deal, valid_until_date=day(2026, 1, 4))
    with refused("FAILED_PRECONDITION", "QUOTE_EXPIRED"):
        await desk.submit(late)
    stranger = desk.live.stub(quotes_pb2_grpc.QuoteServiceStub, "rep2", "rep")
    with refused("PERMISSION_DENIED"):
        await stranger.GetQuote(pb.GetQuoteRequest(quote_id=late.id))
    with refused("PERMISSION_DENIED"):
        await stranger.CreateQuote(pb.CreateQuoteRequest(request_id=rid(), opportunity_id=deal.id))
    assert not (await stranger.ListQuotes(pb.ListQuotesRequest())).quotes
    own = await desk.quotes.ListQuotes(pb.ListQuotesRequest(opportunity_id=deal.id, page_size=1))
    rest = await desk.quotes.ListQuotes(pb.ListQuotesRequest(opportunity_id=deal.id, page_token=own.next_page_token))
    assert {one.id for one in (*own.quotes, *rest.quotes)} == {empty.id, late.id}


async def test_a_later_version_supersedes_and_time_expires(desk: Desk) -> None:
    deal = await desk.company.open()
    first = await desk.approved(deal)
    paper = await desk.contract(deal, first)
    second = await desk.draft(deal, line(0.2), revises_quote_id=first.id, valid_until_date=day(2026, 1, 9))
    assert (second.number, second.version) == (first.number, 2)
    await desk.submit(second)
    await desk.decide(await desk.subject())
    assert (await desk.read(first)).state == pb.QUOTE_STATE_SUPERSEDED
    with desk.live.refused("FAILED_PRECONDITION", "QUOTE_NOT_APPROVED"):
        await desk.submit_contract(paper)
    [taken] = await desk.live.told(approvals.ApprovalWithdrawn)
    assert (taken.subject_id, taken.kind, taken.version) == (first.id, "quote", 2), "its approval clears nothing more"
    second = await desk.read(second)
    await desk.live.advance(days=5)
    assert (await desk.read(second)).state == pb.QUOTE_STATE_EXPIRED
    with desk.live.refused("FAILED_PRECONDITION", "QUOTE_EXPIRED"):
        await desk.issue(second)
    found = await desk.quotes.ListQuotes(pb.ListQuotesRequest(states=[pb.QUOTE_STATE_EXPIRED]))
    assert [one.id for one in found.quotes] == [second.id]
    with desk.live.refused("FAILED_PRECONDITION", "QUOTE_NOT_APPROVED"):
        await desk.company.climb(await desk.company.read(deal.id), to_stage_key="contract", skip_reason="客户催得急")


@pytest.mark.mission("S66")
async def test_a_version_decided_after_its_successor_is_out_of_use_at_once(desk: Desk) -> None:
    deal = await desk.company.open()
    first = await desk.submit(await desk.draft(deal))
    of_first = await desk.subject()
    second = await desk.submit(await desk.draft(deal, line(0.2), revises_quote_id=first.id))
    await desk.decide(await desk.subject())
    await desk.decide(of_first)
    assert (await desk.read(first)).state == pb.QUOTE_STATE_SUPERSEDED
    second = await desk.read(second)
    assert second.state == pb.QUOTE_STATE_APPROVED
    assert [t.subject_id for t in await desk.live.told(approvals.ApprovalWithdrawn)] == [first.id]
    await desk.issue(second)
    third = await desk.submit(await desk.draft(deal, line(0.1), revises_quote_id=second.id))
    await desk.decide(await desk.subject())
    assert (await desk.read(second)).state == pb.QUOTE_STATE_SUPERSEDED
    assert (await desk.read(third)).state == pb.QUOTE_STATE_APPROVED
    taken = [t.subject_id for t in await desk.live.told(approvals.ApprovalWithdrawn)]
    assert taken == [first.id], "what the customer holds in his hand goes on counting"


@pytest.mark.mission("S40", "S66")
async def test_the_whole_chain_from_profile_to_archive(desk: Desk) -> None:
    company = desk.company
    deal = await company.open(
        account_id=ACME, lines=[deals.OpportunityLine(product_id="gtx-pro", quantity=2)], amount=None
    )
    deal = await company.climb(deal, PROFILE)
    deal = await company.climb(deal, matrix())
    deal = await company.climb(deal, PROPOSAL)
    assert deal.stage_key == "quote_approval"
    with company.live.refused("FAILED_PRECONDITION", "QUOTE_NOT_APPROVED"):
        await company.climb(deal, skip_reason="客户催得急")
    draft = await desk.draft(deal)
    with company.live.refused("FAILED_PRECONDITION", "QUOTE_NOT_APPROVED"):
        await desk.contract(deal, draft)
    await desk.submit(draft)
    await desk.decide(await desk.subject())
    quote = await desk.read(draft)
    deal = await company.climb(deal)
    assert deal.stage_key == "contract"
    closing = deals.CloseOpportunityRequest(
        request_id=rid(),
        opportunity_id=deal.id,
        etag=deal.etag,
        outcome=deals.OPPORTUNITY_STATE_WON,
        reason_code="best_fit",
    )
    with company.live.refused("FAILED_PRECONDITION", "CONTRACT_NOT_SIGNED"):
        await company.deals("rep1", "rep").CloseOpportunity(closing)

    contract = await desk.contract(deal, quote, effective_date=day(2026, 1, 5), end_date=day(2026, 12, 31))
    assert contract.amount == quote.total
    # A refused draft leaves a gap; a number is never used twice.
    assert contract.number.startswith("C2026-")
    with company.live.refused("FAILED_PRECONDITION", "CONTRACT_NOT_APPROVED"):
        await desk.sign(contract)
    contract = await desk.submit_contract(contract)
    asked = (await company.live.told(approvals.ApprovalRequested))[-1]
    assert (asked.subject.kind, asked.facts.discount_ratio) == ("contract", pytest.approx(0.25))
    await desk.decide(asked.subject)
    contract = await desk.read_contract(contract)
    with company.live.refused("INVALID_ARGUMENT", "DATE_IN_FUTURE"):
        await desk.sign(contract, sign_date=day(2026, 1, 6))
    contract = await desk.sign(contract, signer_name="陈总")
    [signed] = await company.live.told(events.ContractSigned)
    assert (signed.contract_id, signed.amount, signed.account_id) == (contract.id, quote.total, ACME)

    closing.request_id = rid()
    closing.amount.CopyFrom(cny(99_999_999))
    with company.live.refused("FAILED_PRECONDITION", "AMOUNT_NOT_OF_CONTRACT"):
        await company.deals("rep1", "rep").CloseOpportunity(closing)
    closing.request_id = rid()
    closing.ClearField("amount")
    won = await company.deals("rep1", "rep").CloseOpportunity(closing)
    assert (won.state, won.amount) == (deals.OPPORTUNITY_STATE_WON, quote.total)
    [told] = await company.live.told(events.OpportunityWon)
    assert (told.contract_id, told.amount, told.lines[0].amount) == (contract.id, quote.total, quote.total)

    archiving = contracts_pb2.ArchiveContractRequest(request_id=rid(), contract_id=contract.id, etag=contract.etag)
    with company.live.refused("FAILED_PRECONDITION", "EVIDENCE_MISSING"):
        await desk.contracts.ArchiveContract(archiving)
    archiving.request_id, archiving.location = rid(), "档案室 A-12"
    filed = await desk.contracts.ArchiveContract(archiving)
    assert (filed.state, filed.archive_location) == (contracts_pb2.CONTRACT_STATE_ARCHIVED, "档案室 A-12")
    with company.live.refused("FAILED_PRECONDITION", "EVIDENCE_MISSING"):
        await company.climb(won)
    papers = deals.StageEvidence(requirement_key="archived_papers", kind="EVIDENCE_KIND_DOCUMENT", note="档案室 A-12")
    archived = await company.climb(won, papers)
    assert (archived.stage_key, archived.state) == ("archive", deals.OPPORTUNITY_STATE_WON)
    moves = await company.deals("rep1", "rep").ListStageMoves(deals.ListStageMovesRequest(opportunity_id=deal.id))
    assert [move.to_stage_key for move in moves.moves] == [
        "profile",
        "need",
        "proposal",
        "quote_approval",
        "contract",
        "won",
        "archive",
    ]
    assert not any(move.skipped_stage_keys or move.skipped_requirement_keys for move in moves.moves)


@pytest.mark.mission("S66")
async def test_a_contract_is_bound_to_its_decision(desk: Desk) -> None:
    deal = await desk.company.open(account_id=ACME)
    quote = await desk.approved(deal)
    with desk.live.refused("ALREADY_EXISTS", "CONTRACT_NUMBER_TAKEN"):
        await desk.contract(deal, quote, number="HT-1")
        await desk.contract(deal, quote, number="HT-1")
    low = await desk.contract(deal, quote, amount=cny(1))
    with desk.live.refused("FAILED_PRECONDITION", "AMOUNT_BELOW_QUOTE"):
        await desk.submit_contract(low)
    fixing = contracts_pb2.UpdateContractRequest(
        request_id=rid(),
        contract_id=low.id,
        etag=low.etag,
        amount=quote.total,
        update_mask=FieldMask(paths=["amount"]),
    )
    contract = await desk.submit_contract(await desk.contracts.UpdateContract(fixing))
    with desk.live.refused("FAILED_PRECONDITION", "CONTRACT_NOT_DRAFT"):
        fixing.request_id, fixing.etag = rid(), contract.etag
        await desk.contracts.UpdateContract(fixing)
    await desk.decide(await desk.subject())
    contract = await desk.read_contract(contract)
    await desk.live.db.all(f"UPDATE contract SET title = 'another' WHERE id = '{contract.id}' RETURNING id")
    with desk.live.refused("FAILED_PRECONDITION", "CONTENT_CHANGED_SINCE_DECISION"):
        await desk.sign(contract)
    stranger = desk.live.stub(contracts_pb2_grpc.ContractServiceStub, "m2", "manager")
    with desk.live.refused("PERMISSION_DENIED"):
        await stranger.GetContract(contracts_pb2.GetContractRequest(contract_id=contract.id))
    listed = await desk.contracts.ListContracts(
        contracts_pb2.ListContractsRequest(states=[contracts_pb2.CONTRACT_STATE_APPROVED])
    )
    assert [one.id for one in listed.contracts] == [contract.id]


async def test_a_lost_deal_takes_its_pending_papers_back(desk: Desk) -> None:
    deal = await desk.company.open(account_id=ACME)
    quote = await desk.approved(deal)
    contract = await desk.submit_contract(await desk.contract(deal, quote))
    pending = await desk.submit(await desk.draft(deal, revises_quote_id=quote.id))
    await desk.company.deals("rep1", "rep").CloseOpportunity(
        deals.CloseOpportunityRequest(
            request_id=rid(),
            opportunity_id=deal.id,
            etag=deal.etag,
            outcome=deals.OPPORTUNITY_STATE_LOST,
            reason_code="price",
        )
    )
    told = await desk.live.told(approvals.ApprovalWithdrawn)
    assert {(one.kind, one.subject_id) for one in told} == {("contract", contract.id), ("quote", pending.id)}
    assert (await desk.read(pending)).state == pb.QUOTE_STATE_DRAFT
    withdrawing = contracts_pb2.WithdrawContractRequest(
        request_id=rid(), contract_id=contract.id, etag=(await desk.read_contract(contract)).etag, reason="x"
    )
    with desk.live.refused("FAILED_PRECONDITION", "CONTRACT_NOT_SUBMITTED"):
        await desk.contracts.WithdrawContract(withdrawing)
    with desk.live.refused("FAILED_PRECONDITION", "OPPORTUNITY_CLOSED"):
        await desk.draft(deal)
