"""Values as people read and type them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from google.type.date_pb2 import Date
from google.type.decimal_pb2 import Decimal as DecimalMessage
from google.type.money_pb2 import Money

from closedloop.common.v1 import common_pb2
from closedloop.customers.v1 import leads_pb2
from closedloop.funnel.v1 import experiments_pb2
from closedloop.targets.v1 import metrics_pb2
from closedloop_cli import shapes
from closedloop_cli.failures import Usage


@pytest.mark.parametrize(
    ("text", "units", "nanos", "currency"),
    [
        ("120000 CNY", 120000, 0, "CNY"),
        ("12,500.50 usd", 12500, 500_000_000, "USD"),
        ("-3.25EUR", -3, -250_000_000, "EUR"),
        ("7", 7, 0, "JPY"),
    ],
)
def test_money_is_typed_with_its_currency(text: str, units: int, nanos: int, currency: str) -> None:
    assert shapes.parse_money(text, "--amount", "JPY") == Money(currency_code=currency, units=units, nanos=nanos)


@pytest.mark.parametrize("text", ["", "much", "12 12 CNY", "CNY", "1e5 CNY", "9" * 30])
def test_what_is_no_money_is_refused(text: str) -> None:
    with pytest.raises(Usage):
        shapes.parse_money(text, "--amount", "CNY")


def test_money_without_a_currency_is_refused() -> None:
    with pytest.raises(Usage):
        shapes.parse_money("12", "--amount")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Money(currency_code="CNY", units=1234, nanos=500_000_000), "1,234.50 CNY"),
        (Money(currency_code="CNY", units=120_000_000), "120,000,000 CNY"),
        (Money(), ""),
    ],
)
def test_money_is_read(value: Money, shown: str) -> None:
    assert shapes.money(value) == shown


def test_amounts_are_money_or_numbers() -> None:
    assert shapes.amount(metrics_pb2.Amount(money=Money(currency_code="CNY", units=5))) == "5 CNY"
    assert shapes.amount(metrics_pb2.Amount(number=DecimalMessage(value="1200"))) == "1,200"
    assert shapes.amount(metrics_pb2.Amount()) == ""


@pytest.mark.parametrize(
    ("text", "number"),
    [("1,100.04", Decimal("1100.04")), ("-0.5", Decimal("-0.5")), ("x", None), ("NaN", None), ("1e999999999", None)],
)
def test_decimals(text: str, number: Decimal | None) -> None:
    assert shapes.parse_decimal(text) == number


def test_enums_are_words() -> None:
    assert shapes.word(leads_pb2.LeadStage, leads_pb2.LEAD_STAGE_CONTACT) == "contact"
    assert shapes.word(leads_pb2.LeadStage, 0) == ""
    assert shapes.number(leads_pb2.LeadStage, "Nurture", "--stage") == leads_pb2.LEAD_STAGE_NURTURE
    assert shapes.light(common_pb2.LIGHT_RED).style == "red"
    assert shapes.light(0).plain == " "


def test_days() -> None:
    assert shapes.day(shapes.parse_day("2026-01-05", "--date")) == "2026-01-05"
    assert shapes.day(Date()) == ""
    with pytest.raises(Usage):
        shapes.parse_day("2026-02-30", "--date")


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026", "2026-01-01", "2026-12-31"),
        ("2026-Q1", "2026-01-01", "2026-03-31"),
        ("2025-Q4", "2025-10-01", "2025-12-31"),
        ("2024-02", "2024-02-01", "2024-02-29"),
        ("2026-01-05", "2026-01-05", "2026-01-05"),
        ("2026-01-05..2026-02-04", "2026-01-05", "2026-02-04"),
    ],
)
def test_periods(text: str, first: str, last: str) -> None:
    begin, end = shapes.parse_period(text, "--period")
    assert (shapes.day(begin), shapes.day(end)) == (first, last)


@pytest.mark.parametrize("text", ["", "soon", "2026-00", "2026-13", "2026-Q5", "0000", "2026-01-05..", "２０２６"])
def test_what_is_no_period(text: str) -> None:
    with pytest.raises(Usage):
        shapes.parse_period(text, "--period")


def test_an_estimate_comes_with_what_is_known_of_it() -> None:
    known = experiments_pb2.Estimate(
        value=0.8333, unit="1", low=0.72, high=0.9, confidence_ratio=0.95, sample_size=72, method="wilson"
    )
    assert shapes.estimate(known) == "0.833 (0.72 .. 0.9 at 95 %, n = 72, wilson)"
    days = experiments_pb2.Estimate(value=4.5, unit="d", sample_size=3, method="mean")
    assert shapes.estimate(days) == "4.5 d (n = 3, mean)"
    assert shapes.estimate(experiments_pb2.Estimate(explanation="3 cases, it takes 20")) == "? (3 cases, it takes 20)"
    assert shapes.estimate(experiments_pb2.Estimate()) == "?"


def test_what_a_row_adds_to_a_ratio_is_seen() -> None:
    assert [shapes.figure(value) for value in (0, 1 / 647, 531 / 647, 1, 4514, -0.25)] == [
        *("0.00", "0.001546", "0.8207", "1.00", "4,514.00", "-0.25")
    ]
