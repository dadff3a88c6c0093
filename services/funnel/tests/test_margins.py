"""What a quote is expected to leave: costs out of invoices, whatever order they come in, and what the policies are told."""

from __future__ import annotations

import random
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import given
from hypothesis import strategies as st

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import requests_pb2
from closedloop.common.v1.common_pb2 import Provenance
from closedloop.funnel.v1 import contracts_pb2, contracts_pb2_grpc, quotes_pb2_grpc
from closedloop.funnel.v1 import opportunities_pb2 as deals
from closedloop.funnel.v1 import quotes_pb2 as pb
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop.targets.v1 import events_pb2 as targets
from closedloop.targets.v1 import rates_pb2
from closedloop_chassis import protos
from closedloop_funnel.clearance.margin import ratio
from closedloop_funnel.copies.conversion import Rates
from closedloop_funnel.copies.costs import Cost
from closedloop_funnel.quotes import rules
from closedloop_funnel.quotes.record import Quote

from .conftest import ACME, Company, cny, day, rid

DAY = date(2026, 1, 5)
RATES = Rates("CNY", {"USD": ([date(2026, 1, 1), date(2026, 1, 6)], [Decimal(7), Decimal(8)])})


def sold(product: str, quantity: float = 1) -> dict[str, Any]:
    return {"product_id": product, "quantity": quantity}


def cost(minor: int, quantity: str = "1", currency: str = "CNY") -> Cost:
    return Cost("p", minor, Decimal(quantity), currency)


@pytest.mark.mission("S63")
@pytest.mark.parametrize(
    ("lines", "costs", "total", "expected"),
    [
        ([sold("a")], {"a": cost(8_000)}, 10_000, 0.2),
        # Three for 100.00 are thirds of a fen each; three of them are 100.00 again.
        ([sold("a", 3)], {"a": cost(10_000, "3")}, 12_500, 0.2),
        ([sold("a", 0.1), sold("a", 0.2)], {"a": cost(10_000)}, 6_000, 0.5),
        ([sold("a", 2), sold("b", 1.5)], {"a": cost(1_000, "2"), "b": cost(300)}, 2_900, 0.5),
        # In dollars, by the rate that holds on the day; the one of tomorrow does not.
        ([sold("a")], {"a": cost(1_000, currency="USD")}, 14_000, 0.5),
        ([sold("a")], {"a": cost(1_000, currency="EUR")}, 14_000, None),
        ([sold("a"), sold("b")], {"a": cost(1)}, 10_000, None),
        ([sold("a")], {"a": cost(15_000)}, 10_000, -0.5),
        # Given away, and nearly so: the lowest that can be told.
        ([sold("a")], {"a": cost(15_000)}, 0, -100.0),
        ([sold("a", 1000)], {"a": cost(15_000)}, 1, -100.0),
        ([sold("a", 0)], {"a": cost(15_000)}, 0, None),
    ],
)
def test_the_expected_margin(
    lines: list[dict[str, Any]], costs: dict[str, Cost], total: int, expected: float | None
) -> None:
    assert ratio(lines, total, costs, RATES, DAY) == expected


@given(
    st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**9), st.integers(1, 10**6)), min_size=1, max_size=20),
    st.integers(1, 10**13),
)
def test_it_is_exact_to_the_last_bit_told(parts: list[tuple[int, int, int]], total: int) -> None:
    lines = [sold(str(i), quantity) for i, (quantity, _, _) in enumerate(parts)]
    costs = {str(i): cost(minor, str(of)) for i, (_, minor, of) in enumerate(parts)}
    exact = 1 - sum(Fraction(quantity * minor, of) for quantity, minor, of in parts) / total
    told = ratio(lines, total, costs, RATES, DAY)
    assert told == (float(exact) if exact > -100 else -100)
    assert told is not None
    # Neither side of a threshold of a policy is reached by rounding.
    assert (exact < Fraction(1, 5)) >= (told < 0.2)


def test_the_margin_is_no_part_of_what_the_customer_reads() -> None:
    fields: dict[str, Any] = {"id": "q", "opportunity_id": "o", "number": "Q1", "author_id": "rep1"}
    quote = Quote(**fields, created_at=None, updated_at=None)  # type: ignore[arg-type]
    assert "margin_ratio" not in rules.content(quote)


def line(product: str, quantity: str, fen: int | None, currency: str = "CNY") -> integrations.RecordedLine:
    made = integrations.RecordedLine(product_id=product)
    made.quantity.value = quantity
    if fen is not None:
        made.cost_amount.CopyFrom(protos.money(fen, currency))
    return made


def invoice(
    number: str, dom: int, *lines: integrations.RecordedLine, version: int = 1, **more: Any
) -> integrations.InvoiceRecorded:
    provenance = Provenance(source="erp", source_id=f"saleinvoice/{number}")
    return integrations.InvoiceRecorded(
        number=number, date=day(2026, 1, dom), lines=lines, version=version, provenance=provenance, **more
    )


class Books:
    """Invoices told to the funnel, and quotes that say what margin it makes of them."""

    def __init__(self, company: Company, deal_id: str) -> None:
        self.live = company.live
        self.deal_id = deal_id
        self.quotes = company.live.stub(quotes_pb2_grpc.QuoteServiceStub, "rep1", "rep")
        self.contracts = company.live.stub(contracts_pb2_grpc.ContractServiceStub, "rep1", "rep")

    async def book(self, *told: integrations.InvoiceRecorded) -> None:
        for one in told:
            await self.live.hear(one, f"{one.provenance.source}/{one.provenance.source_id}")

    async def unit_costs(self) -> dict[str, float]:
        """As quotes of one piece each show them."""
        found = {}
        for product in ("gtx-pro", "mg-special"):
            made = await self.quotes.CreateQuote(self.drafting(product))
            if made.HasField("margin_ratio"):
                found[product] = round((1 - made.margin_ratio) * 4821, 2)
        return found

    def drafting(self, product: str, **fields: Any) -> pb.CreateQuoteRequest:
        one = pb.QuoteLine(product_id=product, quantity=1, list_price=cny(4821))
        return pb.CreateQuoteRequest(request_id=rid(), opportunity_id=self.deal_id, lines=[one], **fields)


@pytest.fixture
async def books(company: Company) -> Books:
    helpers = [deals.Participant(person_id="eng1", role=deals.PARTICIPANT_ROLE_ENGINEER)]
    helpers.append(deals.Participant(person_id="rep2", role=deals.PARTICIPANT_ROLE_ENGINEER))
    return Books(company, (await company.open(account_id=ACME, participants=helpers)).id)


@pytest.mark.mission("S63", "S71")
async def test_costs_are_those_of_the_last_invoice_whatever_order_they_are_told_in(books: Books) -> None:
    told = [
        invoice("SI1", 2, line("gtx-pro", "2", 600_000), line("mg-special", "1", 4_000)),
        # Cheaper goods, booked later.
        invoice("SI2", 3, line("gtx-pro", "1", 250_000), line("gtx-pro", "3", 750_000)),
        # Corrected: only two were sold, for more.
        invoice("SI2", 3, line("gtx-pro", "2", 520_000), line("gtx-pro", "5", 0), version=2),
        # The last one is taken back whole, and says nothing.
        invoice("SI3", 4, line("gtx-pro", "1", 100)),
        invoice("SR1", 5, line("gtx-pro", "-1", -100), credit_note=True, original_number="SI3"),
        # The one before in part; one piece still cost 2,600.
        invoice("SR2", 5, line("gtx-pro", "-1", -260_000), credit_note=True, original_number="SI2"),
        # Booked by mistake, and taken back by its id.
        invoice("SI6", 5, line("gtx-pro", "1", 9_900)),
        invoice("SI7", 5, line("gtx-pro", "-1", -9_900), reverses_source_id="saleinvoice/SI6"),
        # Nobody says of what; not carried over yet; carried over as nothing; of a product nobody knows here.
        invoice("SR3", 5, line("gtx-pro", "-1", -1), credit_note=True),
        invoice("SI4", 5, line("gtx-pro", "1", None), line("mg-special", "1", 0), line("", "1", 1)),
        # Its goods were another product's: what it said first is withdrawn.
        invoice("SI5", 5, line("mg-special", "1", 1)),
        invoice("SI5", 5, version=2),
    ]
    expected = {"gtx-pro": 2_600.0, "mg-special": 40.0}
    assert await books.unit_costs() == {}, "unknown is not nothing"
    # What comes in one batch, in one order after the other, with replays in between.
    chance = random.Random(7)
    for _ in range(6):
        await books.live.db.all("WITH gone AS (DELETE FROM costed_invoice) DELETE FROM invoiced_cost RETURNING 1")
        shuffled = chance.sample(told, len(told))
        await books.book(*shuffled, *chance.sample(told, 4))
        assert await books.unit_costs() == expected, [f"{one.number} v{one.version}" for one in shuffled]


@pytest.mark.mission("S63", "U16")
async def test_a_quote_tells_its_margin_to_the_policies_and_to_whom_it_concerns(books: Books) -> None:
    await books.book(invoice("SI1", 2, line("gtx-pro", "2", 90_000, "USD")))
    drafted = await books.quotes.CreateQuote(books.drafting("gtx-pro"))
    assert not drafted.HasField("margin_ratio"), "no rate is known"
    spot = rates_pb2.ExchangeRate(
        base_currency="USD", quote_currency="CNY", kind=rates_pb2.RATE_KIND_SPOT, start_date=day(2026, 1, 1)
    )
    spot.rate.value = "7"
    await books.live.hear(targets.ExchangeRateChanged(rates=[spot]), "USD/CNY:spot")
    submitting = pb.SubmitQuoteRequest(request_id=rid(), quote_id=drafted.id, etag=drafted.etag)
    submitted = await books.quotes.SubmitQuote(submitting)
    expected = float(1 - Fraction(315_000, 482_100))
    assert submitted.margin_ratio == expected, "as known by now"
    [asked] = await books.live.told(approvals.ApprovalRequested)
    assert asked.facts.margin_ratio == expected
    reading = pb.GetQuoteRequest(quote_id=drafted.id)
    for person, role, sees in (
        ("rep1", "rep", True),
        ("lead1", "manager", True),
        ("ops", "operations", True),
        ("outside", "signatory", True),
        ("eng1", "engineer", False),
        ("rep2", "rep", False),
    ):
        stub = books.live.stub(quotes_pb2_grpc.QuoteServiceStub, person, role)
        assert (await stub.GetQuote(reading)).HasField("margin_ratio") == sees, person
    colleague = books.live.stub(quotes_pb2_grpc.QuoteServiceStub, "rep2", "rep")
    [listed] = (await colleague.ListQuotes(pb.ListQuotesRequest())).quotes
    assert (listed.id, listed.HasField("margin_ratio")) == (drafted.id, False)

    # The contract made of it, for a little more.
    decided = approvals.RequestDecided(
        request_id="r-1", subject=asked.subject, state=requests_pb2.REQUEST_STATE_APPROVED, decided_by="lead1"
    )
    await books.live.hear(decided, subject="r-1", source="approvals")
    contract = await books.contracts.CreateContract(
        contracts_pb2.CreateContractRequest(
            request_id=rid(), opportunity_id=books.deal_id, quote_id=drafted.id, title="合同", amount=cny(6_300)
        )
    )
    await books.contracts.SubmitContract(
        contracts_pb2.SubmitContractRequest(request_id=rid(), contract_id=contract.id, etag=contract.etag)
    )
    assert (await books.live.told(approvals.ApprovalRequested))[-1].facts.margin_ratio == 0.5


@pytest.mark.mission("S63")
async def test_a_margin_that_nobody_knows_is_not_told(books: Books) -> None:
    await books.book(invoice("SI1", 2, line("gtx-pro", "1", 300_000)))
    known = await books.quotes.CreateQuote(books.drafting("gtx-pro"))
    assert known.HasField("margin_ratio")
    both = [pb.QuoteLine(product_id=one, quantity=1, list_price=cny(4821)) for one in ("gtx-pro", "mg-special")]
    changed = await books.quotes.UpdateQuote(
        pb.UpdateQuoteRequest(
            request_id=rid(),
            quote_id=known.id,
            etag=known.etag,
            lines=both,
            update_mask=FieldMask(paths=["lines"]),
        )
    )
    assert not changed.HasField("margin_ratio")
    await books.quotes.SubmitQuote(pb.SubmitQuoteRequest(request_id=rid(), quote_id=known.id, etag=changed.etag))
    [asked] = await books.live.told(approvals.ApprovalRequested)
    assert not asked.facts.HasField("margin_ratio")
