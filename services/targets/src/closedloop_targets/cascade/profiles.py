"""Over time by something else than working days: as the year before, by the seasons of the forecast, by given weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Any

from closedloop.targets.v1 import cascade_pb2 as pb
from closedloop_chassis import errors
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Call
from closedloop_targets.book.model import Target
from closedloop_targets.cascade import spread, store
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods.rules import FiscalCalendar, Period

Shape = Mapping[date, Fraction]
# Nobody knows a season better than to a tenth of a per mille, and a million cells are shared out in small numbers.
FINENESS = 10_000
# Products that a note names.
NAMED = 10


@dataclass(frozen=True, slots=True)
class Course:
    """How a cascade goes over time: weights of days (None: working days) and those of products that go by themselves;
    `profile` is what it went by, `note` what a reader must know."""

    whole: Shape | None
    profile: pb.TimeProfile.ValueType
    products: Mapping[str, Shape] = field(default_factory=dict)
    note: str = ""


AS_IT_IS = Course(
    None, pb.TIME_PROFILE_UNSPECIFIED, note="what does not add up is asked of every part of its period as it is"
)


async def course(
    call: Call,
    reader: Reader | Transaction,
    asked: pb.TimeRule,
    target: Target,
    period: Period,
    products: Sequence[str],
) -> Course:
    """`products` are those the target is split among. One round trip at most."""
    if asked.profile == pb.TIME_PROFILE_SEASONAL:
        return await _seasonal(call, reader, target, period, products)
    if asked.profile == pb.TIME_PROFILE_CUSTOM:
        return Course(_custom(call, asked.weights, target, period), asked.profile)
    if asked.profile == pb.TIME_PROFILE_HISTORY:
        return await _year_before(call, reader, target, period, products)
    return Course(None, pb.TIME_PROFILE_WORKING_DAYS)


async def _year_before(
    call: Call, reader: Reader | Transaction, target: Target, period: Period, products: Sequence[str]
) -> Course:
    """Working days where nothing was done then, and it says so; a product of which nothing was done goes as everything."""
    before = periods.year_before(period, call.rules(FiscalCalendar))
    params = {
        "metric": target.metric,
        "start": before.start,
        "end": before.end,
        "person_id": "",
        "units": list(call.org.subtree(target.holder_id)),
        "product_id": target.product_id,
        "product_line": target.product_line,
    }
    last_year: dict[str, dict[date, int]] = {"": {}}
    for row in await reader.all(store.BY_DAY, params):
        last_year.setdefault(row["product_id"], {})[row["date"]] = row["minor"]
        last_year[""][row["date"]] = last_year[""].get(row["date"], 0) + row["minor"]

    def alike(product_id: str) -> Shape:
        done = last_year.get(product_id, {})
        days = zip(period.days(), before.days(), strict=False)
        return {day: Fraction(done[then]) for day, then in days if done.get(then, 0) > 0}

    whole = alike("")
    if not whole:
        note = f"nothing was done in {before.code} to go by: by working days"
        return Course(None, pb.TIME_PROFILE_WORKING_DAYS, note=note)
    own = {product: shape for product in products if (shape := alike(product))}
    note = _alike(products, own, f"of which nothing was done in {before.code}")
    return Course(whole, pb.TIME_PROFILE_HISTORY, own, note)


async def _seasonal(
    call: Call, reader: Reader | Transaction, target: Target, period: Period, products: Sequence[str]
) -> Course:
    """As the holder's newest forecasts tell the seasons of the target's product, else of everything; and of each product
    it is split among.

    Raises FailedPrecondition SEASONALITY_UNKNOWN, with the months of history there are."""
    params = {
        "kind": target.holder_kind,
        "holder_id": target.holder_id,
        "metric": target.metric,
        "products": ["", target.product_id, *products],
    }
    told = {row["product_id"]: row for row in await reader.all(store.SEASONS, params)}
    own = {
        product: shape
        for product in products
        if product in told and told[product]["seasons"] and (shape := _seasons(call, target, period, told[product]))
    }
    known = next((told[one] for one in (target.product_id, "") if one in told and told[one]["seasons"]), None)
    if known is None and (not products or len(own) < len(products)):
        anything = told.get(target.product_id) or told.get("")
        said = (
            f"nobody has forecast {target.metric} of {target.holder_id}; restate its forecasts first"
            if anything is None
            else f"the forecast of {target.holder_id} tells no seasons: {anything['explanation']}"
        )
        history = {"history_months": str(anything["history_months"] if anything else 0)}
        raise errors.FailedPrecondition("SEASONALITY_UNKNOWN", said, **history)
    whole = _seasons(call, target, period, known) if known else None
    if known and not whole:
        raise errors.FailedPrecondition(
            "SEASONALITY_UNKNOWN", f"{target.holder_id} sells nothing in the months of {period.code}, by its seasons"
        )
    note = _alike(products, own, "whose forecasts tell no seasons of their own")
    return Course(whole, pb.TIME_PROFILE_SEASONAL, own, note)


def _seasons(call: Call, target: Target, period: Period, told: Mapping[str, Any]) -> Shape | None:
    """None where by its seasons nothing is sold in the period."""
    calendar = call.rules(FiscalCalendar)
    weights = [Fraction(round(ratio * FINENESS), FINENESS) for ratio in told["seasons"]]
    first = date.fromisoformat(told["start"])
    months = [periods.containing(part.start, "month", calendar) for part in periods.split(period, "month", calendar)]
    weighed = [(month, weights[_months_between(first, month.start) % len(weights)]) for month in months]
    if not any(weight for _, weight in weighed):
        return None
    return spread.by_period(weighed, lambda day: call.calendars.is_workday(day, "business", target.unit_id))


def _alike(products: Sequence[str], own: Mapping[str, Shape], why: str) -> str:
    """Who goes as everything does, by name."""
    others = [product for product in products if product not in own]
    return f"as everything together go {', '.join(others[:NAMED])}, {why}" if others else ""


def _months_between(one: date, other: date) -> int:
    return (other.year - one.year) * 12 + other.month - one.month


def _custom(call: Call, weights: Sequence[pb.PeriodWeight], target: Target, period: Period) -> Shape:
    calendar = call.rules(FiscalCalendar)
    given = [(periods.parse(one.period, calendar), Fraction(one.weight.value)) for one in weights]
    if len({one.grain for one, _ in given}) > 1 or any(not period.overlaps(one) for one, _ in given):
        raise errors.InvalidArgument(
            "WEIGHTS_OF_ONE_GRAIN",
            "weights are of periods of one grain inside the target's",
            {"rules.time.weights": "mixed"},
        )
    if any(weight < 0 for _, weight in given) or not any(weight for _, weight in given):
        raise errors.FailedPrecondition(
            "WEIGHT_NOT_POSITIVE", "weights of periods are not negative, and one is positive"
        )
    inside = [
        (Period(one.code, one.grain, max(one.start, period.start), min(one.end, period.end)), weight)
        for one, weight in given
    ]
    covered = sorted(day for one, _ in inside for day in one.days())
    if covered != list(period.days()):
        raise errors.FailedPrecondition("WEIGHT_MISSING", f"weights do not cover every day of {period.code} once")
    return spread.by_period(inside, lambda day: call.calendars.is_workday(day, "business", target.unit_id))
