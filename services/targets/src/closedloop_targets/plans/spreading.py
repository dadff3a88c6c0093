"""Targets that nobody has spread over time, or that were changed since, are spread when their version is published: as the
cascade they are part of was, else by working days (S2)."""

from __future__ import annotations

from closedloop_chassis.work import Call
from closedloop_targets import aggregation
from closedloop_targets.book import shaped
from closedloop_targets.book import targets as target_store
from closedloop_targets.book.model import Plan, Target, TargetKey
from closedloop_targets.cascade import spread
from closedloop_targets.cascade.rules import CascadeDefaults
from closedloop_targets.metrics.rules import MetricRules
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods.rules import FiscalCalendar, Grain


async def complete(call: Call, plan: Plan, number: int) -> None:
    """Queues the cells; three round trips, or four. Who has children gets what their cells come to."""
    version = {"plan_id": plan.id, "number": number}
    bare = await call.tx.all(target_store.WITHOUT_CELLS, version, into=Target)
    known: dict[tuple[str, Grain], list[spread.Part]] = {}
    for row in await call.tx.all(target_store.CHILDREN_CELLS, version):
        part = spread.Part(row["start_dates"], row["end_date"], row["minors"])
        known.setdefault((row["parent_id"], row["grain"]), []).append(part)
    calendar, metrics, grains = call.rules(FiscalCalendar), call.rules(MetricRules), call.rules(CascadeDefaults).cut()
    profiles, shapes = await shaped.shapes(call.tx, [target.id for target in bare])
    spreader = spread.Spreader(
        calendar, lambda day, unit: call.calendars.is_workday(day, "business", unit), shapes=shapes
    )
    pieces = []
    for target in sorted(bare, key=_in_order):
        period, step = periods.parse(target.period, calendar), metrics.metric(target.metric).step
        unit = call.org.unit(target.unit_id)
        business = unit.calendar if unit else ""
        profile = profiles.get(target.id, "")
        pieces.append(
            spread.Piece(
                target.id,
                target.parent_id,
                period,
                target.minor,
                step,
                business,
                target.unit_id,
                profile,
                aggregation.of(call, target.metric).adds_up,
            )
        )
    target_store.add_cells(call.tx, spreader.tree(pieces, grains, known))


def _in_order(target: Target) -> tuple[object, ...]:
    """Parents first, and the same whenever the same targets are spread."""
    names = TargetKey.__slots__
    return (target.depth, target.start_date, *(getattr(target.key, name) for name in names))
