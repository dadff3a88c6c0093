"""Economics on paper: items, rates, bridges."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from pydantic import ValidationError

from closedloop_chassis import errors
from closedloop_integrations.economics import bridge, operational, statutory
from closedloop_integrations.economics.lifetime import Expected, expect
from closedloop_integrations.economics.productivity import places
from closedloop_integrations.economics.rules import CostItem, EconomicsRules, LifetimeRules, Rate, Total, converted

RULES = EconomicsRules(
    rates=(
        Rate(currency="USD", from_day=date(2026, 1, 1), rate=Decimal("7.1")),
        Rate(currency="USD", from_day=date(2026, 1, 15), rate=Decimal("7.0")),
    )
)


@pytest.mark.parametrize(
    ("code", "name"),
    [("660101", "platform_commission"), ("66010107", "platform_commission"), ("return_freight", "return_freight"),
     ("660201", "headquarters_overhead"), ("6601", "unplaced"), ("", "unplaced")],
)  # fmt: skip
def test_a_cost_code_is_read_by_its_longest_prefix_and_never_lost(code: str, name: str) -> None:
    assert RULES.item(code).name == name


def test_money_is_worth_what_it_was_worth_that_day() -> None:
    assert RULES.worth("USD", date(2026, 1, 14), "CNY") == Decimal("7.1")
    assert RULES.worth("USD", date(2026, 1, 15), "CNY") == Decimal("7.0")
    assert converted(1_005, "USD", "CNY", Decimal("7.1")) == 7_136  # 71.355 yuan: half a fen goes up
    assert converted(100, "JPY", "CNY", Decimal("0.05")) == 500
    for day in (date(2025, 12, 31), date(2026, 3, 1)):
        with pytest.raises(errors.FailedPrecondition, match="no rate of USD"):
            RULES.worth("USD", day, "CNY")


def test_two_items_do_not_share_a_code() -> None:
    one = CostItem(name="one", title="一", codes=("1",))
    with pytest.raises(ValidationError, match="the code of two items"):
        EconomicsRules(items=(one, one.model_copy(update={"name": "two"})))


@pytest.mark.mission("S75", "S77")
def test_each_calculation_charges_its_own_and_the_bridge_leaves_nothing() -> None:
    totals = {
        "revenue": Total(1_000, 2),
        "goods": Total(600, 2),
        "cost:660101": Total(70, 3),
        "cost:640102": Total(20, 1),
    }
    totals |= {
        "cost:6602": Total(10, 1),
        "ledger:6001": Total(1_000, 1),
        "ledger:6401": Total(-620, 1),
        "ledger:1122": Total(-5, 1),
    }
    books, acted = statutory.calculate(totals, RULES), operational.calculate(totals, RULES)
    own = operational.contribution(totals, RULES)
    assert (books.margin, acted.margin, own.margin) == (380, 300, 330)
    assert sorted(own.removed) == ["headquarters_overhead", "inbound_freight"]
    assert statutory.ledger(totals, RULES) == 380
    for origin, target in ((books, acted), (acted, books), (books, own), (own, acted)):
        built = bridge.build(origin, target, RULES.items)
        assert built.residual == 0
        change = 100 * ((target.ratio or 0) - (origin.ratio or 0))
        assert sum(step.points for step in built.steps) == pytest.approx(change)
    assert [(step.cost.item.name, step.cost.amount) for step in bridge.build(books, acted, RULES.items).steps] == [
        ("platform_commission", 70),
        ("headquarters_overhead", 10),
    ]


def test_without_revenue_there_is_a_margin_and_no_ratio() -> None:
    empty = operational.calculate({"cost:660101": Total(5, 1)}, RULES)
    assert (empty.margin, empty.ratio) == (-5, None)
    assert [step.points for step in bridge.build(statutory.calculate({}, RULES), empty, RULES.items).steps] == [0.0]


LIFETIME = LifetimeRules(horizon_months=2, history_months=4, retention=0.5, discount=0.0, interval=1.0)


@pytest.mark.mission("S76")
@pytest.mark.parametrize(
    ("margins", "orders", "first", "expected"),
    [
        ({date(2025, 11, 1): 100}, 5, date(2025, 11, 7), Expected(reason="2 full months of history, 3 needed")),
        ({date(2025, 6, 1): 100}, 1, date(2025, 6, 7), Expected(reason="1 orders, 2 needed")),
        # 100 a month without a swing: half of it next month, a quarter the month after.
        ({date(2025, month, 1): 100 for month in (9, 10, 11, 12)}, 4, date(2025, 9, 2), Expected(75, 75, 75)),
        # 400 once in four months: s = 200, 200 * sqrt(0.25 + 0.0625 + 0.75**2 / 4) = 134.6.
        ({date(2025, 9, 1): 400, date(2026, 1, 1): 9_999}, 4, date(2025, 9, 2), Expected(75, -60, 210)),
    ],
)  # fmt: skip
def test_a_customer_is_worth_its_last_months_with_an_interval_or_nobody_can_say(
    margins: dict[date, int], orders: int, first: date, expected: Expected
) -> None:
    assert expect(margins, orders, first, date(2026, 1, 5), LIFETIME) == expected


def test_a_place_is_the_share_of_peers_who_brought_less() -> None:
    found = places({("a", "x"): 1, ("b", "x"): 5, ("c", "x"): 5, ("a", "y"): -3})
    assert found == {("a", "x"): 0.0, ("b", "x"): 0.5, ("c", "x"): 0.5, ("a", "y"): 1.0}
