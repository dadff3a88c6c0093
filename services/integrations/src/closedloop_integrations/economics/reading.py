"""From a scope to figures: whose, of which days, in which money."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from closedloop.integrations.v1 import economics_pb2 as pb
from closedloop_chassis import errors, protos
from closedloop_chassis.work import Call
from closedloop_integrations.economics import operational, statutory, store
from closedloop_integrations.economics.rules import (
    COUNTED,
    ORDER_PRODUCTS,
    ORDERS,
    EconomicsRules,
    Margin,
    Total,
    Totals,
    converted,
)

Keys = tuple[str, ...]
# Which month counts for which calculation.
MONTHS = {"statutory": "booked_month", "operational": "month", "contribution": "month"}
CALCULATIONS = {
    "statutory": statutory.calculate,
    "operational": operational.calculate,
    "contribution": operational.contribution,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A scope, checked. `units` are None for all; whole months lie between `first_month` and `last_month`, if any does."""

    begin: date
    end: date
    first_month: date
    last_month: date
    units: list[str] | None
    product_id: str
    channel: str
    account_id: str | None
    person_id: str
    currency: str
    at: datetime | None

    @property
    def whole_months(self) -> bool:
        return self.begin.day == 1 and (self.end + timedelta(days=1)).day == 1

    def month(self, key: str) -> tuple[date, date]:
        """First and last day of the month "2026-01" that lie in the period."""
        first = date.fromisoformat(f"{key}-01")
        return max(first, self.begin), min(_next_month(first) - timedelta(days=1), self.end)

    @property
    def whole_books(self) -> bool:
        """Vouchers name units, not products, channels, customers or sellers."""
        return not (self.product_id or self.channel or self.account_id or self.person_id)

    def params(self, call: Call) -> dict[str, Any]:
        whole = self.first_month <= self.last_month
        head_end = self.first_month - timedelta(days=1) if whole else self.end
        tail_begin = _next_month(self.last_month) if whole else self.end + timedelta(days=1)
        names = (
            "begin", "end", "first_month", "last_month", "units", "product_id", "channel", "account_id", "person_id", "at",
            "currency",
        )  # fmt: skip
        return {
            **call.scope.params,
            **{name: getattr(self, name) for name in names},
            "head_end": head_end,
            "tail_begin": tail_begin,
        }


def asked(scope: pb.EconomicScope, call: Call, *, of_units: bool = True) -> Asked:
    """Raises InvalidArgument PERIOD_INVERTED, PERIOD_TOO_LONG; NotFound UNIT_UNKNOWN; PermissionDenied for a unit out of reach
    (`of_units`)."""
    begin, end = protos.day(scope.start_date, "scope.start_date"), protos.day(scope.end_date, "scope.end_date")
    if end < begin:
        raise errors.InvalidArgument(
            "PERIOD_INVERTED", "the last day lies before the first", {"scope.end_date": "not before start_date"}
        )
    longest = call.rules(EconomicsRules).longest_days
    if (end - begin).days >= longest:
        raise errors.InvalidArgument("PERIOD_TOO_LONG", f"more than {longest} days", {"scope": "a shorter period"})
    units: list[str] | None = None
    if scope.unit_id:
        if call.org.unit(scope.unit_id) is None:
            raise errors.NotFound("UNIT_UNKNOWN", f"no unit {scope.unit_id}")
        if of_units:
            call.authorize("", scope.unit_id)
        units = sorted(call.org.subtree(scope.unit_id))
    first = begin if begin.day == 1 else _next_month(begin)
    after = end + timedelta(days=1)
    last = (after if after.day == 1 else end.replace(day=1)) - timedelta(days=1)
    return Asked(
        begin=begin,
        end=end,
        first_month=first,
        last_month=last.replace(day=1),
        units=units,
        product_id=scope.product_id,
        channel=scope.channel,
        account_id=scope.account_id or None,
        person_id=scope.person_id,
        currency=scope.currency or call.home.currency,
        at=protos.instant(scope.at, "scope.at") if scope.HasField("at") else None,
    )


async def totals(
    call: Call, scope: Asked, dimensions: Sequence[str], calculation: str, *, everybody: bool = False
) -> Mapping[Keys, Mapping[str, Total]]:
    """By the keys of the dimensions and by code, in the money asked for; `everybody`'s, to be compared with and not shown.

    Raises FailedPrecondition PERIOD_NOT_LOADED, RATE_MISSING; InvalidArgument PERIOD_NOT_MONTHS."""
    month = MONTHS[calculation]
    if month == "booked_month" and not scope.whole_months:
        raise errors.InvalidArgument(
            "PERIOD_NOT_MONTHS",
            "the ledger knows months, not days",
            {"scope": "whole months for CALCULATION_STATUTORY"},
        )
    loaded, foreign = await store.loaded(call.db, scope.begin, scope.end, scope.currency)
    if not loaded:
        raise errors.FailedPrecondition("PERIOD_NOT_LOADED", f"no transactions from {scope.begin} to {scope.end}")
    rules, home = call.rules(EconomicsRules), call.home.currency
    found: dict[Keys, dict[str, Total]] = defaultdict(dict)
    # Compared with the company's money in SQL: rows of other money name their day.
    params = scope.params(call)
    params["scope_company"] = params["scope_company"] or everybody
    fine = scope.at is not None or scope.account_id is not None or not {*store.FINE}.isdisjoint(dimensions)
    for row in await store.totals(call.db, dimensions, month, params, fine=fine, foreign=foreign):
        amount = row.amount
        if row.currency != scope.currency and row.code not in COUNTED:
            assert row.day is not None
            rate = rules.worth(row.currency, row.day, home) / rules.worth(scope.currency, row.day, home)
            amount = converted(amount, row.currency, scope.currency, rate)
        by_code = found[tuple(row.keys)]
        by_code[row.code] = by_code.get(row.code, Total()) + Total(amount, row.entries)
    return found


def margin(codes: Totals, rules: EconomicsRules, calculation: str, *, by_product: bool = False) -> Margin:
    orders = codes.get(ORDER_PRODUCTS if by_product else ORDERS, Total()).entries
    return CALCULATIONS[calculation](codes, rules, orders)


def fold(
    figures: Mapping[Keys, Mapping[str, Total]], place: int, onto: Mapping[str, str]
) -> dict[Keys, dict[str, Total]]:
    """The same figures with the key at `place` replaced by what it belongs to."""
    folded: dict[Keys, dict[str, Total]] = defaultdict(dict)
    for keys, codes in figures.items():
        new = (*keys[:place], onto.get(keys[place], keys[place]), *keys[place + 1 :])
        for code, total in codes.items():
            folded[new][code] = folded[new].get(code, Total()) + total
    return folded


def summed(figures: Mapping[Keys, Mapping[str, Total]]) -> dict[str, Total]:
    """All of them together, by code."""
    whole: dict[str, Total] = {}
    for codes in figures.values():
        for code, total in codes.items():
            whole[code] = whole.get(code, Total()) + total
    return whole


def regions(call: Call, scope: pb.EconomicScope, level: int, units: Iterable[str]) -> dict[str, str]:
    """Each unit's region: its ancestor `level` + 1 below the unit looked at; itself where it stands higher."""
    root = call.home.root
    top = scope.unit_id or (root.id if root else "")
    found: dict[str, str] = {}
    for unit in units:
        line = [*reversed([*call.org.ancestry(unit)])]
        found[unit] = line[min(line.index(top) + 1 + level, len(line) - 1)] if top in line else unit
    return found


def _next_month(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)
