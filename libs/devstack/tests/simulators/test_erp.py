"""The simulated ERP, as an HTTP client and a reader of the exchange folder see it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from closedloop_devstack.simulators.erp import ErpServer
from closedloop_devstack.simulators.erp_records import CostEntry, SaleDocument, SaleLine, StockRow

pytestmark = pytest.mark.timeout(30)


class Watch:
    """A clock the test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


LINES = (
    SaleLine(cinvcode="B86", cinvname="智慧黑板 86寸", iquantity=Decimal(3), itaxunitprice=Decimal("9999.99")),
    SaleLine(cinvcode="SRV", iquantity=Decimal(1), itaxunitprice=Decimal(600), itaxrate=Decimal(6)),
)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def erp(watch: Watch, tmp_path: Path) -> Iterator[ErpServer]:
    with ErpServer(clock=watch, exchange_folder=tmp_path) as running:
        yield running


def token(erp: ErpServer) -> str:
    asked = {"from_account": "closedloop", "app_key": "demo-key", "app_secret": "demo-secret"}
    granted = httpx.get(f"{erp.url}/system/token", params=asked).json()
    assert granted["errcode"] == "0"
    return str(granted["token"]["id"])


def batch(erp: ErpServer, table: str, token: str, **more: object) -> dict[str, Any]:
    asked = {"from_account": "closedloop", "to_account": "closedloop", "app_key": "demo-key", "token": token, **more}
    answer = httpx.get(f"{erp.url}/api/{table}/batch_get", params=asked)  # type: ignore[arg-type]
    assert answer.status_code == 200
    return dict(answer.json())


def test_an_order_is_served_with_amounts_that_add_up(erp: ErpServer) -> None:
    erp.put("saleorder", SaleDocument(ccuscode="C1", ccusname="济南三中", entry=LINES, cpersoncode="P7"))
    answer = batch(erp, "saleorder", token(erp))
    order = answer["saleorder"][0]
    assert (answer["errcode"], answer["row_count"], order["ccode"]) == ("0", "1", "SO2603000001")
    assert order["ddate"] == "2026-03-02"
    assert order["dverifydate"] == "2026-03-02 09:00:00"
    assert order["entry"][0] == {
        "irowno": "1",
        "cinvcode": "B86",
        "cinvname": "智慧黑板 86寸",
        "iquantity": "3.000000",
        "itaxunitprice": "9999.990000",
        "itaxrate": "13.00",
        "imoney": "26548.65",
        "itax": "3451.32",
        "isum": "29999.97",
    }
    assert order["isum"] == "30599.97"


def test_a_return_is_negative_and_an_unapproved_document_says_so(erp: ErpServer) -> None:
    erp.put("salereturn", SaleDocument(ccuscode="C1", entry=LINES[:1], verified=False))
    record = batch(erp, "salereturn", token(erp))["salereturn"][0]
    assert (record["isum"], record["entry"][0]["iquantity"], record["dverifydate"]) == ("-29999.97", "-3.000000", "")


def test_lists_are_paged_and_asked_by_change(erp: ErpServer, watch: Watch) -> None:
    for number in range(5):
        erp.put("saleinvoice", SaleDocument(ccuscode=f"C{number % 2}", entry=LINES, ddate=date(2026, 2, 1 + number)))
        watch.now += timedelta(minutes=1)
    key = token(erp)
    pages = [batch(erp, "saleinvoice", key, page_index=page, rows_per_page=2) for page in (1, 2, 3, 4)]
    assert [len(page["saleinvoice"]) for page in pages] == [2, 2, 1, 0]
    assert pages[0]["page_count"] == "3"
    erp.put("saleinvoice", SaleDocument(ccuscode="C0", entry=LINES[:1], ccode="SI2603000001"))
    changed = batch(erp, "saleinvoice", key, modify_begin="2026-03-02 09:04:00")
    assert [row["ccode"] for row in changed["saleinvoice"]] == ["SI2603000005", "SI2603000001"]
    assert batch(erp, "saleinvoice", key, date_begin="2026-02-03", date_end="2026-02-04")["row_count"] == "2"
    assert batch(erp, "saleinvoice", key, ccuscode="C1")["row_count"] == "2"


def test_costs_and_stock(erp: ErpServer) -> None:
    cost = {"ccostcode": "platform_commission", "imoney": "120.5", "csocode": "SO1"}
    assert httpx.post(f"{erp.url}/_control/cost", json=cost).status_code == 201
    erp.put("currentstock", StockRow(cinvcode="B86", iquantity=Decimal(40), iunitcost=Decimal("6100.125")))
    erp.put("currentstock", StockRow(cinvcode="B86", iquantity=Decimal(37), iunitcost=Decimal("6100.125")))
    key = token(erp)
    assert batch(erp, "cost", key)["cost"][0]["imoney"] == "120.50"
    stock = batch(erp, "currentstock", key)["currentstock"]
    assert [(row["iquantity"], row["imoney"]) for row in stock] == [("37.000000", "225704.63")]
    with pytest.raises(TypeError):
        erp.put("currentstock", CostEntry(ccostcode="x", imoney=Decimal(1)))


def test_tokens_expire_and_wrong_requests_are_named(erp: ErpServer, watch: Watch) -> None:
    refused = httpx.get(f"{erp.url}/system/token", params={"from_account": "closedloop", "app_key": "x"}).json()
    assert refused["errcode"] == "20001"
    key = token(erp)
    assert batch(erp, "saleorder", key)["errcode"] == "0"
    for wrong in (
        {"page_index": 0},
        {"rows_per_page": 5000},
        {"modify_begin": "gestern"},
        {"date_begin": "2026-13-01"},
    ):
        assert batch(erp, "saleorder", key, **wrong)["errcode"] == "30001"
    assert batch(erp, "saleorders", key)["errcode"] == "30001"
    watch.now += timedelta(seconds=7200)
    assert batch(erp, "saleorder", key)["errcode"] == "20002"
    for line in ({"iquantity": "viele"}, {"iquantity": 0}, {"itaxrate": -100}, {"itaxunitprice": "1e99"}):
        entry = {"cinvcode": "B86", "iquantity": "1", "itaxunitprice": "1"} | line
        bad = {"ccuscode": "C1", "entry": [entry]}
        assert httpx.post(f"{erp.url}/_control/saleorder", json=bad).status_code == 422
    assert httpx.post(f"{erp.url}/_control/orders", json={}).status_code == 404


def test_a_broken_erp_answers_500_then_recovers(erp: ErpServer) -> None:
    assert httpx.post(f"{erp.url}/_control/faults", json={"failures": 1}).status_code == 200
    assert httpx.get(f"{erp.url}/system/token").status_code == 500
    assert token(erp)


def test_invoices_go_into_a_balanced_voucher_file_once(erp: ErpServer, tmp_path: Path) -> None:
    free = SaleLine(cinvcode="BOOK", iquantity=Decimal(1), itaxunitprice=Decimal(50), itaxrate=Decimal(0))
    erp.put("saleinvoice", SaleDocument(ccuscode="C1", ccusname="三中,北区", entry=LINES, cpersoncode="P7"))
    erp.put("saleinvoice", SaleDocument(ccuscode="C2", ccusname="图书馆", entry=(free,)))
    erp.put("saleinvoice", SaleDocument(ccuscode="C3", entry=LINES, verified=False))
    path = Path(httpx.post(f"{erp.url}/_control/vouchers").json()["path"])
    lines = path.read_bytes().decode("gb18030").split("\r\n")
    assert lines[0] == "填制凭证,V800"
    rows = [line.split(",") for line in lines[1:-1]]
    assert [len(row) for row in rows] == [21] * 5
    assert [row[5] for row in rows] == ["1122", "6001", "22210105", "1122", "6001"]
    assert rows[0][:5] == ["2026-03-02", "记", "1", "1", "销售 三中，北区 SI2603000001"]
    assert (rows[0][6], rows[0][17]) == ("30599.97", "C1")
    for number in ("1", "2"):
        voucher = [row for row in rows if row[2] == number]
        assert sum(Decimal(row[6]) for row in voucher) == sum(Decimal(row[7]) for row in voucher) > 0
    assert httpx.post(f"{erp.url}/_control/vouchers").json() == {"path": None}
    assert list(tmp_path.iterdir()) == [path]
