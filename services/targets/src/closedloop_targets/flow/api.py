"""GetTargetFlow: one target from entry to warning, in one answer (S9)."""

from __future__ import annotations

from fractions import Fraction

from closedloop.targets.v1 import boards_pb2 as pb
from closedloop_chassis import errors, protos
from closedloop_chassis.work import Call
from closedloop_targets import aggregation, amounts, ledger
from closedloop_targets.actions import binding_api, key_action_api
from closedloop_targets.alarms import api as alarms
from closedloop_targets.boards import asking, completing, measuring
from closedloop_targets.boards.rpcs import rpcs
from closedloop_targets.book import targets as target_store
from closedloop_targets.book import versions
from closedloop_targets.book.model import Target
from closedloop_targets.book.rates import rounded
from closedloop_targets.cascade import api as cascade
from closedloop_targets.commitments import api as commitments
from closedloop_targets.forecasts import api as forecasts
from closedloop_targets.plans import shapes as plan_shapes

NEXT_ACTIONS = 100
# From what is kept of it: the trail of who entered, cascaded, published and took back.
STEPS = """
SELECT * FROM (
    SELECT c.run_at AS time, c.author_id AS actor_id, 'cascaded' AS action, c.number, '' AS reason
      FROM target t JOIN cascade c ON c.id = t.cascade_id WHERE t.id = %(id)s
    UNION ALL
    SELECT t.updated_at, v.author_id, CASE WHEN t.version = 1 THEN 'entered' ELSE 'changed' END, t.number, v.reason
      FROM target t JOIN plan_version v ON v.plan_id = t.plan_id AND v.number = t.number
     WHERE t.id = %(id)s AND t.cascade_id IS NULL
    UNION ALL
    SELECT v.published_at, v.published_by, 'published', v.number, v.reason
      FROM target t JOIN plan_version v ON v.plan_id = t.plan_id AND v.number <= t.number
     WHERE t.id = %(id)s AND v.published_at IS NOT NULL
    UNION ALL
    SELECT v.recalled_at, v.recalled_by, 'recalled', v.number, v.recall_reason
      FROM target t JOIN plan_version v ON v.plan_id = t.plan_id AND v.number <= t.number
     WHERE t.id = %(id)s AND v.recalled_at IS NOT NULL) AS step
 ORDER BY time, number
"""


@rpcs.method
async def get_target_flow(request: pb.GetTargetFlowRequest, call: Call) -> pb.TargetFlow:
    target = (await target_store.by_id(call, call.db, (request.target_id,))).get(request.target_id)
    if target is None:
        raise errors.NotFound("TARGET_NOT_FOUND", f"there is no target {request.target_id}")
    call.authorize(target.owner_id, target.unit_id)
    today = call.home.today()
    steps = await call.db.all(STEPS, {"id": target.id})
    return pb.TargetFlow(
        target=plan_shapes.target(target, call),
        steps=[
            pb.TargetStep(
                time=protos.timestamp(step["time"]),
                actor_id=step["actor_id"],
                action=step["action"],
                version=step["number"],
                reason=step["reason"],
            )
            for step in steps
        ],
        progress=await _progress(call, target),
        weeks=await _weeks(call, target),
        commitment=await commitments.present_of(call, target.holder_id, target.metric)
        if target.holder_kind == "person"
        else None,
        forecast=await forecasts.latest_of(
            call, target.holder_kind, target.holder_id, target.metric, target.product_id
        ),
        bindings=await binding_api.of_target(call, target.id),
        next_actions=await key_action_api.planned_of(call, target.id, today, target.end_date, NEXT_ACTIONS),
        alarms=await alarms.open_of(call, target.id),
    )


async def _progress(call: Call, target: Target) -> pb.Progress | None:
    """Of the metric over the target's own period; none where the catalogue knows it no more."""
    try:
        asked = asking.question(call, target.metric, target.period)
    except errors.InvalidArgument:
        return None
    who = (target.holder_kind, target.holder_id)
    found = await measuring.everybody(call, call.db, target.metric, asked.period, asked.today, who)
    if not found:
        return None
    progress = asking.progress(call, found[0][1], asked)
    await completing.one(call, call.db, target.holder_kind, target.holder_id, progress, asked)
    return progress


async def _weeks(call: Call, target: Target) -> list[pb.CellProgress]:
    cells = await cascade.weeks_of(call, target.id)
    scope = (target.product_id, target.product_line, target.segment)
    asked = [
        ledger.Asked(target.holder_kind, target.holder_id, target.metric, one.start_date, one.end_date, *scope)
        for one in cells
    ]
    plan = await versions.plan(call.db, target.plan_id) if target.currency else None
    # What was done is in the books' money, and shown in the plan's.
    rate = Fraction(plan.book_rate) if plan else Fraction(1)
    manner, found = aggregation.of(call, target.metric), []
    for cell, minor in zip(cells, await ledger.figures(call, call.db, asked), strict=True):
        line = pb.CellProgress(cell=cascade.cell(cell))
        if minor is not None or manner.adds_up:
            done = rounded((minor or 0) / rate)
            line.done.CopyFrom(amounts.amount(done, cell.currency))
            if (attained := manner.attained(done, cell.minor)) is not None:
                line.completion_ratio = attained
        found.append(line)
    return found
