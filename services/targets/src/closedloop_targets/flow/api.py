"""GetTargetFlow: one target from entry to warning, in one answer (S9)."""

from __future__ import annotations

from dataclasses import fields
from datetime import date, timedelta
from typing import Any

from closedloop.targets.v1 import boards_pb2 as pb
from closedloop.targets.v1 import commitments_pb2
from closedloop_chassis import errors, protos
from closedloop_chassis.work import Call
from closedloop_targets import amounts, ledger
from closedloop_targets.actions import shapes as action_shapes
from closedloop_targets.actions import store as action_store
from closedloop_targets.actions.store import Bound, KeyAction
from closedloop_targets.alarms import shapes as alarm_shapes
from closedloop_targets.alarms import store as alarm_store
from closedloop_targets.alarms.store import Alarm
from closedloop_targets.boards import asking, measuring
from closedloop_targets.boards.rpcs import rpcs
from closedloop_targets.book import targets as target_store
from closedloop_targets.book.model import Target
from closedloop_targets.cascade import api as cascade_shapes
from closedloop_targets.cascade.store import Cell
from closedloop_targets.commitments import api as commitment_shapes
from closedloop_targets.commitments import store as commitment_store
from closedloop_targets.forecasts import shapes as forecast_shapes
from closedloop_targets.forecasts.store import Forecast
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods.rules import FiscalCalendar
from closedloop_targets.plans import shapes as plan_shapes

FIRST_ID = "00000000-0000-0000-0000-000000000000"
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
WEEKS = """
SELECT c.target_id, t.holder_kind, t.holder_id, t.metric, t.product_id, t.product_line, t.segment, t.currency, c.grain,
       c.period, c.start_date, c.end_date, c.minor
  FROM target t JOIN cell c ON c.target_id = t.id AND c.grain = 'week' WHERE t.id = %(id)s ORDER BY c.start_date
"""
FORECAST = """
SELECT * FROM forecast
 WHERE holder_kind = %(kind)s AND holder_id = %(holder)s AND metric = %(metric)s AND product_id = %(product)s
 ORDER BY stated_at DESC LIMIT 2
"""


@rpcs.method
async def get_target_flow(request: pb.GetTargetFlowRequest, call: Call) -> pb.TargetFlow:
    target = (await target_store.by_id(call.db, (request.target_id,))).get(request.target_id)
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
        commitment=await _commitment(call, target, today),
        forecast=await _forecast(call, target, today),
        bindings=await _bindings(call, target),
        next_actions=await _next_actions(call, target, today),
        alarms=await _alarms(call, target),
    )


async def _progress(call: Call, target: Target) -> pb.Progress | None:
    """Of the metric over the target's own period; none where values do not add up."""
    try:
        asked = asking.question(call, target.metric, target.period)
    except errors.InvalidArgument:
        return None
    who = (target.holder_kind, target.holder_id)
    found = await measuring.everybody(call, call.db, target.metric, asked.period, asked.today, who)
    return asking.progress(call, found[0][1], asked) if found else None


async def _weeks(call: Call, target: Target) -> list[pb.CellProgress]:
    cells = await call.db.all(WEEKS, {"id": target.id}, into=Cell)
    scope = (target.product_id, target.product_line, target.segment)
    asked = [
        ledger.Asked(target.holder_kind, target.holder_id, target.metric, one.start_date, one.end_date, *scope)
        for one in cells
    ]
    found = []
    for cell, minor in zip(cells, await ledger.sums(call.db, asked, call.org), strict=True):
        line = pb.CellProgress(cell=cascade_shapes.cell(cell), done=amounts.amount(minor or 0, cell.currency))
        if cell.minor:
            line.completion_ratio = (minor or 0) / cell.minor
        found.append(line)
    return found


async def _commitment(call: Call, target: Target, today: date) -> commitments_pb2.Commitment | None:
    if target.holder_kind != "person":
        return None
    fortnight = periods.containing(today, "fortnight", call.rules(FiscalCalendar))
    lines = await commitment_store.lines(
        call, call.db, [target.holder_id], [target.metric], fortnight.start, fortnight.end, today
    )
    return commitment_shapes.to_proto(lines[0], call) if lines else None


async def _forecast(call: Call, target: Target, today: date) -> Any:
    params = {
        "kind": target.holder_kind,
        "holder": target.holder_id,
        "metric": target.metric,
        "product": target.product_id,
    }
    rows = await call.db.all(FORECAST, params)
    if not rows:
        return None
    stood = Forecast(**{one.name: rows[0][one.name] for one in fields(Forecast)})
    asked = [
        ledger.Asked(target.holder_kind, target.holder_id, target.metric, start, end, target.product_id)
        for start, end in forecast_shapes.begun(stood, today)
    ]
    actuals = iter(await ledger.sums(call.db, asked, call.org))
    before = rows[1]["points"] if len(rows) > 1 else []
    return forecast_shapes.forecast(stood, before, actuals, today, None)


async def _bindings(call: Call, target: Target) -> list[Any]:
    params = {
        "after": FIRST_ID, "units": None, "person_id": "", "kind": "", "target_id": target.id, "since": None,
        "until": None, "limit": 1000, **call.scope.params,
    }  # fmt: skip
    return [action_shapes.binding(row) for row in await call.db.all(action_store.LIST, params, into=Bound)]


async def _next_actions(call: Call, target: Target, today: date) -> list[Any]:
    params = {
        "after": "-infinity", "after_id": FIRST_ID, "since": today, "until": today + timedelta(days=366), "units": None,
        "person_id": "", "target_id": target.id, "kind": "", "state": "planned", "limit": NEXT_ACTIONS,
        **call.scope.params,
    }  # fmt: skip
    return [
        action_shapes.key_action(row) for row in await call.db.all(action_store.LIST_ACTIONS, params, into=KeyAction)
    ]


async def _alarms(call: Call, target: Target) -> list[Any]:
    params = {
        "key": -(2**15), "key_time": float(-(2**60)), "key_id": FIRST_ID, "units": None, "owner_id": "",
        "target_id": target.id, "kinds": [], "states": ["open", "answered"], "light": 0, "since": None, "until": None,
        "limit": 100, **call.scope.params,
    }  # fmt: skip
    return [alarm_shapes.alarm(row) for row in await call.db.all(alarm_store.LIST, params, into=Alarm)]
