"""GetActionResultMap: which actions moved which results (S15)."""

from __future__ import annotations

from asyncio import to_thread

from closedloop.targets.v1 import actions_pb2 as pb
from closedloop_chassis import pages
from closedloop_chassis.work import Call
from closedloop_targets import aggregation, company
from closedloop_targets.actions import rules, store
from closedloop_targets.actions.rpcs import rpcs
from closedloop_targets.actions.rules import ActionRules
from closedloop_targets.book import in_force
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods import shapes as period_shapes
from closedloop_targets.periods.rules import FiscalCalendar


@rpcs.method
async def get_action_result_map(request: pb.GetActionResultMapRequest, call: Call) -> pb.ActionResultMap:
    top = call.home.root
    unit_id = request.unit_id or (top.id if top else "")
    await company.unit(call, unit_id)
    call.authorize("", unit_id)
    period = periods.parse(request.period, call.rules(FiscalCalendar))
    units = list(call.org.subtree(unit_id))
    params = {
        "units": units,
        "holders": [person.id for unit in units for person in call.org.members(unit)],
        "kind": "person",
        "metrics": [],
        "since": period.start,
        "until": period.end,
        "action_kind": request.action_kind,
        "result_metric": request.result_metric,
        **in_force.places(call),
        **aggregation.manners(call),
    }
    groups: dict[tuple[str, str], list[dict[str, float]]] = {}
    for row in await call.db.all(store.EFFECTS, params):
        groups.setdefault((row["kind"], row["result_metric"]), []).append(row)
    after = pages.after(request, "", "")
    wanted = [key for key in sorted(groups) if list(key) > after][: pages.size(request) + 1]
    page, token = pages.split(wanted, request, lambda key: key)
    allowed = call.rules(ActionRules)
    effects = await to_thread(lambda: [_effect(*key, groups[key], allowed) for key in page])
    return pb.ActionResultMap(
        period=period_shapes.stored(period.code, period.grain, period.start, period.end),
        unit_id=unit_id,
        effects=effects,
        next_page_token=token,
    )


def _effect(kind: str, metric: str, rows: list[dict[str, float]], allowed: ActionRules) -> pb.ActionEffect:
    """Done as planned: every planned one was verified."""
    known = [row for row in rows if row["completion"] is not None]
    done = [row["completion"] for row in known if row["verified"] >= row["planned"]]
    not_done = [row["completion"] for row in known if row["verified"] < row["planned"]]
    found = rules.effect(done, not_done, allowed.least_sample, allowed.confidence)
    planned = sum(row["planned"] for row in rows)
    return pb.ActionEffect(
        action_kind=kind,
        result_metric=metric,
        with_count=found.with_count,
        without_count=found.without_count,
        with_ratio=found.with_mean,
        without_ratio=found.without_mean,
        lift=found.lift,
        lower=found.lower,
        upper=found.upper,
        method=rules.METHOD.format(confidence=allowed.confidence),
        verdict=found.verdict,
        execution_ratio=float(sum(row["done"] for row in rows) / planned) if planned else 0,
    )
