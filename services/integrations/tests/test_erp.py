"""ERP documents through the contract: immutable, idempotent, understood by mappings, told."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import uuid4

import pytest
from google.type.date_pb2 import Date
from google.type.decimal_pb2 import Decimal

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.integrations.v1 import erp_pb2 as pb
from closedloop.integrations.v1 import events_pb2 as events
from closedloop.integrations.v1 import sources_pb2
from closedloop.integrations.v1.erp_pb2_grpc import ErpServiceStub
from closedloop.integrations.v1.sources_pb2_grpc import SourceServiceStub
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis import protos
from closedloop_devstack.testing.service import Live
from closedloop_integrations.erp import retelling

from .conftest import upgraded

Known = Any


def request_id() -> str:
    return str(uuid4())


def invoice(number: int = 1, net: int = 10_000, **given: Any) -> pb.Transaction:
    line = pb.InvoiceLine(line=1, product_code="B86", quantity=Decimal(value="3"), net_amount=protos.money(net, "CNY"))
    line.tax_amount.CopyFrom(protos.money(net * 13 // 100, "CNY"))
    usual: dict[str, Any] = {
        "number": f"SI{number}",
        "date": Date(year=2026, month=1, day=5),
        "currency": "CNY",
        "account_code": "C001",
        "person_code": "rep1",
        "order_number": "SO1",
        "invoice": pb.Invoice(lines=[line]),
        "provenance": Provenance(source="erp", source_id=f"saleinvoice/SI{number}"),
    }
    return pb.Transaction(**{**usual, **given})


async def bring(live: Live, *rows: pb.Transaction, validate_only: bool = False) -> tuple[int, int, int, list[str]]:
    stub = live.stub(ErpServiceStub, "ops", "operations")
    request = pb.ImportTransactionsRequest(request_id=request_id(), rows=rows, validate_only=validate_only)
    done = await stub.ImportTransactions(request)
    assert done.read == done.created + done.updated + done.unchanged + done.rejected == len(rows)
    return done.created, done.updated, done.unchanged, [error.reason for error in done.errors]


async def set_mapping(live: Live, *rows: pb.CodeMapping) -> tuple[int, int, list[str]]:
    stub = live.stub(ErpServiceStub, "ops", "operations")
    done = await stub.SetCodeMappings(pb.SetCodeMappingsRequest(request_id=request_id(), rows=rows))
    return done.created, done.updated, [error.reason for error in done.errors]


@pytest.mark.mission("S71", "S17")
async def test_an_invoice_is_told_with_customer_owner_unit_and_amounts(company: Live, known: Known) -> None:
    account = await known.account("济南市第三中学", codes=("C001",))
    await company.hear(
        targets.ProductChanged(product_id="board-86", name="智慧黑板", aliases=["B86"], version=1), "board-86"
    )
    assert await bring(company, invoice()) == (1, 0, 0, [])
    [told] = await company.told(events.InvoiceRecorded)
    assert (told.number, told.account_id, told.person_id, told.unit_id) == ("SI1", account, "rep1", "east")
    assert (protos.minor_units(told.net_amount), told.order_number, told.credit_note) == (10_000, "SO1", False)
    assert (told.accounting_month.month, told.accounting_month.day, told.version) == (1, 1, 1)
    [line] = told.lines
    assert (line.product_id, line.quantity.value, protos.minor_units(line.net_amount)) == ("board-86", "3", 10_000)
    assert not line.HasField("cost_amount"), "not carried over yet"
    assert told.provenance.source_id == "saleinvoice/SI1"


@pytest.mark.mission("S71")
async def test_a_second_run_changes_nothing_and_a_correction_supersedes(company: Live) -> None:
    rows = [invoice(number) for number in range(50)]
    assert await bring(company, *rows, validate_only=True) == (50, 0, 0, [])
    assert await bring(company, *rows) == (50, 0, 0, [])
    assert await bring(company, *rows) == (0, 0, 50, [])
    assert await bring(company, *rows[1:], invoice(0, net=12_000)) == (0, 1, 49, [])
    told = await company.told(events.InvoiceRecorded)
    assert (len(told), told[-1].number, told[-1].version) == (51, "SI0", 2)
    stub = company.stub(ErpServiceStub, "ops", "operations")
    [current] = (await stub.ListTransactions(pb.ListTransactionsRequest(number="SI0"))).transactions
    assert (current.version, protos.minor_units(current.amount)) == (2, 12_000)
    both = (await stub.ListTransactions(pb.ListTransactionsRequest(number="SI0", include_superseded=True))).transactions
    assert sorted(each.version for each in both) == [1, 2]
    [old] = [each for each in both if each.version == 1]
    kept = await stub.GetTransaction(pb.GetTransactionRequest(id=old.id))
    assert protos.minor_units(kept.invoice.lines[0].net_amount) == 10_000
    # The month is closed, and the cost of the goods carried over.
    costed = invoice(0, net=12_000)
    costed.invoice.lines[0].cost_amount.CopyFrom(protos.money(7_500, "CNY"))
    assert await bring(company, costed) == (0, 1, 0, [])
    last = (await company.told(events.InvoiceRecorded))[-1]
    assert (last.version, last.lines[0].cost_amount) == (3, protos.money(7_500, "CNY"))


async def test_bad_rows_are_refused_by_name(company: Live) -> None:
    nowhere, mixed, unequal, unbalanced, reversing, day, number = (invoice(n) for n in range(7))
    nowhere.ClearField("provenance")
    mixed.invoice.lines[0].tax_amount.currency_code = "USD"
    unequal.amount.CopyFrom(protos.money(9_999, "CNY"))
    entries = [pb.VoucherEntry(ledger_account="1122", debit=protos.money(100, "CNY"))]
    entries.append(pb.VoucherEntry(ledger_account="6001", credit=protos.money(99, "CNY")))
    unbalanced.voucher.CopyFrom(pb.Voucher(type="记", entries=entries))
    reversing.reverses_source_id = "saleinvoice/none"
    day.date.day = 32
    number.invoice.lines[0].quantity.value = "drei"
    good = invoice(9)
    empty = pb.Transaction()
    rows = [nowhere, mixed, unequal, unbalanced, reversing, day, number, empty, good]
    expected = ["PROVENANCE_MISSING", "CURRENCY_MIXED", "LINES_DO_NOT_SUM", "UNBALANCED_VOUCHER", "REVERSED_UNKNOWN"]
    assert await bring(company, *rows) == (1, 0, 0, [*expected, "NOT_A_DAY", "NOT_A_NUMBER", "ROW_INVALID"])


@pytest.mark.mission("S71")
async def test_codes_are_learned_and_documents_told_again(company: Live, known: Known) -> None:
    await bring(company, invoice(1), invoice(2, account_code="C777"))
    stub = company.stub(ErpServiceStub, "ops", "operations")
    mappings = (
        await stub.ListCodeMappings(pb.ListCodeMappingsRequest(unmapped_only=True, type=pb.CODE_TYPE_ACCOUNT))
    ).mappings
    assert [(mapping.code, mapping.uses, mapping.target_id) for mapping in mappings] == [
        ("C001", 1, ""),
        ("C777", 1, ""),
    ]
    assert len((await stub.ListTransactions(pb.ListTransactionsRequest(unmapped=True))).transactions) == 2
    account = await known.account("济南市第三中学", owner="rep2", unit="north")
    product = targets.ProductChanged(product_id="board-86", name="智慧黑板", version=1)
    await company.hear(product, "board-86")
    mine = pb.CodeMapping(source="erp", type=pb.CODE_TYPE_ACCOUNT, code="C001", target_id=account)
    board = pb.CodeMapping(source="erp", type=pb.CODE_TYPE_PRODUCT, code="B86", target_id="board-86")
    wrong = pb.CodeMapping(source="erp", type=pb.CODE_TYPE_ACCOUNT, code="C777", target_id=request_id())
    assert await set_mapping(company, mine, board, wrong) == (0, 2, ["TARGET_UNKNOWN"])
    assert await set_mapping(company, mine, board) == (0, 0, [])
    told = [
        (t.number, t.version, t.account_id, t.lines[0].product_id) for t in await company.told(events.InvoiceRecorded)
    ]
    assert sorted(told[2:]) == [("SI1", 2, account, "board-86"), ("SI2", 2, "", "board-86")]
    [left] = (await stub.ListTransactions(pb.ListTransactionsRequest(unmapped=True))).transactions
    assert left.number == "SI2"
    # The seller keeps his sale whoever owns the customer.
    assert (await stub.ListTransactions(pb.ListTransactionsRequest(number="SI1"))).transactions[0].person_id == "rep1"


@pytest.mark.mission("S71")
async def test_a_customer_that_comes_later_by_code_or_name_gives_old_documents_their_meaning(
    company: Live, known: Known
) -> None:
    page = events.ErpDocumentsFetched(
        source="erp", list="saleinvoice", documents=[served(1), served(2, ccuscode="C9", ccusname="青岛 实验")]
    )
    await company.hear(page, "erp:saleinvoice", source="integrations.courier")
    assert {told.account_id for told in await company.told(events.InvoiceRecorded)} == {""}
    first = await known.account("济南市第三中学", codes=("C001",))
    second = await known.account("青岛实验")
    told = [(t.number, t.account_id, t.version) for t in await company.told(events.InvoiceRecorded)]
    assert told[2:] == [("SI1", first, 2), ("SI2", second, 2)]


def served(number: int, **given: Any) -> str:
    line = {
        "irowno": "1",
        "cinvcode": "B86",
        "cinvname": "黑板",
        "iquantity": "1.000000",
        "imoney": "100.00",
        "itax": "13.00",
    }
    record = {
        "ccode": f"SI{number}",
        "ddate": "2026-01-05",
        "dverifydate": "2026-01-05 09:00:00",
        "dmodifysystime": "2026-01-05 09:00:00",
        "ccuscode": "C001",
        "ccusname": "济南三中",
        "cexch_name": "人民币",
        "entry": [line],
    }
    return json.dumps({**record, **given})


@pytest.mark.mission("S71")
async def test_a_page_of_the_erp_is_taken_in_and_what_is_broken_waits_for_a_person(company: Live) -> None:
    broken = served(2, cexch_name="贝壳")
    documents = [served(1), broken, served(3, dverifydate="")]
    page = events.ErpDocumentsFetched(source="erp", list="saleorder", documents=documents)
    await company.hear(page, "erp:saleorder", source="integrations.courier")
    await company.hear(page, "erp:saleorder", source="integrations.courier")
    [order] = await company.told(events.OrderRecorded)
    assert (order.number, protos.minor_units(order.net_amount), order.channel) == ("SI1", 10_000, "direct")
    operations = company.stub(SourceServiceStub, "ops", "operations")
    [item] = (await operations.ListQuarantine(sources_pb2.ListQuarantineRequest(source="erp"))).items
    assert (item.reason, item.message) == ("DOCUMENT_UNREADABLE", "the currency 贝壳 is not in the rulebook")
    mended = sources_pb2.QuarantineResolution(id=item.id, mended=served(2))
    summary = await operations.ResolveQuarantine(
        sources_pb2.ResolveQuarantineRequest(request_id=request_id(), rows=[mended])
    )
    assert summary.updated == 1
    assert [told.number for told in await company.told(events.OrderRecorded)] == ["SI1", "SI2"]


async def test_transactions_are_seen_by_seller_owner_and_line_alone(company: Live, known: Known) -> None:
    account = await known.account("济南市第三中学", codes=("C001",))
    await bring(company, invoice(1), invoice(2, person_code="rep2", account_code="C9"))
    mine = company.stub(ErpServiceStub, "rep1", "rep")
    [seen] = (await mine.ListTransactions(pb.ListTransactionsRequest())).transactions
    assert (seen.number, seen.account_id) == ("SI1", account)
    assert (await mine.GetTransaction(pb.GetTransactionRequest(id=seen.id))).id == seen.id
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await company.stub(ErpServiceStub, "rep2", "rep").GetTransaction(pb.GetTransactionRequest(id=seen.id))
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await company.stub(ErpServiceStub, "m2", "manager").GetTransaction(pb.GetTransactionRequest(id=seen.id))
    assert (await company.stub(ErpServiceStub, "m1", "manager").GetTransaction(pb.GetTransactionRequest(id=seen.id))).id
    everything = company.stub(ErpServiceStub, "ops", "operations")
    east = pb.ListTransactionsRequest(unit_id="co", include_subtree=True, kinds=[pb.TRANSACTION_KIND_INVOICE])
    assert len((await everything.ListTransactions(east)).transactions) == 2
    assert (await everything.ListTransactions(pb.ListTransactionsRequest(unit_id="co"))).transactions == []
    assert (
        await everything.ListTransactions(pb.ListTransactionsRequest(start_date=Date(year=2026, month=2, day=1)))
    ).transactions == []
    with company.refused("NOT_FOUND", "TRANSACTION_UNKNOWN"):
        await everything.GetTransaction(pb.GetTransactionRequest(id=request_id()))
    with company.refused("PERMISSION_DENIED"):
        await mine.ImportTransactions(pb.ImportTransactionsRequest(request_id=request_id(), rows=[invoice()]))


async def test_ten_thousand_documents_in_seconds(company: Live) -> None:
    rows = [invoice(number) for number in range(10_000)]
    begun = time.process_time()
    assert await bring(company, *rows) == (10_000, 0, 0, [])
    # Of our own work: the machine may be busy with other things.
    assert time.process_time() - begun < 8
    assert await company.db.value("SELECT uses FROM code_mapping WHERE type = 'account'") == 10_000


@pytest.mark.mission("S63", "S71")
async def test_costs_of_invoices_that_were_told_without_them_are_told_again(
    company: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after the upgrade of a database that held invoices: of each product the last that has a cost, as it was told."""
    monkeypatch.setattr(retelling, "WALK", 2)
    for product in ("B86", "B75"):
        await company.hear(targets.ProductChanged(product_id=product, name=product, version=1), product)

    def booked(number: int, dom: int, product: str, cost: int | None, **given: Any) -> pb.Transaction:
        made = invoice(number, date=Date(year=2026, month=1, day=dom), **given)
        made.invoice.lines[0].product_code = product
        if cost is not None:
            made.invoice.lines[0].cost_amount.CopyFrom(protos.money(cost, "CNY"))
        return made

    back = booked(7, 5, "B86", -2_500)
    back.invoice.credit_note, back.invoice.original_number = True, "SI3"
    rows = [
        booked(1, 1, "B86", 7_000),
        booked(2, 1, "B75", 6_000),
        booked(3, 3, "B86", 7_500),
        booked(4, 4, "B86", None),
        booked(5, 4, "B75", 0),
        booked(6, 1, "unknown", 1),
        back,
    ]
    mistaken = booked(8, 6, "B75", -1, reverses_source_id="saleinvoice/SI2")
    assert await bring(company, *rows, mistaken) == (8, 0, 0, [])
    # Corrected: what was first said of it is told no more.
    assert await bring(company, booked(3, 3, "B86", 7_800)) == (0, 1, 0, [])
    before = len(await company.told(events.InvoiceRecorded))
    await upgraded(company, "0022_costs_of_old")
    told = (await company.told(events.InvoiceRecorded))[before:]
    assert [(one.number, one.version, protos.minor_units(one.lines[0].cost_amount)) for one in told] == [
        ("SI8", 1, -1),
        ("SI7", 1, -2_500),
        ("SI3", 2, 7_800),
        ("SI2", 1, 6_000),
    ]
    assert told[0].reverses_source_id == "saleinvoice/SI2"
