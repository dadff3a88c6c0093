"""GetHealthReport: the health of targets in a month, as a whole and by a dimension (S19)."""

from __future__ import annotations

from typing import cast

from closedloop.targets.v1 import alarms_pb2
from closedloop.targets.v1 import reviews_pb2 as pb
from closedloop_chassis import enums, errors, pages, protos
from closedloop_chassis.work import Call
from closedloop_targets import company
from closedloop_targets.cascade.rules import REP
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods import shapes as period_shapes
from closedloop_targets.periods.rules import DAY, FiscalCalendar, Period
from closedloop_targets.reviews import health, health_store
from closedloop_targets.reviews.health import Dimension, Figures, HealthRules, Tree
from closedloop_targets.reviews.rpcs import rpcs


@rpcs.method
async def get_health_report(request: pb.GetHealthReportRequest, call: Call) -> pb.HealthReport:
    top = call.home.root
    unit = await company.unit(call, request.unit_id or (top.id if top else ""))
    call.authorize("", unit.id)
    calendar, allowed = call.rules(FiscalCalendar), call.rules(HealthRules)
    month = _month(request, call, calendar)
    tree = await _tree(call, unit.id, month)
    total = tree.figures(tree.nodes, allowed)
    dimension = cast("Dimension", enums.word(pb.HealthDimension, request.dimension) or "unit")
    child_of = {below: child.id for child in call.org.children(unit.id) for below in call.org.subtree(child.id)}
    found = {key: tree.figures(some, allowed) for key, some in health.slices(tree.nodes, dimension, child_of).items()}
    key = pages.after(request, -1.0, "")
    wanted = sorted((one.health, name) for name, one in found.items())
    page, token = pages.split(
        [row for row in wanted if list(row) > key][: pages.size(request) + 1], request, lambda row: row
    )
    before = None
    if not request.page_token:
        earlier = await _tree(call, unit.id, periods.containing(month.start - DAY, "month", calendar))
        before = earlier.figures(earlier.nodes, allowed) if earlier.nodes else None
    return pb.HealthReport(
        unit_id=unit.id,
        period=period_shapes.stored(month.code, month.grain, month.start, month.end),
        total=_figures(total),
        previous_month=_figures(before) if before else None,
        slices=[pb.HealthSlice(key=name, figures=_figures(found[name])) for _, name in page],
        next_page_token=token,
        suggestions=health.suggestions(tree, total, found, allowed) if tree.nodes else [],
        as_of_time=protos.timestamp(call.now),
    )


def _month(request: pb.GetHealthReportRequest, call: Call, calendar: FiscalCalendar) -> Period:
    """Raises InvalidArgument UNKNOWN_PERIOD."""
    if not request.period:
        return periods.containing(
            periods.containing(call.home.today(), "month", calendar).start - DAY, "month", calendar
        )
    month = periods.parse(request.period, calendar)
    if month.grain != "month":
        raise errors.InvalidArgument("UNKNOWN_PERIOD", f"{month.code} is no month", {"period": 'say "2026-M03"'})
    return month


async def _tree(call: Call, unit_id: str, month: Period) -> Tree:
    org, units = call.org, list(call.org.subtree(unit_id))
    # The pack of the unit above speaks of this one.
    above = [*units, *(parent for parent in org.ancestry(unit_id) if parent not in units)]
    levels = {unit: org.units[unit].kind for unit in units} | {"person": REP}
    return Tree(await health_store.nodes(call, call.db, month, units, above, levels))


def _figures(one: Figures) -> pb.HealthFigures:
    return pb.HealthFigures(
        decomposed_ratio=one.decomposed,
        targets_held=one.held,
        leaking_nodes=one.leaking,
        excepted_nodes=one.excepted,
        action_execution_ratio=one.execution or 0.0,
        actions_planned=one.planned,
        actions_done=one.done,
        actions_verified=one.verified,
        causes=[
            pb.CauseFigures(
                cause=enums.number(alarms_pb2.Cause, cause.cause),
                ranked_count=cause.ranked,
                confirmed_count=cause.confirmed,
                agreed_count=cause.agreed,
                share_ratio=cause.share,
            )
            for cause in one.causes
        ],
        attribution_accuracy_ratio=one.accuracy,
        targets_missed=one.missed,
        targets_attributed=one.attributed,
        attainment_ratio=one.attainment,
    )
