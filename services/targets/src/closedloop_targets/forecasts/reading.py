"""What was forecast for a week when it began: the month's value by its working days, of statements that are no guess."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Work
from closedloop_targets import company, ledger
from closedloop_targets.forecasts import store
from closedloop_targets.forecasts.store import Forecast
from closedloop_targets.ledger import HolderKind
from closedloop_targets.periods import shapes as period_shapes
from closedloop_targets.periods.rules import DAY, Period

# (first day, last day, unit) to working days.
Counted = dict[tuple[date, date, str], int]


async def of_week(work: Work, reader: Reader | Transaction, metric: str, week: Period) -> dict[tuple[str, str], int]:
    """By holder (kind, id), in minor units or millionths; a naive forecast holds nobody to anything. One round trip."""
    began = work.home.moment(week.start)
    counted: Counted = {}
    found = {}
    for row in await reader.all(store.STOOD, {"metric": metric, "moment": began}):
        unit = work.org.unit(row["unit_id"])
        share = [
            _share(work, point, week, row["unit_id"], unit.calendar if unit else "", counted) for point in row["points"]
        ]
        if any(part is not None for part in share):
            found[row["holder_kind"], row["holder_id"]] = round(sum(part or 0.0 for part in share))
    return found


async def ends(
    work: Work, reader: Reader | Transaction, kind: HolderKind, holders: Sequence[str], metric: str, period: Period
) -> dict[str, int]:
    """Where a period that is not over will end, by holder: done before the forecast's first month, and its months after.

    Nobody stands in it whose forecast does not reach the period's end. Two round trips."""
    if not holders or period.end < work.home.today():
        return {}
    params = {"kind": kind, "holders": list(holders), "metric": metric, "moment": work.now}
    counted: Counted = {}
    asked, ahead = [], []
    for row in await reader.all(store.LATEST_OF, params):
        first, last = (row["points"][at][edge] for at, edge in ((0, "start"), (-1, "end")))
        if date.fromisoformat(last) < period.end:
            continue
        unit = work.org.unit(row["unit_id"])
        parts = [
            _share(work, point, period, row["unit_id"], unit.calendar if unit else "", counted) or 0.0
            for point in row["points"]
        ]
        before = min(date.fromisoformat(first) - DAY, period.end)
        asked.append(ledger.Asked(kind, row["holder_id"], metric, period.start, before))
        ahead.append(sum(parts))
    done = await ledger.figures(work, reader, asked)
    return {one.holder_id: (minor or 0) + round(part) for one, minor, part in zip(asked, done, ahead, strict=True)}


Asked = dict[tuple[str, str, str], list[tuple[date, int]]]


async def targets(work: Work, reader: Reader | Transaction, rows: Sequence[Forecast]) -> Asked:
    """What targets in force ask for: (first day of a month's cell, amount in the books' money) by holder and product.

    `rows` are of one metric. One round trip, none without rows."""
    if not rows:
        return {}
    params = {
        "kinds": [row.holder_kind for row in rows],
        "holders": [row.holder_id for row in rows],
        "products": [row.product_id for row in rows],
        "metric": rows[0].metric,
        "since": min(date.fromisoformat(row.points[0]["start"]) for row in rows),
        "until": max(date.fromisoformat(row.points[-1]["end"]) for row in rows),
        "tops": company.tops(work.org),
    }
    found: Asked = {}
    for row in await reader.all(store.TARGETS, params):
        key = (row["kind"], row["holder_id"], row["product_id"])
        found.setdefault(key, []).append((row["start_date"], row["minor"]))
    return found


def _share(
    work: Work, point: dict[str, Any], week: Period, unit_id: str, calendar: str, counted: Counted
) -> float | None:
    """The part of a month's value that falls into the week; None where they do not meet."""
    first, last = date.fromisoformat(point["start"]), date.fromisoformat(point["end"])
    if last < week.start or first > week.end:
        return None
    spans = ((max(first, week.start), min(last, week.end)), (first, last))
    for span in spans:
        if (*span, calendar) not in counted:
            counted[*span, calendar] = period_shapes.working_days(Period("", "custom", *span), work, unit_id)
    within, whole = (counted[*span, calendar] for span in spans)
    return float(point["value"]) * within / whole if whole else 0.0
