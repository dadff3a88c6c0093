"""What a transaction must satisfy, what its codes mean, and how the ERP's JSON is read."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop_chassis import errors
from closedloop_integrations.erp import documents, files
from closedloop_integrations.erp.rules import Account, Book, Codes, ErpRules, Sums, check, read
from closedloop_integrations.erp.u8 import Document, Unapproved, Unreadable
from closedloop_integrations.erp.u8 import read as read_u8

RULES = ErpRules(closed_until=date(2025, 11, 1))
JANUARY = date(2026, 1, 1)


@pytest.mark.parametrize(
    ("sums", "month", "reason"),
    [
        (Sums("CNY", frozenset({"CNY"}), 100), JANUARY, ""),
        (Sums("CNY", frozenset(), 0), JANUARY, ""),
        (Sums("CNY", frozenset({"CNY", "USD"}), 100), JANUARY, "CURRENCY_MIXED"),
        (Sums("", frozenset({"CNY"}), 100), JANUARY, "CURRENCY_MIXED"),
        (Sums("CNY", frozenset({"CNY"}), 100, stated=100), JANUARY, ""),
        (Sums("CNY", frozenset({"CNY"}), 100, stated=101), JANUARY, "LINES_DO_NOT_SUM"),
        (Sums("CNY", frozenset({"CNY"}), 100, debit=100, credit=100), JANUARY, ""),
        (Sums("CNY", frozenset({"CNY"}), 100, debit=100, credit=99), JANUARY, "UNBALANCED_VOUCHER"),
        (Sums("CNY", frozenset({"CNY"}), 100), date(2025, 11, 30), "PERIOD_CLOSED"),
        (Sums("CNY", frozenset({"CNY"}), 100), date(2025, 12, 1), ""),
    ],
)
def test_a_document_adds_up(sums: Sums, month: date, reason: str) -> None:
    if not reason:
        check(sums, month, RULES)
        return
    with pytest.raises(errors.InvalidArgument) as refused:
        check(sums, month, RULES)
    assert refused.value.reason == reason


BOOK = Book(
    mapped={
        ("account", "C9"): "acc9",
        ("person", "P9"): "rep9",
        ("unit", "D9"): "u9",
        ("product", "B9"): "board",
        ("channel", "x"): "tmall",
    },
    accounts={"acc1": Account("acc1", "owner1", "east"), "acc9": Account("acc9", "owner9", "north")},
    by_code={"C1": {"acc1"}, "C2": {"acc1", "acc2"}},
    by_name={"济南三中": {"acc1"}},
    products={"B1": "blackboard"},
    people={"rep1": "team1", "rep9": "team9"},
    handles={"0001": "rep1"},
    units={"east", "team1"},
)


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ({"account_code": "C9"}, {"account_id": "acc9", "owner_id": "owner9", "unit_id": "north", "unmapped": False}),
        ({"account_code": "C1"}, {"account_id": "acc1", "owner_id": "owner1", "unit_id": "east", "unmapped": False}),
        ({"account_code": "C2"}, {"account_id": None, "unmapped": True}),
        ({"account_code": "C2", "account_name_key": "济南三中"}, {"account_id": "acc1", "unmapped": False}),
        ({"account_code": "C2", "account_id": "acc9"}, {"account_id": "acc9", "owner_id": "owner9"}),
        ({}, {"account_id": None, "owner_id": "", "unmapped": False}),
        ({"person_code": "P9"}, {"person_id": "rep9", "owner_id": "rep9", "unit_id": "team9"}),
        ({"person_code": "0001"}, {"person_id": "rep1", "unit_id": "team1"}),
        ({"person_code": "rep1"}, {"person_id": "rep1"}),
        ({"person_code": "nobody"}, {"person_id": "", "unmapped": True}),
        ({"unit_code": "D9"}, {"unit_id": "u9", "unmapped": False}),
        ({"unit_code": "east"}, {"unit_id": "east"}),
        ({"unit_code": "??"}, {"unit_id": "", "unmapped": True}),
        ({"product_codes": ("B1", "B9")}, {"product_ids": ("blackboard", "board"), "unmapped": False}),
        ({"product_codes": ("B1", "??")}, {"product_ids": ("blackboard", ""), "unmapped": True}),
        ({"product_codes": ("??",), "product_ids": ("given",)}, {"product_ids": ("given",), "unmapped": False}),
        ({"channel": "x"}, {"channel": "tmall"}),
        ({"channel": "direct"}, {"channel": "direct"}),
        ({"account_code": "C1", "person_code": "rep9"}, {"owner_id": "rep9", "unit_id": "team9"}),
    ],
)
def test_codes_mean(codes: dict[str, Any], expected: dict[str, Any]) -> None:
    meaning = read(Codes("erp", **codes), BOOK)
    assert {name: getattr(meaning, name) for name in expected} == expected


def sale(**given: Any) -> str:
    line = {
        "irowno": "1",
        "cinvcode": "B86",
        "cinvname": "智慧黑板",
        "iquantity": "3.000000",
        "itaxunitprice": "9999.990000",
    }
    line |= {"itaxrate": "13.00", "imoney": "26548.65", "itax": "3451.32", "isum": "29999.97"}
    record = {
        "ccode": "SI26010001",
        "ddate": "2026-01-05",
        "dverifydate": "2026-01-05 09:00:00",
        "dmodifysystime": "2026-01-05 09:00:00",
        "csocode": "SO1",
        "ccuscode": "C1",
        "ccusname": "济南 三中",
        "cpersoncode": "0001",
        "cdepcode": "east",
        "cexch_name": "人民币",
        "isum": "29999.97",
        "entry": [line],
    }
    return json.dumps({**record, **given})


def document(text: str, rules: ErpRules = RULES, list_name: str = "saleinvoice") -> Document:
    found = read_u8(text, list_name, "erp", rules)
    assert isinstance(found, Document)
    return found


@pytest.mark.mission("S71")
def test_an_invoice_of_the_erp_is_read_to_the_cent() -> None:
    found = document(sale())
    row, [line] = found.row, found.row.invoice.lines
    assert (row.number, row.provenance.source_id, row.order_number, row.currency) == (
        "SI26010001",
        "saleinvoice/SI26010001",
        "SO1",
        "CNY",
    )
    assert (line.product_code, line.quantity.value, line.net_amount.units, line.net_amount.nanos) == (
        "B86",
        "3",
        26548,
        650_000_000,
    )
    assert documents.sums(row).total == 2_654_865
    assert found.account_name_key == "济南三中"
    assert found.names[("account", "C1")] == "济南 三中"
    assert documents.kind_of(row) == "invoice"


def test_a_return_is_a_credit_note() -> None:
    line = json.loads(sale())["entry"][0] | {"iquantity": "-1.000000", "imoney": "-100.00", "itax": "-13.00"}
    found = document(sale(entry=[line]), list_name="salereturn")
    assert (documents.kind_of(found.row), documents.sums(found.row).total) == ("credit_note", -10_000)


def test_costs_and_stock_are_read() -> None:
    cost = {
        "ccode": "CO1",
        "ddate": "2026-01-05",
        "dmodifysystime": "2026-01-05 09:00:00",
        "ccostcode": "F1",
        "imoney": "12.30",
    }
    found = read_u8(json.dumps(cost), "cost", "erp", RULES)
    assert found is not None
    assert (documents.kind_of(found.row), documents.sums(found.row).total) == ("cost", 1230)
    stock = {
        "cwhcode": "01",
        "cinvcode": "B86",
        "iquantity": "120.500000",
        "imoney": "99.00",
        "dmodifysystime": "2026-01-05 23:30:00",
    }
    found = read_u8(json.dumps(stock), "currentstock", "erp", RULES)
    assert found is not None
    assert found.row.provenance.source_id == "currentstock/01/B86/2026-01-05"
    assert found.row.stock_balance.quantity.value == "120.5"


def test_what_names_no_currency_is_in_the_companys_own_whatever_the_rulebook_lists_first() -> None:
    backwards = ErpRules(currencies=dict(reversed(RULES.currencies.items())))
    assert next(iter(backwards.currencies.values())) != "CNY"
    for named in ({"cexch_name": ""}, {"cexch_name": "人民币"}):
        found = read_u8(sale(**named), "saleinvoice", "erp", backwards)
        assert found is not None
        assert (found.row.currency, documents.sums(found.row).total) == ("CNY", 2_654_865)
    lines = [
        "2026-01-05,记,1,0,x,1122,5.55,0,0,0,0,y,,,2026-01-05,,,,,,",
        "2026-01-05,记,1,0,x,6001,0,5.55,0,0,0,y,,,2026-01-05,,,,,,",
    ]
    assert files.voucher(lines, "erp", backwards).row.currency == "CNY"
    assert files.voucher(lines, "erp", ErpRules(home_currency="EUR")).row.currency == "EUR"


def test_a_draft_is_no_fact() -> None:
    draft = read_u8(sale(dverifydate=""), "saleinvoice", "erp", RULES)
    assert isinstance(draft, Unapproved)
    assert draft.source_id == document(sale()).row.provenance.source_id, (
        "by which it is found where it once was approved"
    )
    assert document(sale(dverifydate=""), ErpRules(approved_only=False))


@pytest.mark.mission("S76")
def test_a_document_names_its_channel_and_the_month_it_is_booked_to() -> None:
    said = document(sale(cstcode="02", cstname="天猫", iyperiod="202602"))
    assert (said.row.channel, said.names[("channel", "02")]) == ("02", "天猫")
    month = said.row.accounting_month
    assert (month.year, month.month, month.day) == (2026, 2, 1)
    for silent in (sale(), sale(cstcode=" ", iyperiod=None), sale(iyperiod="202601")):
        row = document(silent).row
        assert (row.channel, row.HasField("accounting_month")) == ("direct", False)
    entry = {"ccode": "F1", "ddate": "2026-01-31", "dmodifysystime": "2026-01-31 09:00:00", "ccostcode": "freight"}
    booked = document(json.dumps({**entry, "imoney": "9.00", "iyperiod": "2026-02-01"}), list_name="cost").row
    assert (booked.channel, booked.accounting_month.month) == ("", 2), "a cost that names no channel is its order's"
    renamed = ErpRules(channel_field="verkaufsart")
    named = document(json.dumps({**entry, "imoney": "9.00", "verkaufsart": "T"}), renamed, "cost")
    assert named.row.channel == "T"
    for wrong in ("2026", "202613", "Januar", "２０２６０１"):
        with pytest.raises(Unreadable):
            read_u8(sale(iyperiod=wrong), "saleinvoice", "erp", RULES)


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        "{}",
        sale(ddate="05.01.2026"),
        sale(cexch_name="贝壳"),
        sale(entry=[]),
        sale(entry=[{"irowno": "x"}]),
        sale(entry=None),
        sale(ccode=""),
        sale().replace("26548.65", "26548.655"),
        sale().replace("26548.65", "NaN"),
        sale().replace("3.000000", "Infinity"),
    ],
)
def test_what_cannot_be_read_says_why(text: str) -> None:
    with pytest.raises(Unreadable) as why:
        read_u8(text, "saleinvoice", "erp", RULES)
    assert str(why.value)


@given(
    st.recursive(
        st.none() | st.text(max_size=5) | st.integers(),
        lambda x: (
            st.lists(x, max_size=2)
            | st.dictionaries(
                st.sampled_from(["ccode", "ddate", "entry", "dmodifysystime", "cinvcode", "irowno"]), x, max_size=4
            )
        ),
        max_leaves=8,
    )
)
def test_no_json_breaks_the_reader(value: Any) -> None:
    for name in ("saleorder", "cost", "currentstock"):
        with pytest.raises(Unreadable):
            read_u8(json.dumps(value), name, "erp", RULES)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000,
        sale().replace('"3.000000"', '"1e999999"'),
        sale().replace('"3.000000"', '"1e-999999"'),
        sale().replace('"3.000000"', '"1e9999999999"'),
        sale().replace('"26548.65"', '"1e9999999999"'),
        sale().replace('"26548.65"', "Infinity"),
    ],
    ids=lambda text: text[-40:],
)
def test_numbers_and_nesting_without_end_are_unreadable(text: str) -> None:
    with pytest.raises(Unreadable):
        read_u8(text, "saleinvoice", "erp", RULES)
