"""One short turn of the loop through the public API, as a client of ours plays it, and the ledger of what was acknowledged.

Every mutating call is repeated under its first request id until it is answered, so that a turn outlives any fault;
what a turn writes down was acknowledged. `expect_once` reads every effect back and finds it exactly once.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeVar

import grpc
import grpc.aio
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money

from closedloop.approvals.v1 import requests_pb2, requests_pb2_grpc
from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import accounts_pb2, accounts_pb2_grpc, interactions_pb2, leads_pb2, leads_pb2_grpc
from closedloop.funnel.v1 import (
    contracts_pb2,
    contracts_pb2_grpc,
    opportunities_pb2,
    opportunities_pb2_grpc,
    pipelines_pb2,
    quotes_pb2,
    quotes_pb2_grpc,
)
from closedloop.integrations.v1 import deliveries_pb2, deliveries_pb2_grpc
from closedloop.options.v1 import options_pb2
from closedloop.platform.v1 import platform_pb2, platform_pb2_grpc
from closedloop.targets.v1 import actuals_pb2, actuals_pb2_grpc, org_pb2, org_pb2_grpc, products_pb2, products_pb2_grpc
from closedloop_chassis import client, ids
from closedloop_devstack.platform import Platform

Found = TypeVar("Found")

# Longer than any fault of these tests lasts, recovery included.
PATIENCE_SECONDS = 100.0
CALL_SECONDS = 10.0
WORTH_RETRYING = {
    grpc.StatusCode.UNAVAILABLE,
    # A server that leaves cancels the calls it has received and not yet begun.
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
OPERATIONS, PROGRAM, ADMIN = "OPS-1", "integration:website", "admin"
PRODUCT, LIST_PRICE_FEN = "LOOP-1", 1_000_000
DISCOUNT = 0.25
METRIC = "won_value"

# id: (unit, roles, function)
PEOPLE: Mapping[str, tuple[str, tuple[str, ...], str]] = {
    "CEO": ("CO", ("manager", "executive"), "sales"),
    OPERATIONS: ("CO", ("operations",), "sales"),
    "FIN": ("CO", ("signatory",), "finance"),
    "LAW": ("CO", ("signatory",), "legal"),
    "EAST-HEAD": ("EAST", ("manager",), "sales"),
    "TEAM-HEAD": ("TEAM", ("manager",), "sales"),
    **{f"E-{number}": ("TEAM", ("rep",), "sales") for number in range(1, 9)},
    "WEST-HEAD": ("WEST", ("manager",), "sales"),
    "W-1": ("WEST", ("rep",), "sales"),
}
OUTSIDERS: Mapping[str, tuple[str, ...]] = {PROGRAM: ("integration",), ADMIN: ("admin", "auditor")}
UNITS = (
    ("CO", "", "company", "CEO", ()),
    ("EAST", "CO", "region", "EAST-HEAD", ("31",)),
    ("TEAM", "EAST", "team", "TEAM-HEAD", ("31",)),
    ("WEST", "CO", "region", "WEST-HEAD", ("51",)),
)


class Stage:
    """The platform as its clients see it: one channel per service, callers by name, and patience."""

    def __init__(self, platform: Platform, doors: Mapping[str, str] | None = None) -> None:
        self.platform = platform
        # Where a service is reached, if not where it listens: somebody may stand between.
        self._doors = doors or {}
        # How long a call is repeated, and how long an outcome is waited for, in seconds; how long the slowest answer took.
        self.patience = self.endurance = PATIENCE_SECONDS
        # Sent along with every call while it says something (W3C).
        self.traceparent = ""
        self.slowest = 0.0
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._tokens: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for channel in self._channels.values():
            await channel.close(None)

    @property
    def services(self) -> tuple[str, ...]:
        return self.platform.options.services

    def channel(self, service: str) -> grpc.aio.Channel:
        if service not in self._channels:
            door = self._doors.get(service) or self.platform.address(service)
            self._channels[service] = client.channel(door, f"closedloop.{service}.v1")
        return self._channels[service]

    def bearer(self, person: str, *roles: str) -> tuple[tuple[str, str], ...]:
        key = " ".join((person, *roles))
        if key not in self._tokens:
            named = roles or OUTSIDERS.get(person) or PEOPLE[person][1]
            self._tokens[key] = self.platform.token(person, *named)
        return (("authorization", f"Bearer {self._tokens[key]}"),)

    async def once(self, make: Callable[[Any], Any], rpc: str, request: Message, person: str, service: str = "") -> Any:
        """One call without any repeat of ours; the service follows from the stub, save for the platform's own."""
        stub = make(self.channel(service or make.__module__.split(".")[1]))
        began = time.monotonic()
        metadata = self.bearer(person) + ((("traceparent", self.traceparent),) if self.traceparent else ())
        answer = await getattr(stub, rpc)(request, timeout=CALL_SECONDS, metadata=metadata)
        self.slowest = max(self.slowest, time.monotonic() - began)
        return answer

    async def ask(self, make: Callable[[Any], Any], rpc: str, request: Message, person: str, service: str = "") -> Any:
        """The call, repeated as it is (hence under the same request id) until somebody answers it."""
        give_up = time.monotonic() + self.patience
        while True:
            try:
                return await self.once(make, rpc, request, person, service)
            except grpc.aio.AioRpcError as error:
                if error.code() not in WORTH_RETRYING or time.monotonic() > give_up:
                    raise
            await asyncio.sleep(0.2)

    async def until(self, what: str, look: Callable[[], Awaitable[Found | None]], seconds: float = 0) -> Found:
        """The first answer that says something. Raises AssertionError when none comes in time."""
        give_up = time.monotonic() + (seconds or self.endurance)
        while True:
            try:
                if found := await look():
                    return found
            except grpc.aio.AioRpcError as error:
                # A record that is still on its way is not found yet.
                if error.code() is not grpc.StatusCode.NOT_FOUND:
                    raise
            assert time.monotonic() < give_up, f"waited in vain for {what}"
            await asyncio.sleep(0.15)

    async def backlog(self, service: str) -> platform_pb2.GetEventBacklogResponse:
        stub, request = platform_pb2_grpc.EventServiceStub, platform_pb2.GetEventBacklogRequest()
        found: platform_pb2.GetEventBacklogResponse = await self.ask(
            stub, "GetEventBacklog", request, OPERATIONS, service
        )
        return found

    async def settle(self, seconds: float = 0) -> None:
        """Until all events that were told have been applied everywhere."""

        async def quiet() -> bool:
            return not any(found.outbox + found.inbox for found in await self._backlogs())

        await self.until("all events to arrive", quiet, seconds)

    async def parked(self) -> dict[str, int]:
        return dict(zip(self.services, [int(found.parked) for found in await self._backlogs()], strict=True))

    async def _backlogs(self) -> list[platform_pb2.GetEventBacklogResponse]:
        return [await self.backlog(service) for service in self.services]


@dataclass
class Turn:
    """What one turn got acknowledged, filled as it goes."""

    company: str
    quantity: int
    lead_id: str = ""
    owner: str = ""
    account_id: str = ""
    deal_id: str = ""
    quote_id: str = ""
    contract_id: str = ""
    won_fen: int = 0
    approval_ids: list[str] = field(default_factory=list)
    complete: bool = False


def new_turn() -> Turn:
    # Names nobody would take for one another: records that look alike are merged, and rightly so.
    letters = "".join(random.SystemRandom().choices("bcdfghjklmnpqrstvwxz", k=14))
    return Turn(company=letters, quantity=random.randint(1, 20))


def cny(fen: int) -> Money:
    return Money(currency_code="CNY", units=fen // 100, nanos=fen % 100 * 10_000_000)


def to_fen(money: Money) -> int:
    return int(money.units) * 100 + int(money.nanos) // 10_000_000


def day(ahead: int = 0) -> Date:
    # The company's day, eight hours ahead of UTC.
    local = datetime.now(UTC) + timedelta(hours=8, days=ahead)
    return Date(year=local.year, month=local.month, day=local.day)


async def found_company(stage: Stage) -> None:
    """Organisation and product, imported into targets; every service hears of them. A second time changes nothing."""
    rows = [
        org_pb2.OrgRow(
            unit=org_pb2.UnitInput(
                id=id_, name=id_, kind=kind, parent_id=parent, manager_id=manager,
                territory=org_pb2.Territory(regions=regions), provenance=Provenance(source="e2e", source_id=id_),
            )
        )
        for id_, parent, kind, manager, regions in UNITS
    ]  # fmt: skip
    rows += [
        org_pb2.OrgRow(
            person=org_pb2.PersonInput(
                id=id_, name=id_, unit_id=unit, function=function, email=f"{id_.lower()}@example.com",
                roles=[options_pb2.Role.Value(f"ROLE_{role.upper()}") for role in roles],
                hire_date=Date(year=2024, month=1, day=1), provenance=Provenance(source="e2e", source_id=id_),
            )
        )
        for id_, (unit, roles, function) in PEOPLE.items()
    ]  # fmt: skip
    effective = Date(year=2024, month=1, day=1)
    request = org_pb2.ImportOrgRequest(request_id=ids.new_id(), rows=rows, effective_date=effective)
    loaded = await stage.ask(org_pb2_grpc.OrgServiceStub, "ImportOrg", request, OPERATIONS)
    assert loaded.created + loaded.unchanged == len(rows), loaded
    await bring_product(stage, PRODUCT)
    await stage.settle()


async def bring_product(stage: Stage, code: str) -> None:
    product = products_pb2.ProductInput(
        id=code,
        name=f"Line {code}",
        line="automation",
        list_price=cny(LIST_PRICE_FEN),
        launch_date=Date(year=2025, month=1, day=1),
        stage=products_pb2.LIFE_CYCLE_STAGE_GROWTH,
        provenance=Provenance(source="e2e", source_id=code),
    )
    request = products_pb2.ImportProductsRequest(request_id=ids.new_id(), products=[product])
    loaded = await stage.ask(products_pb2_grpc.ProductServiceStub, "ImportProducts", request, OPERATIONS)
    assert loaded.created + loaded.unchanged == 1, loaded


async def lead_in(stage: Stage, turn: Turn) -> None:
    """A web form arrives and finds its owner by the rules."""
    request = leads_pb2.IntakeLeadRequest(
        request_id=ids.new_id(),
        profile=leads_pb2.LeadProfile(
            company_name=turn.company, contact_name=f"Mx {turn.company}", region_code="310000",
            industry="manufacturing", product_lines=["automation"], need="a line that changes over in minutes",
            email_address=f"{turn.company}@{turn.company}.example.com",
        ),
        provenance=Provenance(source="web_form", source_id=turn.company),
    )  # fmt: skip
    lead = await stage.ask(leads_pb2_grpc.LeadServiceStub, "IntakeLead", request, PROGRAM)
    turn.lead_id = lead.id
    lead = await stage.ask(leads_pb2_grpc.LeadServiceStub, "GetLead", leads_pb2.GetLeadRequest(id=lead.id), OPERATIONS)
    turn.owner = lead.ownership.owner_id
    assert turn.owner.startswith("E-"), f"lead of region 31 went to {turn.owner!r}: {lead.assignment_rule.explanation}"


async def converted(stage: Stage, turn: Turn) -> None:
    """Its owner answers, and turns it into account and opportunity; the funnel opens the latter later, by event."""
    answer = leads_pb2.RecordResponseRequest(
        request_id=ids.new_id(), id=turn.lead_id, channel=interactions_pb2.CHANNEL_PHONE, reached=True,
        content="Eighteen minutes on change-over times; a visit is agreed.",
    )  # fmt: skip
    await stage.ask(leads_pb2_grpc.LeadServiceStub, "RecordResponse", answer, turn.owner)
    lead = await _lead(stage, turn)
    request = leads_pb2.ConvertLeadRequest(
        request_id=ids.new_id(), id=turn.lead_id, etag=lead.etag, opportunity_name=f"Line for {turn.company}",
        expected_amount=cny(turn.quantity * LIST_PRICE_FEN), expected_close_date=day(60), open_opportunity=True,
    )  # fmt: skip
    await stage.ask(leads_pb2_grpc.LeadServiceStub, "ConvertLead", request, turn.owner)
    turn.account_id = (await _lead(stage, turn)).account_id


async def opened(stage: Stage, turn: Turn) -> None:
    async def known() -> str | None:
        return str((await _lead(stage, turn)).opportunity_id) or None

    turn.deal_id = await stage.until(f"the opportunity of {turn.company}", known)


async def climbed(stage: Stage, turn: Turn) -> None:
    """Lines, then stage by stage with the evidence each demands, up to the quote."""
    deal = await _deal(stage, turn)
    update = opportunities_pb2.UpdateOpportunityRequest(
        request_id=ids.new_id(), opportunity_id=turn.deal_id, etag=deal.etag, update_mask=FieldMask(paths=["lines"]),
        lines=[opportunities_pb2.OpportunityLine(product_id=PRODUCT, quantity=turn.quantity)],
    )  # fmt: skip
    await stage.ask(opportunities_pb2_grpc.OpportunityServiceStub, "UpdateOpportunity", update, turn.owner)
    await advance(stage, turn, _evidence("customer_profile", pipelines_pb2.EVIDENCE_KIND_NOTE, note="three lines"))
    matrix = _evidence("pain_matrix", pipelines_pb2.EVIDENCE_KIND_MATRIX)
    matrix.content.update({"rows": [{"pain": "four hours", "capability": "twenty minutes"}]})
    await advance(stage, turn, matrix)
    await advance(stage, turn, _evidence("proposal", pipelines_pb2.EVIDENCE_KIND_PROPOSAL, note="proposal v2"))


async def quoted(stage: Stage, turn: Turn) -> None:
    """A quote with a large discount: asked, signed, learned of, issued, accepted."""
    line = quotes_pb2.QuoteLine(
        product_id=PRODUCT, quantity=turn.quantity, list_price=cny(LIST_PRICE_FEN), discount_ratio=DISCOUNT
    )
    create = quotes_pb2.CreateQuoteRequest(
        request_id=ids.new_id(), opportunity_id=turn.deal_id, lines=[line], valid_until_date=day(60),
        justification="a reference plant for the region",
    )  # fmt: skip
    stub = quotes_pb2_grpc.QuoteServiceStub
    quote = await stage.ask(stub, "CreateQuote", create, turn.owner)
    turn.quote_id = quote.id
    submit = quotes_pb2.SubmitQuoteRequest(request_id=ids.new_id(), quote_id=quote.id, etag=quote.etag)
    await stage.ask(stub, "SubmitQuote", submit, turn.owner)
    await signed(stage, turn, quote.id)

    async def approved() -> quotes_pb2.Quote | None:
        read = await stage.ask(stub, "GetQuote", quotes_pb2.GetQuoteRequest(quote_id=quote.id), turn.owner)
        return read if read.state == quotes_pb2.QUOTE_STATE_APPROVED else None

    ready = await stage.until("the quote to learn of its approval", approved)
    issue = quotes_pb2.IssueQuoteRequest(request_id=ids.new_id(), quote_id=quote.id, etag=ready.etag)
    issued = await stage.ask(stub, "IssueQuote", issue, turn.owner)
    accept = quotes_pb2.RecordQuoteAnswerRequest(
        request_id=ids.new_id(), quote_id=quote.id, etag=issued.etag, accepted=True
    )
    await stage.ask(stub, "RecordQuoteAnswer", accept, turn.owner)
    await advance(stage, turn, _evidence("approved_quote", pipelines_pb2.EVIDENCE_KIND_QUOTE, record_id=quote.id))


async def won(stage: Stage, turn: Turn) -> None:
    """The contract is signed, and the deal with it."""
    stub = contracts_pb2_grpc.ContractServiceStub
    create = contracts_pb2.CreateContractRequest(
        request_id=ids.new_id(), opportunity_id=turn.deal_id, quote_id=turn.quote_id, title=f"Line {turn.company}",
        effective_date=day(),
    )  # fmt: skip
    contract = await stage.ask(stub, "CreateContract", create, turn.owner)
    turn.contract_id = contract.id
    submit = contracts_pb2.SubmitContractRequest(request_id=ids.new_id(), contract_id=contract.id, etag=contract.etag)
    await stage.ask(stub, "SubmitContract", submit, turn.owner)
    await signed(stage, turn, contract.id)

    async def approved() -> contracts_pb2.Contract | None:
        asked = contracts_pb2.GetContractRequest(contract_id=contract.id)
        read = await stage.ask(stub, "GetContract", asked, turn.owner)
        return read if read.state == contracts_pb2.CONTRACT_STATE_APPROVED else None

    ready = await stage.until("the contract to learn of its approval", approved)
    sign = contracts_pb2.SignContractRequest(
        request_id=ids.new_id(), contract_id=contract.id, etag=ready.etag, sign_date=day(), signer_name="Chen"
    )
    turn.won_fen = to_fen((await stage.ask(stub, "SignContract", sign, turn.owner)).amount)

    def close(deal: opportunities_pb2.Opportunity) -> Message:
        evidence = _evidence("signed_contract", pipelines_pb2.EVIDENCE_KIND_CONTRACT, record_id=contract.id)
        return opportunities_pb2.CloseOpportunityRequest(
            request_id=ids.new_id(), opportunity_id=turn.deal_id, etag=deal.etag, reason_code="best_fit",
            outcome=opportunities_pb2.OPPORTUNITY_STATE_WON, evidence=[evidence],
        )  # fmt: skip

    await _on_fresh(stage, turn, "CloseOpportunity", close)


async def play(stage: Stage, turn: Turn) -> Turn:
    """Lead in, assigned, answered, converted, opened, climbed, quoted, decided, won, on the target's ledger."""
    for step in (lead_in, converted, opened, climbed, quoted, won):
        await step(stage, turn)
    turn.complete = True
    return turn


async def signed(stage: Stage, turn: Turn, subject_id: str, origin: str = "funnel") -> None:
    """Those who are asked sign, until it is decided."""
    stub = requests_pb2_grpc.RequestServiceStub
    listing = requests_pb2.ListRequestsRequest(origin=origin, subject_id=subject_id)

    async def asked() -> str | None:
        found = (await stage.ask(stub, "ListRequests", listing, OPERATIONS)).requests
        return found[0].id if found else None

    approval_id = await stage.until(f"the approval of {subject_id}", asked)
    turn.approval_ids.append(approval_id)
    while True:
        get = requests_pb2.GetRequestRequest(id=approval_id)
        request = await stage.ask(stub, "GetRequest", get, OPERATIONS)
        if request.state != requests_pb2.REQUEST_STATE_PENDING:
            assert request.state == requests_pb2.REQUEST_STATE_APPROVED, request
            return
        signer = next(
            one.person_id
            for step in request.steps
            if step.number in request.active_steps
            for one in step.signers
            if one.state == requests_pb2.SIGNER_STATE_ASKED
        )
        decide = requests_pb2.DecideRequest(
            request_id=ids.new_id(), id=approval_id, etag=request.etag, verdict=requests_pb2.VERDICT_APPROVE,
            comment="agreed",
        )  # fmt: skip
        try:
            await stage.ask(stub, "Decide", decide, signer)
        except grpc.aio.AioRpcError as error:
            # A reminder or an escalation came in between: look again.
            if error.code() is not grpc.StatusCode.ABORTED:
                raise


async def advance(stage: Stage, turn: Turn, evidence: opportunities_pb2.StageEvidence) -> None:
    def request(deal: opportunities_pb2.Opportunity) -> Message:
        return opportunities_pb2.AdvanceOpportunityRequest(
            request_id=ids.new_id(), opportunity_id=turn.deal_id, etag=deal.etag, evidence=[evidence]
        )

    await _on_fresh(stage, turn, "AdvanceOpportunity", request)


async def _on_fresh(
    stage: Stage, turn: Turn, rpc: str, request: Callable[[opportunities_pb2.Opportunity], Message]
) -> None:
    """Made again from a fresh reading where an event changed the deal in between."""
    for attempt in range(5):
        try:
            made = request(await _deal(stage, turn))
            await stage.ask(opportunities_pb2_grpc.OpportunityServiceStub, rpc, made, turn.owner)
            return
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.ABORTED or attempt == 4:
                raise


def _evidence(
    key: str, kind: pipelines_pb2.EvidenceKind.ValueType, *, record_id: str = "", note: str = ""
) -> opportunities_pb2.StageEvidence:
    return opportunities_pb2.StageEvidence(requirement_key=key, kind=kind, record_id=record_id, note=note)


async def _lead(stage: Stage, turn: Turn) -> Any:
    return await stage.ask(
        leads_pb2_grpc.LeadServiceStub, "GetLead", leads_pb2.GetLeadRequest(id=turn.lead_id), OPERATIONS
    )


async def _deal(stage: Stage, turn: Turn) -> Any:
    get = opportunities_pb2.GetOpportunityRequest(opportunity_id=turn.deal_id)
    return await stage.ask(opportunities_pb2_grpc.OpportunityServiceStub, "GetOpportunity", get, turn.owner)


# Read back.


async def expect_once(stage: Stage, turns: Sequence[Turn]) -> None:
    """Every effect of what was acknowledged is there, once: no record lost, none twice, nothing parked."""
    await stage.settle()
    assert not any((parked := await stage.parked()).values()), f"parked: {parked}"
    wrong = [difference for turn in turns for difference in await differences(stage, turn)]
    assert not wrong, "\n".join(map(str, wrong))


@dataclass(frozen=True, slots=True)
class Difference:
    """An effect of a turn that is not there as often as it should be."""

    company: str
    what: str
    counted: int
    expected: int

    def __str__(self) -> str:
        return f"{self.company}: {self.what}: {self.counted}, not {self.expected}"


async def differences(stage: Stage, turn: Turn) -> list[Difference]:
    """What a turn got acknowledged, against what is there."""
    expected: dict[str, int] = {}
    counted: dict[str, int] = {}
    if turn.lead_id:
        leads = leads_pb2.ListLeadsRequest(query=turn.company)
        found = await stage.ask(leads_pb2_grpc.LeadServiceStub, "ListLeads", leads, OPERATIONS)
        expected["leads"], counted["leads"] = 1, len(found.leads)
    if turn.account_id:
        accounts = accounts_pb2.ListAccountsRequest(query=turn.company)
        found = await stage.ask(accounts_pb2_grpc.AccountServiceStub, "ListAccounts", accounts, OPERATIONS)
        expected["accounts"], counted["accounts"] = 1, len(found.accounts)
        deals = opportunities_pb2.ListOpportunitiesRequest(query=turn.company)
        stub = opportunities_pb2_grpc.OpportunityServiceStub
        found = await stage.ask(stub, "ListOpportunities", deals, OPERATIONS)
        expected["opportunities"], counted["opportunities"] = 1, len(found.opportunities)
    if turn.quote_id:
        quotes = quotes_pb2.ListQuotesRequest(opportunity_id=turn.deal_id)
        found = await stage.ask(quotes_pb2_grpc.QuoteServiceStub, "ListQuotes", quotes, OPERATIONS)
        expected["quotes"], counted["quotes"] = 1, len(found.quotes)
    if turn.complete:
        expected.update(
            {
                "contracts": 1,
                "stage moves": 5,
                "approvals": 2,
                "actuals": 1,
                f"actuals of {turn.won_fen}": 1,
                "response clocks": 1,
                "approvals their signers were told of": 2,
                "notices sent twice": 0,
                "leads closed as won": 1,
            }
        )
        counted.update(await _won_effects(stage, turn))
    return [
        Difference(turn.company, what, counted[what], number)
        for what, number in expected.items()
        if counted[what] != number
    ]


async def _won_effects(stage: Stage, turn: Turn) -> dict[str, int]:
    contracts = contracts_pb2.ListContractsRequest(opportunity_id=turn.deal_id)
    found = await stage.ask(contracts_pb2_grpc.ContractServiceStub, "ListContracts", contracts, OPERATIONS)
    counted = {"contracts": len(found.contracts)}
    moves = opportunities_pb2.ListStageMovesRequest(opportunity_id=turn.deal_id)
    stub = opportunities_pb2_grpc.OpportunityServiceStub
    counted["stage moves"] = len(
        [move for move in (await stage.ask(stub, "ListStageMoves", moves, OPERATIONS)).moves if move.from_stage_key]
    )
    approvals = 0
    for subject in (turn.quote_id, turn.contract_id):
        asked = requests_pb2.ListRequestsRequest(origin="funnel", subject_id=subject)
        found = await stage.ask(requests_pb2_grpc.RequestServiceStub, "ListRequests", asked, OPERATIONS)
        approvals += len(found.requests)
    counted["approvals"] = approvals
    booked = actuals_pb2.ListActualsRequest(
        filter=actuals_pb2.ActualFilter(metrics=[METRIC], account_id=turn.account_id)
    )
    found = await stage.ask(actuals_pb2_grpc.ActualServiceStub, "ListActuals", booked, OPERATIONS)
    counted["actuals"] = len(found.actuals)
    counted[f"actuals of {turn.won_fen}"] = [to_fen(one.amount.money) for one in found.actuals].count(turn.won_fen)
    timing = platform_pb2.ListClocksRequest(kind="customers.first_response", subject=turn.lead_id)
    stub_of_clocks = platform_pb2_grpc.ClockServiceStub
    counted["response clocks"] = len(
        (await stage.ask(stub_of_clocks, "ListClocks", timing, OPERATIONS, "customers")).clocks
    )
    told = 0
    sent: Counter[tuple[str, str]] = Counter()
    for approval_id in turn.approval_ids:
        listing = deliveries_pb2.ListDeliveriesRequest(subject_id=approval_id)
        found = await stage.ask(deliveries_pb2_grpc.DeliveryServiceStub, "ListDeliveries", listing, OPERATIONS)
        told += bool(found.deliveries)
        sent.update((one.content.recipient.person_id, one.content.dedupe_key) for one in found.deliveries)
    counted["approvals their signers were told of"] = told
    lead = await _lead(stage, turn)
    counted["leads closed as won"] = int(lead.outcome == leads_pb2.LEAD_OUTCOME_WON)
    counted["notices sent twice"] = sum(number > 1 for number in sent.values())
    return counted


class Load:
    """Turns played side by side while the block runs; at its end those under way are played to their end."""

    def __init__(self, stage: Stage, players: int = 3) -> None:
        self.turns: list[Turn] = []
        self.players = players
        self._stage = stage
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._player()) for _ in range(self.players)]
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        self._stopping.set()
        if kind:
            for task in self._tasks:
                task.cancel()
        outcomes = await asyncio.gather(*self._tasks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not kind:
                raise outcome

    @property
    def complete(self) -> int:
        """How many turns have been played to their end so far."""
        return sum(turn.complete for turn in self.turns)

    async def _player(self) -> None:
        while not self._stopping.is_set():
            turn = new_turn()
            self.turns.append(turn)
            await play(self._stage, turn)


def say(*lines: object) -> None:
    """Figures for whoever reads along (`pytest -s`) or looks why a test failed."""
    sys.stdout.write("".join(f"\n{line}" for line in lines) + "\n")
