"""Margins out of raw transactions through the contract: two calculations, one bridge, and the rows behind each figure."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date
from google.type.decimal_pb2 import Decimal

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.common.v1.common_pb2 import LIGHT_NONE, LIGHT_RED, Provenance
from closedloop.integrations.v1 import economics_pb2 as pb
from closedloop.integrations.v1 import erp_pb2 as erp
from closedloop.integrations.v1 import events_pb2 as events
from closedloop.integrations.v1.economics_pb2_grpc import EconomicsServiceStub
from closedloop.integrations.v1.erp_pb2_grpc import ErpServiceStub
from closedloop.platform.v1 import metrics_pb2
from closedloop.platform.v1.metrics_pb2_grpc import MetricServiceStub
from closedloop.targets.v1.events_pb2 import OrgUnitChanged
from closedloop_chassis import protos
from closedloop_chassis.rulebook.shelf import Edition
from closedloop_devstack.testing.service import Live
from closedloop_integrations.economics.rules import ITEMS, EconomicsRules
from closedloop_integrations.erp import intake

from .conftest import upgraded

Known = Any
BOOKS, ACTED = pb.CALCULATION_STATUTORY, pb.CALCULATION_OPERATIONAL
JANUARY = Date(year=2026, month=1, day=5)
# 100,000,000.00 of revenue at 31.2 %, and what each of the 17 items took of the 8.5 points: fen.
REVENUE, GOODS = 10_000_000_000, 6_880_000_000
CONTROLLABLE = [item for item in ITEMS if item.controllable]
PARTS = [187_654_321, 96_012_345, 88_800_001, 41_234_567, 63_000_000, 30_000_003, 22_222_222, 35_555_555, 71_111_111]
PARTS += [54_321_098, 33_333_333, 18_181_818, 45_454_545, 12_121_212, 25_252_525, 15_151_515]
PARTS += [850_000_000 - sum(PARTS)]


def row(id: str, day: Date | None = None, **given: Any) -> erp.Transaction:
    usual: dict[str, Any] = {
        "number": id,
        "date": day or Date(year=2025, month=12, day=10),
        "currency": "CNY",
        "provenance": Provenance(source="erp", source_id=id),
    }
    return erp.Transaction(**{**usual, **given})


def sold(id: str, net: int, goods: int, product: str = "", currency: str = "CNY", **given: Any) -> erp.Transaction:
    line = erp.InvoiceLine(line=1, product_id=product, quantity=Decimal(value="1"))
    line.net_amount.CopyFrom(protos.money(net, currency))
    line.cost_amount.CopyFrom(protos.money(goods, currency))
    return row(id, invoice=erp.Invoice(lines=[line], credit_note=net < 0), currency=currency, **given)


def cost(id: str, code: str, fen: int, **given: Any) -> erp.Transaction:
    return row(id, cost=erp.CostEntry(cost_code=code, amount=protos.money(fen, "CNY")), **given)


def order(id: str, **given: Any) -> erp.Transaction:
    lines = [erp.OrderLine(line=1, net_amount=protos.money(100, "CNY"))]
    return row(id, order=erp.Order(lines=lines), **given)


async def bring(live: Live, *rows: erp.Transaction) -> None:
    stub = live.stub(ErpServiceStub, "ops", "operations")
    done = await stub.ImportTransactions(erp.ImportTransactionsRequest(request_id=str(uuid4()), rows=rows))
    assert not done.errors, done.errors


def scope(begin: tuple[int, int, int] = (2025, 10, 1), end: tuple[int, int, int] = (2025, 12, 31), **given: Any) -> Any:
    days = {"start_date": Date(year=begin[0], month=begin[1], day=begin[2])}
    return pb.EconomicScope(**days, end_date=Date(year=end[0], month=end[1], day=end[2]), **given)


def fen(money: Any) -> int:
    return protos.minor_units(money)


def quarter() -> list[erp.Transaction]:
    """The case: a quarter whose ledger says 31.2 % and whose sellers keep 22.7 %."""
    sales = [
        sold("SI1", 6_000_000_000, 4_128_000_000, unit_id="east", person_id="rep1", channel="tmall"),
        sold("SI2", 4_500_000_000, 3_096_000_000, unit_id="north", person_id="rep2", channel="direct"),
        # Goods that came back.
        sold("CN1", -500_000_000, -344_000_000, unit_id="north", person_id="rep2", channel="direct"),
    ]
    return sales + [
        cost(f"EX{place}", item.codes[0], part, unit_id="east" if place % 2 else "north", channel="tmall")
        for place, (item, part) in enumerate(zip(CONTROLLABLE, PARTS, strict=True))
    ]


@pytest.mark.mission("S74", "S75")
async def test_the_ledger_says_31_2_and_the_sellers_22_7_and_17_items_explain_every_fen(company: Live) -> None:
    assert len(CONTROLLABLE) == len(EconomicsRules().items) - 4 == 17
    await bring(company, *quarter())
    stub = company.stub(EconomicsServiceStub, "boss", "executive")
    request = pb.GetMarginBridgeRequest(scope=scope(), to=ACTED, **{"from": BOOKS})
    bridge = await stub.GetMarginBridge(request)
    origin = getattr(bridge, "from")
    assert (fen(origin.revenue), fen(origin.cost_of_goods), fen(origin.margin)) == (REVENUE, GOODS, 3_120_000_000)
    assert (round(origin.margin_ratio, 6), round(bridge.to.margin_ratio, 6)) == (0.312, 0.227)
    assert (fen(bridge.to.margin), fen(bridge.residual)) == (2_270_000_000, 0)
    assert [(item.cost.item, fen(item.cost.amount)) for item in bridge.items] == [
        (item.name, part) for item, part in zip(CONTROLLABLE, PARTS, strict=True)
    ]
    assert {"platform_commission", "logistics_compensation", "return_refurbishing"} <= {
        i.cost.item for i in bridge.items
    }
    assert sum(item.points for item in bridge.items) == pytest.approx(-8.5, abs=1e-9)
    # A return, a correction and a second delivery of the same rows move both sides together.
    await bring(company, *quarter())
    again = await stub.GetMarginBridge(request)
    assert (fen(again.to.margin), fen(again.residual)) == (2_270_000_000, 0)
    await bring(company, cost("EX0", CONTROLLABLE[0].codes[0], PARTS[0] + 1, unit_id="north", channel="tmall"))
    moved = await stub.GetMarginBridge(request)
    assert (fen(getattr(moved, "from").margin), fen(moved.to.margin)) == (3_120_000_000, 2_269_999_999)
    assert moved.rule.rulebook == "integrations.economics"
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        theirs = pb.GetMarginBridgeRequest(scope=scope(unit_id="north"), to=ACTED, **{"from": BOOKS})
        await company.stub(EconomicsServiceStub, "m1", "manager").GetMarginBridge(theirs)


@pytest.mark.mission("S76", "S77", "S79")
async def test_regions_channels_and_the_transactions_behind_them(company: Live, known: Known) -> None:
    account = await known.account("济南市第三中学", codes=("C001",))
    deal = str(uuid4())
    await bring(company, cost("EX1", "660101", 3_000, order_number="SO1"), cost("EX9", "9999", 7_00, unit_id="north"))
    await bring(
        company,
        order("SO1", person_code="rep1", account_code="C001", channel="tmall", opportunity_id=deal),
        order("SO2", unit_id="north", channel="direct"),
        sold("SI1", 100_000, 60_000, order_number="SO1"),
        sold("SI2", 50_000, 20_000, unit_id="north", channel="direct"),
        cost("EX2", "66020199", 5_000, unit_id="east", channel="tmall"),
        row("V1", voucher=erp.Voucher(entries=[entry("1122", 150_000), entry("6001", -150_000)])),
        row("V2", voucher=erp.Voucher(entries=[entry("6401", 80_000), entry("1405", -80_000)])),
    )
    stub = company.stub(EconomicsServiceStub, "boss", "executive")
    regional = pb.ListMarginsRequest(
        scope=scope(), calculation=pb.CALCULATION_CONTRIBUTION, dimensions=[pb.DIMENSION_UNIT, pb.DIMENSION_CHANNEL]
    )
    shown = await stub.ListMargins(regional)
    # A cost that came before its order is the order's seller's, customer's and channel's all the same.
    assert [(list(r.keys), list(r.titles), fen(r.margin), [c.item for c in r.removed]) for r in shown.rows] == [
        (["east", "tmall"], ["华东大区", "tmall"], 37_000, ["headquarters_overhead"]),
        (["north", ""], ["华北大区", ""], 0, ["unplaced"]),
        (["north", "direct"], ["华北大区", "direct"], 30_000, []),
    ]
    assert fen(shown.total.margin) == 67_000
    first = await stub.ListMargins(
        pb.ListMarginsRequest(scope=scope(), calculation=ACTED, dimensions=[pb.DIMENSION_CHANNEL], page_size=2)
    )
    rest = pb.ListMarginsRequest(scope=scope(), calculation=ACTED, dimensions=[pb.DIMENSION_CHANNEL], page_size=2)
    rest.page_token = first.next_page_token
    channels = [*first.rows, *(await stub.ListMargins(rest)).rows]
    assert [(r.keys[0], fen(r.margin), r.orders, fen(r.cost_per_order) if r.orders else 0) for r in channels] == [
        ("", -700, 0, 0),
        ("direct", 30_000, 1, 0),
        ("tmall", 32_000, 1, 8_000),
    ]
    books = await stub.ListMargins(pb.ListMarginsRequest(scope=scope(), calculation=BOOKS))
    assert (fen(books.total.margin), fen(books.ledger_difference)) == (70_000, 0)
    [whose] = (
        await stub.ListMargins(
            pb.ListMarginsRequest(
                scope=scope(account_id=account),
                calculation=ACTED,
                dimensions=[pb.DIMENSION_OPPORTUNITY],
            )
        )
    ).rows
    assert (list(whose.keys), fen(whose.margin)) == ([deal], 37_000)

    told = (await company.told(events.DealMarginRestated))[-1]
    assert (told.opportunity_id, told.account_id, fen(told.revenue)) == (deal, account, 100_000)
    assert (told.statutory_margin_ratio, told.operational_margin_ratio) == (0.4, 0.37)

    metrics = company.stub(MetricServiceStub, "boss", "executive")
    east = metrics_pb2.MetricScope(unit_id="east")
    days = {"start_date": scope().start_date, "end_date": scope().end_date}
    trace = metrics_pb2.TraceMetricRequest(name="integrations.operational_margin", scope=east, page_size=2, **days)
    page = await metrics.TraceMetric(trace)
    trace.page_token = page.next_page_token
    rows = [*page.rows, *(await metrics.TraceMetric(trace)).rows]
    assert page.total_rows == len(rows) == 4
    assert sum(each.contribution for each in rows) == page.value == page.total_contribution == 320.0
    documents = company.stub(ErpServiceStub, "ops", "operations")
    numbers = [(await documents.GetTransaction(erp.GetTransactionRequest(id=each.record_id))).number for each in rows]
    assert sorted(numbers) == ["EX1", "EX2", "SI1", "SI1"]
    one = metrics_pb2.TraceMetricRequest(name="integrations.cost.platform_commission", **days)
    assert [(each.provenance.source_id, each.contribution) for each in (await metrics.TraceMetric(one)).rows] == [
        ("EX1", 30.0)
    ]
    with company.refused("NOT_FOUND", "METRIC_UNKNOWN"):
        await metrics.TraceMetric(metrics_pb2.TraceMetricRequest(name="integrations.luck", **days))


def served(number: str, approved: bool, changed: str, **given: Any) -> str:
    """As the ERP serves an invoice: a thousand yuan, of goods for six hundred."""
    line = {
        "irowno": "1",
        "cinvcode": "B86",
        "iquantity": "1",
        "imoney": "1000.00",
        "itax": "130.00",
        "icost": "600.00",
    }
    head = {"ccode": number, "ddate": "2025-12-10", "csocode": "SO1", "dmodifysystime": changed, "entry": [line]}
    return json.dumps({**head, "dverifydate": changed if approved else "", **given})


async def fetched(live: Live, list_name: str, *documents: str) -> None:
    page = events.ErpDocumentsFetched(source="erp", list=list_name, documents=documents)
    await live.hear(page, f"erp:{list_name}", source="integrations.courier")


@pytest.mark.mission("S71", "S74", "S76")
async def test_what_is_approved_no_longer_counts_in_neither_hub_and_stays_as_it_came(company: Live) -> None:
    deal = str(uuid4())
    await bring(company, order("SO1", channel="02", opportunity_id=deal, unit_id="east"), cost("EX1", "660101", 5_000))
    stub = company.stub(EconomicsServiceStub, "boss", "executive")

    async def margins(at: Any = None) -> list[int]:
        where = scope()
        if at is not None:
            where.at.FromDatetime(at)
        asked = [pb.ListMarginsRequest(scope=where, calculation=which) for which in (BOOKS, ACTED)]
        return [fen((await stub.ListMargins(each)).total.margin) for each in asked]

    await fetched(company, "saleinvoice", served("SI1", False, "2025-12-10 09:00:00"))
    nothing = await margins()
    await fetched(company, "saleinvoice", served("SI1", True, "2025-12-10 10:00:00", cstcode="02", cstname="天猫"))
    assert [now - before for now, before in zip(await margins(), nothing, strict=True)] == [40_000, 40_000]
    then = company.now
    await company.advance(hours=1)

    back = served("SI1", False, "2025-12-10 11:00:00", entry=[], cexch_name="贝壳")
    await fetched(company, "saleinvoice", back)
    await fetched(company, "saleinvoice", back)
    assert (await margins(), await margins(then)) == (nothing, [each + 40_000 for each in nothing])
    [*_, told] = await company.told(events.InvoiceRecorded)
    assert (told.withdrawn, fen(told.net_amount), list(told.lines), told.version) == (True, 0, [], 2)
    margin = (await company.told(events.DealMarginRestated))[-1]
    assert (margin.opportunity_id, fen(margin.revenue), margin.HasField("operational_margin_ratio")) == (deal, 0, False)
    documents = company.stub(ErpServiceStub, "ops", "operations")
    listed = erp.ListTransactionsRequest(number="SI1", include_superseded=True)
    versions = sorted((await documents.ListTransactions(listed)).transactions, key=lambda each: each.version)
    assert [(each.version, each.withdrawn, fen(each.amount)) for each in versions] == [
        (1, False, 100_000),
        (2, True, 100_000),
    ]

    # Approved anew it counts, and its channel is what its code means here.
    mapping = erp.CodeMapping(source="erp", type=erp.CODE_TYPE_CHANNEL, code="02", target_id="tmall")
    await documents.SetCodeMappings(erp.SetCodeMappingsRequest(request_id=str(uuid4()), rows=[mapping]))
    again = served("SI1", True, "2025-12-10 12:00:00", cstcode="02", iyperiod="202601")
    await fetched(company, "saleinvoice", again)
    by_channel = pb.ListMarginsRequest(scope=scope(), calculation=ACTED, dimensions=[pb.DIMENSION_CHANNEL])
    rows = {row.keys[0]: fen(row.revenue) for row in (await stub.ListMargins(by_channel)).rows}
    assert rows["tmall"] == 100_000
    assert (await company.told(events.InvoiceRecorded))[-1].accounting_month.month == 1
    assert [now - before for now, before in zip(await margins(), nothing, strict=True)] == [0, 40_000]

    # What was said stays, whoever writes behind our back.
    for statement in (
        "UPDATE erp_transaction SET amount_minor = 1",
        "UPDATE erp_transaction SET document = '', digest = ''",
        "UPDATE erp_transaction SET in_force = true WHERE NOT in_force",
        "DELETE FROM erp_transaction WHERE number = 'SI1'",
        "TRUNCATE erp_transaction",
    ):
        tx = company.process.database.transaction()
        tx.do(statement, {})
        with pytest.raises(psycopg.Error, match="never changed or deleted"):
            await tx.commit()


def entry(account: str, signed: int) -> erp.VoucherEntry:
    amount = protos.money(abs(signed), "CNY")
    return erp.VoucherEntry(ledger_account=account, **({"debit": amount} if signed > 0 else {"credit": amount}))


@pytest.mark.mission("S74")
async def test_odd_days_other_money_other_months_and_what_was_known_then(company: Live) -> None:
    december, january = Date(year=2025, month=12, day=31), Date(year=2026, month=1, day=1)
    await bring(company, sold("SI1", 10_000, 6_000, date=december, accounting_month=january), sold("SI2", 5_000, 1_000))
    stub = company.stub(EconomicsServiceStub, "boss", "executive")

    async def margin(where: Any, calculation: Any = ACTED) -> int:
        answer = await stub.ListMargins(pb.ListMarginsRequest(scope=where, calculation=calculation))
        return fen(answer.total.margin)

    assert [await margin(scope((2025, 12, 1))), await margin(scope((2025, 12, 11)))] == [8_000, 4_000]
    assert await margin(scope((2025, 12, 10), (2025, 12, 10))) == 4_000
    assert await margin(scope((2025, 12, 1)), BOOKS) == 4_000
    bridge = pb.GetMarginBridgeRequest(scope=scope((2025, 12, 1)), to=ACTED, **{"from": BOOKS})
    built = await stub.GetMarginBridge(bridge)
    assert [(item.cost.item, fen(item.cost.amount)) for item in built.items] == [("timing", -4_000)]
    assert (fen(built.residual), round(built.items[0].points, 6)) == (0, round(100 * (8 / 15 - 4 / 5), 6))

    before = scope((2025, 12, 1))
    before.at.FromDatetime(company.now)
    await company.advance(hours=1)
    await bring(company, sold("SI2", 6_000, 1_000))
    assert [await margin(scope((2025, 12, 1))), await margin(before)] == [9_000, 8_000]

    with company.refused("INVALID_ARGUMENT", "PERIOD_NOT_MONTHS"):
        await margin(scope((2025, 12, 2)), BOOKS)
    with company.refused("INVALID_ARGUMENT", "PERIOD_INVERTED"):
        await margin(scope((2026, 1, 2), (2026, 1, 1)))
    with company.refused("FAILED_PRECONDITION", "PERIOD_NOT_LOADED"):
        await margin(scope((2020, 1, 1), (2020, 12, 31)))
    with company.refused("NOT_FOUND", "UNIT_UNKNOWN"):
        await margin(scope(unit_id="moon"))
    await bring(company, sold("SI3", 100, 40, currency="USD"))
    with company.refused("FAILED_PRECONDITION", "RATE_MISSING"):
        await margin(scope())


@pytest.mark.mission("S78", "S5")
async def test_stock_that_lasts_89_days_is_red_and_said_so(company: Live) -> None:
    def held(id: str, product: str, value: int, day: int, warehouse: str = "01") -> erp.Transaction:
        balance = erp.StockBalance(warehouse=warehouse, product_code=product, value=protos.money(value, "CNY"))
        balance.quantity.value = "10"
        return row(id, Date(year=2026, month=1, day=day), stock_balance=balance)

    line = erp.InvoiceLine(product_code="B86", cost_amount=protos.money(900_000, "CNY"))
    line.net_amount.CopyFrom(protos.money(1_500_000, "CNY"))
    pen = erp.InvoiceLine(product_code="PEN", cost_amount=protos.money(90_000, "CNY"))
    pen.net_amount.CopyFrom(protos.money(100_000, "CNY"))
    # 9,000.00 in 90 days is 100.00 a day: 8,900.00 lie for 89 days.
    await bring(company, row("SI1", invoice=erp.Invoice(lines=[line, pen])), held("B1", "B86", 440_000, 4))
    assert [(t.product_id, t.days, t.light) for t in await company.told(events.StockDaysChanged)] == []
    await bring(
        company, held("B2", "B86", 690_000, 5), held("B3", "B86", 200_000, 5, "02"), held("P1", "PEN", 44_000, 5)
    )
    [told] = await company.told(events.StockDaysChanged)
    assert (told.product_id, told.days, told.light, told.previous_light) == ("B86", 89.0, LIGHT_RED, LIGHT_NONE)
    [asked] = await company.told(approvals.TaskRequested)
    assert (asked.content.cause_key, asked.content.light) == ("integrations.stock_days:B86", LIGHT_RED)
    assert (asked.content.assignee_role, asked.content.origin_checks) == ("role:operations|owner", True)
    assert asked.content.evidence[0].value == 89
    await bring(company, held("X1", "DUST", 1_000, 5))
    stub = company.stub(EconomicsServiceStub, "rep1", "rep")
    shown = await stub.ListStockDays(pb.ListStockDaysRequest(page_size=3))
    rest = await stub.ListStockDays(pb.ListStockDaysRequest(page_size=3, page_token=shown.next_page_token))
    assert [
        (each.product_id, each.warehouse, each.days if each.HasField("days") else None, each.light)
        for each in (*shown.rows, *rest.rows)
    ] == [
        ("DUST", "01", None, LIGHT_RED),
        ("B86", "01", 89.0, LIGHT_RED),
        ("B86", "02", 89.0, LIGHT_RED),
        ("PEN", "01", 44.0, LIGHT_NONE),
    ]
    assert fen(shown.rows[1].daily_cost_of_sales) + fen(shown.rows[2].daily_cost_of_sales) == 10_000
    red = await stub.ListStockDays(pb.ListStockDaysRequest(light=LIGHT_RED, product_id="B86"))
    assert (len(red.rows), fen(red.total.stock_value), red.total.days) == (2, 890_000, 89.0)
    then = await stub.ListStockDays(pb.ListStockDaysRequest(date=Date(year=2026, month=1, day=4)))
    assert [(each.product_id, each.days, each.light) for each in then.rows] == [("B86", 44.0, LIGHT_NONE)]

    told_so_far = len(await company.told(events.StockDaysChanged))
    await company.hear(OrgUnitChanged(unit_id="co", kind="company", name="总公司", active=True, version=10**9), "co")
    await company.advance(hours=25)
    daily = (await company.told(events.StockDaysChanged))[told_so_far:]
    assert sorted(each.product_id for each in daily) == ["B86", "DUST", "PEN"]

    # Stock in money nobody has given a rate for comes in, and holds up nobody else's light.
    foreign = held("U1", "IMPORTED", 100, 6)
    foreign.currency = foreign.stock_balance.value.currency_code = "USD"
    await bring(company, foreign)
    await company.advance(hours=25)
    assert {each.product_id for each in await company.told(events.StockDaysChanged)} == {"B86", "DUST", "PEN"}
    with company.refused("FAILED_PRECONDITION", "RATE_MISSING"):
        await stub.ListStockDays(pb.ListStockDaysRequest())

    assert await company.told(approvals.TaskWithdrawn) == [], "it lies there still, whatever was done"
    today = company.now.date()
    await bring(
        company,
        held("B4", "B86", 100_000, today.day),
        held("B5", "B86", 0, today.day, "02"),
        row("SI9", Date(year=2026, month=1, day=today.day), invoice=erp.Invoice(lines=[line])),
    )
    [over] = await company.told(approvals.TaskWithdrawn)
    assert (over.cause_key, over.reason) == (asked.content.cause_key, approvals.WITHDRAWAL_REASON_CAUSE_CLEARED)


@pytest.mark.mission("S76")
async def test_what_customers_are_worth_and_where_sellers_stand(company: Live, known: Known) -> None:
    old = await known.account("济南市第三中学", codes=("C001",))
    new = await known.account("青岛实验", owner="rep2", unit="north", codes=("C002",))
    months = [Date(year=2025, month=month, day=10) for month in (9, 10, 11, 12)]
    for place, day in enumerate(months):
        await bring(
            company,
            order(f"SO{place}", date=day, account_code="C001", person_code="rep1", channel="tmall"),
            sold(f"SI{place}", 30_000, 18_000, date=day, order_number=f"SO{place}", account_code="C001"),
            cost(f"EX{place}", "660101", 2_000, date=day, order_number=f"SO{place}"),
        )
    await bring(
        company,
        order("SO9", account_code="C002", person_code="rep2", channel="direct"),
        sold("SI9", 90_000, 40_000, account_code="C002", person_code="rep2", channel="direct"),
    )
    stub = company.stub(EconomicsServiceStub, "boss", "executive")
    first, second = (await stub.ListLifetimeValues(pb.ListLifetimeValuesRequest())).values
    assert (first.account_id, fen(first.realised_margin), first.orders, first.reason) == (
        new,
        50_000,
        1,
        "1 full months of history, 3 needed",
    )
    assert not first.HasField("expected_margin")
    assert (second.account_id, fen(second.realised_margin), second.acquisition_channel) == (old, 40_000, "tmall")
    assert (second.first_order_date.month, second.last_order_date.month, second.orders) == (9, 12, 4)
    # 100.00 a month without a swing, 24 months at 0.97 / 1.006 each.
    weights = sum((0.97 / 1.006) ** month for month in range(1, 25))
    assert (
        fen(second.expected_margin) == fen(second.expected_low) == fen(second.expected_high) == round(10_000 * weights)
    )
    page = await stub.ListLifetimeValues(pb.ListLifetimeValuesRequest(page_size=1))
    rest = pb.ListLifetimeValuesRequest(page_size=1, page_token=page.next_page_token)
    assert [each.account_id for each in (await stub.ListLifetimeValues(rest)).values] == [old]
    mine = company.stub(EconomicsServiceStub, "rep1", "rep")
    assert [each.account_id for each in (await mine.ListLifetimeValues(pb.ListLifetimeValuesRequest())).values] == [old]
    cohort = pb.ListLifetimeValuesRequest(first_order_from=Date(year=2025, month=12, day=1), unit_id="co")
    assert [each.account_id for each in (await stub.ListLifetimeValues(cohort)).values] == [new]

    asked = pb.ListProductivityRequest(scope=scope(), column=pb.DIMENSION_MONTH, calculation=ACTED)
    one, two = (await stub.ListProductivity(asked)).rows
    assert [(cell.key, fen(cell.margin), cell.orders, cell.percentile) for cell in one.cells] == [
        ("2025-10", 10_000, 1, 1.0),
        ("2025-11", 10_000, 1, 1.0),
        ("2025-12", 10_000, 1, 0.0),
    ]
    assert (one.person_id, one.unit_id, fen(one.total.margin), one.total.percentile) == ("rep1", "east", 30_000, 0.0)
    # October 2025 has the eight days of National Day and a make-up Saturday: 18 working days.
    assert (one.cells[0].working_days, fen(one.cells[0].margin_per_day)) == (18, 556)
    assert (two.person_id, two.total.percentile, two.cells[0].key) == ("rep2", 1.0, "2025-12")
    # A seller sees himself, and where he stands among all.
    [own] = (await mine.ListProductivity(asked)).rows
    assert (own.person_id, own.cells[2].percentile) == ("rep1", 0.0)
    asked.column = pb.DIMENSION_PERSON
    with company.refused("INVALID_ARGUMENT", "COLUMN_IS_ROW"):
        await stub.ListProductivity(asked)


@pytest.mark.mission("S74")
async def test_what_came_before_there_were_facts_gets_them_and_what_has_some_is_passed_over(
    company: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after the upgrade of a database that held transactions: figures of today and as they were known agree."""
    monkeypatch.setattr(intake, "WALK", 2)
    await bring(company, sold("a", 1000, 400), sold("b", 500, 100), cost("c", "freight", 50), order("d"))
    before_change = company.now
    company.process.time.stop_at(company.now + timedelta(hours=1))
    await bring(company, sold("a", 2000, 900))

    async def figures() -> list[tuple[int, int]]:
        stub, told = company.stub(EconomicsServiceStub, "ops", "operations"), []
        for at in (None, protos.timestamp(before_change)):
            asked = pb.ListMarginsRequest(scope=scope(), calculation=ACTED)
            if at is not None:
                asked.scope.at.CopyFrom(at)
            [total] = (await stub.ListMargins(asked)).rows
            told.append((protos.minor_units(total.revenue), protos.minor_units(total.margin)))
        return told

    right = await figures()
    assert [revenue for revenue, _ in right] == [2500, 1500]
    tx = company.process.database.transaction()
    keep = "transaction_id = (SELECT id FROM erp_transaction WHERE source_id = 'b')"
    tx.do(f"DELETE FROM economic_fact WHERE NOT {keep}", {})
    await tx.commit()
    await upgraded(company, "0011_facts_of_old")
    assert await figures() == right
    assert await company.db.value("SELECT count(*) FROM timer WHERE kind = 'integrations.facts_of_old'", {}) == 0
    twice = "SELECT count(*) FROM (SELECT FROM economic_fact GROUP BY transaction_id, code, product_id HAVING count(*) > 1) t"
    assert await company.db.value(twice, {}) == 0


async def lined(
    live: Live, name: str, size: int = 2, who: tuple[str, str] = ("boss", "executive"), **asked: Any
) -> Any:
    """The answer with the rows of all its pages."""
    stub = live.stub(MetricServiceStub, *who)
    days = {"start_date": scope().start_date, "end_date": asked.pop("end", JANUARY)}
    at = asked.pop("at", None)
    request = metrics_pb2.TraceMetricRequest(
        name=f"integrations.{name}", scope=metrics_pb2.MetricScope(**asked), at=at, page_size=size, **days
    )
    whole = await stub.TraceMetric(request)
    page = whole
    while page.next_page_token:
        request.page_token = page.next_page_token
        page = await stub.TraceMetric(request)
        assert (page.value, page.total_rows) == (whole.value, whole.total_rows)
        whole.rows.extend(page.rows)
    assert len(whole.rows) == whole.total_rows
    return whole


def added(rows: Any) -> int:
    return sum(round(each.contribution * 100) for each in rows)


def inputs(answer: Any) -> dict[str, int]:
    return {each.name: round(each.value * 100) for each in answer.inputs}


async def documents(live: Live, answer: Any) -> set[str]:
    """Numbers of the documents the rows name, as the ERP slice knows them."""
    stub = live.stub(ErpServiceStub, "ops", "operations")
    found = [await stub.GetTransaction(erp.GetTransactionRequest(id=each.record_id)) for each in answer.rows]
    assert [each.number for each in found] == [each.fields["number"] for each in answer.rows]
    return {each.number for each in found}


async def rate(live: Live) -> None:
    """A dollar at 7.0055: rows that are rounded one by one do not add up to what is rounded once."""
    dollars = [{"currency": "USD", "from_day": f"2025-{month}-01", "rate": "7.0055"} for month in (10, 11, 12)]
    shelf, name = live.process.rulebooks, EconomicsRules.rulebook
    edition = shelf.edition(name, live.now)
    body = edition.body | {"rates": dollars}
    tx = live.process.database.transaction()
    await shelf.publish(tx, Edition(name, edition.version, live.now, body, "ops", "test", live.now))
    await tx.commit()
    await live.process.look()


@pytest.mark.mission("S76", "S79")
async def test_worth_and_day_of_work_are_the_sum_of_their_documents(company: Live, known: Known) -> None:
    await rate(company)
    school = await known.account("济南市第三中学", codes=("C001",))
    await known.account("青岛实验", owner="rep2", unit="north", codes=("C002",))
    theirs = {"account_code": "C001", "person_code": "rep1"}
    november = Date(year=2025, month=11, day=12)
    await bring(
        company,
        order("SO1", channel="tmall", **theirs),
        sold("SI1", 30_000, 18_000, order_number="SO1", **theirs),
        cost("EX1", "660101", 2_001, order_number="SO1"),
        cost("EX2", "6602", 500, order_number="SO1"),
        # Each rounds up alone; together they round once.
        *(sold(f"US{place}", 101, 50, currency="USD", date=november, **theirs) for place in range(3)),
        # A colleague sold to the same school, and goods came back.
        sold("SI2", 7_000, 3_000, account_code="C001", person_code="rep2", unit_id="north"),
        sold("CN1", -1_000, -600, account_code="C001", person_code="rep2", unit_id="north"),
        sold("SI3", 90_000, 40_000, account_code="C002", person_code="rep2", unit_id="north"),
    )
    economics = company.stub(EconomicsServiceStub, "boss", "executive")

    async def worth() -> int:
        [value] = (await economics.ListLifetimeValues(pb.ListLifetimeValuesRequest(account_id=school))).values
        return fen(value.realised_margin)

    traced = await lined(company, "lifetime_value", account_id=school)
    assert added(traced.rows) == round(traced.value * 100) == round(traced.total_contribution * 100) == await worth()
    assert await documents(company, traced) == {"SI1", "EX1", "EX2", "US0", "US1", "US2", "SI2", "CN1"}
    assert (inputs(traced)["platform_commission"], inputs(traced)["headquarters_overhead"]) == (2_001, 500)
    assert sum(inputs(traced).values()) - 2 * inputs(traced)["revenue"] == -round(traced.value * 100)
    # By the end of November, the dollars alone: 1.53 of margin at 7.0055.
    then = await lined(company, "lifetime_value", account_id=school, end=Date(year=2025, month=11, day=30))
    assert (added(then.rows), round(then.value * 100), len(then.rows)) == (1_072, 1_072, 6)
    # A correction replaces its document, and what was known before can still be asked for.
    before = protos.timestamp(company.now)
    await company.advance(hours=1)
    await bring(company, sold("SI2", 8_000, 3_000, account_code="C001", person_code="rep2", unit_id="north"))
    assert added((await lined(company, "lifetime_value", account_id=school)).rows) == await worth()
    past = await lined(company, "lifetime_value", account_id=school, at=before)
    assert (added(past.rows), past.value) == (await worth() - 1_000, traced.value)

    heat = pb.ListProductivityRequest(scope=scope(), column=pb.DIMENSION_MONTH, calculation=ACTED)
    shown = {each.person_id: each.total for each in (await economics.ListProductivity(heat)).rows}
    end = scope().end_date
    for person in ("rep1", "rep2"):
        day = await lined(company, "productivity", person_id=person, end=end)
        assert round(day.value * 100) == fen(shown[person].margin_per_day)
        assert added(day.rows) == inputs(day)["margin"] == fen(shown[person].margin)
        assert next(each.value for each in day.inputs if each.name == "working_days") == shown[person].working_days
    assert await documents(company, day) == {"SI2", "CN1", "SI3"}
    # A seller traces himself and his customer, and nobody else's.
    own = ("rep1", "rep")
    assert (await lined(company, "productivity", person_id="rep1", end=end, who=own)).total_rows == 10
    assert (await lined(company, "lifetime_value", account_id=school, who=own)).total_rows == 14
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await lined(company, "productivity", person_id="rep2", who=own)
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await lined(company, "lifetime_value", account_id=school, who=("rep2", "rep"))
    with company.refused("NOT_FOUND", "ACCOUNT_UNKNOWN"):
        await lined(company, "lifetime_value", account_id="00000000-0000-4000-8000-000000000000")
    with company.refused("INVALID_ARGUMENT", "SCOPE_NOT_SUPPORTED"):
        await lined(company, "lifetime_value", unit_id="east")
    with company.refused("INVALID_ARGUMENT", "SCOPE_NOT_SUPPORTED"):
        await lined(company, "productivity", unit_id="east")
    # Margins in other money add up to the fen as well.
    whole = await lined(company, "operational_margin", end=end)
    assert added(whole.rows) == round(whole.value * 100)


@pytest.mark.mission("S78", "S79")
async def test_stock_days_are_balances_and_sales_that_add_up(company: Live) -> None:
    await rate(company)

    def held(id: str, product: str, value: int, warehouse: str = "01", day: int = 4, currency: str = "CNY") -> Any:
        balance = erp.StockBalance(warehouse=warehouse, product_code=product, value=protos.money(value, currency))
        balance.quantity.value = "10"
        return row(id, Date(year=2025, month=12, day=day), stock_balance=balance, currency=currency)

    def gone(id: str, goods: int, product: str, currency: str = "CNY") -> Any:
        line = erp.InvoiceLine(product_code=product)
        line.net_amount.CopyFrom(protos.money(goods * 2, currency))
        line.cost_amount.CopyFrom(protos.money(goods, currency))
        return row(id, currency=currency, invoice=erp.Invoice(lines=[line]))

    await bring(
        company,
        held("B0", "B86", 440_000, day=3),
        held("B1", "B86", 690_000),
        held("B2", "B86", 200_000, "02"),
        held("P1", "PEN", 4_401, "01", currency="USD"),
        held("P2", "PEN", 4_401, "02", currency="USD"),
        held("D1", "DUST", 1_000),
        held("N1", "NONE", 0),
        gone("SI1", 900_000, "B86"),
        *(gone(f"US{place}", 101, "PEN", "USD") for place in range(3)),
        gone("SI2", 5_000, "NONE"),
    )
    end = Date(year=2025, month=12, day=31)
    stock = company.stub(EconomicsServiceStub, "boss", "executive")
    for product, numbers in (
        ("", {"B1", "B2", "P1", "P2", "D1", "SI1", "US0", "US1", "US2"}),
        ("B86", {"B1", "B2", "SI1"}),
        ("PEN", {"P1", "P2", "US0", "US1", "US2"}),
    ):
        shown = (await stock.ListStockDays(pb.ListStockDaysRequest(product_id=product, date=end))).total
        traced = await lined(company, "stock_days", product_id=product, end=end)
        assert traced.value == shown.days
        lying, sales = (
            [each for each in traced.rows if each.input == name] for name in ("stock_value", "cost_of_sales")
        )
        assert added(lying) == inputs(traced)["stock_value"] == fen(shown.stock_value)
        assert added(sales) == inputs(traced)["cost_of_sales"]
        assert round(added(sales) / 90) == fen(shown.daily_cost_of_sales)
        assert added(traced.rows) == round(traced.total_contribution * 100)
        assert await documents(company, traced) == numbers
    dust = await lined(company, "stock_days", product_id="DUST", end=end)
    assert (dust.HasField("value"), dust.reason, dust.total_rows) == (False, "nothing sold in the window", 1)
    none = await lined(company, "stock_days", product_id="NONE", end=end)
    assert (none.HasField("value"), none.reason, none.total_rows) == (False, "no stock", 0)
    before = protos.timestamp(company.now)
    await company.advance(hours=1)
    await bring(company, held("B2", "B86", 300_000, "02"))
    now, then = [await lined(company, "stock_days", product_id="B86", end=end, at=at) for at in (None, before)]
    assert (inputs(now)["stock_value"], inputs(then)["stock_value"]) == (990_000, 890_000)
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await lined(company, "stock_days", who=("rep1", "rep"))
    with company.refused("INVALID_ARGUMENT", "SCOPE_NOT_SUPPORTED"):
        await lined(company, "stock_days", unit_id="east")


@pytest.mark.mission("S79")
async def test_the_catalogue_knows_every_figure_its_owner_and_the_way_it_comes(company: Live, known: Known) -> None:
    school = await known.account("济南市第三中学", codes=("C001",))
    await bring(
        company,
        sold("SI1", 30_000, 18_000, account_code="C001", person_code="rep1"),
        cost("EX1", "660101", 2_000, account_code="C001", person_code="rep1"),
    )
    stub = company.stub(MetricServiceStub, "rep1", "rep")
    request = metrics_pb2.ListMetricsRequest(page_size=9)
    listed: list[metrics_pb2.Metric] = []
    while True:
        page = await stub.ListMetrics(request)
        listed += page.metrics
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    listed = [each for each in listed if metrics_pb2.METRIC_SOURCE_ERP in each.sources]
    names = [each.name for each in listed]
    assert len(names) == len(set(names)) == len(EconomicsRules().items) + 1 + 8
    assert all(each.definition and each.formula and each.title and each.refresh_rule for each in listed)
    assert {each.owner_id for each in listed} == {"boss"}
    assert {each.service for each in listed} == {"integrations"}
    assert {part for each in listed for part in each.upstream} <= set(names)
    # What the catalogue says it can be asked for, it can be; and it is refreshed when the last transaction came.
    needed = {"lifetime_value": {"account_id": school}, "productivity": {"person_id": "rep1"}}
    for each in listed:
        name = each.name.removeprefix("integrations.")
        traced = await lined(company, name, 1000, end=scope().end_date, **needed.get(name, {}))
        assert traced.unit == each.unit
        assert traced.refresh_time == each.last_refresh_time != Timestamp()
    asked = metrics_pb2.ListMetricsRequest(query="毛利", shown_in="EconomicsService.GetMarginBridge")
    assert [each.name for each in (await stub.ListMetrics(asked)).metrics] == [
        "integrations.statutory_margin",
        "integrations.operational_margin",
        "integrations.contribution_margin",
    ]
    assert not (await stub.ListMetrics(metrics_pb2.ListMetricsRequest(owner_id="rep1"))).metrics
    assert not (await stub.ListMetrics(metrics_pb2.ListMetricsRequest(source=metrics_pb2.METRIC_SOURCE_CRM))).metrics

    day = await stub.GetMetric(metrics_pb2.GetMetricRequest(name="integrations.productivity"))
    places = {node.id: place for place, node in enumerate(day.lineage.nodes)}
    edges = {(edge.from_id, edge.to_id) for edge in day.lineage.edges}
    # From raw to shown, without cycles: every step leads on.
    assert all(places[begin] < places[end] for begin, end in edges)
    assert {
        ("erp", "integrations.transaction"),
        ("integrations.transaction", "integrations.cost.platform_commission"),
        ("integrations.cost.platform_commission", "integrations.operational_margin"),
        ("integrations.operational_margin", "integrations.productivity"),
        ("integrations.productivity", "EconomicsService.ListProductivity"),
    } <= edges
    assert {end for _, end in edges} | {"erp"} == set(places)
    with company.refused("NOT_FOUND", "METRIC_UNKNOWN"):
        await stub.GetMetric(metrics_pb2.GetMetricRequest(name="integrations.luck"))
