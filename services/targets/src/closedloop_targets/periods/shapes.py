"""Periods as the contract shows them."""

from __future__ import annotations

from datetime import date
from typing import cast

from closedloop.targets.v1 import periods_pb2 as pb
from closedloop_chassis import protos
from closedloop_chassis.work import Work
from closedloop_targets.periods.rules import Grain, Period


def to_proto(period: Period, work: Work, unit_id: str = "") -> pb.Period:
    """Raises FailedPrecondition CALENDAR_YEAR_UNKNOWN where nobody has announced the year's holidays."""
    return shown(period, working_days(period, work, unit_id))


def stored(code: str, grain: str, start: date, end: date) -> pb.Period:
    """Of a row, without working days."""
    return pb.Period(
        code=code, grain=to_grain(grain), start_date=protos.date_proto(start), end_date=protos.date_proto(end)
    )


def shown(period: Period, days: int) -> pb.Period:
    shape = stored(period.code, period.grain, period.start, period.end)
    shape.working_days = days
    return shape


def working_days(period: Period, work: Work, unit_id: str = "") -> int:
    calendars = work.calendars
    return sum(calendars.is_workday(day, "business", unit_id) for day in period.days())


def to_grain(name: str) -> pb.PeriodGrain.ValueType:
    return pb.PeriodGrain.Value(f"PERIOD_GRAIN_{name.upper()}")


def grain(value: pb.PeriodGrain.ValueType) -> Grain:
    return cast("Grain", pb.PeriodGrain.Name(value).removeprefix("PERIOD_GRAIN_").lower())
