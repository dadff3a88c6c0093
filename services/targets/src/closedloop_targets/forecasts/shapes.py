"""Forecasts as the contract shows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from closedloop.targets.v1 import forecasts_pb2 as pb
from closedloop.targets.v1.plans_pb2 import TargetScope
from closedloop_chassis import protos
from closedloop_targets import amounts, holders
from closedloop_targets.forecasts.store import Forecast
from closedloop_targets.periods import shapes as period_shapes
from closedloop_targets.periods.rules import Period

PARTS = ("history", "seasonality", "pipeline", "market")


def begun(row: Forecast, today: date) -> list[tuple[date, date]]:
    """Days of the months of a statement that have begun."""
    spans = [(date.fromisoformat(point["start"]), date.fromisoformat(point["end"])) for point in row.points]
    return [span for span in spans if span[0] <= today]


def forecast(
    row: Forecast,
    previous: Sequence[dict[str, Any]],
    actuals: Iterator[int | None],
    targets: Sequence[tuple[date, int]],
    today: date,
    within: Period | None,
) -> pb.Forecast:
    """`actuals` yields one figure for each month that has begun, in order; `targets` are cells of months by their first
    day."""
    before = {point["period"]: point["value"] for point in previous}
    points = []
    for point in row.points:
        start, end = date.fromisoformat(point["start"]), date.fromisoformat(point["end"])
        actual = next(actuals) if start <= today else None
        if within is not None and (end < within.start or start > within.end):
            continue
        shape = pb.ForecastPoint(
            period=period_shapes.stored(point["period"], "month", start, end),
            value=amounts.amount(point["value"], row.currency),
            lower=amounts.amount(point["lower"], row.currency),
            upper=amounts.amount(point["upper"], row.currency),
            parts=[
                pb.ForecastPart(
                    input=pb.ForecastInput.Value(f"FORECAST_INPUT_{name.upper()}"),
                    amount=amounts.amount(point[name], row.currency),
                )
                for name in PARTS
            ],
        )
        if point["period"] in before:
            shape.previous.CopyFrom(amounts.amount(before[point["period"]], row.currency))
        asked = [minor for day, minor in targets if start <= day <= end]
        if asked:
            shape.target.CopyFrom(amounts.amount(sum(asked), row.currency))
        if start <= today:
            shape.actual.CopyFrom(amounts.amount(actual or 0, row.currency))
        points.append(shape)
    return pb.Forecast(
        holder=holders.to_proto(row.holder_kind, row.holder_id),
        metric=row.metric,
        scope=TargetScope(product_id=row.product_id),
        points=points,
        method=row.method,
        naive=row.naive,
        explanation=row.explanation,
        history_months=row.history_months,
        interval_ratio=row.interval_ratio,
        run_id=row.run_id,
        statement_time=protos.timestamp(row.stated_at),
        season_ratios=row.seasons or (),
    )
