"""Targets that nobody has spread over time are spread by working days when their version is published (S2)."""

from __future__ import annotations

from closedloop_chassis.work import Call
from closedloop_targets.book import targets as target_store
from closedloop_targets.book.model import Plan, Target
from closedloop_targets.cascade import spread
from closedloop_targets.cascade.rules import CascadeDefaults
from closedloop_targets.metrics.rules import MetricRules
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods.rules import FiscalCalendar


async def complete(call: Call, plan: Plan, number: int) -> None:
    """Queues the cells; one round trip."""
    bare = await call.tx.all(target_store.WITHOUT_CELLS, {"plan_id": plan.id, "number": number}, into=Target)
    calendar, metrics, grains = call.rules(FiscalCalendar), call.rules(MetricRules), call.rules(CascadeDefaults).grains
    spreader = spread.Spreader(calendar, lambda day, unit: call.calendars.is_workday(day, "business", unit))
    cells = []
    for target in bare:
        period, step = periods.parse(target.period, calendar), metrics.metric(target.metric).step
        calendar_of = call.org.unit(target.unit_id)
        group = (calendar_of.calendar if calendar_of else "", target.unit_id)
        cells += [(target.id, *cut) for cut in spreader.spread(period, grains, target.minor, step, *group)]
    target_store.add_cells(call.tx, cells)
