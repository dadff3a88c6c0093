"""Over time by something else than working days: as the year before, by the seasons of the forecast, by given weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from fractions import Fraction

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


async def shape(
    call: Call, reader: Reader | Transaction, asked: pb.TimeRule, target: Target, period: Period
) -> Shape | None:
    """Weights of days; None: working days alone. One round trip at most."""
    if asked.profile == pb.TIME_PROFILE_SEASONAL:
        return await _seasonal(call, reader, target, period)
    if asked.profile == pb.TIME_PROFILE_CUSTOM:
        return _custom(call, asked.weights, target, period)
    if asked.profile == pb.TIME_PROFILE_HISTORY:
        return await _year_before(call, reader, target, period)
    return None


async def _year_before(call: Call, reader: Reader | Transaction, target: Target, period: Period) -> Shape | None:
    """Working days where nothing was done then."""
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
    last_year = {row["date"]: Fraction(row["minor"]) for row in await reader.all(store.BY_DAY, params)}
    days = zip(period.days(), before.days(), strict=False)
    return {day: last_year[then] for day, then in days if then in last_year} or None


async def _seasonal(call: Call, reader: Reader | Transaction, target: Target, period: Period) -> Shape:
    """As the holder's newest forecast tells the seasons of the target's product, else of everything.

    Raises FailedPrecondition SEASONALITY_UNKNOWN, with the months of history there are."""
    calendar = call.rules(FiscalCalendar)
    params = {
        "kind": target.holder_kind,
        "holder_id": target.holder_id,
        "metric": target.metric,
        "product_id": target.product_id,
    }
    told = await reader.one(store.SEASONS, params)
    if told is None or not told["seasons"]:
        said = (
            f"nobody has forecast {target.metric} of {target.holder_id}; restate its forecasts first"
            if told is None
            else f"the forecast of {target.holder_id} tells no seasons: {told['explanation']}"
        )
        known = {"history_months": str(told["history_months"] if told else 0)}
        raise errors.FailedPrecondition("SEASONALITY_UNKNOWN", said, **known)
    weights = [Fraction(round(ratio * FINENESS), FINENESS) for ratio in told["seasons"]]
    first = date.fromisoformat(told["start"])
    months = [periods.containing(part.start, "month", calendar) for part in periods.split(period, "month", calendar)]
    weighed = [(month, weights[_months_between(first, month.start) % len(weights)]) for month in months]
    if not any(weight for _, weight in weighed):
        raise errors.FailedPrecondition(
            "SEASONALITY_UNKNOWN", f"{target.holder_id} sells nothing in the months of {period.code}, by its seasons"
        )
    return spread.by_period(weighed, lambda day: call.calendars.is_workday(day, "business", target.unit_id))


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
