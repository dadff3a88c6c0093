"""Currencies: dated rates, conversions to the coin, and books that are restated when a past rate changes."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from google.type.decimal_pb2 import Decimal as DecimalProto
from hypothesis import given, settings
from hypothesis import strategies as st

from closedloop.common.v1.common_pb2 import Ownership, Provenance
from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop.targets.v1 import (
    actuals_pb2,
    boards_pb2,
    cascade_pb2,
    events_pb2,
    metrics_pb2,
    plans_pb2,
    rates_pb2_grpc,
)
from closedloop.targets.v1 import rates_pb2 as pb
from closedloop_chassis import errors, protos
from closedloop_devstack.testing.service import Live
from closedloop_targets.book.rates import Rate, Rates

from .staff import request_id
from .test_actuals import fact, import_facts, ledger, sums
from .test_boards import boards, in_force, people
from .test_cascade import split
from .test_plans import cny, history, new_plan, plans, publish, set_, target

SPOT, PLAN = pb.RATE_KIND_SPOT, pb.RATE_KIND_PLAN


def known(*rows: tuple[str, str, date, str]) -> Rates:
    return Rates([Rate(base, quote, "spot", day, Decimal(rate), {}) for base, quote, day, rate in rows], "CNY")


JANUARY, MARCH = date(2026, 1, 1), date(2026, 3, 1)
BOOK = known(
    ("EUR", "CNY", JANUARY, "7.8"), ("JPY", "USD", JANUARY, "0.0066"), ("USD", "CNY", JANUARY, "7.25"),
    ("USD", "CNY", MARCH, "7"),
)  # fmt: skip


@pytest.mark.mission("U16")
@pytest.mark.parametrize(
    ("minor", "source", "target", "day", "converted"),
    [
        (10_000, "USD", "CNY", date(2026, 2, 28), 72_500),
        (10_000, "USD", "CNY", MARCH, 70_000),
        (72_500, "CNY", "USD", date(2026, 2, 1), 10_000),
        # Across the company's currency: 7.8 / 7.25.
        (10_000, "EUR", "USD", date(2026, 2, 1), 10_759),
        # Yen have no smaller coin: 1,000 JPY are 6.60 USD.
        (1_000, "JPY", "USD", date(2026, 2, 1), 660),
        (660, "USD", "JPY", date(2026, 2, 1), 1_000),
        (-10_000, "USD", "CNY", date(2026, 2, 1), -72_500),
        (1, "CNY", "CNY", date(1999, 1, 1), 1),
        (1, "CNY", "USD", date(2026, 2, 1), 0),
    ],
)
def test_conversions(minor: int, source: str, target: str, day: date, converted: int) -> None:
    assert BOOK.convert(minor, source, target, day) == converted


@pytest.mark.mission("U16")
@given(st.integers(-(10**15), 10**15), st.decimals("0.000001", "100000", places=6))
@settings(max_examples=200, deadline=None)
def test_there_and_back_is_off_by_less_than_the_coins_it_went_through(minor: int, rate: Decimal) -> None:
    book = known(("USD", "CNY", JANUARY, str(rate)))
    there = book.convert(minor, "USD", "CNY", MARCH)
    back = book.convert(there, "CNY", "USD", MARCH)
    assert abs(back - minor) <= 1 / (2 * rate) + 1
    assert book.convert(-minor, "USD", "CNY", MARCH) == -there


def test_no_rate_leads_there() -> None:
    for source, day in (("GBP", MARCH), ("USD", date(2025, 1, 1))):
        with pytest.raises(errors.FailedPrecondition, match="no rate is known"):
            BOOK.convert(1, source, "CNY", day)


def rates(live: Live, person: str = "ops", *roles: str) -> rates_pb2_grpc.RateServiceStub:
    return live.stub(rates_pb2_grpc.RateServiceStub, person, *(roles or ("operations",)))


def rate(base: str, quote: str, value: str, day: date = date(2025, 1, 1), kind: int = SPOT) -> pb.ExchangeRate:
    return pb.ExchangeRate(
        base_currency=base,
        quote_currency=quote,
        kind=kind,  # type: ignore[arg-type]
        start_date=protos.date_proto(day),
        rate=DecimalProto(value=value),
        provenance=Provenance(source="bank"),
    )


async def bring_rates(live: Live, *rows: pb.ExchangeRate, **more: Any) -> Any:
    return await rates(live).ImportRates(pb.ImportRatesRequest(request_id=request_id(), rates=rows, **more))


@pytest.mark.mission("U14", "U16")
async def test_rates_are_imported_listed_and_told(company: Live) -> None:
    rows = [rate("USD", "CNY", "7.2"), rate("USD", "CNY", "7.1", date(2026, 1, 1)), rate("EUR", "CNY", "7.8")]
    bad = [
        rate("USD", "USD", "1"), rate("USD", "CNY", "0"), rate("XXX", "CNY", "2"), rate("USD", "CNY", "7.2"),
        pb.ExchangeRate(base_currency="us"), rate("USD", "CNY", "-1"),
    ]  # fmt: skip
    dry = await bring_rates(company, *rows, *bad, validate_only=True)
    assert (dry.created, dry.rejected) == (3, 6)
    assert not (await rates(company).ListRates(pb.ListRatesRequest())).rates
    summary = await bring_rates(company, *rows, *bad)
    assert [(one.row, one.reason) for one in summary.errors] == [
        (3, "SAME_CURRENCY"), (4, "RATE_NOT_POSITIVE"), (5, "UNKNOWN_CURRENCY"), (6, "ROW_REPEATED"),
        (7, "ROW_INVALID"), (8, "ROW_INVALID"),
    ]  # fmt: skip
    again = await bring_rates(company, *rows)
    assert (again.created, again.updated, again.unchanged) == (0, 0, 3)
    stub = rates(company, "rep1", "rep")
    first = await stub.ListRates(pb.ListRatesRequest(page_size=2))
    rest = await stub.ListRates(pb.ListRatesRequest(page_size=2, page_token=first.next_page_token))
    seen = [(one.base_currency, one.start_date.year) for one in (*first.rates, *rest.rates)]
    assert seen == [("USD", 2026), ("EUR", 2025), ("USD", 2025)]
    day = protos.date_proto(date(2026, 2, 1))
    held = await stub.ListRates(pb.ListRatesRequest(base_currency="USD", from_date=day, to_date=day))
    assert [one.rate.value for one in held.rates] == ["7.1"]
    told = await company.told(events_pb2.ExchangeRateChanged)
    assert sorted(len(one.rates) for one in told) == [1, 2]
    worth = await stub.ConvertMoney(pb.ConvertMoneyRequest(amount=protos.money(10_000, "USD"), currency_code="EUR"))
    assert (worth.amount.units, len(worth.rates)) == (91, 2)
    with company.refused("FAILED_PRECONDITION", "RATE_NOT_FOUND"):
        await stub.ConvertMoney(pb.ConvertMoneyRequest(amount=protos.money(1, "GBP"), currency_code="CNY"))


@pytest.mark.mission("U16")
async def test_foreign_money_counts_at_its_days_rate_and_is_restated_when_that_changes(company: Live) -> None:
    foreign = actuals_pb2.ActualInput()
    foreign.CopyFrom(fact("usd"))
    foreign.amount.CopyFrom(cny(0))
    foreign.amount.money.CopyFrom(protos.money(100_000, "USD"))
    refused = await import_facts(company, foreign)
    assert [one.reason for one in refused.errors] == ["RATE_NOT_FOUND"]
    await bring_rates(company, rate("USD", "CNY", "7.2"))
    assert (await import_facts(company, foreign, fact("cny", 100))).created == 2
    assert await sums(company) == {(): 7_300}
    changed = await bring_rates(company, rate("USD", "CNY", "7.25"))
    assert changed.updated == 1
    assert await sums(company) == {(): 7_350}
    rows = (await ledger(company).ListActuals(actuals_pb2.ListActualsRequest())).actuals
    assert len(rows) == 4
    assert sum(one.base_amount.money.units for one in rows) == 7_350
    assert {one.amount.money.currency_code for one in rows} == {"USD", "CNY"}
    later = await bring_rates(company, rate("USD", "CNY", "9", date(2026, 1, 10)))
    assert later.created == 1
    assert await sums(company) == {(): 7_350}


@pytest.mark.mission("U16")
async def test_invoices_and_deals_in_foreign_money_count_at_their_days_rate(company: Live) -> None:
    await bring_rates(company, rate("USD", "CNY", "7.2"), rate("USD", "CNY", "7", date(2026, 1, 3)))

    def invoice(number: str, minor: int, day: date, currency: str = "USD", **more: Any) -> integrations.InvoiceRecorded:
        lines = more.pop("lines", ())
        return integrations.InvoiceRecorded(
            number=number, version=more.pop("version", 1), person_id="rep1", unit_id="east-1",
            net_amount=protos.money(minor, currency), date=protos.date_proto(day),
            lines=[integrations.RecordedLine(net_amount=protos.money(part, currency)) for part in lines],
            **more,
        )  # fmt: skip

    # Three lines of a third of a dollar and a cent more: 7.20 yuan to the fen, whatever each line is worth.
    told = invoice("INV-1", 100, date(2026, 1, 2), lines=(33, 33, 34))
    await company.hear(told, "INV-1", source="integrations")
    rows = (await ledger(company).ListActuals(actuals_pb2.ListActualsRequest())).actuals
    assert sorted((one.amount.money.nanos // 10**7, one.base_amount.money.nanos // 10**7) for one in rows) == [
        (33, 37), (33, 38), (34, 45),
    ]  # fmt: skip
    assert sum(one.base_amount.money.units * 100 + one.base_amount.money.nanos // 10**7 for one in rows) == 720
    await company.hear(invoice("INV-2", 100_000, date(2026, 1, 4)), "INV-2", source="integrations")
    credit = invoice("CN-1", -10_000, date(2026, 1, 4), credit_note=True)
    await company.hear(credit, "CN-1", source="integrations")
    invoiced = {"metrics": ["invoiced_value"]}
    assert await sums(company, "person", **invoiced) == {("rep1",): 7 + 7_000 - 700}
    # Booked anew in another currency: taken back and written again.
    again = invoice("INV-2", 100_000, date(2026, 1, 4), "CNY", version=2)
    await company.hear(again, "INV-2", source="integrations")
    assert await sums(company, "person", **invoiced) == {("rep1",): 7 + 1_000 - 700}
    await bring_rates(company, rate("USD", "CNY", "8", date(2026, 1, 3)))
    assert await sums(company, "person", **invoiced) == {("rep1",): 7 + 1_000 - 800}
    deal = funnel.OpportunityWon(
        opportunity_id="o1", version=1, ownership=Ownership(owner_id="rep1", unit_id="east-1"),
        amount=protos.money(50_000, "USD"), close_date=protos.date_proto(date(2026, 1, 4)),
    )  # fmt: skip
    await company.hear(deal, "o1", source="funnel")
    assert await sums(company, "person") == {("rep1",): 4_000}
    # Without a rate it waits, parked and said, and counts nowhere.
    with pytest.raises(AssertionError, match="no rate is known from EUR"):
        await company.hear(invoice("INV-3", 100, date(2026, 1, 4), "EUR"), "INV-3", source="integrations")
    assert await sums(company, "person", **invoiced) == {("rep1",): 7 + 1_000 - 800}


@pytest.mark.mission("U16", "S1", "S2")
async def test_a_unit_plans_in_its_own_money_at_plan_rates(company: Live) -> None:
    """Dollars in the plan, yuan on the board, each exact in its own; the rate is that of the plan's first day."""
    await history(company, 700_000)
    plan = await new_plan(company, currency_code="USD")
    row = target(unit="co", amount=metrics_pb2.Amount(money=protos.money(12_000_033, "USD")))
    top = await set_(company, plan, row)
    with company.refused("FAILED_PRECONDITION", "PLAN_CURRENCY_FOREIGN"):
        await publish(company, plan)
    for bad in (rate("USD", "CNY", "9", date(2026, 1, 2), kind=PLAN), rate("USD", "CNY", "8", date(2026, 1, 1))):
        await bring_rates(company, bad)
    await bring_rates(company, rate("USD", "CNY", "7", date(2025, 12, 31), kind=PLAN))
    # Growth is told of history in yuan, and means dollars: 700,000 at 7 is 100,000.
    [check] = (
        await plans(company).CheckTargets(
            plans_pb2.CheckTargetsRequest(plan_id=plan.id, targets=[plans_pb2.TargetInput(statement="Q1, 华东, +20 %")])
        )
    ).checks
    assert check.understood.amount == metrics_pb2.Amount(money=protos.money(12_000_000, "USD"))
    await split(company, top, cascade_pb2.CascadeRules())
    await publish(company, plan)
    await company.settle()

    progress = await people(company)
    assert progress["rep1"].progress.target.money.currency_code == "CNY"
    parts = [one.progress.target.money for one in progress.values()]
    assert len(parts) == 4
    # Four shares of 120,000.33 dollars, each seven times its cents.
    assert sum(one.units * 100 + one.nanos // 10**7 for one in parts) == 7 * 12_000_033
    listed = await plans(company).ListTargets(plans_pb2.ListTargetsRequest(plan_id=plan.id, version=1))
    reps = [one.amount.money for one in listed.targets if one.holder.person_id]
    assert {one.currency_code for one in reps} == {"USD"}
    assert sum(one.units * 100 + one.nanos // 10**7 for one in reps) == 12_000_033
    await import_facts(company, fact("won", 105_000))
    mine = (await people(company))["rep1"].progress
    assert (mine.done.money.units, round(mine.completion_ratio, 4)) == (105_000, 0.5)
    weeks = await boards(company).ListPersonProgress(
        boards_pb2.ListPersonProgressRequest(view=boards_pb2.BOARD_VIEW_LIVE, period="2026-M01", person_id="rep1")
    )
    [january] = weeks.people
    assert 0.25 < january.progress.target.money.units / mine.target.money.units < 0.4
    [own] = [one for one in listed.targets if one.holder.person_id == "rep1"]
    flow = await boards(company).GetTargetFlow(boards_pb2.GetTargetFlowRequest(target_id=own.id))
    assert sum(one.done.money.units for one in flow.weeks) == 15_000
    assert {one.done.money.currency_code for one in flow.weeks} == {"USD"}
    assert flow.progress.target == mine.target

    # Another plan rate of that day counts with the next version, not before.
    await bring_rates(company, rate("USD", "CNY", "8", date(2025, 12, 31), kind=PLAN))
    assert (await people(company))["rep1"].progress.target == mine.target
    await plans(company).CreatePlanVersion(
        plans_pb2.CreatePlanVersionRequest(
            request_id=request_id(), plan_id=plan.id, cause=plans_pb2.REVISION_CAUSE_MARKET, reason="plan rates anew"
        )
    )
    await publish(company, plan, 2)
    again = (await people(company))["rep1"].progress.target.money
    assert again.units == round(mine.target.money.units / 7 * 8)


@pytest.mark.mission("U16")
async def test_boards_and_sums_are_shown_in_another_currency(company: Live) -> None:
    await in_force(company)
    await import_facts(company, fact("1", 72_500, "rep1"))
    request = boards_pb2.ListPersonProgressRequest(
        view=boards_pb2.BOARD_VIEW_LIVE, currency_code="USD", person_id="rep1"
    )
    with company.refused("FAILED_PRECONDITION", "RATE_NOT_FOUND"):
        await boards(company).ListPersonProgress(request)
    await bring_rates(company, rate("USD", "CNY", "7.25"))
    [mine] = (await boards(company).ListPersonProgress(request)).people
    assert (mine.progress.done.money.currency_code, mine.progress.done.money.units) == ("USD", 10_000)
    assert mine.progress.target.money.units == 13_793
    assert mine.progress.completion_ratio == 0.725
    summed = await ledger(company).SummarizeActuals(
        actuals_pb2.SummarizeActualsRequest(filter=actuals_pb2.ActualFilter(metrics=["won_value"]), currency_code="USD")
    )
    assert [one.amount.money.units for one in summed.sums] == [10_000]
